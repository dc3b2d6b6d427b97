"""The animatic's picture, judged by the face mesh that the analysis uses: real photo, real warp."""

from functools import cache

import numpy as np
import pytest

from engine.analysis.faces import detect_faces, embedded_analyser
from engine.animatic.field import blend, invert
from engine.animatic.mesh import LOWER_LIP, UPPER_LIP
from engine.animatic.mouth import light_on
from engine.animatic.renderer import Animator, FaceRig, expression_weights
from engine.animatic.types import Performance
from engine.media.types import Image


@cache
def astronaut() -> tuple[Image, np.ndarray, tuple[float, float, float, float]]:
    from skimage.data import astronaut as photo

    image = Image(photo())
    found = detect_faces(image)
    face = found.faces[0]
    return image, found.details[face.id].points_px, face.box_px


def performing(**curves: float) -> Performance:
    performance = Performance.at_rest(1)
    for name, value in curves.items():
        getattr(performance, name)[0] = value
    return performance


def draw(speaks: bool = True, **curves: float) -> np.ndarray:
    image, points, _ = astronaut()
    return Animator(image, [FaceRig.of(image.rgb, points, speaks)]).frame([performing(**curves)], 0)


def measured(frame: np.ndarray) -> dict[str, float]:
    """Mouth opening and width, eye opening, against the distance of the outer eye corners."""
    points = embedded_analyser().mesher(Image(frame), astronaut()[2]).points_px[:, :2]

    def distance(a: int, b: int) -> float:
        return float(np.linalg.norm(points[a] - points[b]))

    eyes = distance(33, 263)
    return {
        "opening": distance(13, 14) / eyes,
        "width": distance(61, 291) / eyes,
        "eye": (distance(159, 145) + distance(386, 374)) / 2 / eyes,
        "nose_x": float(points[1, 0]),
        "brow": float(points[[33, 263], 1].mean() - points[[105, 334], 1].mean()) / eyes,
    }


def test_a_listener_at_rest_is_the_photo() -> None:
    assert np.array_equal(draw(speaks=False), astronaut()[0].rgb)


def test_a_still_person_is_the_photo() -> None:
    image, _, _ = astronaut()
    assert np.array_equal(Animator(image, [None]).frame([performing(jaw_open=1, yaw=5)], 0), image.rgb)


def test_a_talker_at_rest_has_the_lips_closed_over_the_smile() -> None:
    assert measured(draw())["opening"] < 0.03


def test_the_mouth_opens_with_the_jaw() -> None:
    openings = [measured(draw(jaw_open=value))["opening"] for value in (0.0, 0.3, 0.6, 1.0)]
    assert np.all(np.diff(openings) > 0.03)


def test_pressed_lips_stay_shut_whatever_the_jaw_does() -> None:
    assert measured(draw(jaw_open=0.5, lip_press=1))["opening"] < 0.03


def test_narrow_lips_are_at_least_15_percent_narrower_than_spread_ones() -> None:
    narrow = measured(draw(jaw_open=0.25, lip_width=-1, lip_round=1))["width"]
    spread = measured(draw(jaw_open=0.25, lip_width=1))["width"]
    assert narrow < 0.85 * spread


def test_eyes_close_and_brows_rise() -> None:
    rest = measured(draw())
    assert measured(draw(blink=1))["eye"] < 0.55 * rest["eye"]
    assert measured(draw(brow=1))["brow"] > rest["brow"] + 0.01


def test_the_head_turns_to_the_right_of_the_picture() -> None:
    assert measured(draw(yaw=4))["nose_x"] > measured(draw(yaw=-4))["nose_x"] + 3


def test_nothing_outside_the_region_changes() -> None:
    image, points, _ = astronaut()
    rig = FaceRig.of(image.rgb, points, True)
    moved = Animator(image, [rig]).frame([performing(jaw_open=1, yaw=6, roll=6, pitch=6, brow=1, blink=1)], 0)
    outside = np.ones(image.rgb.shape[:2], bool)
    outside[rig.fields.region.slices] = False
    assert outside.any()
    assert np.array_equal(moved[outside], image.rgb[outside])
    assert not np.array_equal(moved, image.rgb)


@pytest.mark.parametrize(
    "curves", [{"jaw_open": 1.0, "yaw": 5}, {"lip_width": -1.0, "lip_round": 1}, {"roll": 6, "pitch": -5}]
)
def test_the_warp_does_not_fold_over(curves: dict[str, float]) -> None:
    image, points, _ = astronaut()
    fields = FaceRig.of(image.rgb, points, True).fields
    weights = expression_weights(performing(**curves), 0, speaks=True)
    backward = invert(blend(fields.upper, weights), fields.cell)
    across = 1 - np.diff(backward[..., 0], axis=1) / fields.cell[0]
    down = 1 - np.diff(backward[..., 1], axis=0) / fields.cell[1]
    # Between the lips the upper layer may fold: the lower lip and the inside of the mouth are drawn over it there.
    ys = fields.region.y0 + (np.arange(down.shape[0]) + 0.5) * fields.cell[1]
    lips = points[np.concatenate([UPPER_LIP.ravel(), LOWER_LIP.ravel()]), 1]
    beside_lips = (ys < lips.min()) | (ys > lips.max() + 0.1 * np.ptp(points[:, 1]))
    assert across[np.pad(beside_lips, (0, 1), mode="edge")].min() > 0
    assert down[beside_lips].min() > 0


def test_same_performance_same_frame() -> None:
    assert np.array_equal(draw(jaw_open=0.4, yaw=2), draw(jaw_open=0.4, yaw=2))


def test_swapping_two_people_swaps_their_performances_and_nothing_else() -> None:
    image, points, _ = astronaut()
    pair = Image(np.ascontiguousarray(np.concatenate([image.rgb, image.rgb], axis=1)))
    beside = points + np.array([image.width, 0, 0], np.float32)
    animator = Animator(pair, [FaceRig.of(pair.rgb, p, True) for p in (points, beside)])
    talk, rest = performing(jaw_open=0.7, yaw=2), performing()
    first, second = animator.frame([talk, rest], 0), animator.frame([rest, talk], 0)
    for one, other in ((first, second), (second, first)):  # to rounding: the two places differ in the last bits
        difference = np.abs(one[:, : image.width].astype(int) - other[:, image.width :])
        assert difference.max() <= 4
        assert difference.mean() < 0.01
    assert np.abs(first.astype(int) - second).max() > 50


@pytest.mark.parametrize("size", [48, 128, 1500])
def test_small_and_large_faces(size: int) -> None:
    import cv2

    image, points, _ = astronaut()
    scale = size / image.height
    small = cv2.resize(image.rgb, (size, size), interpolation=cv2.INTER_AREA)
    rig = FaceRig.of(small, points * np.float32(scale), True)
    frame = Animator(Image(small), [rig]).frame([performing(jaw_open=0.6, blink=0.5, gaze=0.5, yaw=2)], 0)
    assert frame.shape == small.shape
    assert not np.array_equal(frame, small)


@pytest.mark.parametrize("shift", [(-220, 0), (0, -60), (300, 200)])
def test_faces_at_the_border(shift: tuple[int, int]) -> None:
    image, points, _ = astronaut()
    moved = np.roll(image.rgb, (shift[1], shift[0]), (0, 1))
    rig = FaceRig.of(moved, points + np.array([*shift, 0], np.float32), True)
    frame = Animator(Image(moved), [rig]).frame([performing(jaw_open=0.6, blink=1, yaw=3)], 0)
    assert frame.shape == moved.shape


def test_a_face_in_full_shadow_has_a_light_of_its_own():
    image, points, _ = astronaut()
    light = light_on(np.zeros_like(image.rgb), points)
    assert np.isfinite(light).all()
    assert (light > 0).all()
