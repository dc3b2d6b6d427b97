"""How a running render is told to wait, to finish early or to stop: asked from any thread, heard between frames."""

import threading
import time
from typing import Literal

from engine.errors import RenderCancelled

Wanted = Literal["run", "pause", "keep", "cancel", "leave"]
"""keep: finish with the frames that there are; leave: stop for now, so that another render or start goes on with it."""


class RenderLeft(RenderCancelled):
    """The render was put aside unfinished, to be gone on with later."""


class Control:
    """What the creator wants of one render. What ended a render cannot be taken back: pause and run come too late."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wanted: Wanted = "run"
        self.paused_s = 0.0

    @property
    def wanted(self) -> Wanted:
        return self._wanted

    def ask(self, wanted: Wanted) -> None:
        with self._changed:
            if self._wanted in ("run", "pause") or wanted == "cancel":
                self._wanted = wanted
                self._changed.notify_all()

    def keep_now(self) -> bool:
        """Called between frames: waits while paused, then says whether to finish with what there is.

        Raises RenderCancelled, RenderLeft.
        """
        if self._wanted == "pause":
            self._wait()
        if self._wanted == "leave":
            raise RenderLeft("Put aside.")
        if self._wanted == "cancel":
            raise RenderCancelled("Cancelled.")
        return self._wanted == "keep"

    def _wait(self) -> None:
        began_s = time.monotonic()
        with self._changed:
            while self._wanted == "pause":
                self._changed.wait()
        self.paused_s += time.monotonic() - began_s
