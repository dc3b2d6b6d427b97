"""The queue with a real worker process, real animatics, and everything that can happen to either."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import pytest

from engine.errors import NoSpeechFound, StudioError, UnreadableMedia
from engine.jobs.job import read_job
from engine.jobs.queue import JobOrder, JobView, RenderQueue
from engine.media.probe import probe
from engine.project.document import RenderSettings, Scene, Take
from engine.project.reading import read_project
from engine.project.takes import read_take

SHORT = RenderSettings(height=128, range_s=(0.0, 1.0))
LONG = RenderSettings(height=256, frame_rate=60)  # 240 frames: some seconds of work


@dataclass
class Desk:
    """A queue, the projects it renders, and what it told of their takes."""

    queue: RenderQueue
    one: Path
    two: Path
    told: list[tuple[Path, Take]] = field(default_factory=list)

    def add(self, settings: RenderSettings, folder: Path | None = None, title: str = "") -> str:
        folder = folder or self.one
        return self.queue.add(folder, scene_of(folder), settings, JobOrder(title=title, owner="me"))

    def view(self, job_id: str) -> JobView:
        return next(view for view in self.queue.jobs() if view.id == job_id)

    def take(self, job_id: str) -> Take:
        """As it was told of last."""
        self.until(lambda: any(take.id == self.view(job_id).take_id for _, take in self.told))
        return [take for _, take in self.told if take.id == self.view(job_id).take_id][-1]

    def until(self, true: Callable[[], bool], within_s: float = 60) -> None:
        end = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < end, self.queue.jobs()
            time.sleep(0.02)

    def until_status(self, job_id: str, *statuses: str) -> JobView:
        self.until(lambda: self.view(job_id).status in statuses)
        return self.view(job_id)

    def until_drawing(self, job_id: str, num_frames: int = 10) -> None:
        progress = lambda: self.view(job_id).progress  # noqa: E731
        self.until(lambda: progress().stage == "render" and progress().done >= num_frames)


def scene_of(folder: Path) -> Scene:
    return read_project(folder / "project.json").scene


@pytest.fixture(scope="module")
def open_desk(tmp_path_factory: pytest.TempPathFactory, copied: Callable[[Path], Path]) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("queue")
    told: list[tuple[Path, Take]] = []
    queue = RenderQueue(folder / "studio", lambda place, take: told.append((place, take)))
    yield Desk(queue, copied(folder / "one"), copied(folder / "two"), told)
    queue.close()


@pytest.fixture
def desk(open_desk: Desk) -> Iterator[Desk]:
    yield open_desk
    open_desk.queue.hold(False)
    for view in open_desk.queue.jobs():
        if view.status in ("waiting", "running", "paused", "stopping"):
            open_desk.queue.cancel(view.id)
    open_desk.until(lambda: all(v.status in ("done", "failed", "cancelled") for v in open_desk.queue.jobs()))


def test_renders_of_two_projects_one_after_the_other_and_one_that_fails_disturbs_no_other(desk: Desk) -> None:
    desk.queue.hold(True)
    before = desk.queue.version
    first = desk.add(SHORT, desk.one, "First")
    failing = desk.add(SHORT, desk.two, "Failing")
    last = desk.add(SHORT, desk.two, "Last")
    assert [view.title for view in desk.queue.jobs("me")][:3] == ["First", "Failing", "Last"]
    assert desk.queue.jobs("somebody else") == []
    # What is rendered is the snapshot; nothing of the studio's later changes reaches it.
    broken = read_job(desk.two / "takes" / desk.view(failing).take_id)
    broken.scene.photo.path = "media/lost.png"
    (desk.two / "takes" / broken.take.id / "job.json").write_text(broken.model_dump_json())
    desk.queue.hold(False)
    assert desk.until_status(last, "done").project_folder == desk.two
    assert desk.view(first).status == "done"
    assert desk.view(failing).status == "failed"
    assert "is missing" in desk.view(failing).message
    assert desk.view(failing).remedy
    assert desk.queue.version > before
    statuses = [take.status for place, take in desk.told if take.id == desk.view(first).take_id]
    assert (statuses[0], statuses[-1]) == ("rendering", "done")
    assert desk.take(first).report["verdict"], "the worker checks what it rendered"
    record = read_take(desk.one / "takes" / desk.view(first).take_id)
    assert (record.take.status, record.take.duration_s) == ("done", 1.0)
    assert record.take.report == desk.take(first).report
    assert probe(desk.one / record.take.video_path).duration_s == pytest.approx(1.0, abs=0.04)
    lines = (desk.one / "takes" / record.take.id / "events.jsonl").read_text().splitlines()
    assert {json.loads(line)["stage"] for line in lines} >= {"prepare", "render", "finish", "check"}
    assert desk.view(first).frame is not None
    assert desk.view(first).growing is None


def test_what_cannot_be_rendered_is_refused_when_it_is_ordered(desk: Desk) -> None:
    scene = scene_of(desk.one)
    with pytest.raises(NoSpeechFound):
        desk.queue.add(desk.one, scene.model_copy(update={"turns": []}), SHORT)
    assert scene.photo
    lost = scene.model_copy(update={"photo": scene.photo.model_copy(update={"path": "media/lost.png"})})
    with pytest.raises(UnreadableMedia):
        desk.queue.add(desk.one, lost, SHORT)
    with pytest.raises(StudioError, match="no longer in the queue"):
        desk.queue.cancel("nobody")


def test_a_paused_render_makes_room_and_goes_on_later(desk: Desk) -> None:
    long = desk.add(LONG)
    desk.until_drawing(long)
    desk.queue.pause(long)

    def stands() -> bool:
        stood = desk.view(long).progress
        time.sleep(0.5)
        return desk.view(long).progress == stood

    desk.until(stands)  # the frame in hand is drawn to its end
    stood = desk.view(long).progress
    time.sleep(0.5)
    assert desk.view(long).status == "paused"
    assert desk.view(long).progress == stood
    desk.queue.resume(long)
    desk.until(lambda: desk.view(long).progress.done > stood.done)
    desk.queue.pause(long)
    short = desk.add(SHORT)
    desk.until(lambda: desk.take(short).status == "done")
    assert desk.view(long).status == "paused"
    desk.queue.cancel(short)  # its check; the take stays
    desk.queue.resume(long)
    desk.until_drawing(long)
    assert desk.view(long).left_s is not None


def test_stopped_and_kept_it_is_as_long_as_what_there_is_picture_and_sound(desk: Desk) -> None:
    job = desk.add(LONG.model_copy(update={"captions": "burnt-in"}))
    desk.until_drawing(job, 60)
    desk.queue.pause(job)  # kept from a pause, too
    desk.queue.stop_and_keep(job)
    view = desk.until_status(job, "done", "failed")
    take = desk.take(job)
    assert take.status == "done"
    assert 60 <= take.duration_s * 60 < 240
    assert view.message.startswith(f"Stopped after {take.duration_s:.1f} s of 4.0 s.")
    with av.open(str(desk.one / take.video_path)) as container:
        num_frames = sum(1 for _ in container.decode(video=0))
        container.seek(0)
        num_samples = sum(frame.samples for frame in container.decode(audio=0))
        sound_s = float(container.streams.audio[0].duration * container.streams.audio[0].time_base)
    assert num_frames == round(take.duration_s * 60)
    assert sound_s == pytest.approx(take.duration_s, abs=0.002)
    assert num_samples / 16000 == pytest.approx(take.duration_s, abs=0.07)  # whole AAC frames
    from engine.compositing.provenance import read_mark

    assert read_mark(desk.one / take.video_path)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_worker_costs_one_render_and_says_so(desk: Desk) -> None:
    victim, other = desk.add(LONG, desk.one), desk.add(SHORT, desk.two)
    desk.until_drawing(victim)
    process = desk.queue.worker_process_id
    os.kill(process, signal.SIGKILL)
    view = desk.until_status(victim, "failed")
    assert "ended (signal 9), most likely for want of memory" in view.message
    assert "press Render again" in view.remedy
    assert desk.take(victim).status == "failed"
    desk.until(lambda: desk.take(other).status == "done")
    assert desk.queue.worker_process_id not in (0, process)
    folder = desk.one / "takes" / view.take_id
    assert not [path for path in folder.iterdir() if path.suffix in (".part", ".mp4")]


def test_a_cancelled_render_leaves_no_video(desk: Desk) -> None:
    running, waiting = desk.add(LONG), desk.add(LONG)
    desk.until_drawing(running)
    desk.queue.cancel(waiting)
    assert desk.view(waiting).status == "cancelled"
    desk.queue.cancel(running)
    desk.until_status(running, "cancelled")
    assert desk.take(running).status == "cancelled"
    assert not list((desk.one / "takes" / desk.view(running).take_id).glob("*.mp4"))


def test_the_order_can_be_changed_and_jobs_doubled_and_removed(desk: Desk) -> None:
    desk.queue.hold(True)
    a, b, c = (desk.add(SHORT, title=title) for title in "abc")
    desk.queue.move(c, 0)
    desk.queue.move(a, 9)
    copy = desk.queue.duplicate(b)
    assert [view.title for view in desk.queue.jobs() if view.status == "waiting"] == ["c", "b", "a", "b"]
    one, two = desk.view(b), desk.view(copy)
    assert one.take_id != two.take_id
    assert read_job(desk.one / "takes" / one.take_id).scene == read_job(desk.one / "takes" / two.take_id).scene
    desk.queue.pause(c)
    for job in (a, copy):
        desk.queue.remove(job)
    assert not (desk.one / "takes" / two.take_id).exists()
    desk.queue.hold(False)
    desk.until_status(b, "done")
    assert desk.view(c).status == "paused"
    desk.queue.remove(b)
    assert (desk.one / "takes" / one.take_id / "video.mp4").exists(), "the take stays"
    assert b not in [view.id for view in desk.queue.jobs()]


def test_a_turn_of_a_take_is_redone_through_the_queue(desk: Desk) -> None:
    whole = desk.add(SHORT)
    desk.until_status(whole, "done")
    scene, order = scene_of(desk.one), JobOrder(redo_of=desk.view(whole).take_id, redo_range_s=(0.4, 0.8))
    redo = desk.queue.add(desk.one, scene, RenderSettings(height=480), order)
    assert desk.view(redo).range_s == (0.4, 0.8)
    desk.until_status(redo, "done")
    take = desk.take(redo)
    assert (take.redo_of, take.redo_range_s, take.duration_s) == (order.redo_of, (0.4, 0.8), 1.0)
    assert (take.settings.height, take.settings.seed) == (SHORT.height, SHORT.seed + 1)
    with pytest.raises(StudioError, match="is gone"):
        desk.queue.add(desk.one, scene, SHORT, JobOrder(redo_of="nobody"))


def test_a_project_whose_folder_is_gone_fails_in_words(
    desk: Desk, copied: Callable[[Path], Path], tmp_path: Path
) -> None:
    desk.queue.hold(True)
    job = desk.add(SHORT, copied(tmp_path / "three"))
    (tmp_path / "three").rename(tmp_path / "elsewhere")
    desk.queue.hold(False)
    view = desk.until_status(job, "failed")
    assert "is gone" in view.message
    assert not (tmp_path / "three").exists()


def test_what_ran_goes_on_first_after_a_restart(copied: Callable[[Path], Path], tmp_path: Path) -> None:
    project, told = copied(tmp_path / "project"), []
    queue = RenderQueue(tmp_path / "studio", lambda place, take: told.append(take))
    desk = Desk(queue, project, project)
    running, waiting = desk.add(LONG), desk.add(SHORT)
    desk.until_drawing(running)
    take_id = desk.view(running).take_id
    queue.hold(True)
    began_s = time.monotonic()
    queue.close()
    assert time.monotonic() - began_s < 5
    assert not (project / "takes" / take_id / "video.mp4").exists()
    desk.queue = queue = RenderQueue(tmp_path / "studio", lambda place, take: told.append(take))
    try:
        assert queue.held
        assert [(view.id, view.status) for view in queue.jobs()] == [(running, "waiting"), (waiting, "waiting")]
        queue.hold(False)
        desk.until_drawing(running)
        assert desk.view(running).take_id == take_id
        queue.cancel(running)
        desk.until_status(waiting, "running")
    finally:
        queue.close()


def test_a_damaged_list_is_set_aside_with_a_remark(tmp_path: Path) -> None:
    (tmp_path / "queue.json").write_text('{"jobs": [{"id": 3')
    queue = RenderQueue(tmp_path, lambda place, take: None)
    try:
        assert queue.jobs() == []
        assert "damaged" in queue.remarks[0]
        assert [path.read_text() for path in tmp_path.glob("queue.damaged-*.json")] == ['{"jobs": [{"id": 3']
        second = RenderQueue(tmp_path, lambda place, take: None)  # another studio in the same folder
        assert "Another studio" in second.remarks[0]
        second.close()
    finally:
        queue.close()
