import numpy as np
import pytest

from engine.compositing.stitch import blend_seam, keep_still


def test_a_seam_goes_from_one_version_to_the_other_in_even_steps():
    before, after = np.full((4, 2, 2, 3), 0, np.uint8), np.full((4, 2, 2, 3), 250, np.uint8)
    assert blend_seam(before, after)[:, 0, 0, 0].tolist() == [50, 100, 150, 200]


def test_equal_versions_stay_as_they_are():
    frames = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(blend_seam(frames, frames), frames)


def test_no_overlap_is_no_seam():
    nothing = np.zeros((0, 2, 2, 3), np.uint8)
    assert blend_seam(nothing, nothing).shape == (0, 2, 2, 3)


def test_versions_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="a seam of"):
        blend_seam(np.zeros((2, 4, 4, 3), np.uint8), np.zeros((3, 4, 4, 3), np.uint8))


def test_still_regions_are_the_photo_to_the_pixel_and_the_rest_is_untouched():
    draw = np.random.default_rng(1)
    frames, photo = (
        draw.integers(0, 256, (3, 8, 9, 3), dtype=np.uint8),
        draw.integers(0, 256, (8, 9, 3), dtype=np.uint8),
    )
    mask = np.zeros((8, 9), np.float32)
    mask[2:5, 3:7] = 1
    mask[5, 3:7] = 0.5
    kept = keep_still(frames, photo, mask)
    np.testing.assert_array_equal(kept[:, 2:5, 3:7], np.broadcast_to(photo[2:5, 3:7], (3, 3, 4, 3)))
    np.testing.assert_array_equal(kept[:, mask == 0], frames[:, mask == 0])
    middle = (frames[:, 5, 3:7].astype(int) + photo[5, 3:7]) / 2
    np.testing.assert_allclose(kept[:, 5, 3:7], middle, atol=0.5)


def test_nobody_still_changes_nothing():
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    assert keep_still(frames, np.ones((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32)) is frames
