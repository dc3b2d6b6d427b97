"""dlib's face recognition ResNet (weights CC0), from the 8-bit files of the npm package face-api (MIT).

Network: Davis King, "High Quality Face Recognition with Deep Metric Learning", 2017: He et al.'s ResNet-34 with fewer
layers and half the filters, 150 x 150 aligned face -> 128 numbers. Checked against dlib itself: distance 0.04.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_boxes import square_cut
from engine.analysis.face_protocols import FoundMesh
from engine.carriers import carrier_file
from engine.media.types import Image

CHIP_PX = 150
MEAN_RGB = (122.782, 117.001, 104.298)
# Eye corners and nose base: their mesh indices, and where dlib's aligner puts them in its chip (median of many faces).
ALIGN_POINTS = (33, 133, 362, 263, 2)
ALIGN_TO_PX = ((36.8, 46.6), (60.0, 47.8), (89.1, 48.0), (111.8, 46.0), (73.8, 85.8))
LAYOUT = (
    ("keep", "conv32_1"), ("keep", "conv32_2"), ("keep", "conv32_3"),
    ("halve", "conv64_down"), ("keep", "conv64_1"), ("keep", "conv64_2"), ("keep", "conv64_3"),
    ("halve", "conv128_down"), ("keep", "conv128_1"), ("keep", "conv128_2"),
    ("halve", "conv256_down"), ("keep", "conv256_1"), ("keep", "conv256_2"), ("halve", "conv256_down_out"),
)  # fmt: skip


@dataclass(frozen=True)
class DlibIdentity:
    """Identity of a meshed face: (128,) float32 of length 1. Raises ModelMissing when the carrier is not there."""

    def __call__(self, image: Image, mesh: FoundMesh, landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
        chip = aligned_chip(image, mesh.points_px)
        pixels = ((chip - np.array(MEAN_RGB)) / 256).astype(np.float32).transpose(2, 0, 1)[None]
        embedding: NDArray[np.float32] = self._session.run(None, {"pixels": np.ascontiguousarray(pixels)})[0][0]
        return embedding / np.linalg.norm(embedding)

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        network = _Network(_read_weights()).as_bytes()
        return onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])


class _Network:
    """The layers as an ONNX graph: torch would take seconds to load, for this network alone."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def as_bytes(self) -> bytes:
        """(1, 3, 150, 150) normalised "pixels" -> (1, 128)."""
        from onnx import TensorProto, helper

        features = self._conv(_Features("pixels", 3, CHIP_PX), "conv32_down", stride=2, padding=0, then="Relu")
        features = self._pooled(features, "MaxPool", 3)
        for kind, name in LAYOUT:
            features = self._block(features, name) if kind == "keep" else self._halving_block(features, name)
        mean = self._node("Flatten", [self._node("GlobalAveragePool", [features.name])])
        embedding = self._node("MatMul", [mean, self._constant(self._weights["fc"])])
        pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, CHIP_PX, CHIP_PX])
        out = helper.make_tensor_value_info(embedding, TensorProto.FLOAT, [1, self._weights["fc"].shape[1]])
        graph = helper.make_graph(self._nodes, "dlib", [pixels], [out], self._constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        content: bytes = made.SerializeToString()
        return content

    def _block(self, features: "_Features", name: str) -> "_Features":
        hidden = self._conv(features, f"{name}/conv1", then="Relu")
        return self._sum(self._conv(hidden, f"{name}/conv2"), features)

    def _halving_block(self, features: "_Features", name: str) -> "_Features":
        """Half the size, perhaps more channels: the shortcut is pooled and padded with zeros to match."""
        hidden = self._conv(features, f"{name}/conv1", stride=2, padding=0, then="Relu")
        out, short = self._conv(hidden, f"{name}/conv2"), self._pooled(features, "AveragePool", 2)
        channels, side_px = max(out.channels, short.channels), max(out.side_px, short.side_px)
        return self._sum(self._padded(out, channels, side_px), self._padded(short, channels, side_px))

    def _conv(
        self, features: "_Features", name: str, stride: int = 1, padding: int = 1, then: str = ""
    ) -> "_Features":  # fmt: skip
        """With what follows every convolution, a scale and a shift for each channel."""
        scale, shift = self._weights[f"{name}/scale/weights"], self._weights[f"{name}/scale/biases"]
        filters = self._weights[f"{name}/conv/filters"].transpose(3, 2, 0, 1) * scale[:, None, None, None]
        bias = self._weights[f"{name}/conv/bias"] * scale + shift
        inputs = [features.name, self._constant(filters), self._constant(bias)]
        made = self._node("Conv", inputs, strides=[stride] * 2, pads=[padding] * 4)
        side_px = (features.side_px + 2 * padding - filters.shape[2]) // stride + 1
        return _Features(self._node(then, [made]) if then else made, len(filters), side_px)

    def _pooled(self, features: "_Features", kind: str, side: int) -> "_Features":
        name = self._node(kind, [features.name], kernel_shape=[side] * 2, strides=[2] * 2)
        return _Features(name, features.channels, (features.side_px - side) // 2 + 1)

    def _padded(self, features: "_Features", channels: int, side_px: int) -> "_Features":
        more, beside = channels - features.channels, side_px - features.side_px
        if not more and not beside:
            return features
        ends = self._constant(np.array([0, 0, 0, 0, 0, more, beside, beside], np.int64))
        return _Features(self._node("Pad", [features.name, ends]), channels, side_px)

    def _sum(self, one: "_Features", other: "_Features") -> "_Features":
        added = self._node("Relu", [self._node("Add", [one.name, other.name])])
        return _Features(added, one.channels, one.side_px)

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind}-{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def _constant(self, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"constant-{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


@dataclass(frozen=True)
class _Features:
    """What a layer gives, (1, channels, side_px, side_px), by its name in the graph."""

    name: str
    channels: int
    side_px: int


def aligned_chip(image: Image, points_px: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The face turned and scaled as dlib does it, (150, 150, 3), by the best similarity of five mesh points."""
    source = points_px[list(ALIGN_POINTS), :2].astype(np.float64) @ np.array([1, 1j])
    target = np.array(ALIGN_TO_PX) @ np.array([1, 1j])
    # A similarity of the plane is a complex line z -> a z + b.
    (a, b), *_ = np.linalg.lstsq(np.stack([source, np.ones_like(source)], axis=1), target, rcond=None)
    affine = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
    return square_cut(image.rgb, affine, CHIP_PX)


def _read_weights() -> dict[str, NDArray[np.float32]]:
    """The published file: a manifest naming arrays that follow one another, most stored as 8-bit steps."""
    folder = carrier_file("face-api", "model", "face_recognition_model.bin").parent
    raw = (folder / "face_recognition_model.bin").read_bytes()
    manifest: list[dict[str, Any]] = json.loads((folder / "face_recognition_model-weights_manifest.json").read_text())
    weights: dict[str, NDArray[np.float32]] = {}
    start = 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        steps = entry.get("quantization")
        dtype = np.dtype(steps["dtype"] if steps else entry["dtype"])
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(raw, dtype, count, start).astype(np.float32)
        if steps:
            values = values * np.float32(steps["scale"]) + np.float32(steps["min"])
        weights[entry["name"]] = values.reshape(entry["shape"])
        start += count * dtype.itemsize
    return weights
