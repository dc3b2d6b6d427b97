"""Work that takes longer than a click: one thread that walks through an engine's events and can be stopped."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app import texts
from engine.errors import StudioError
from engine.jobs.events import FrameReady, RenderEvent, RoughFrame, StageProgress, TakeDone

logger = logging.getLogger(__name__)

WorkKind = Literal["analysis", "render"]
LIVE_FRAME_EVERY_S = 1.0
LIVE_FRAME_WIDTH_PX = 480


@dataclass(frozen=True)
class WorkView:
    """What the page shows of running work. ``frame``: (height, width, 3) uint8, small; ``left_s`` None = unknown."""

    kind: WorkKind
    progress: StageProgress
    left_s: float | None
    frame: NDArray[np.uint8] | None
    cancelling: bool


@dataclass(frozen=True)
class WorkEnd:
    """How work ended: ``error`` None and not ``cancelled`` = well."""

    kind: WorkKind
    cancelled: bool = False
    error: Exception | None = None
    remark: str = ""


class Work:
    """Runs ``events`` in a thread of its own and calls ``ended`` there, once, whatever happens."""

    def __init__(self, kind: WorkKind, events: Iterator[RenderEvent], ended: Callable[[WorkEnd], None]) -> None:
        self.kind: WorkKind = kind
        self._events = events
        self._ended = ended
        self._progress = StageProgress("start", texts.STARTING)
        self._stage_started_s = time.monotonic()
        self._frame: NDArray[np.uint8] | None = None
        self._frame_at_s = 0.0
        self._cancel = threading.Event()
        # A daemon: a stage that cannot be stopped midway must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=f"studio-{kind}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Ask it to stop; it does before its next event."""
        self._cancel.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; whether it came in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def view(self) -> WorkView:
        progress, started_s = self._progress, self._stage_started_s
        left_s = None
        if 0 < progress.done <= progress.total:
            left_s = (time.monotonic() - started_s) / progress.done * (progress.total - progress.done)
        return WorkView(self.kind, progress, left_s, self._frame, self._cancel.is_set())

    def _run(self) -> None:
        end = WorkEnd(self.kind, cancelled=True)
        finished = False  # nothing is left to cancel once there is a take
        try:
            with closing(self._events) as events:  # type: ignore[type-var]
                for event in events:
                    self._note(event)
                    finished = finished or isinstance(event, TakeDone)
                    if self._cancel.is_set() and not finished:
                        break
                else:
                    end = WorkEnd(self.kind, remark=self._progress.text)
        except StudioError as error:
            end = WorkEnd(self.kind, error=error)
        except Exception as error:
            logger.exception("%s failed", self.kind)
            end = WorkEnd(self.kind, error=error)
        self._ended(end)

    def _note(self, event: RenderEvent) -> None:
        if isinstance(event, StageProgress):
            if event.stage != self._progress.stage:
                self._stage_started_s = time.monotonic()
            self._progress = event
        elif isinstance(event, FrameReady | RoughFrame) and time.monotonic() - self._frame_at_s >= LIVE_FRAME_EVERY_S:
            step = max(1, event.rgb.shape[1] // LIVE_FRAME_WIDTH_PX)
            self._frame = event.rgb[::step, ::step].copy()
            self._frame_at_s = time.monotonic()
