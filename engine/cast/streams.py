"""One bundle per person of the picture: nothing after this sorts faces or counts speakers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.analysis.types import FaceDetail
from engine.media.types import Waveform
from engine.project.document import Face, Part


@dataclass(frozen=True)
class CastStream:
    """Everything about one person to be animated. F = number of video frames of the take.

    ``voice``: mono 16 kHz over the rendered range, silence for listeners; ``speaking_gate`` (F,) float32 0..1, 1 while
    this person speaks; ``listening_gate`` (F,) float32 0..1, 1 while somebody else speaks and this person does not.
    ``turns_s``: (start, end) of this person's turns, seconds from the start of the range.
    """

    face: Face
    detail: FaceDetail | None
    part: Part
    liveliness: float
    lip_strength: float
    voice: Waveform
    turns_s: tuple[tuple[float, float], ...]
    speaking_gate: NDArray[np.float32]
    listening_gate: NDArray[np.float32]
