"""What a face model has to offer, whichever package it comes from: the borders of the face plug points."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.media.types import Image

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class FoundFace:
    """One face as a detector sees it, in photo pixels.

    ``box_px`` is x0 y0 x1 y1; ``landmarks_px`` (5, 2) float32: the eye, the other eye, nose tip, the mouth corner, the
    other mouth corner, each pair from the left of the picture to the right on an upright face; ``score`` 0..1.
    """

    box_px: Box
    landmarks_px: NDArray[np.float32]
    score: float

    def moved(self, scale: float, offset_px: tuple[float, float] = (0.0, 0.0)) -> "FoundFace":
        """The same face in another picture: every coordinate times ``scale``, plus ``offset_px``."""
        dx, dy = offset_px
        x0, y0, x1, y1 = self.box_px
        box = (x0 * scale + dx, y0 * scale + dy, x1 * scale + dx, y1 * scale + dy)
        points = (self.landmarks_px * scale + np.array([dx, dy], np.float32)).astype(np.float32)
        return replace(self, box_px=box, landmarks_px=points)


@dataclass(frozen=True)
class FoundMesh:
    """A dense mesh: ``points_px`` (478, 3) float32 in photo pixels, z too (smaller = nearer); ``blendshapes`` (52,)
    float32 0..1 in MediaPipe's order; ``presence`` 0..1, how sure the model is that this is a face.
    """

    points_px: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    presence: float


class FaceDetector(Protocol):
    """Finds faces in a whole photo; any order, no two results for one face."""

    def __call__(self, image: Image) -> list[FoundFace]: ...


class FaceMesher(Protocol):
    """Fits the mesh to one face; always answers, and ``presence`` says how far to trust it.

    ``landmarks_px`` (5, 2) where a detector gave them. ``patient``: try harder where the first attempt is doubtful;
    only for what surely is a face.
    """

    def __call__(
        self, image: Image, box_px: Box, landmarks_px: NDArray[np.float32] | None = None, patient: bool = False
    ) -> FoundMesh: ...

    def follow(self, image: Image, points_px: NDArray[np.float32]) -> FoundMesh:
        """The mesh of the same face in the next frame of a video, from its ``points_px`` (478, 3) in the last one."""
        ...


class FaceEmbedder(Protocol):
    """Who a face is: (D,) float32 of length 1; a small distance means the same person."""

    def __call__(self, image: Image, mesh: FoundMesh, landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]: ...
