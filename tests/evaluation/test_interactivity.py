import numpy as np
import pytest

from engine.evaluation.interactivity import interactivity, motion


def still(num_frames: int, people: int = 1) -> tuple[np.ndarray, np.ndarray]:
    points = np.random.default_rng(0).uniform(50, 250, (1, people, 478, 3)).repeat(num_frames, 0)
    return points, np.tile(np.array([38.0, 38.0, 262.0, 262.0]), (num_frames, people, 1))


def test_a_still_face_has_no_motion() -> None:
    points, boxes = still(10)
    assert motion(points[:, 0], boxes[:, 0]).max() == 0


def test_motion_is_counted_in_a_224_px_crop() -> None:
    points, boxes = still(49, people=2)
    points[1::2, 0, :, 0] += 1
    points[1::2, 1, :, 0] += 2
    listening = np.zeros((49, 2), bool)
    listening[13:, 0] = True
    listening[:24, 1] = True
    assert motion(points[:, 0], boxes[:, 0]) == pytest.approx(np.ones(48))
    assert interactivity(points, boxes, listening) == pytest.approx((36 * 1 + 23 * 2) / 59)
    assert motion(points[:, 0] * 2, boxes[:, 0] * 2) == pytest.approx(np.ones(48))


def test_a_jump_of_more_than_10_px_is_frozen() -> None:
    points, boxes = still(20)
    points[10:, 0, :, 0] += 12
    assert motion(points[:, 0], boxes[:, 0]).max() == 0
    points[10:, 0, :, 0] -= 3
    assert motion(points[:, 0], boxes[:, 0]).max() == pytest.approx(9)


def test_a_face_that_drifts_with_its_box_hardly_moves() -> None:
    points, boxes = still(48)
    drift = 0.5 * np.arange(48)
    points[:, 0, :, 0] += drift[:, None]
    boxes[:, 0, [0, 2]] += drift[:, None]
    assert motion(points[:, 0], boxes[:, 0]).mean() < 0.01


def test_nobody_listening_is_no_number() -> None:
    points, boxes = still(5)
    with pytest.raises(ValueError, match="nobody listens"):
        interactivity(points, boxes, np.zeros((5, 1), bool))
