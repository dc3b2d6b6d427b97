import itertools

import numpy as np
import pytest

from engine.compositing.framing import Framer, plan_close_frame, plan_frame
from engine.project.document import Face

PHOTOS = [(1280, 720), (852, 480), (720, 1280), (1000, 1000), (4000, 600), (600, 4000), (333, 501)]
ASPECTS = {"16:9": 16 / 9, "9:16": 9 / 16, "1:1": 1.0}


def face(x, y, side):
    return Face(id=f"{x}-{y}", name="", colour="#ffffff", box_px=(x, y, x + side, y + side * 1.2))


def people(size, layout):
    width, height = size
    side = min(size) * 0.15
    places = {
        "nobody": [],
        "one left": [(0.05, 0.3)],
        "one right, low": [(0.9, 0.85)],
        "two apart": [(0.03, 0.4), (0.9, 0.3)],
        "two close": [(0.45, 0.3), (0.6, 0.35)],
        "top and bottom": [(0.4, 0.0), (0.5, 0.9)],
        "six": [(0.1, 0.3), (0.25, 0.5), (0.4, 0.3), (0.55, 0.5), (0.7, 0.3), (0.85, 0.5)],
    }[layout]
    return [face(min(x * width, width - side), min(y * height, height - side * 1.2), side) for x, y in places]


LAYOUTS = ["nobody", "one left", "one right, low", "two apart", "two close", "top and bottom", "six"]


@pytest.mark.parametrize(("size", "layout"), list(itertools.product(PHOTOS, LAYOUTS)))
@pytest.mark.parametrize("aspect", ["photo", *ASPECTS])
def test_everybody_is_in_the_frame_whole_and_undistorted(size, layout, aspect):
    faces = people(size, layout)
    framing = plan_frame(size, faces, aspect, 480)
    width, height = framing.size
    assert width % 2 == height % 2 == 0
    x0, y0, x1, y1 = framing.crop_px
    assert 0 <= x0 < x1 <= size[0]
    assert 0 <= y0 < y1 <= size[1]
    left, top, right, bottom = framing.inner_px
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    stretch = ((right - left) / (x1 - x0)) / ((bottom - top) / (y1 - y0))
    assert abs(stretch - 1) < 0.02
    for one in faces:
        corners = framing.to_frame(np.array(one.box_px).reshape(2, 2))
        assert (corners >= [left - 1, top - 1]).all()
        assert (corners <= [right + 1, bottom + 1]).all()
    if aspect != "photo":
        assert abs(width / height / ASPECTS[aspect] - 1) < 0.01
        assert min(framing.size) == 480
    else:
        assert framing.fills
        assert framing.crop_px == (0, 0, *size)


@pytest.mark.parametrize(("size", "layout"), list(itertools.product(PHOTOS, LAYOUTS)))
@pytest.mark.parametrize("aspect", ["photo", *ASPECTS])
def test_coarse_sizes_cost_a_strip_of_the_photo_and_no_face(size, layout, aspect):
    faces = people(size, layout)
    framing = plan_frame(size, faces, aspect, 480, multiple_px=16)
    assert framing.size[0] % 16 == framing.size[1] % 16 == 0
    x0, y0, x1, y1 = framing.crop_px
    left, top, right, bottom = framing.inner_px
    assert abs(((right - left) / (x1 - x0)) / ((bottom - top) / (y1 - y0)) - 1) < 0.03
    for one in faces:
        corners = framing.to_frame(np.array(one.box_px).reshape(2, 2))
        assert (corners >= [left - 1, top - 1]).all()
        assert (corners <= [right + 1, bottom + 1]).all()
    if aspect == "photo":
        assert framing.fills
        assert (x1 - x0) * (y1 - y0) >= 0.96 * size[0] * size[1]


@pytest.mark.parametrize(("size", "layout"), list(itertools.product(PHOTOS, LAYOUTS)))
@pytest.mark.parametrize("aspect", ["photo", *ASPECTS])
def test_close_frames_show_everybody_as_large_as_they_can(size, layout, aspect):
    faces = people(size, layout)
    framing = plan_close_frame(size, faces, aspect, 96, 16)
    width, height = framing.size
    assert width % 16 == height % 16 == 0
    assert min(width, height) == 96
    x0, y0, x1, y1 = framing.crop_px
    left, top, right, bottom = framing.inner_px
    assert 0 <= x0 < x1 <= size[0]
    assert 0 <= y0 < y1 <= size[1]
    assert abs(((right - left) / (x1 - x0)) / ((bottom - top) / (y1 - y0)) - 1) < 0.05
    for one in faces:
        corners = framing.to_frame(np.array(one.box_px).reshape(2, 2))
        assert (corners >= [left - 1, top - 1]).all()
        assert (corners <= [right + 1, bottom + 1]).all()
    if layout in ("one left", "two close") and aspect == "photo":
        assert face_px(framing, faces[0]) >= 1.25 * face_px(plan_frame(size, faces, "photo", 96, 16), faces[0])


def face_px(framing, one) -> float:
    corners = framing.to_frame(np.array(one.box_px).reshape(2, 2))
    return float(corners[1, 1] - corners[0, 1])


def test_whole_photo_keeps_its_size_within_reason():
    assert plan_frame((1280, 720), [], "photo", 480).size == (854, 480)
    assert plan_frame((16000, 400), [], "photo", 480).size == (3840, 96)


def test_crop_is_as_large_as_the_photo_allows():
    framing = plan_frame((1280, 720), people((1280, 720), "two close"), "9:16", 480)
    assert framing.fills
    assert framing.crop_px[1::2] == (0, 720)  # full height: nothing is enlarged more than it must be
    assert framing.size == (480, 854)


def test_one_person_stands_in_the_middle():
    framing = plan_frame((1280, 720), [face(300, 200, 120)], "1:1", 480)
    assert abs(framing.to_frame(np.array([[360.0, 272.0]]))[0, 0] - 240) < 2


def test_people_too_far_apart_are_shown_before_a_blurred_ground():
    faces = people((1280, 720), "two apart")
    framing = plan_frame((1280, 720), faces, "9:16", 480)
    assert not framing.fills
    rng = np.random.default_rng(0)
    photo = rng.integers(100, 200, (720, 1280, 3), np.uint8)
    frame = Framer(framing, photo)(photo)
    assert frame.shape == (854, 480, 3)
    assert frame.dtype == np.uint8
    _, top, _, bottom = framing.inner_px
    assert top > 50
    ground = np.concatenate([frame[: top - 1], frame[bottom + 1 :]])
    assert 40 < ground.mean() < 100  # dim
    assert ground.std() < 0.3 * frame[top:bottom].std()  # soft


def test_frames_do_not_change_where_the_picture_does_not():
    photo = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
    framer = Framer(plan_frame((1280, 720), people((1280, 720), "two apart"), "9:16", 480), photo)
    moved = photo.copy()
    moved[300:340, 100:160] = 0
    first, second = framer(photo), framer(moved)
    assert np.array_equal(first, framer(photo))
    changed = np.argwhere((first != second).any(-1))
    corners = framer.framing.to_frame(np.array([[100.0, 300.0], [160.0, 340.0]]))
    assert (changed[:, ::-1] >= corners[0] - 3).all()
    assert (changed[:, ::-1] <= corners[1] + 3).all()


def test_same_size_is_the_same_picture():
    photo = np.random.default_rng(0).integers(0, 255, (480, 852, 3), np.uint8)
    assert np.array_equal(Framer(plan_frame((852, 480), [], "photo", 480), photo)(photo), photo)


def test_points_with_depth_scale_alike():
    framing = plan_frame((1000, 1000), [], "photo", 500)
    assert np.allclose(framing.to_frame(np.array([[100.0, 200.0, -40.0]])), [[50, 100, -20]])
