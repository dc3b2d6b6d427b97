"""Colour drift is taken out of a real picture; what moves in it stays."""

import numpy as np
import pytest
from skimage.data import astronaut

from engine.compositing.colour import ColourMatch


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return astronaut()


def still(photo: np.ndarray, num_frames: int = 30) -> np.ndarray:
    return np.repeat(photo[None], num_frames, axis=0)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.float32) - b.astype(np.float32)).mean())


def test_a_video_in_the_photos_colours_is_left_alone(photo):
    assert distance(ColourMatch.to(photo)(still(photo)), still(photo)) < 0.3


def test_drift_that_grows_from_frame_to_frame_is_taken_out(photo):
    amount = np.linspace(0, 1, 60, dtype=np.float32)[:, None, None, None]
    drifting = still(photo, 60).astype(np.float32) * (1 - 0.12 * amount) + amount * [14, 2, -6]
    drifting = np.rint(drifting.clip(0, 255)).astype(np.uint8)
    matched = ColourMatch.to(photo)(drifting)
    assert distance(drifting[-1], photo) > 8
    assert distance(matched[-1], photo) < 2.5
    assert np.abs(matched.mean(axis=(1, 2)) - photo.mean(axis=(0, 1))).max() < 3


def test_something_that_moves_stays_as_bright_as_it_is(photo):
    moving = still(photo, 40)
    for index, frame in enumerate(moving):
        frame[200:240, 5 * index : 5 * index + 40] = 250
    matched = ColourMatch.to(photo)(moving)
    assert distance(matched, moving) < 2


def test_another_picture_is_not_forced_into_the_photos_colours(photo):
    black = np.zeros_like(still(photo, 3))
    assert ColourMatch.to(photo)(black).mean() < 60


def test_frames_do_not_depend_on_how_bright_a_single_one_is(photo):
    """A flash of one frame is an event, not drift: it stays, and its neighbours do too."""
    flash = still(photo, 51)
    flash[25] = np.clip(flash[25].astype(int) + 60, 0, 255).astype(np.uint8)
    matched = ColourMatch.to(photo)(flash)
    assert distance(matched[25], photo) > 40
    assert distance(matched[0], photo) < 0.3
    assert distance(matched[20], photo) < 4
