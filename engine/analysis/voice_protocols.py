"""What a voice model has to offer, whichever package it comes from: the borders of the voice plug points."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

VOICE_RATE = 16_000

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class SpokenSpan:
    """Voice number ``voice`` speaks from ``start_s`` to ``end_s``."""

    start_s: float
    end_s: float
    voice: int


class Diarizer(Protocol):
    """Finds who speaks when. Spans of different voices may overlap; any order; empty where nobody speaks."""

    def __call__(
        self, sound: NDArray[np.float32], num_speakers: int | None = None, on_progress: Progress | None = None
    ) -> list[SpokenSpan]:
        """``sound`` is (num_samples,) mono 16 kHz; ``num_speakers`` None = find it; progress is done, total, text."""
        ...


class VoiceSeparator(Protocol):
    """Takes the voices of a mixture apart."""

    def __call__(
        self, mixture: NDArray[np.float32], examples: list[NDArray[np.float32]], sample_rate: int
    ) -> NDArray[np.float32]:
        """(num_samples,) mixture to (num_voices, num_samples); ``examples`` is each voice alone, in the same order."""
        ...
