"""The published code's figures on the golden cases, and what the paper's own definition gives on the same."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine.evaluation.interactivity import interactivity
from engine.evaluation.reference_interactivity import POINTS, FoundFaces, curves_of, reference_interactivity

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "dit" / "interactivity.npz"
FLOOR_PX = 224
# Without the floor every face counts as if it were 224 px wide: these are 145 and 167 px, and 310 and 365.
PAPER = {
    "turns": 1.4741, "no_segments": 1.5181, "large_faces": 1.3400, "outliers": 1.5281, "border_det_lost": 1.7378,
    "face_lost": 1.7997,
}  # fmt: skip


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as stored:
        return dict(stored)


def case_of(golden: dict[str, np.ndarray], name: str) -> tuple[FoundFaces, float, dict[str, list] | None]:
    def get(key: str) -> np.ndarray:
        return golden[f"{name}/{key}"]

    boxes = [rows[:n].astype(float) for rows, n in zip(get("bboxes"), get("n_det_faces"), strict=True)]
    faces = [rows[:n].astype(float) for rows, n in zip(get("landmarks"), get("n_landmark_faces"), strict=True)]
    spans = str(get("intervals")).strip()
    found = FoundFaces(boxes, faces, (int(get("W")), int(get("H"))))
    return found, float(get("fps")), json.loads(spans) if spans else None


NAMES = ("always_speaking", "border_det_lost", "face_lost", "large_faces", "no_segments", "outliers", "turns")


@pytest.mark.parametrize("name", NAMES)
def test_the_published_codes_figures(golden: dict[str, np.ndarray], name: str) -> None:
    score = reference_interactivity(*case_of(golden, name))
    expected = golden[f"{name}/out_overall_left_right"]
    np.testing.assert_allclose([score.overall, score.left, score.right], expected, atol=1e-4)


def paper(golden: dict[str, np.ndarray], name: str, floored: bool = False) -> float:
    """The paper's definition; ``floored``: with the published code's one crop for both, never smaller than 224 px."""
    found, rate, speaking = case_of(golden, name)
    points, boxes, seen = curves_of(found)
    at_s = np.arange(len(points)) / rate
    spans = [(speaking or {}).get(side, []) for side in ("left", "right")]
    listening = np.array([[not any(a <= t <= b for a, b in own) for own in spans] for t in at_s]) & seen[:, None]
    if floored:
        middle = (boxes[..., :2] + boxes[..., 2:]) / 2
        half = max(FLOOR_PX, int((boxes[..., 2:] - boxes[..., :2]).max())) / 2
        boxes = np.concatenate([middle - half, middle + half], axis=-1)
    return interactivity(points, boxes, listening, POINTS)


@pytest.mark.parametrize(("name", "value"), PAPER.items())
def test_the_papers_definition_on_the_same_cases(golden: dict[str, np.ndarray], name: str, value: float) -> None:
    assert paper(golden, name) == pytest.approx(value, abs=1e-3)


@pytest.mark.parametrize("name", ["turns", "no_segments", "large_faces"])
def test_the_crops_floor_is_the_whole_difference(golden: dict[str, np.ndarray], name: str) -> None:
    published = golden[f"{name}/out_overall_left_right"][0]
    assert paper(golden, name, floored=True) == pytest.approx(published, abs=1e-4)


def test_what_else_differs(golden: dict[str, np.ndarray]) -> None:
    published = {name: golden[f"{name}/out_overall_left_right"][0] for name in NAMES}
    # A jump freezes a face only until it moves by less than 10 px again, not for the rest of the video.
    assert paper(golden, "outliers", floored=True) == pytest.approx(1.0514, abs=1e-3)
    assert published["outliers"] == pytest.approx(0.9538, abs=1e-3)
    # A crop may reach beyond the picture: nobody's motion depends on how near the border they sit.
    assert paper(golden, "border_det_lost", floored=True) == pytest.approx(1.1499, abs=1e-3)
    # One frame without a face costs that frame, not the video.
    assert published["face_lost"] == -1
    assert paper(golden, "face_lost", floored=True) == pytest.approx(1.1923, abs=1e-3)
    # Where nobody listens there is no figure, in both.
    assert published["always_speaking"] == -1
    with pytest.raises(ValueError, match="nobody listens"):
        paper(golden, "always_speaking")
