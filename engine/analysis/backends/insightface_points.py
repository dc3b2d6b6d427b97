"""InsightFace's 106 points (``2d106det.onnx`` of the pack buffalo_l; models for non-commercial use), as the paper's
benchmark reads eyes and brows. Only for comparison with the dense mesh: nothing else needs it.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.backends.insightface import PACK
from engine.analysis.face_protocols import Box
from engine.carriers import models_dir
from engine.errors import ModelMissing
from engine.media.types import Image

NAME, NUM_POINTS = "2d106det.onnx", 106


def points_path() -> Path:
    """Raises ModelMissing where the network is not on disk."""
    places = [models_dir() / PACK, Path.home() / ".insightface" / "models" / PACK]
    for folder in places:
        if (folder / NAME).is_file():
            return folder / NAME
    raise ModelMissing(
        f"InsightFace's 106 points ({NAME}) are not here.",
        f"Put the {PACK} pack into {places[0]}: its licence is for non-commercial research only.",
    )


@dataclass(frozen=True)
class InsightFacePoints:
    """The network in ``path``, called with a detector's box: (106, 2) float32 in photo pixels."""

    path: Path

    def __call__(self, image: Image, box_px: Box) -> NDArray[np.float32]:
        from insightface.app.common import Face

        bgr = np.ascontiguousarray(image.rgb[..., ::-1])
        return np.asarray(self._network.get(bgr, Face(bbox=np.array(box_px, np.float32))), np.float32)

    @cached_property
    def _network(self) -> Any:
        from insightface.model_zoo.landmark import Landmark

        remedy = f"Delete {self.path}, or put the whole {PACK} pack there."
        try:
            network = Landmark(model_file=str(self.path))
        except Exception as problem:  # onnx, onnxruntime and the package each raise kinds of their own
            raise ModelMissing(f"{self.path.name} is damaged.", remedy) from problem
        if (network.lmk_num, network.lmk_dim) != (NUM_POINTS, 2):
            raise ModelMissing(f"{self.path.name} gives {network.lmk_num} points instead of {NUM_POINTS}.", remedy)
        return network
