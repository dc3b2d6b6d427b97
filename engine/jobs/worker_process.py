"""The worker as the studio sees it: a child process that is told things and heard, and whose end is noticed."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
LAST_WORDS_BYTES = 4000

Heard = Callable[["WorkerProcess", dict[str, Any]], None]
Ended = Callable[["WorkerProcess"], None]


class WorkerProcess:
    """Starts at once. ``heard`` is called with every status line, ``ended`` once, after the last of them; both from a
    thread of this worker's own. What the worker says besides goes to ``log``, written anew."""

    def __init__(self, log: Path, heard: Heard, ended: Ended) -> None:
        self._log = log
        self._heard, self._ended = heard, ended
        self._telling = threading.Lock()
        with log.open("wb") as words:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engine.jobs.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                env=os.environ | {"PYTHONPATH": _path(), "PYTHONIOENCODING": "utf-8"},
                # Ctrl+C in the studio's terminal is the studio's: a render and its ffmpeg end in their own time.
                start_new_session=True,
            )
        threading.Thread(target=self._listen, name="worker-status", daemon=True).start()

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def returncode(self) -> int:
        """Negative: the signal that ended it. Only once it has ended."""
        return int(self._process.returncode or 0)

    def tell(self, **command: str) -> None:
        """Send a command; one that can no longer be heard is lost, and ``ended`` comes (or came)."""
        with self._telling, contextlib.suppress(OSError, ValueError):
            _stream(self._process.stdin).write((json.dumps(command) + "\n").encode())
            _stream(self._process.stdin).flush()

    def last_words(self) -> str:
        """The last line it left in its log; "" for none."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, self._log.stat().st_size - LAST_WORDS_BYTES))
                lines = file.read().decode("utf-8", "replace").split("\n")
        except OSError:
            return ""
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

    def kill(self) -> None:
        """End it and everything that it started, now."""
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()

    def close(self, wait_s: float) -> None:
        """Let it put aside what runs and end; kill it where it takes longer than ``wait_s``."""
        with self._telling, contextlib.suppress(OSError, ValueError):
            _stream(self._process.stdin).close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(wait_s)
        self.kill()  # also what it left behind
        self._process.wait()

    def _listen(self) -> None:
        with _stream(self._process.stdout) as lines:
            for line in lines:
                try:
                    self._heard(self, json.loads(line))
                except Exception:
                    logger.exception("A status of the render process could not be used: %.200r", line)
        self._process.wait()
        self.kill()
        self._ended(self)


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _path() -> str:
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
