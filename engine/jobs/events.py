"""What a render tells while it runs. Plain values: they go to the terminal, the page and events.jsonl alike."""

from dataclasses import dataclass
from pathlib import Path

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
class TakeBegun:
    """Everything is ready for the first frame: how many there will be, and the take's sound, there until the last."""

    num_frames: int
    frame_rate: float
    sound_path: Path


@dataclass(frozen=True)
class FrameReady:
    """Frame ``index`` of the take: ``rgb`` is (height, width, 3) uint8, valid until the next event is asked for."""

    index: int
    rgb: NDArray[np.uint8]


@dataclass(frozen=True)
class TakeDone:
    """The render ended well: the take's id and its video."""

    take_id: str
    video_path: Path


@dataclass(frozen=True)
class RoughFrame:
    """A rough picture (height, width, 3) uint8 of what is being made, smaller than the video."""

    rgb: NDArray[np.uint8]


RenderEvent = StageProgress | TakeBegun | FrameReady | RoughFrame | TakeDone
