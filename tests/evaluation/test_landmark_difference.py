"""InsightFace's points beside the mesh's, with a hand-made network in the form of 2d106det.onnx."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from engine.analysis.backends.insightface_points import InsightFacePoints, points_path
from engine.analysis.faces import embedded_analyser
from engine.bench.commands import bench_app
from engine.bench.landmarks import THEIRS, difference, measured
from engine.errors import ModelMissing
from engine.evaluation.interactivity import POINTS
from engine.media.types import Image
from engine.media.write import VideoWriter


def network(path: Path, num_points: int = 106) -> Path:
    """Always the same places in its 192 px crop, whatever is in it: from the middle (0) to the right border (1)."""
    values = np.zeros((num_points, 2), np.float32)
    values[:, 0] = np.linspace(0, 1, num_points)
    nodes = [
        helper.make_node("GlobalAveragePool", ["data"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "places"], ["fc1"]),
    ]
    constants = [
        numpy_helper.from_array(np.zeros((3, 2 * num_points), np.float32), "nothing"),
        numpy_helper.from_array(values.reshape(1, -1), "places"),
    ]
    pixels = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 192, 192])
    points = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, 2 * num_points])
    graph = helper.make_graph(nodes, "points", [pixels], [points], constants)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_points_are_in_the_pictures_pixels(tmp_path: Path) -> None:
    found = InsightFacePoints(network(tmp_path / "2d106det.onnx"))
    image = Image(np.zeros((300, 400, 3), np.uint8))
    points = found(image, (100.0, 50.0, 200.0, 170.0))
    assert points.shape == (106, 2)
    assert points[0] == pytest.approx([150, 110], abs=0.5)  # the middle of the box
    assert points[-1] == pytest.approx([150 + 0.75 * 120, 110], abs=0.5)  # the crop is 1.5 times the longer side


def test_a_network_that_is_missing_damaged_or_another_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROUNDTABLE_MODELS", "HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(ModelMissing, match="are not here") as caught:
        points_path()
    assert "buffalo_l" in caught.value.remedy
    result = CliRunner().invoke(bench_app, ["landmarks", str(tmp_path / "a.mp4")])
    assert isinstance(result.exception, ModelMissing)
    path = network(tmp_path / "buffalo_l" / "2d106det.onnx", num_points=68)
    assert points_path() == path
    picture, box = Image(np.zeros((90, 90, 3), np.uint8)), (10.0, 10.0, 60.0, 60.0)
    with pytest.raises(ModelMissing, match="68 points instead of 106"):
        InsightFacePoints(path)(picture, box)
    path.write_bytes(b"no network")
    with pytest.raises(ModelMissing, match="is damaged"):
        InsightFacePoints(path)(picture, box)


def test_a_known_offset_and_a_known_motion_are_measured() -> None:
    rng = np.random.default_rng(0)
    meshes = np.tile(rng.uniform(100, 200, (1, 2, 478, 2)), (30, 1, 1, 1)).astype(np.float32)
    meshes += np.cumsum(rng.normal(scale=0.3, size=(30, 1, 1, 2)), axis=0).astype(np.float32)
    theirs = np.full((30, 2, 106, 2), 150, np.float32)
    theirs[:, :, list(THEIRS)] = meshes[:, :, list(POINTS)] + np.array([3.0, 4.0], np.float32)
    boxes = [[np.array([94.0, 94, 206, 206])]] * 30  # 112 px: half the crop
    found = difference(meshes, theirs, boxes)
    assert (found.brows_px, found.eyes_px) == pytest.approx((10, 10), abs=1e-3)
    assert found.wandering_px == pytest.approx(0, abs=1e-3)
    assert found.interactivity_points == pytest.approx(found.interactivity_mesh, rel=1e-3)
    assert found.interactivity_mesh > 0.3
    assert found.motion_r == pytest.approx(1, abs=1e-4)
    assert found.num_faces == 60
    theirs[3, 1] = np.nan
    assert difference(meshes, theirs, boxes).num_faces == 30
    with pytest.raises(ValueError, match="nobody"):
        difference(meshes, theirs * np.nan, boxes)


def test_a_video_goes_through_both_networks(tmp_path: Path) -> None:
    from skimage.data import astronaut

    face = np.ascontiguousarray(astronaut()[:240, 100:340])
    with VideoWriter(tmp_path / "still.mp4", (240, 240), 25) as writer:
        for _ in range(6):
            writer.write(face)
    points = InsightFacePoints(network(tmp_path / "2d106det.onnx"))
    found = measured(tmp_path / "still.mp4", points, embedded_analyser())
    assert found.num_faces == 6
    assert found.interactivity_mesh < 0.3
    assert 20 < found.eyes_px < 200  # the hand-made points lie on a line, not on eyes
