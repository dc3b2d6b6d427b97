"""A render as a file: takes/<id>/job.json says what is wanted, events.jsonl what happened, latest.jpg shows it."""

import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from engine.errors import ProjectDamaged
from engine.jobs.events import StageProgress
from engine.jobs.model_settings import settings_of_model
from engine.project.atomic import write_bytes, write_failed
from engine.project.document import Document, RenderSettings, Scene, Take
from engine.project.reading import MAX_DOCUMENT_BYTES
from engine.project.store import ProjectFiles
from engine.project.takes import inputs_sha256

JOB_NAME = "job.json"
EVENTS_NAME = "events.jsonl"
FRAME_NAME = "latest.jpg"
GROWING_NAME = "growing.mp4"
ERROR_NAME = "error.log"

EVENT_EVERY_S = 0.25
FRAME_EVERY_S = 1.0
FRAME_WIDTH_PX = 640


class Job(Document):
    """job.json: the take that is wanted and the whole scene it is made of, as both were when it was ordered."""

    take: Take
    scene: Scene
    title: str = ""
    owner: str = ""


def new_job(scene: Scene, settings: RenderSettings, title: str = "", owner: str = "") -> Job:
    """A job for a new take of a snapshot of ``scene`` with ``settings``."""
    from engine import __version__

    settings = settings_of_model(settings)
    scene = scene.model_copy(update={"settings": settings, "takes": []}, deep=True)
    take = Take(settings=settings, engine_version=__version__, inputs_sha256=inputs_sha256(scene, settings))
    return Job(take=take, scene=scene, title=title, owner=owner)


def as_redo(job: Job, redo_of: str, range_s: tuple[float, float] | None) -> Job:
    """``job`` as a redo of ``range_s`` of another take."""
    decides = f"{job.take.inputs_sha256} {redo_of} {range_s}"
    changed = {
        "redo_of": redo_of,
        "redo_range_s": range_s,
        "inputs_sha256": hashlib.sha256(decides.encode()).hexdigest(),
    }
    return job.model_copy(update={"take": job.take.model_copy(update=changed)})


def duplicated(job: Job) -> Job:
    """The same once more, for another take."""
    fresh, old = new_job(job.scene, job.take.settings, job.title, job.owner), job.take
    return as_redo(fresh, old.redo_of, old.redo_range_s) if old.redo_of else fresh


def write_job(files: ProjectFiles, job: Job) -> None:
    """Write job.json into the take's folder, made if needed. Raises WriteFailed."""
    write_bytes(files.take_folder(job.take.id) / JOB_NAME, job.model_dump_json(indent=2).encode())


def read_job(folder: Path) -> Job:
    """The job in a take's folder. Raises ProjectDamaged."""
    path = folder / JOB_NAME
    try:
        with path.open("rb") as file:
            job = Job.model_validate_json(file.read(MAX_DOCUMENT_BYTES))
    except (OSError, ValidationError) as error:
        raise ProjectDamaged(f"{path} cannot be read.", "Render again from the project as it is now.") from error
    if job.take.id != folder.name:
        raise ProjectDamaged(f"{path} belongs to another take.", "Render again from the project as it is now.")
    return job


class EventLog:
    """events.jsonl: a line for every new stage and, in between, a few per second: who looks anew finds where it is."""

    def __init__(self, folder: Path) -> None:
        path = folder / EVENTS_NAME
        try:
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise write_failed(path, error) from error
        self._last = StageProgress("", "")
        self._written_s = 0.0

    def note(self, event: StageProgress) -> bool:
        """Write ``event`` unless the last line is too young; whether it was written."""
        now_s = time.monotonic()
        is_last = event.total > 0 and event.done >= event.total
        if event.stage == self._last.stage and not is_last and now_s - self._written_s < EVENT_EVERY_S:
            return False
        self._last, self._written_s = event, now_s
        self._file.write(json.dumps({**asdict(event), "time": round(time.time(), 2)}, ensure_ascii=False) + "\n")
        self._file.flush()
        return True

    def close(self) -> None:
        self._file.close()


class LatestFrame:
    """latest.jpg: the newest picture, small, at most one per second; whole at every moment."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FRAME_NAME
        self._part = folder / f".{FRAME_NAME}.part"
        self._written_s = 0.0

    def show(self, rgb: NDArray[np.uint8]) -> bool:
        """Write (height, width, 3) ``rgb`` unless the last one is too young; whether it was written."""
        import cv2

        now_s = time.monotonic()
        if now_s - self._written_s < FRAME_EVERY_S:
            return False
        self._written_s = now_s
        bgr = cv2.cvtColor(_at_most(rgb, FRAME_WIDTH_PX), cv2.COLOR_RGB2BGR)
        coded, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])
        if coded:
            # No fsync, unlike everything that has to last: this one is replaced in a second.
            self._part.write_bytes(jpeg.tobytes())
            self._part.replace(self._path)
        return bool(coded)


def _at_most(rgb: NDArray[np.uint8], width_px: int) -> NDArray[np.uint8]:
    import cv2

    height, width = rgb.shape[:2]
    if width <= width_px:
        return np.ascontiguousarray(rgb)
    size = (width_px, max(1, round(height * width_px / width)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
