"""The two values that every stage speaks: a picture and a sound."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Image:
    """An upright photo: ``rgb`` is (height, width, 3) uint8."""

    rgb: NDArray[np.uint8]

    @property
    def width(self) -> int:
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        return int(self.rgb.shape[0])


@dataclass(frozen=True)
class Waveform:
    """Mono sound: ``samples`` is (num_samples,) float32 in [-1, 1]; may be a memory map."""

    samples: NDArray[np.float32]
    sample_rate: int

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate

    def between(self, start_s: float, end_s: float) -> "Waveform":
        """The part from ``start_s`` to ``end_s`` (a view, clipped to the sound)."""
        start = max(0, round(start_s * self.sample_rate))
        end = max(start, round(end_s * self.sample_rate))
        return Waveform(self.samples[start:end], self.sample_rate)
