"""The one render that runs: the worker process that does it, how far it is, and how it was asked to end."""

import contextlib
import signal
import threading
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.errors import StudioError
from engine.jobs.events import StageProgress
from engine.jobs.job import GROWING_NAME, read_job
from engine.jobs.kept_queue import QueuedJob
from engine.jobs.pace import Course
from engine.jobs.worker_process import WorkerProcess
from engine.project.document import Take
from engine.project.takes import read_take, remove_parts

CANCEL_S = 8.0  # a step that takes longer than this is not waited for: its process ends, finished windows stay
CLOSE_S = 3.5

Ending = Literal["", "keep", "cancel", "leave"]


class RunnerEvents(Protocol):
    """What the owner of a runner is told, while it holds the lock that both share."""

    def rendered(self, job: QueuedJob, take: Take) -> None:
        """The video of ``take`` is there; its check follows."""

    def left(self, job: QueuedJob) -> None:
        """It was put aside, to be gone on with later."""

    def finished(self, job: QueuedJob, take: Take | None, error: StudioError) -> None:
        """It ended, as ``take`` says; None = its job file cannot be read. ``error``: what to say about it."""


class Runner:
    """At most one job at a time. Methods are called with ``lock`` held; a worker that died is replaced."""

    def __init__(self, lock: threading.RLock, log: Path, events: RunnerEvents) -> None:  # type: ignore[valid-type]
        self.job: QueuedJob | None = None
        self.course = Course()
        self.ending: Ending = ""
        self._lock = lock
        self._log = log
        self._events = events
        self._closed = False
        self._worker: WorkerProcess | None = WorkerProcess(log, self._heard, self._died)

    @property
    def process_id(self) -> int:
        """Of the worker; 0 where there is none at the moment."""
        return self._worker.process_id if self._worker else 0

    def start(self, job: QueuedJob) -> None:
        if self._worker is None:
            self._worker = WorkerProcess(self._log, self._heard, self._died)
        self.job, self.course, self.ending = job, Course(), ""
        self._worker.tell(render=job.project_folder, take=job.take_id)

    def pause(self, on: bool) -> None:
        self.course.pause(on)
        self._ask("pause" if on else "run")

    def end(self, ending: Ending) -> None:
        """Ask it to end so; a cancelled one that does not hear is killed."""
        self.course.pause(False)
        self.ending = ending
        self._ask(ending)
        if ending == "cancel":
            timer = threading.Timer(CANCEL_S, self._kill_deaf, (self.job,))
            timer.daemon = True
            timer.start()

    def close(self) -> None:
        """To be called without the lock: waits until the worker has ended."""
        with self._lock:
            self._closed, worker = True, self._worker
        if worker:
            worker.close(CLOSE_S)

    def _ask(self, wanted: str) -> None:
        if self._worker and self.job:
            self._worker.tell(control=self.job.take_id, wanted=wanted)

    def _kill_deaf(self, job: QueuedJob | None) -> None:
        with self._lock:
            if self.job is job and self.ending == "cancel" and self._worker:
                self._worker.kill()

    def _heard(self, worker: WorkerProcess, status: dict[str, Any]) -> None:
        with self._lock:
            job = self.job
            about = next((status[key] for key in ("progress", "rendered", "ended", "left") if key in status), None)
            if self._closed or worker is not self._worker or job is None or about != job.take_id:
                return
            if "progress" in status:
                self.course.note(StageProgress(**status["event"]))
            elif "rendered" in status:
                self._events.rendered(job, Take.model_validate(status["take"]))
            elif "left" in status and self.ending != "cancel":
                self._let_go()
                self._events.left(job)
            elif "left" in status:
                self._finish(job, *_after_death(job, StudioError("Cancelled."), cancelled=True))
            else:
                take = Take.model_validate(status["take"]) if status["take"] else None
                self._finish(job, take, StudioError(status["message"], status["remedy"]))

    def _died(self, worker: WorkerProcess) -> None:
        with self._lock:
            if self._closed or worker is not self._worker:
                return
            self._worker, job = None, self.job
            if job is not None:
                # At once, so that it is warm for the next render; an idle one that died is replaced when needed.
                self._worker = WorkerProcess(self._log, self._heard, self._died)
                self._finish(job, *_after_death(job, _told_death(worker), self.ending == "cancel"))

    def _finish(self, job: QueuedJob, take: Take | None, error: StudioError) -> None:
        self._let_go()
        self._events.finished(job, take, error)

    def _let_go(self) -> None:
        self.job, self.ending = None, ""


def finished_take(job: QueuedJob) -> Take | None:
    """The take of ``job`` where its folder says that it is done."""
    with contextlib.suppress(StudioError):
        take = read_take(job.take_folder).take
        if take.id == job.take_id and take.status == "done":
            return take
    return None


def wanted_take(job: QueuedJob) -> Take | None:
    """The take of ``job`` as it was ordered; None where its file cannot be read."""
    try:
        return read_job(job.take_folder).take
    except StudioError:
        return None


def _after_death(job: QueuedJob, error: StudioError, cancelled: bool) -> tuple[Take | None, StudioError]:
    """How a job stands whose process is gone."""
    done = finished_take(job)
    if done is not None:
        return done, StudioError(done.message)
    remove_parts(job.take_folder)
    with contextlib.suppress(OSError):
        (job.take_folder / GROWING_NAME).unlink(missing_ok=True)
    told = StudioError("Cancelled.") if cancelled else error
    take = wanted_take(job)
    if take:
        take.status, take.message = "cancelled" if cancelled else "failed", told.message
    return take, told


def _told_death(worker: WorkerProcess) -> StudioError:
    code = worker.returncode
    goes_on = "The plan is as it was; press Render again: it goes on from the last finished window."
    if code < 0:
        name = f"signal {-code}"
        memory = code == -getattr(signal, "SIGKILL", 9)
        likely = ", most likely for want of memory. Close other programs, or choose a smaller height" if memory else ""
        return StudioError(f"The render process was ended ({name}){likely}.", goes_on)
    words = worker.last_words()
    said = f" Its last words: {words}" if words else ""
    return StudioError(f"The render process ended by itself (status {code}).{said}", goes_on)
