"""What the worker does around a render, and how it speaks."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import engine.jobs.check_take
import engine.jobs.growing
import engine.jobs.run_job
from engine.errors import ProjectBusy
from engine.jobs.control import Control, RenderLeft
from engine.jobs.events import StageProgress
from engine.jobs.growing import GrowingVideo
from engine.jobs.job import EventLog, Job, LatestFrame, new_job, read_job, write_job
from engine.jobs.pace import Course
from engine.jobs.run_job import run_job
from engine.media.probe import probe
from engine.media.types import Waveform
from engine.media.write import write_waveform
from engine.project.document import RenderSettings
from engine.project.reading import read_project
from engine.project.store import ProjectFiles, ProjectStore
from engine.project.takes import read_take, remove_take, rendering

SHORT = RenderSettings(height=128, range_s=(0.0, 0.6))


@pytest.fixture(scope="module")
def files(copied: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> ProjectFiles:
    return ProjectFiles(copied(tmp_path_factory.mktemp("worker") / "project"))


@pytest.fixture
def job(files: ProjectFiles) -> Job:
    job = new_job(read_project(files.folder / "project.json").scene, SHORT)
    write_job(files, job)
    return job


def ran(files: ProjectFiles, job: Job) -> engine.jobs.run_job.JobEnd:
    return run_job(files.folder, job.take.id, Control(), lambda event: None, lambda take: None)


def test_an_error_that_nobody_foresaw_is_a_failed_take_with_a_traceback(
    files: ProjectFiles, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> Iterator[StageProgress]:
        yield StageProgress("prepare", "Preparing")
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(engine.jobs.run_job, "render_snapshot", broken)
    end = ran(files, job)
    assert end.take
    assert end.take.status == "failed"
    assert "ZeroDivisionError: a bug" in end.message
    assert "Traceback" in (files.take_folder(job.take.id) / "error.log").read_text()


def test_a_check_that_fails_costs_the_take_nothing(
    files: ProjectFiles, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("no face model")

    monkeypatch.setattr(engine.jobs.check_take, "check_take", broken)
    end = ran(files, job)
    assert end.take
    assert (end.take.status, end.take.report) == ("done", {})
    assert read_take(files.take_folder(job.take.id)).take.status == "done"


def test_a_take_that_nobody_could_note_is_adopted_and_one_that_was_removed_is_not(
    files: ProjectFiles, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.jobs.check_take, "check_take", lambda *arguments: iter(()))
    for other in files.takes_folder.iterdir():
        remove_take(other)
    write_job(files, job)
    assert ran(files, job).take
    folder = files.take_folder(job.take.id)
    with ProjectStore.open(files.folder) as store:
        project, sentences = store.recover(store.load())
        assert ([take.id for take in project.scene.takes], sentences) == ([job.take.id], [])
        store.save(project)
        abandoned = project.model_copy(deep=True)
        abandoned.scene.takes[-1].status = "rendering"
        assert store.recover(abandoned)[0].scene.takes[-1].status == "done"
        assert store.recover(project)[0] == project
        project.scene.takes = []
        (folder / "video.mp4").rename(folder / "away.mp4")
        assert store.recover(project)[0].scene.takes == []
        (folder / "away.mp4").rename(folder / "video.mp4")
        assert store.recover(project)[0].scene.takes != []
        remove_take(folder)
        assert store.recover(project)[0].scene.takes == []


def test_nothing_is_cleared_from_the_cache_under_a_render(files: ProjectFiles) -> None:
    part = files.cache_folder / ".voice.npy.12345678.part"
    part.write_bytes(b"half")
    with ProjectStore.open(files.folder) as store:
        with rendering(files.take_folder("elsewhere")):
            store.recover(store.load())
            assert part.exists()
            with pytest.raises(ProjectBusy):
                remove_take(files.take_folder("elsewhere"))
        store.recover(store.load())
        assert not part.exists()
    remove_take(files.take_folder("elsewhere"))


def test_what_libraries_print_does_not_reach_the_studio() -> None:
    code = (
        "from engine.jobs.worker import _own_output; import os; out = _own_output();"
        "print('stray'); os.system('echo stray'); os.write(1, b'stray'); out.write('{}\\n'); out.flush()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "{}\n"
    assert done.stderr.count("stray") == 3


def test_the_worker_answers_and_ends_with_its_input(tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "engine.jobs.worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    commands = "no json\n[]\n" + json.dumps({"render": str(tmp_path / "nowhere"), "take": "abc"}) + "\n"
    assert worker.stdin
    assert worker.stdout
    worker.stdin.write(commands)
    worker.stdin.flush()
    answers = [json.loads(worker.stdout.readline()) for _ in range(3)]
    assert answers[:2] == [{"ready": True}, {"began": "abc"}]
    assert answers[2]["take"] is None
    assert "is gone" in answers[2]["message"]
    worker.stdin.close()
    assert worker.wait(5) == 0
    assert not (tmp_path / "nowhere").exists()


def test_events_are_throttled_but_every_stage_and_every_end_is_there(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    for stage in ("separate", "render"):
        for done in range(1, 101):
            log.note(StageProgress(stage, "…", done, 100))
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["done"]) for line in lines] == [
        ("separate", 1), ("separate", 100), ("render", 1), ("render", 100),
    ]  # fmt: skip


def test_the_latest_frame_is_small_and_whole(tmp_path: Path) -> None:
    latest = LatestFrame(tmp_path)
    assert latest.show(np.full((720, 1280, 3), 90, np.uint8))
    assert not latest.show(np.zeros((720, 1280, 3), np.uint8)), "at most one per second"
    info = probe(tmp_path / "latest.jpg")
    assert (info.width, info.height) == (640, 360)
    assert [path.name for path in tmp_path.iterdir()] == ["latest.jpg"]


def test_the_growing_video_can_be_played_while_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.jobs.growing, "QUIET_S", 0.2)
    write_waveform(tmp_path / "sound.wav", Waveform(np.zeros(16000 * 8, np.float32), 16000))
    growing = GrowingVideo(tmp_path, 24.0, tmp_path / "sound.wav")
    video, lengths = tmp_path / "growing.mp4", []
    for half in range(2):
        for index in range(48):
            growing.add(np.full((480, 854, 3), 4 * index + half, np.uint8))
        end = time.monotonic() + 30
        while time.monotonic() < end and not (video.exists() and length(video) == pytest.approx(2 + 2 * half, abs=0.2)):
            time.sleep(0.1)
        lengths.append(length(video))
    growing.close()
    assert lengths == [pytest.approx(2, abs=0.2), pytest.approx(4, abs=0.2)]
    info = probe(video)
    assert (info.width, info.height) == (640, 360)
    assert info.sample_rate == 24000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["growing.mp4", "sound.wav"]


def length(video: Path) -> float:
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0)) / 12


def test_pausing_stops_the_clock_and_time_left_follows_the_pace() -> None:
    now_s = [1000.0]  # a clock of its own: a busy machine sleeps longer than it was told
    course = Course(clock=lambda: now_s[0])
    assert course.left_s(None) is None
    assert course.left_s(100) == pytest.approx(100)
    course.note(StageProgress("render", "", 1, 11))
    now_s[0] += 0.1
    course.note(StageProgress("render", "", 2, 11))
    assert course.left_s(None) == pytest.approx(0.9)
    now_s[0] += 0.3
    assert course.left_s(None) == pytest.approx(0.6)
    course.pause(True)
    now_s[0] += 0.2
    assert course.left_s(None) == pytest.approx(0.6)
    course.pause(False)
    assert course.left_s(None) == pytest.approx(0.6)
    now_s[0] += 0.1
    assert course.left_s(None) == pytest.approx(0.5)


def test_what_ended_a_render_cannot_be_taken_back() -> None:
    control = Control()
    control.ask("keep")
    control.ask("run")
    control.ask("pause")
    assert control.keep_now()
    control = Control()
    control.ask("leave")
    control.ask("run")
    with pytest.raises(RenderLeft):
        control.keep_now()


def test_a_job_file_says_whose_take_it_is(files: ProjectFiles, job: Job) -> None:
    from engine.errors import ProjectDamaged

    folder = files.take_folder("another")
    (folder / "job.json").write_bytes((files.take_folder(job.take.id) / "job.json").read_bytes())
    with pytest.raises(ProjectDamaged, match="another take"):
        read_job(folder)
