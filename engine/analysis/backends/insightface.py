"""InsightFace (code MIT, models for non-commercial use): detection with five points, and ArcFace identity.

Used when its model pack is on disk. Papers: SCRFD (arXiv 2105.04714), ArcFace (arXiv 1801.07698).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_boxes import scaled_to
from engine.analysis.face_protocols import FoundFace, FoundMesh
from engine.carriers import models_dir
from engine.errors import ModelMissing
from engine.media.types import Image

PACK = "buffalo_l"
MAX_LOOK_PX = 1920  # larger photos are shrunk by area first; the package itself samples them sparsely
MAX_ASPECT = 16


def pack_dir() -> Path | None:
    """The folder of the model pack, or None where it is not on disk."""
    for folder in (models_dir() / PACK, Path.home() / ".insightface" / "models" / PACK):
        if any(folder.glob("*.onnx")):
            return folder
    return None


@dataclass(frozen=True)
class InsightFacePack:
    """The models in ``folder``; as detector ``find``, as identity ``embed`` ((512,) float32 of length 1)."""

    folder: Path
    min_score: float = 0.5

    def find(self, image: Image) -> list[FoundFace]:
        """Faces in photo pixels, best first. Raises ModelMissing when the folder does not hold a whole pack."""
        look_px = min(MAX_LOOK_PX, max(image.width, image.height))
        small = scaled_to(image.rgb, look_px)
        boxes, points = self._models["detection"].detect(_bgr(_not_too_thin(small)))
        back = max(image.width, image.height) / look_px
        found = [
            FoundFace((float(x0), float(y0), float(x1), float(y1)), five.astype(np.float32), float(score)).moved(back)
            for (x0, y0, x1, y1, score), five in zip(boxes, points, strict=True)
        ]
        return sorted(found, key=lambda face: -face.score)

    def embed(self, image: Image, mesh: FoundMesh, landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
        from insightface.app.common import Face

        values = self._models["recognition"].get(_bgr(image.rgb), Face(kps=landmarks_px))
        return np.asarray(values / np.linalg.norm(values), np.float32)

    @cached_property
    def _models(self) -> dict[str, Any]:
        from insightface.app import FaceAnalysis

        try:
            pack = FaceAnalysis(name=str(self.folder), allowed_modules=["detection", "recognition"])
            pack.prepare(ctx_id=0, det_thresh=self.min_score, det_size=[(128, 128), (640, 640), (1280, 1280)])
        except Exception as problem:  # the package raises bare AssertionErrors and onnxruntime's own kinds
            raise _incomplete(self.folder) from problem
        if not {"detection", "recognition"} <= pack.models.keys() or not pack.models["detection"].use_kps:
            raise _incomplete(self.folder)
        return dict(pack.models)


def _incomplete(folder: Path) -> ModelMissing:
    return ModelMissing(
        f"The InsightFace models in {folder} are incomplete or damaged.",
        f"Delete that folder to use the embedded face models, or put the whole {PACK} pack there.",
    )


def _bgr(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(rgb[..., ::-1])


def _not_too_thin(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Black added right and below: the package shrinks a very thin picture to no pixels at all, and fails."""
    height, width = rgb.shape[:2]
    missing = [(0, max(0, -(-other // MAX_ASPECT) - own)) for own, other in ((height, width), (width, height))]
    return np.pad(rgb, [*missing, (0, 0)])
