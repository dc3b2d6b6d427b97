"""Work that takes longer than a click: one thread that walks through an engine's events and can be stopped."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from app import texts
from engine.errors import StudioError
from engine.jobs.events import RenderEvent, StageProgress

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkView:
    """What the page shows of running work. ``left_s`` None = unknown."""

    kind: str
    progress: StageProgress
    left_s: float | None
    cancelling: bool


@dataclass(frozen=True)
class WorkEnd:
    """How work ended: ``error`` None and not ``cancelled`` = well."""

    kind: str
    cancelled: bool = False
    error: Exception | None = None
    remark: str = ""


class Work:
    """Runs ``events`` in a thread of its own and calls ``ended`` there, once, whatever happens."""

    def __init__(self, kind: str, events: Iterator[RenderEvent], ended: Callable[[WorkEnd], None]) -> None:
        self.kind = kind
        self._events = events
        self._ended = ended
        self._progress = StageProgress("start", texts.STARTING)
        self._stage_started_s = time.monotonic()
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
        return WorkView(self.kind, progress, left_s, self._cancel.is_set())

    def _run(self) -> None:
        end = WorkEnd(self.kind, cancelled=True)
        try:
            with closing(self._events) as events:  # type: ignore[type-var]
                for event in events:
                    self._note(event)
                    if self._cancel.is_set():
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
