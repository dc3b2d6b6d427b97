"""What a diffusion render tells while it runs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.dit.windows import WindowSpan


@dataclass(frozen=True)
class StepDone:
    """Denoising step ``step`` (1-based) of ``num_steps``; ``preview_rgb`` (h, w, 3) uint8: a rough picture, or None."""

    span: WindowSpan
    step: int
    num_steps: int
    preview_rgb: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class WindowDone:
    """The frames that window ``span`` adds to the take: (n, height, width, 3) uint8, from frame ``first`` on; they are
    final and in order."""

    span: WindowSpan
    first: int
    frames: NDArray[np.uint8]
