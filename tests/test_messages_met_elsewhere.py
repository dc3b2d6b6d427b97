"""More messages that no other test of this process meets: of the command line, the check, the networks' files."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Picture

from engine import check_cli, cli, demo, export_cli
from engine.analysis.rttm import MOST_BYTES, read_rttm
from engine.bench.check import bench_check
from engine.demo import demo_dialogue
from engine.errors import (
    ModelMissing,
    NoFacesFound,
    OutOfMemory,
    StudioError,
    UnreadableMedia,
    UnusableCheckpoint,
    WriteFailed,
)
from engine.jobs import evidence
from engine.project.document import MediaInfo, RenderSettings, Scene, Take
from engine.project.store import ProjectStore


def told(words: str, kind: type[StudioError] = StudioError):
    return pytest.raises(kind, match=words)


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_the_command_line_says_how_an_option_is_written(tmp_path):
    with told("needs --dialogue, or --voice"):
        cli.new(tmp_path / "p", tmp_path / "a.png")
    with told("is not NAME=FILE"):
        cli._named("Ada")
    with told("is not the name of an mp4"):
        cli.render(tmp_path / "p", out=tmp_path / "x.avi")
    with told("is not A:B in seconds"):
        cli._range("soon")
    with told("does not go forward"):
        cli._range("8:2")
    with told("is no GPU"):
        cli.plan(tmp_path / "p", vram=-1)
    ProjectStore.create(tmp_path / "p").close()
    with told("An animatic needs no plan"):
        cli.plan(tmp_path / "p", preset="animatic")
    with told("is no loudness"):
        export_cli._loudness("loud")
    with told("has no finished take"):
        export_cli._take(Scene(), "the newest")
    done = [Take(id=f"ab{n}", settings=RenderSettings(), status="done", video_path="x") for n in (1, 2)]
    with told("names 2 finished takes"):
        export_cli._take(Scene(takes=done), "ab")
    with told("knows its voices and turns"):
        check_cli.check(tmp_path / "x.mp4", project=tmp_path / "p", voices=["Ada=a.wav"])
    with told("is not NAME=FILE"):
        check_cli.named("=x")
    with told("needs --videos and --annotations"):
        check_cli.evaluate(SimpleNamespace(invoked_subcommand=None))


def test_what_a_check_cannot_take_is_told(tmp_path):
    from engine.evaluation.benchmark import MAX_BYTES, read_annotations
    from engine.evaluation.mouths import track_faces
    from engine.jobs.check_video import MAX_VOICES, VideoOrder, _heard, take_of_video

    with told("too large for an RTTM", UnreadableMedia):
        read_rttm(sparse(tmp_path / "x.rttm", MOST_BYTES + 1))
    with told("too large for annotations", UnreadableMedia):
        read_annotations(sparse(tmp_path / "x.json", MAX_BYTES + 1))
    (tmp_path / "y.json").write_text("{")
    with told("cannot be read as JSON", UnreadableMedia):
        read_annotations(tmp_path / "y.json")
    with told("can be followed|no face|No face", NoFacesFound):
        track_faces([np.full((120, 160, 3), 90, np.uint8)])
    with told("voices are too many"):
        _heard(VideoOrder(tmp_path / "x.mp4", [("a", tmp_path)] * (MAX_VOICES + 1), None), None)
    ProjectStore.create(tmp_path / "p").close()
    with told("has no finished take"):
        take_of_video(tmp_path / "p", tmp_path / "x.mp4")
    with told("has no photos/"):
        bench_check(tmp_path, tmp_path, 1)


def test_folders_without_videos_are_told(tmp_path):
    from engine.jobs.evaluate_folder import BenchmarkOrder, evaluate_folder, videos_in

    with told("is not a folder", UnreadableMedia):
        videos_in(tmp_path / "none")
    (tmp_path / "videos").mkdir()
    annotations = tmp_path / "a.json"
    annotations.write_text(json.dumps({"one": {}}))
    with told("There is no video|names no videos|cannot", UnreadableMedia):
        list(evaluate_folder(BenchmarkOrder(tmp_path / "videos", annotations)))


def test_an_empty_project_says_what_it_lacks(tmp_path):
    with ProjectStore.create(tmp_path / "p") as store:
        with told("no photo yet", UnreadableMedia):
            evidence.photo_of(store, Scene())
        with told("has no recording", UnreadableMedia):
            evidence.recording(store, Scene())


def test_the_demo_takes_no_folder_that_is_somebodys(tmp_path):
    from engine.jobs.demo_project import demo_store

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "letter.txt").touch()
    with told("holds other files", WriteFailed):
        demo_store(tmp_path / "a")
    ProjectStore.create(tmp_path / "b", "Mine").close()
    with told("holds a project of yours", WriteFailed):
        demo_store(tmp_path / "b")


def test_missing_demo_material_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    with told("is not here", ModelMissing):
        demo_dialogue()
    (tmp_path / "x.png").write_bytes(b"no picture")
    monkeypatch.setattr(demo, "carrier_file", lambda *parts: tmp_path / "x.png")
    with told("cannot be read", UnreadableMedia):
        demo._read_portrait("x.png")


def test_weights_that_say_too_little_are_told(tmp_path):
    from engine.dit.checkpoint_names import _shape
    from engine.dit.checkpoints import _indexed
    from engine.dit.speech_files import _json

    with told("should have 2 dimensions", UnusableCheckpoint):
        _shape({}, "a.weight", 2)
    (tmp_path / "index.json").write_text('{"weight_map": 7}')
    with told("which file holds which tensor", UnusableCheckpoint):
        _indexed(tmp_path / "index.json")
    (tmp_path / "config.json").write_text("[]")
    with told("does not describe a model", UnusableCheckpoint):
        _json(tmp_path / "config.json")


def test_what_the_hub_does_not_say_is_told(monkeypatch):
    from engine.dit import fetching, hub

    for size, words in ((None, "does not say how large"), (10**12, "more than the hub gives")):
        answer = SimpleNamespace(size=size, etag="x")
        monkeypatch.setattr(hub, "get_hf_file_metadata", lambda url, answer=answer: answer)
        with told(words, ModelMissing):
            hub.look_up("somebody/weights", "a.safetensors")
    monkeypatch.setattr(fetching.hub, "list_files", lambda repository: ["readme.md"])
    part = SimpleNamespace(repository="somebody/weights", page="https://example.org")
    with told("has no weights called", ModelMissing):
        fetching._names(part, SimpleNamespace(name="*.safetensors"))


def test_memory_that_runs_out_and_gpus_that_cannot_share_are_told():
    from engine.dit.crew import Crew
    from engine.dit.pipeline import told_out_of_memory

    with told("memory ran out", OutOfMemory), told_out_of_memory():
        raise MemoryError
    with told("the whole network fits"):
        Crew(SimpleNamespace(plan=SimpleNamespace(offload="blocks")))


def test_videos_that_break_off_are_told(tmp_path):
    from engine.evaluation.video import look_at
    from engine.media.frames import VideoInside, frames_of, look_into

    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"\0\0\0\x18ftypmp42" + b"x" * 200)
    with told("damaged or not finished", UnreadableMedia):
        look_into(bad)
    with (
        told("cannot be decoded|damaged after", UnreadableMedia),
        frames_of(bad, VideoInside((8, 8), 2, 25, False)) as f,
    ):
        list(f)
    Picture.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "tiny.gif")
    with told("pixels|not a video|no pictures", UnreadableMedia):
        look_at(tmp_path / "tiny.gif")


def test_a_damaged_photo_is_told(tmp_path):
    from engine.media.probe import open_photo

    path = tmp_path / "a.png"
    Picture.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:20000])
    with told("is damaged", UnreadableMedia), open_photo(path) as picture:
        picture.load()


def test_a_job_whose_project_is_gone_is_told(tmp_path):
    from engine.jobs.control import Control
    from engine.jobs.run_job import run_job

    end = run_job(tmp_path / "gone", "take", Control(), lambda *_: None, lambda *_: None)
    assert "is gone" in str(end)


def test_a_take_of_other_media_is_not_redone():
    from engine.jobs.redo import _check_same_media
    from engine.project.document import MediaRef, VoiceFile

    info = MediaInfo(kind="audio", duration_s=1)
    scene = Scene(voices=[VoiceFile(speaker_id="a", media=MediaRef(path="media/a", sha256="1", info=info))])
    with told("made of other recordings"):
        _check_same_media(scene, Scene())


def test_a_project_that_is_not_there_is_told_by_the_page(tmp_path):
    from app import api, texts
    from app.desk import Desks
    from app.errands import Errands
    from app.panels import takes, top
    from app.visitor import visitor_of

    with told("cookie"):
        visitor_of(SimpleNamespace(headers={}, cookies={}))
    desks = Desks(tmp_path / "projects")
    desk = desks.of("")
    try:
        name = desk.current.folder.name
        for asked, words in (
            (lambda: api._render(desk, name, "cinema", 0, 0), "no kind of take"),
            (lambda: api._download(desk, name, "none", "h264", "photo", "none"), "no finished take"),
            (lambda: takes._export(desk, ""), "no finished take"),
        ):
            with told(words):
                asked()
        desk.current.tell("Broken.", "Mend it.", is_problem=True)
        with told("Broken"):
            api._analyse(desk, name, 0)
        desk.current.put_take(Take(id="t", settings=RenderSettings(), status="done"))
        with told(texts.NO_EXPORT):
            api._download(desk, name, "t", "exe", "photo", "none")
        desk.jobs = lambda: [SimpleNamespace(take_id="t", status="running")]  # type: ignore[method-assign]
        from app.doings import do

        with told(texts.TAKE_IN_WORK):
            do(desk, {"do": "delete_take", "take_id": "t"})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("engine.jobs.models.list_models", list)
            with told(texts.NETWORKS_HERE):
                top._get(desk, None)
    finally:
        desks.close()
    errands = Errands()

    def endless():
        import time

        while True:
            time.sleep(0.01)
            yield SimpleNamespace(stage="x")

    errands.start("export", endless(), lambda end: None)
    with told(texts.WORKING):
        errands.start("export", endless(), lambda end: None)
    errands.cancel("export")
