"""One job from its file to its take: everything that the worker does around a render."""

import contextlib
import logging
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from engine.errors import RenderCancelled, StudioError
from engine.jobs.control import Control, RenderLeft
from engine.jobs.events import FrameReady, RenderEvent, RoughFrame, StageProgress, TakeBegun
from engine.jobs.growing import GrowingVideo
from engine.jobs.job import ERROR_NAME, FRAME_NAME, GROWING_NAME, EventLog, Job, LatestFrame, read_job
from engine.jobs.render_scene import render_snapshot
from engine.project.document import Take, TakeKind, TakeStatus
from engine.project.store import PROJECT_NAME, ProjectFiles
from engine.project.takes import remove_parts, rendering, write_take

logger = logging.getLogger(__name__)

LOCK_WAIT_S = 2.0  # a studio that opens the project looks at the lock for a moment

GROWING_FROM_S = 30.0  # a shorter animatic is there before anybody has looked

Tell = Callable[[StageProgress], None]
Done = Callable[[Take], None]


@dataclass(frozen=True)
class JobEnd:
    """How a job ended. ``take`` None: there was not even a job to read; ``left``: put aside, to be gone on with."""

    take: Take | None
    message: str = ""
    remedy: str = ""
    left: bool = False


def run_job(folder: Path, take_id: str, control: Control, tell: Tell, done: Done) -> JobEnd:
    """Render the job of ``take_id`` in the project ``folder``. Nothing is raised: every end is told.

    ``tell`` gets a few events per second, ``done`` the take once its video is there, before it is checked.
    """
    try:
        if not (folder / PROJECT_NAME).is_file():
            raise StudioError(f"The project in {folder} is gone.", "Put the folder back, then render again.")
        files = ProjectFiles(folder)
        job = read_job(files.takes_folder / take_id)
    except StudioError as error:
        return JobEnd(None, error.message, error.remedy)
    run = _Run(files, job, control, tell)
    return run.with_every_end(done)


@dataclass
class _Run:
    files: ProjectFiles
    job: Job
    control: Control
    tell: Tell

    @property
    def folder(self) -> Path:
        return self.files.take_folder(self.job.take.id)

    def with_every_end(self, done: Done) -> JobEnd:
        take = self.job.take
        try:
            self._rendered()
        except RenderLeft:
            self._clear(unfinished_too=False)
            return JobEnd(take, left=True)
        except RenderCancelled as error:
            self._clear(unfinished_too=True)
            return self._end("cancelled", error)
        except StudioError as error:
            self._clear(unfinished_too=True)
            return self._end("failed", error)
        except Exception as error:
            logger.exception("The render of take %s failed", take.id)
            self._clear(unfinished_too=True)
            self._write_traceback()
            told = StudioError(
                f"The render met an error it should not have: {type(error).__name__}: {error}.",
                f"The plan is as it was. What happened is in {take.id}/{ERROR_NAME}; please report it.",
            )
            return self._end("failed", told)
        self._clear(unfinished_too=False)
        done(take.model_copy(deep=True))
        self._check()
        return JobEnd(take, take.message)

    def _rendered(self) -> None:
        """Render to the take's end, with take.json. Raises what ends it otherwise."""
        take, started_s = self.job.take, time.monotonic()
        with rendering(self.folder, LOCK_WAIT_S):
            remove_parts(self.folder)  # of a worker that was killed in the middle of this very take
            with (
                closing(EventLog(self.folder)) as log,
                closing(_Look(self.folder, self.job.scene.settings.kind)) as look,
                closing(render_snapshot(self.files, self.job.scene, take, self.control)) as events,
            ):
                for event in events:
                    look.note(event)
                    if isinstance(event, StageProgress) and log.note(event):
                        self.tell(event)
            take.status = "done"
            take.compute_s = round(time.monotonic() - started_s - self.control.paused_s, 2)
            write_take(self.folder, take, self.job.scene)

    def _end(self, status: TakeStatus, error: StudioError) -> JobEnd:
        take = self.job.take
        take.status, take.message = status, error.message
        return JobEnd(take, error.message, error.remedy)

    def _clear(self, unfinished_too: bool) -> None:
        """The video so far is worth nothing once there is a whole one, or none."""
        names = [GROWING_NAME, *([FRAME_NAME] if unfinished_too else [])]
        for name in names:
            with contextlib.suppress(OSError):
                (self.folder / name).unlink(missing_ok=True)

    def _write_traceback(self) -> None:
        with contextlib.suppress(OSError):
            (self.folder / ERROR_NAME).write_text(traceback.format_exc(), encoding="utf-8")

    def _check(self) -> None:
        """Let the finished take be checked; a check that fails costs the take nothing."""
        take = self.job.take
        try:
            take.report = self._report()
            with rendering(self.folder, LOCK_WAIT_S):
                write_take(self.folder, take, self.job.scene)
        except Exception:
            logger.exception("Take %s could not be checked", take.id)
            take.report = {}

    def _report(self) -> dict[str, object]:
        from engine.jobs.check_take import check_take

        report: dict[str, object] = {}
        self.tell(StageProgress("check", "Checking the video"))
        with closing(EventLog(self.folder)) as log:
            for step in check_take(self.files, self.job.scene, self.job.take):
                if self.control.wanted != "run" and self.control.keep_now():
                    break
                if isinstance(step, StageProgress):
                    step = StageProgress("check", "Checking the video", step.done, step.total)
                    if log.note(step):
                        self.tell(step)
                else:
                    report = step.model_dump(mode="json")
        return report


class _Look:
    """What can be looked at while a take is made: its latest frame, and the video so far where waiting is long."""

    def __init__(self, folder: Path, kind: TakeKind) -> None:
        self._folder = folder
        self._kind = kind
        self._latest = LatestFrame(folder)
        self._growing: GrowingVideo | None = None

    def note(self, event: RenderEvent) -> None:
        if isinstance(event, TakeBegun) and self._is_long(event):
            self._growing = GrowingVideo(self._folder, event.frame_rate, event.sound_path)
        elif isinstance(event, FrameReady | RoughFrame):
            with contextlib.suppress(OSError):
                self._latest.show(event.rgb)
            if self._growing and isinstance(event, FrameReady):
                self._growing.add(event.rgb)
        elif isinstance(event, StageProgress) and event.stage == "finish":
            self.close()

    def close(self) -> None:
        if self._growing:
            self._growing.close()
            self._growing = None

    def _is_long(self, begun: TakeBegun) -> bool:
        return self._kind is not TakeKind.ANIMATIC or begun.num_frames / begun.frame_rate >= GROWING_FROM_S
