"""queue.json: the renders that are ordered, as they stand, for the next start."""

import contextlib
import logging
import time
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from engine.errors import WriteFailed
from engine.project.atomic import write_bytes
from engine.project.document import Document, TakeKind, new_id

logger = logging.getLogger(__name__)

QUEUE_NAME = "queue.json"
LOCK_NAME = "queue.lock"
MAX_BYTES = 16 * 1024**2
NUM_PAST = 20

JobStatus = Literal["waiting", "running", "paused", "stopping", "done", "failed", "cancelled", "interrupted"]
ENDED: tuple[JobStatus, ...] = ("done", "failed", "cancelled", "interrupted")


class QueuedJob(Document):
    """One render of the queue; what is rendered stands in the job file of its take. ``length_s``: of the video."""

    id: str = Field(default_factory=new_id)
    project_folder: str
    take_id: str
    title: str = ""
    owner: str = ""
    kind: TakeKind
    model: str = ""
    range_s: tuple[float, float] | None = None
    length_s: float = 0.0
    compute_s: float = 0.0
    status: JobStatus = "waiting"
    message: str = ""
    remedy: str = ""
    began: bool = False

    @property
    def folder(self) -> Path:
        return Path(self.project_folder)

    @property
    def take_folder(self) -> Path:
        return self.folder / "takes" / self.take_id


class QueueDocument(Document):
    """Everything in order: what ran, what waits, then what ended, the last first."""

    held: bool = False
    jobs: list[QueuedJob] = Field(default_factory=list)


class KeptQueue:
    """The file of a queue in ``folder``, and the lock that says it is in use. ``remarks``: what a creator must know."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.remarks: list[str] = []
        self._lock = FileLock(folder / LOCK_NAME, timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            self.remarks.append("Another studio uses this folder: renders queued here are forgotten when you leave.")

    def load(self) -> QueueDocument:
        """The queue as saved; an empty one, with a remark, where the file is damaged: it is set aside."""
        path = self.folder / QUEUE_NAME
        if not self._lock.is_locked or not path.exists():
            return QueueDocument()
        try:
            with path.open("rb") as file:
                return QueueDocument.model_validate_json(file.read(MAX_BYTES))
        except (OSError, ValidationError) as error:
            logger.warning("%s cannot be read: %s", path, error)
            aside = path.with_name(f"queue.damaged-{time.strftime('%Y-%m-%dT%H-%M-%S')}.json")
            with contextlib.suppress(OSError):
                path.replace(aside)
            self.remarks.append(
                f"The list of waiting renders was damaged. It was set aside as {aside.name}; order the renders again."
            )
            return QueueDocument()

    def save(self, document: QueueDocument) -> None:
        """Keep it for the next start; where the disk refuses, that is a remark: the queue itself goes on."""
        if not self._lock.is_locked:
            return
        try:
            write_bytes(self.folder / QUEUE_NAME, document.model_dump_json(indent=1).encode())
        except WriteFailed as error:
            logger.warning("The queue is not saved: %s", error)
            if str(error) not in self.remarks:
                self.remarks.append(str(error))

    def close(self) -> None:
        self._lock.release()
