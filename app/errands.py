"""What takes longer than a click and changes no document: an export, fetching a network. One of each kind at a time."""

import threading
from collections.abc import Callable, Iterator

from app import texts
from app.work import Work, WorkEnd, WorkView
from engine.errors import ProjectBusy
from engine.jobs.events import StageProgress


class Errands:
    """The running errands of one desk, by kind."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Work] = {}

    def start(self, kind: str, steps: Iterator[StageProgress], ended: Callable[[WorkEnd], None]) -> None:
        """Walk through ``steps`` in a thread, then call ``ended``. Raises ProjectBusy while one of that kind runs."""

        def over(end: WorkEnd) -> None:
            with self._lock:
                self._running.pop(kind, None)
            ended(end)

        with self._lock:
            if kind in self._running:
                raise ProjectBusy(texts.WORKING, texts.WORKING_REMEDY)
            self._running[kind] = Work(kind, steps, over)
            self._running[kind].start()

    def view(self, kind: str) -> WorkView | None:
        with self._lock:
            work = self._running.get(kind)
        return work.view() if work else None

    def cancel(self, kind: str) -> None:
        with self._lock:
            work = self._running.get(kind)
        if work:
            work.cancel()
