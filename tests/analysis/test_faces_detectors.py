"""One test class for every detector: the embedded one on a photo, InsightFace on a tiny pack made here.

The tiny pack is a real SCRFD-shaped network whose "faces" are red squares, so scaling and formats are truly exercised.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from face_photos import astronaut, on_canvas
from onnx import TensorProto, helper, numpy_helper

from engine.analysis.backends.centerface import CenterFace
from engine.analysis.backends.insightface import InsightFacePack
from engine.analysis.face_boxes import scaled_to, shared_area
from engine.analysis.face_protocols import FaceDetector, FoundMesh
from engine.analysis.faces import default_analyser, embedded_analyser, same_person
from engine.errors import ModelMissing
from engine.media.types import Image

SIDE = 640
GRIDS = {8: 80, 16: 40, 32: 20}


def _values(name: str, array: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(array.astype(np.float32), name)


def red_square_detector() -> onnx.ModelProto:
    """Scores of the 32 px cells = how red they are; the finer grids see nothing."""
    kernel = np.zeros((2, 3, 32, 32), np.float32)
    kernel[:, 0], kernel[:, 1] = 20 / 1024, -20 / 1024
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel", "bias"], ["cells"], strides=[32, 32]),
        helper.make_node("Sigmoid", ["cells"], ["heat"]),
        helper.make_node("Transpose", ["heat"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["last", "rows"], ["score32"]),
    ]
    five = np.array([[-0.5, -0.5], [0.5, -0.5], [0, 0], [-0.5, 0.5], [0.5, 0.5]]) + 0.5
    constants = [_values("kernel", kernel), _values("bias", np.full(2, -10.0))]
    constants.append(numpy_helper.from_array(np.array([-1, 1]), "rows"))
    for stride, grid in GRIDS.items():
        count = 2 * grid * grid
        if stride != 32:
            constants.append(_values(f"score{stride}", np.zeros((count, 1))))
        constants.append(_values(f"box{stride}", np.tile([0.0, 0.0, 1.0, 1.0], (count, 1))))
        constants.append(_values(f"points{stride}", np.tile(five.reshape(-1), (count, 1))))
    outputs = [f"{kind}{stride}" for kind in ("score", "box", "points") for stride in GRIDS]
    nodes += [helper.make_node("Identity", [name], [f"{name}_out"]) for name in outputs]
    return _model(nodes, SIDE, [f"{name}_out" for name in outputs], constants)


def pooling_recogniser() -> onnx.ModelProto:
    """112 x 112 -> 512 by a fixed random projection of the blurred picture."""
    projection = np.random.default_rng(0).normal(size=(768, 512))
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["small"], kernel_shape=[7, 7], strides=[7, 7]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("MatMul", ["flat", "projection"], ["embedding"]),
    ]
    return _model(nodes, 112, ["embedding"], [_values("projection", projection)])


def _model(nodes: list, side: int, outputs: list[str], constants: list) -> onnx.ModelProto:
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, side, side])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "tiny", [pixels], results, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture(scope="session")
def tiny_pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "buffalo_l"
    folder.mkdir()
    onnx.save(red_square_detector(), folder / "det.onnx")
    onnx.save(pooling_recogniser(), folder / "rec.onnx")
    return folder


@dataclass(frozen=True)
class Subject:
    """A detector with a 640 x 640 picture in which it must find exactly one face, and where."""

    detector: FaceDetector
    picture: Image
    box_px: tuple[float, float, float, float]


def embedded_subject(tiny_pack) -> Subject:
    return Subject(CenterFace(), on_canvas(astronaut(), 640, 640, (64, 64)), (240, 112, 336, 246))


def insightface_subject(tiny_pack) -> Subject:
    rgb = np.full((640, 640, 3), 128, np.uint8)
    rgb[192:224, 320:352] = (255, 0, 0)
    return Subject(InsightFacePack(tiny_pack).find, Image(rgb), (320, 192, 352, 224))


@pytest.fixture(params=[embedded_subject, insightface_subject], ids=["embedded", "insightface"])
def subject(request, tiny_pack) -> Subject:
    make: Callable[..., Subject] = request.param
    return make(tiny_pack)


class TestDetector:
    def test_finds_the_one_face(self, subject):
        (face,) = subject.detector(subject.picture)
        assert shared_area(face.box_px, subject.box_px) > 0.7
        assert 0.5 < face.score <= 1

    def test_five_points_in_reading_order_inside_the_box(self, subject):
        (face,) = subject.detector(subject.picture)
        eye, other_eye, nose, mouth, other_mouth = face.landmarks_px
        assert face.landmarks_px.shape == (5, 2)
        assert eye[0] < nose[0] < other_eye[0]
        assert mouth[0] < other_mouth[0]
        assert eye[1] < nose[1] < mouth[1]
        x0, y0, x1, y1 = face.box_px
        assert (face.landmarks_px >= (x0 - 1, y0 - 1)).all()
        assert (face.landmarks_px <= (x1 + 1, y1 + 1)).all()

    @pytest.mark.parametrize("long_side_px", [1280, 4096])
    def test_coordinates_are_photo_pixels_at_any_size(self, subject, long_side_px):
        (face,) = subject.detector(Image(scaled_to(subject.picture.rgb, long_side_px)))
        expected = tuple(value * long_side_px / 640 for value in subject.box_px)
        assert shared_area(face.box_px, expected) > 0.7

    @pytest.mark.parametrize("shape", [(1, 1), (480, 640), (2, 2000), (2000, 2)])
    def test_nobody_in_a_blank_picture(self, subject, shape):
        assert subject.detector(Image(np.full((*shape, 3), 128, np.uint8))) == []

    def test_two_faces_two_results(self, subject):
        both = np.hstack([subject.picture.rgb[:, 160:480]] * 2)
        assert len(subject.detector(Image(both))) == 2


class TestInsightFacePack:
    def test_identity_has_length_one_and_tells_pictures_apart(self, tiny_pack):
        pack = InsightFacePack(tiny_pack)
        mesh = FoundMesh(np.zeros((478, 3), np.float32), np.zeros(52, np.float32), 1.0)
        points = np.array([[240, 110], [290, 110], [265, 140], [245, 165], [285, 165]], np.float32)
        here = pack.embed(astronaut(), mesh, points)
        there = pack.embed(astronaut(), mesh, points + np.float32(150))
        assert here.shape == (512,)
        assert here.dtype == np.float32
        assert np.linalg.norm(here) == pytest.approx(1, abs=1e-5)
        assert same_person(here, pack.embed(astronaut(), mesh, points))
        assert not np.allclose(here, there, atol=0.01)

    def test_a_pack_on_disk_is_chosen_and_named(self, tiny_pack, monkeypatch):
        monkeypatch.setenv("ROUNDTABLE_MODELS", str(tiny_pack.parent))
        assert default_analyser().name == "InsightFace (buffalo_l)"

    def test_without_a_pack_the_embedded_models_are_chosen(self, tmp_path, monkeypatch):
        monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        assert default_analyser() is embedded_analyser()

    @pytest.mark.parametrize("content", [b"", b"not a network"])
    def test_damaged_pack_is_told_in_words(self, tmp_path, content):
        (tmp_path / "det.onnx").write_bytes(content)
        with pytest.raises(ModelMissing) as caught:
            InsightFacePack(tmp_path).find(astronaut())
        assert "embedded" in caught.value.remedy

    def test_half_a_pack_is_told_in_words(self, tmp_path):
        onnx.save(red_square_detector(), tmp_path / "det.onnx")
        with pytest.raises(ModelMissing):
            InsightFacePack(tmp_path).find(astronaut())
