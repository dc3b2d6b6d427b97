"""The same people in a later frame: moved, lost, in any order; a real group photo and the real models."""

import numpy as np
import pytest
from face_photos import group_of_six

from engine.analysis.faces import detect_faces
from engine.analysis.following import KnownFace, follow_faces
from engine.media.types import Image


@pytest.fixture(scope="module")
def group() -> Image:
    return group_of_six()


@pytest.fixture(scope="module")
def known(group) -> list[KnownFace]:
    found = detect_faces(group)
    return [KnownFace(face.box_px, found.details[face.id].embedding) for face in found.faces]


def moved(image: Image, dx: int, dy: int) -> Image:
    return Image(np.roll(image.rgb, (dy, dx), axis=(0, 1)))


def centres(boxes) -> np.ndarray:
    return np.array([((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in boxes])


def test_everybody_is_found_again_where_they_moved_to(group, known):
    boxes = follow_faces(moved(group, 22, 9), known)
    shift = centres(boxes) - centres(face.box_px for face in known)
    np.testing.assert_allclose(shift, np.tile([22, 9], (6, 1)), atol=6)


def test_the_order_is_that_of_the_people_asked_for(group, known):
    order = [3, 0, 5, 1, 4, 2]
    boxes = follow_faces(moved(group, 15, 0), [known[i] for i in order])
    np.testing.assert_allclose(centres(boxes), centres(known[i].box_px for i in order) + [15, 0], atol=6)


def test_who_is_not_found_again_keeps_the_place_and_takes_nobody_elses(group, known):
    x0, y0, x1, y1 = (round(value) for value in known[2].box_px)
    hidden = group.rgb.copy()
    hidden[y0 - 20 : y1 + 20, x0 - 20 : x1 + 20] = 90
    boxes = follow_faces(moved(Image(hidden), 12, 0), known)
    assert boxes[2] == known[2].box_px
    others = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(centres(boxes)[others], centres(known[i].box_px for i in others) + [12, 0], atol=6)


def test_between_two_equally_near_faces_identity_decides(group, known):
    neighbours = sorted(range(6), key=lambda i: known[i].box_px[0])[2:4]
    middle = np.mean([known[i].box_px for i in neighbours], axis=0)
    asked = [KnownFace(tuple(middle), known[i].embedding) for i in reversed(neighbours)]
    boxes = follow_faces(group, asked)
    np.testing.assert_allclose(centres(boxes), centres(known[i].box_px for i in reversed(neighbours)), atol=6)


def test_a_frame_without_faces_leaves_all_places(known):
    assert follow_faces(Image(np.full((400, 600, 3), 120, np.uint8)), known) == [face.box_px for face in known]


def test_nobody_asked_for_is_nobody_found(group):
    assert follow_faces(group, []) == []
