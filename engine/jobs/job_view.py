"""What is said about a render besides what it renders, and what is shown and told of it."""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.jobs.events import StageProgress
from engine.jobs.kept_queue import JobStatus
from engine.project.document import Take, TakeKind

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobOrder:
    """What is said about a render besides what it renders. ``redo_range_s``: in the recording's time."""

    title: str = ""
    owner: str = ""
    redo_of: str = ""
    redo_range_s: tuple[float, float] | None = None


@dataclass(frozen=True)
class JobView:
    """A render as it stands. ``left_s``: of a waiting one what it will take, None = unknown; ``frame`` the latest
    picture, ``growing`` the video so far, each only where it exists."""

    id: str
    owner: str
    project_folder: Path
    title: str
    kind: TakeKind
    range_s: tuple[float, float] | None
    take_id: str
    status: JobStatus
    progress: StageProgress
    left_s: float | None
    frame: Path | None
    growing: Path | None
    message: str
    remedy: str


class News:
    """Calls back from a thread of its own, in order: whoever is told may hold locks and may ask the queue back."""

    def __init__(self, told: Callable[[Path, Take], None]) -> None:
        self._told = told
        self._news: queue.SimpleQueue[tuple[Path, Take] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="queue-news", daemon=True)
        self._thread.start()

    def tell(self, folder: Path, take: Take) -> None:
        self._news.put((folder, take.model_copy(deep=True)))

    def close(self) -> None:
        """Tell the last news, then stop."""
        self._news.put(None)
        self._thread.join(1.0)

    def _run(self) -> None:
        while (news := self._news.get()) is not None:
            try:
                self._told(*news)
            except Exception:
                logger.exception("The take %s could not be noted in its project", news[1].id)
