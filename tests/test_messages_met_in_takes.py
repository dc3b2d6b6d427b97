"""Messages about takes, the queue and videos that no other test of this process meets."""

import json
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Picture

from engine.errors import NoFacesFound, RenderCancelled, StudioError, UnreadableMedia
from engine.jobs.control import Control, RenderLeft
from engine.jobs.kept_queue import QUEUE_NAME, QueuedJob, QueueDocument
from engine.media.write import VideoWriter
from engine.project.document import RenderSettings, Scene, Take
from engine.project.store import ProjectFiles, ProjectStore
from engine.project.takes import write_take


def told(words: str, kind: type[StudioError] = StudioError):
    return pytest.raises(kind, match=words)


def small_video(path: Path, size: tuple[int, int] = (64, 36), num_frames: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, size, 25) as writer:
        for index in range(num_frames):
            writer.write(np.full((size[1], size[0], 3), 40 * index, np.uint8))
    return path


def finished(folder: Path, message: str = "", scene: Scene | None = None) -> tuple[QueuedJob, Take]:
    """A job of a project in ``folder``, and its take, which says that it is done."""
    settings = RenderSettings()
    take = Take(id="t", settings=settings, status="done", video_path="takes/t/video.mp4", message=message)
    write_take(ProjectFiles(folder).take_folder("t"), take, scene or Scene())
    return QueuedJob(project_folder=str(folder), take_id="t", kind=settings.kind, status="running", began=True), take


def test_a_render_that_is_cancelled_or_put_aside_hears_it_between_frames():
    control = Control()
    assert not control.keep_now()
    control.ask("leave")
    with told("Put aside", RenderLeft):
        control.keep_now()
    control.ask("cancel")
    with told("^Cancelled.$", RenderCancelled):
        control.keep_now()


def test_a_render_that_was_put_aside_while_it_was_cancelled_counts_as_cancelled(tmp_path):
    from engine.jobs.runner import Runner

    heard = []
    runner = object.__new__(Runner)  # without its process
    worker = SimpleNamespace()
    job = QueuedJob(project_folder=str(tmp_path), take_id="t", kind="animatic")
    runner._lock, runner._closed, runner._worker = threading.RLock(), False, worker
    runner._events = SimpleNamespace(finished=lambda *told: heard.append(told))
    runner.job, runner.ending = job, "cancel"
    runner._heard(worker, {"left": "t"})
    ((ended, take, error),) = heard
    assert (ended, take, error.message) == (job, None, "Cancelled.")
    assert runner.job is None


def test_a_process_that_died_after_the_take_was_done_loses_nothing(tmp_path):
    from engine.jobs.runner import _after_death

    job, take = finished(tmp_path, "Done, without captions.")
    kept, told_to_all = _after_death(job, StudioError("The render process ended."), cancelled=False)
    assert kept is not None
    assert kept.id == take.id
    assert told_to_all.message == "Done, without captions."


def test_a_take_that_was_done_when_the_studio_died_is_found_at_the_next_start(tmp_path, monkeypatch):
    from engine.jobs import queue

    job, _ = finished(tmp_path / "project", "Done, without captions.")
    (tmp_path / "queue").mkdir()
    document = QueueDocument(held=True, jobs=[job])
    (tmp_path / "queue" / QUEUE_NAME).write_text(document.model_dump_json())
    idle = SimpleNamespace(job=None, course=SimpleNamespace(), close=lambda: None)
    monkeypatch.setattr(queue, "Runner", lambda *_: idle)
    noted = []
    again = queue.RenderQueue(tmp_path / "queue", lambda folder, take: noted.append(take.id))
    try:
        (view,) = again.jobs()
    finally:
        again.close()
    assert (view.status, view.message) == ("done", "Done, without captions.")
    assert noted == ["t"]


def test_an_old_take_of_another_size_is_not_patched(tmp_path):
    from engine.jobs.redo import redone_footage

    finished(tmp_path)
    files = ProjectFiles(tmp_path)
    small_video(files.take_folder("t") / "video.mp4")
    plan = SimpleNamespace(scene=Scene(), settings=RenderSettings(), framing=SimpleNamespace(size=(640, 360)))
    with told("another size than its settings say"):
        redone_footage(files, plan, Take(settings=RenderSettings(), redo_of="t"))


def test_a_video_of_another_shape_is_not_checked_against_a_take(tmp_path):
    from engine.jobs.analyse import add_photo
    from engine.jobs.check_video import check_file_of_project

    Picture.fromarray(np.zeros((300, 300, 3), np.uint8)).save(tmp_path / "square.png")
    with ProjectStore.create(tmp_path / "p") as store:
        project = store.load()
        add_photo(store, project, tmp_path / "square.png")
        _, take = finished(store.folder, scene=project.scene)
        project.scene.takes = [take]
        store.save(project)
    with told("'wide.mp4' has another shape than take t"):
        list(check_file_of_project(tmp_path / "p", small_video(tmp_path / "wide.mp4", (320, 90))))


def test_a_video_that_breaks_after_it_was_looked_at_is_told(tmp_path):
    from engine.evaluation.video import frames_of, look_at

    facts = look_at(small_video(tmp_path / "a.mp4"))
    (tmp_path / "a.mp4").write_bytes(b"\0" * 2000)
    with told("'a.mp4' cannot be decoded", UnreadableMedia):
        list(frames_of(facts))


def test_faces_that_no_mesh_fits_are_told(monkeypatch):
    from engine.evaluation import mouths

    monkeypatch.setattr(mouths, "detect_faces", lambda image: SimpleNamespace(faces=["face-1"], details={}))
    with told("No face of the first frame can be followed", NoFacesFound):
        mouths.track_faces([np.zeros((90, 160, 3), np.uint8)])


def test_videos_that_the_annotations_do_not_name_are_named(tmp_path):
    from engine.jobs.evaluate_folder import BenchmarkOrder, evaluate_folder

    small_video(tmp_path / "videos" / "other.mp4")
    (tmp_path / "a.json").write_text(json.dumps({"one": {"left": [[0.0, 1.0]]}}))
    *_, figures = evaluate_folder(BenchmarkOrder(tmp_path / "videos", tmp_path / "a.json"))
    assert ("other.mp4", "The annotations do not name it.") in figures.failed
    assert ("one", "There is no video of this name.") in figures.failed
