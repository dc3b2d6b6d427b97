"""Annotations as published and as we write them, and the table that names every failure."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UnreadableMedia
from engine.evaluation.benchmark import FORMAT, Figures, VideoFigures, read_annotations, rows_of, seconds_of, weighted
from engine.evaluation.frechet import FID, frechet_distance


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_published_times_are_seconds_and_frames(tmp_path: Path) -> None:
    assert seconds_of(7.11) == pytest.approx(7 + 11 / 30)
    assert seconds_of(4.19) == pytest.approx(4.6333, abs=1e-4)
    file = written(tmp_path / "a.json", {"interact_1.mp4": {"left": [[4.19, 7.11]], "right": [[0, 4.19]]}})
    assert read_annotations(file)["interact_1"].left[0] == pytest.approx((4 + 19 / 30, 7 + 11 / 30))


def test_decimal_times_are_left_as_they_are(tmp_path: Path) -> None:
    spans = {"left": [[0.0, 1.75]], "right": []}
    assert read_annotations(written(tmp_path / "a.json", {"x": spans}))["x"].left == ((0.0, 1.75),)
    ours = {"format": FORMAT, "videos": {"x": {"left": [[0.1, 1.2]], "source": "y.mp4"}}}
    assert read_annotations(written(tmp_path / "b.json", ours))["x"].left == ((0.1, 1.2),)


@pytest.mark.parametrize(
    "content",
    [[], {}, {"x": 3}, {"x": {"left": [[1]]}}, {"x": {"left": [[2, 1]]}}, {"x": {"left": [["a", 2]]}},
     {"x": {"left": [[0, 1e9]]}}, {"x": {"left": [[-1, 1]]}}, {"format": FORMAT, "videos": []}],
)  # fmt: skip
def test_wrong_annotations_are_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(UnreadableMedia):
        read_annotations(written(tmp_path / "a.json", content))


def test_failed_videos_and_missing_networks_are_named() -> None:
    videos = [VideoFigures("a", 0.8, 0.7, 0.9), VideoFigures("b", None, 0.5, None, ("nobody listens",))]
    figures = Figures(videos, [("c.mp4", "3 faces")], "meshes", not_measured=[("FID", FID.missing)])
    table = "\n".join(rows_of(figures))
    assert "2 of 3 videos" in table
    assert "FAILED c.mp4: 3 faces" in table
    assert "FID was not measured" in table
    assert "inception-2015-12-05.pt" in table
    assert figures.mean("interactivity") == 0.8
    assert figures.mean("sync_r") == pytest.approx(0.6)
    assert weighted([(1.0, 3.0), (0.0, 1.0)]) == 0.75
    assert weighted([]) is None


@pytest.mark.slow  # torchmetrics takes long to import
def test_the_frechet_distance_of_known_normals() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(4000, 3)).astype(np.float32)
    made = (rng.normal(size=(4000, 3)) * 2 + [3, 0, 0]).astype(np.float32)
    assert frechet_distance([real], [made]) == pytest.approx(9 + 3, abs=0.5)  # |mean|^2 + sum (1 - 2)^2
    assert frechet_distance([real], [real]) == pytest.approx(0, abs=1e-3)
    with pytest.raises(ValueError, match="two"):
        frechet_distance([real], [])
