"""What analysis finds, as arrays beside the saved document."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.project.document import Face, Speaker, Turn


@dataclass(frozen=True)
class FaceDetail:
    """The arrays of one face.

    ``points_px``: (478, 3) float32 MediaPipe mesh, x and y in photo pixels, z in the same scale (smaller = nearer).
    ``blendshapes``: (52,) float32 in MediaPipe's order. ``embedding``: (D,) float32 of length 1, identity.
    """

    points_px: NDArray[np.float32]
    blendshapes: NDArray[np.float32]
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class FaceAnalysis:
    """Faces from left to right; ``details`` by face id (a face the mesh does not fit has none)."""

    faces: list[Face]
    details: dict[str, FaceDetail] = field(default_factory=dict)


@dataclass(frozen=True)
class Diarization:
    """Who speaks when. Speakers in order of first speech; turns sorted by start, overlapping where people do."""

    speakers: list[Speaker]
    turns: list[Turn]


@dataclass(frozen=True)
class Phone:
    """One speech sound: ``label`` is an ARPAbet symbol without stress, SIL for silence."""

    start_s: float
    end_s: float
    label: str


@dataclass(frozen=True)
class Word:
    start_s: float
    end_s: float
    text: str
