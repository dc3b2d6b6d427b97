"""The queue of renders: one after the other in a process of their own, in an order that survives every restart."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from engine.errors import StudioError
from engine.jobs.events import StageProgress
from engine.jobs.job import FRAME_NAME, GROWING_NAME, JOB_NAME, Job, as_redo, duplicated, new_job, read_job, write_job
from engine.jobs.job_view import JobOrder, JobView, News
from engine.jobs.kept_queue import ENDED, NUM_PAST, KeptQueue, QueuedJob, QueueDocument
from engine.jobs.pace import expected_s
from engine.jobs.runner import Ending, Runner, finished_take, wanted_take
from engine.project.document import RenderSettings, Scene, Take
from engine.project.store import PROJECT_NAME, ProjectFiles

LOG_NAME = "worker.log"


class RenderQueue:
    """Renders of any number of projects, one at a time; safe to use from every thread.

    ``folder`` keeps queue.json: what ran when the studio ended goes on first at the next start. ``ended`` is called
    with the project's folder and a take whenever one begins or ends, from a thread of the queue's own.
    ``version`` grows with everything that ``jobs`` shows, except progress. ``remarks``: what went wrong with the file.
    """

    def __init__(self, folder: Path, ended: Callable[[Path, Take], None]) -> None:
        self.version = 1
        self._lock = threading.RLock()
        self._kept = KeptQueue(folder)
        self.remarks = self._kept.remarks
        self._news = News(ended)
        self._closing = False
        self._waiting: list[QueuedJob] = []
        self._past: list[QueuedJob] = []
        with self._lock:
            self._runner = Runner(self._lock, folder / LOG_NAME, self)
            self._held = False
            self._load()
            self._changed()

    def add(self, project_folder: Path, scene: Scene, settings: RenderSettings, order: JobOrder | None = None) -> str:
        """Queue a render of a snapshot of ``scene``; the new job's id. Raises at once what ``ready_to_render`` raises,
        UnreadableMedia where the photo or the recording is gone, WriteFailed. A redo has the settings of the take that
        it redoes, not ``settings``, but another seed; raises what ``redo_settings`` does."""
        files = ProjectFiles(project_folder)
        return self._queued(files, _ordered(files, scene, settings, order or JobOrder()))

    def duplicate(self, job_id: str) -> str:
        """Queue the same scene with the same settings once more, as another take. Raises ProjectDamaged."""
        with self._lock:
            job = self._job(job_id)
        return self._queued(ProjectFiles(job.folder), duplicated(read_job(job.take_folder)))

    def jobs(self, owner: str | None = None) -> list[JobView]:
        """In order: the one that runs, those that wait, then the last that ended, newest first."""
        with self._lock:
            return [self._view(job) for job in self._all() if owner is None or job.owner == owner]

    @property
    def held(self) -> bool:
        return self._held

    @property
    def worker_process_id(self) -> int:
        """0 where there is none at the moment."""
        return self._runner.process_id

    def hold(self, on: bool) -> None:
        """Start nothing new (what runs goes on), or go on."""
        with self._lock:
            self._held = on
            self._changed()

    def pause(self, job_id: str) -> None:
        """A running one stops where it is, and makes room for others that wait; a waiting one is passed over."""
        with self._lock:
            job = self._job(job_id)
            if job.status == "running":
                self._runner.pause(True)
            if job.status in ("running", "waiting"):
                job.status = "paused"
                self._changed()

    def resume(self, job_id: str) -> None:
        with self._lock:
            job = self._job(job_id)
            if job.status != "paused":
                return
            goes_on = job is self._runner.job and not self._runner.ending
            job.status = "running" if goes_on else "waiting"
            if goes_on:
                self._runner.pause(False)
            self._changed()

    def stop_and_keep(self, job_id: str) -> None:
        """Finish the take with the frames that there are; of one that waits there are none."""
        self._end_early(job_id, "keep")

    def cancel(self, job_id: str) -> None:
        """End it without a take."""
        self._end_early(job_id, "cancel")

    def move(self, job_id: str, to_index: int) -> None:
        """Put a waiting one at ``to_index`` among those that wait, 0 = next."""
        with self._lock:
            job = self._job(job_id)
            if job in self._waiting:
                self._waiting.remove(job)
                self._waiting.insert(max(0, to_index), job)
                self._changed()

    def remove(self, job_id: str) -> None:
        """Take one that waits or has ended off the list; its take stays. Raises StudioError for a running one."""
        with self._lock:
            job = self._job(job_id)
            if job is self._runner.job:
                raise StudioError("This render is running.", "Cancel it first, or let it end.")
            (self._waiting if job in self._waiting else self._past).remove(job)
            if not job.began:  # nothing but the order lies in its folder
                shutil.rmtree(job.take_folder, ignore_errors=True)
            self._changed()

    def close(self) -> None:
        """End the worker within 5 s; what ran goes on at the next start."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._save()
        self._runner.close()
        self._news.close()
        self._kept.close()

    # What the runner tells, with the lock held

    def rendered(self, job: QueuedJob, take: Take) -> None:
        self._note(job, take)

    def left(self, job: QueuedJob) -> None:
        self._waiting.insert(0, job)
        self._changed()

    def finished(self, job: QueuedJob, take: Take | None, error: StudioError) -> None:
        job.status = "failed" if take is None or take.status == "rendering" else take.status
        job.message, job.remedy = error.message, error.remedy
        if take:
            self._note(job, take)
        self._past.insert(0, job)
        self._changed()

    def _note(self, job: QueuedJob, take: Take) -> None:
        if take.status == "done":
            job.compute_s, job.length_s = take.compute_s, take.duration_s
        self._news.tell(job.folder, take)

    def _load(self) -> None:
        document = self._kept.load()
        self._held = document.held
        for job in document.jobs:
            if job.status in ENDED:
                self._past.append(job)
            elif (take := finished_take(job)) is not None:  # the studio died before it could note it
                self.finished(job, take, StudioError(take.message))
            else:
                job.status = "paused" if job.status == "paused" else "waiting"
                self._waiting.append(job)

    def _changed(self) -> None:
        self._past = self._past[:NUM_PAST]
        self._next()
        self.version += 1
        self._save()

    def _save(self) -> None:
        self._kept.save(QueueDocument(held=self._held, jobs=self._all()))

    def _next(self) -> None:
        """Start the first that waits, if it may; a paused one that runs makes room for it."""
        ready = next((job for job in self._waiting if job.status == "waiting"), None)
        if ready is None or self._closing or self._held:
            return
        if self._runner.job is None:
            self._waiting.remove(ready)
            self._start(ready)
        elif self._runner.job.status == "paused" and not self._runner.ending:
            self._runner.end("leave")

    def _start(self, job: QueuedJob) -> None:
        take = wanted_take(job)
        if take is None or not (job.folder / PROJECT_NAME).is_file():
            self.finished(job, None, _nothing_to_render(job))
            return
        job.status, job.began, job.message, job.remedy = "running", True, "", ""
        self._runner.start(job)
        self._news.tell(job.folder, take)

    def _end_early(self, job_id: str, ending: Ending) -> None:
        with self._lock:
            job = self._job(job_id)
            if job in self._waiting:
                self._waiting.remove(job)
                take = wanted_take(job) if job.began else None
                if take:
                    take.status, take.message = "cancelled", "Cancelled."
                self.finished(job, take, StudioError("Cancelled."))
                job.status = "cancelled"
            elif job is self._runner.job:
                job.status = "stopping"
                self._runner.end(ending)
            self._changed()

    def _queued(self, files: ProjectFiles, job: Job) -> str:
        write_job(files, job)
        queued = _listed(files, job)
        with self._lock:
            self._waiting.append(queued)
            self._changed()
        return queued.id

    def _all(self) -> list[QueuedJob]:
        running = [self._runner.job] if self._runner.job else []
        return [*running, *self._waiting, *self._past]

    def _job(self, job_id: str) -> QueuedJob:
        job = next((job for job in self._all() if job.id == job_id), None)
        if job is None:
            raise StudioError("This render is no longer in the queue.", "Look at the queue as it is now.")
        return job

    def _view(self, job: QueuedJob) -> JobView:
        runs, expected = job is self._runner.job, expected_s(job, self._past)
        course = self._runner.course
        has_ended = job.status in ENDED
        left_s = course.left_s(expected) if runs else None if has_ended else expected
        return JobView(
            job.id,
            job.owner,
            job.folder,
            job.title,
            job.kind,
            job.range_s,
            job.take_id,
            job.status,
            course.progress if runs else StageProgress(job.status, job.message or job.status.capitalize()),
            left_s,
            _existing(job.take_folder / FRAME_NAME),
            _existing(job.take_folder / GROWING_NAME),
            job.message,
            job.remedy,
        )


def _ordered(files: ProjectFiles, scene: Scene, settings: RenderSettings, order: JobOrder) -> Job:
    from engine.jobs.render_scene import ready_to_render

    redo_range_s = None
    if order.redo_of:
        from engine.jobs.redo import redo_settings

        settings, redo_range_s = redo_settings(files, scene, order.redo_of, order.redo_range_s)
    ready_to_render(scene, settings)
    for ref in (scene.photo, scene.dialogue, *(voice.media for voice in scene.voices)):
        if ref is not None:
            files.path_of(ref)
    job = new_job(scene, settings, order.title, order.owner)
    return as_redo(job, order.redo_of, redo_range_s) if order.redo_of else job


def _listed(files: ProjectFiles, job: Job) -> QueuedJob:
    from engine.jobs import evidence

    settings = job.take.settings
    start_s, end_s = job.take.redo_range_s or settings.range_s or (0.0, evidence.duration_s(job.scene))
    return QueuedJob(
        project_folder=str(files.folder),
        take_id=job.take.id,
        title=job.title,
        owner=job.owner,
        kind=settings.kind,
        model=settings.model,
        range_s=job.take.redo_range_s or settings.range_s,
        length_s=end_s - start_s,
    )


def _nothing_to_render(job: QueuedJob) -> StudioError:
    if not (job.folder / PROJECT_NAME).is_file():
        return StudioError(f"The project in {job.folder} is gone.", "Put the folder back, then render again.")
    return StudioError(f"The order of this render ({job.take_id}/{JOB_NAME}) cannot be read.", "Render again.")


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None
