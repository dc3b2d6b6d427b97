"""What a render tells while it runs. Plain values: they go to the terminal, the page and events.jsonl alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class StageProgress:
    """``done`` of ``total`` units of ``stage`` (total 0 = unknown); ``text`` is a sentence for people."""

    stage: str
    text: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class FrameReady:
    """Frame ``index`` of the take: ``rgb`` is (height, width, 3) uint8, valid until the next event is asked for."""

    index: int
    rgb: NDArray[np.uint8]


RenderEvent = StageProgress | FrameReady
