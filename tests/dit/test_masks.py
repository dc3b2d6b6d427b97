import numpy as np
import pytest
import torch
from golden_vectors import arrays

from engine.dit.masks import (
    crop_px,
    grown_px,
    mask_channels,
    pinned_mask,
    reference_size,
    region_mask,
    square_box,
    token_mask,
    union_mask,
)
from engine.dit.shapes import LatentShape

GOLDEN = arrays("face_masks")
CASES = sorted({key.split("/")[0] for key in GOLDEN} - {"sizes"})
PICTURE = (832, 480)
LATENT = LatentShape(3, 60, 104)
LEFT, RIGHT = (150.0, 120.0, 290.0, 310.0), (500.0, 100.0, 660.0, 300.0)


class _Case:
    """One picture of the golden file; ``boxes`` are the detections that the reference chose, in its order."""

    def __init__(self, name: str) -> None:
        self.read = {key.split("/", 1)[1]: value for key, value in GOLDEN.items() if key.startswith(f"{name}/")}
        self.size = tuple(int(side) for side in self.read["image_wh"])
        _, frames, height, width = (int(side) for side in self.read["latent_shape"])
        self.latent = LatentShape(frames, height, width)
        self.squares = self.read["square_xywh"]
        self.boxes = [self._detection(square) for square in self.squares]

    def _detection(self, square: np.ndarray) -> tuple[float, ...]:
        """The detection behind a square; the square itself where there was none (the reference's central square)."""
        x, y, width, height = square
        centre = np.array([x + width / 2, y + height / 2])
        found = [box for box in self.read["detections_xyxy"] if np.isclose(max(box[2:] - box[:2]), width, atol=1e-3)]
        if not found:
            return (x, y, x + width, y + height)
        return tuple(float(edge) for edge in min(found, key=lambda b: np.abs((b[:2] + b[2:]) / 2 - centre).sum()))


@pytest.mark.parametrize("name", CASES)
def test_squares_crops_and_grown_regions_are_the_references(name):
    case = _Case(name)
    for index, box in enumerate(case.boxes):
        x0, y0, x1, y1 = square_box(box, case.size)
        assert np.allclose((x0, y0, x1 - x0, y1 - y0), case.squares[index], atol=1e-3)
        assert list(crop_px(box, case.size)) == case.read["crops_xyxy"][index].tolist()
        assert list(grown_px(box, case.size)) == case.read["expanded_rect_xyxy_inclusive"][index].tolist()


@pytest.mark.parametrize("name", CASES)
def test_token_masks_and_the_mask_channels_are_the_references(name):
    case = _Case(name)
    for index, box in enumerate(case.boxes):
        wanted = case.read["token_masks"][index].reshape(-1)
        assert np.allclose(token_mask(box, case.size, case.latent).numpy(), wanted, atol=1e-6)
    summed = union_mask(case.boxes, case.size, case.latent, limit=float("inf"))
    assert np.allclose(mask_channels(summed, case.latent, 1).numpy(), case.read["dit_mask"], atol=1e-6)


def test_all_sizes_of_the_references_rule():
    for given, wanted in zip(
        GOLDEN["sizes/in_w_h_maxarea"], GOLDEN["sizes/out_w_h_latw_lath_seqlen"], strict=True
    ):  # fmt: skip
        assert reference_size(*(int(number) for number in given)) == tuple(int(side) for side in wanted[:2])


def test_where_regions_overlap_the_union_ends_at_one():
    near = (LEFT[0] + 80, LEFT[1] + 10, LEFT[2] + 80, LEFT[3] + 10)
    union = union_mask([LEFT, near], PICTURE, LATENT)
    summed = union_mask([LEFT, near], PICTURE, LATENT, limit=float("inf"))
    assert summed.max() == pytest.approx(2)
    assert union.max() == 1
    assert torch.equal(union, summed.clamp(max=1))


def test_the_union_of_nobody_is_empty_and_its_order_does_not_matter():
    assert union_mask([], PICTURE, LATENT).sum() == 0
    assert torch.equal(union_mask([LEFT, RIGHT], PICTURE, LATENT), union_mask([RIGHT, LEFT], PICTURE, LATENT))


def test_known_latent_frames_are_given_whole_and_the_others_where_people_move():
    union = union_mask([LEFT], PICTURE, LATENT)
    channels = mask_channels(union, LATENT, num_known=2)
    assert channels.shape == (4, 3, 60, 104)
    assert (channels[:, :2] == 1).all()
    assert torch.equal(channels[:, 2], union.expand(4, -1, -1))


def test_a_face_smaller_than_a_token_keeps_one():
    tiny = (400.0, 200.0, 402.0, 203.0)
    rows_columns = (LATENT.height // 2, LATENT.width // 2)
    assert region_mask(tiny, PICTURE, rows_columns).max() < 1
    mask = token_mask(tiny, PICTURE, LATENT).reshape(3, *rows_columns)
    assert (mask == 1).flatten(1).sum(1).tolist() == [1, 1, 1]
    assert mask[0, 201 * 30 // 480, 401 * 52 // 832] == 1


@pytest.mark.parametrize(
    "box", [(-300.0, -200.0, -100.0, -50.0), (2000.0, 900.0, 2100.0, 990.0), (-50.0, -50.0, 5000.0, 4000.0)]
)
def test_boxes_outside_or_larger_than_the_picture_stay_usable(box):
    x0, y0, x1, y1 = crop_px(box, PICTURE)
    assert 0 <= x0 < x1 <= 832
    assert 0 <= y0 < y1 <= 480
    assert 0 < token_mask(box, PICTURE, LATENT).sum() <= LATENT.num_tokens


def test_a_picture_of_another_size_with_boxes_in_proportion_gives_nearly_the_same_tokens():
    double = tuple(2 * edge for edge in LEFT)
    once, twice = token_mask(LEFT, PICTURE, LATENT), token_mask(double, (1664, 960), LATENT)
    assert (once - twice).abs().mean() < 0.02
    assert once.sum() > 100


def test_still_faces_are_pinned_with_a_fade_and_speakers_come_first():
    pinned = pinned_mask([LEFT], [], PICTURE, LATENT)
    inside = region_mask(LEFT, PICTURE, (LATENT.height, LATENT.width)) == 1
    assert (pinned[inside] == 1).all()
    around = pinned[~inside]
    assert ((around > 0) & (around < 1)).sum() > 50
    assert (around == 0).sum() > 1000
    touching = (LEFT[2] - 20, LEFT[1], LEFT[2] + 120, LEFT[3])
    beside_a_speaker = pinned_mask([LEFT], [touching], PICTURE, LATENT)
    moving = union_mask([touching], PICTURE, LATENT) == 1
    assert (beside_a_speaker[moving] == 0).all()
    assert pinned_mask([], [LEFT], PICTURE, LATENT).sum() == 0
