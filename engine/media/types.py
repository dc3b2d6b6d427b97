"""The two values that every stage speaks: a picture and a sound."""

import mmap
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

    def let_go(self) -> None:
        """Where the samples are a memory map, let the system have back the pages that were read; they stay readable."""
        mapping = getattr(self.samples, "_mmap", None)
        if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)

    def between(self, start_s: float, end_s: float) -> "Waveform":
        """The part from ``start_s`` to ``end_s`` (a view, clipped to the sound)."""
        start = max(0, round(start_s * self.sample_rate))
        end = max(start, round(end_s * self.sample_rate))
        return Waveform(self.samples[start:end], self.sample_rate)
