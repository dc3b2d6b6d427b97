"""More messages that no other test of this process meets: of recordings, videos and renders."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Picture

from engine.errors import (
    StudioError,
    UnreadableMedia,
)
from engine.project.document import MediaInfo, Project, RenderSettings, Scene, Take
from engine.project.store import ProjectStore


def told(words: str, kind: type[StudioError] = StudioError):
    return pytest.raises(kind, match=words)


def test_nothing_said_in_any_of_several_recordings_is_told(tmp_path):
    import soundfile

    from engine.jobs.analyse import add_voices, find_voices

    soundfile.write(tmp_path / "a.wav", np.zeros(32000), 16000)
    with ProjectStore.create(tmp_path / "p") as store:
        project: Project = store.load()
        add_voices(store, project, [("A", tmp_path / "a.wav"), ("B", tmp_path / "a.wav")])
        with told("None of the recordings|No speech"):
            list(find_voices(store, project))


def test_how_renders_end_badly_is_told(tmp_path, monkeypatch):
    from engine.jobs import diffuse
    from engine.jobs.queue import _nothing_to_render
    from engine.jobs.render_scene import _nothing_to_keep
    from engine.jobs.runner import _after_death, _told_death

    with told("nothing to keep"):
        raise _nothing_to_keep()
    ended = _told_death(SimpleNamespace(returncode=3, last_words=lambda: "out of paper"))
    assert "status 3" in ended.message
    assert "out of paper" in ended.message
    ProjectStore.create(tmp_path / "p").close()
    job = SimpleNamespace(folder=tmp_path / "p", take_folder=tmp_path / "p" / "takes" / "t", take_id="t")
    take, cancelled = _after_death(job, ended, cancelled=True)
    assert (take, cancelled.message) == (None, "Cancelled.")
    assert "cannot be read" in _nothing_to_render(job).message
    monkeypatch.setattr(diffuse, "this_machine", lambda: SimpleNamespace(gpus=[1]))
    with told("2 GPUs are wanted, 1 are there"):
        diffuse._check_gpus(2)


def test_a_take_that_cannot_be_redone_says_why(tmp_path):
    from engine.jobs.redo import _check_same_frame, _old_take
    from engine.project.document import Face, MediaRef
    from engine.project.takes import TakeRecord, write_take

    take = Take(id="t", settings=RenderSettings(), status="cancelled")
    with ProjectStore.create(tmp_path / "p") as store:
        write_take(store.take_folder("t"), take, Scene())
        (store.take_folder("t") / "video.mp4").touch()
        with told("never finished"):
            _old_take(store, "t")
    photo = MediaRef(path="media/a", sha256="1", info=MediaInfo(kind="image", width=1600, height=900))
    faces = [Face(id="face-1", name="A", colour="#fff", box_px=(x, 300, x + 100, 420)) for x in (100, 1300)]
    settings = RenderSettings(aspect="9:16")
    scenes = [Scene(photo=photo, faces=[face]) for face in faces]
    with told("the picture is cut differently"):
        _check_same_frame(scenes[0], TakeRecord(take=Take(settings=settings), scene=scenes[1]), settings)


def test_sound_that_is_no_sound_is_told_wherever_it_is_read(tmp_path, monkeypatch):
    from engine.compositing.loudness import _write
    from engine.jobs.listening import _encode
    from engine.media.probe import _check_recording
    from engine.media.read import _decoded_blocks

    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF" + b"x" * 400)
    info = MediaInfo(kind="audio", sample_rate=16000, num_channels=1, duration_s=1)
    with told("cannot be read", UnreadableMedia):
        _encode(bad, tmp_path / "x.m4a")
    with told("cannot be decoded", UnreadableMedia):
        list(_decoded_blocks(bad, info, 16000))
    with told("cannot be decoded", UnreadableMedia):
        _write(bad, tmp_path / "y.wav", 0.0, False)
    with told("says it has 1 channels at 5 Hz", UnreadableMedia):
        _check_recording(bad, info.model_copy(update={"sample_rate": 5}))
    monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with told("cannot be read: Permission denied", UnreadableMedia):
        from engine.project.store import _sha256

        _sha256(bad)


def test_videos_of_odd_sizes_and_lengths_are_told(tmp_path):
    from engine.evaluation.video import MAX_RECORDING_S, _facts

    def container(picture, duration=None):
        stream = SimpleNamespace(
            sample_aspect_ratio=1, average_rate=25, guessed_rate=25, duration=duration, time_base=1
        )
        return SimpleNamespace(decode=lambda _: iter([picture] if picture else []), duration=None), stream

    small, plain = SimpleNamespace(width=4, height=4), SimpleNamespace(width=640, height=360)
    for given, words in (
        (container(None), "no picture that can be decoded"),
        (container(small), "4 × 4 pixels"),
        (container(plain, MAX_RECORDING_S + 60), "minutes"),
    ):
        with told(words, UnreadableMedia):
            _facts(tmp_path / "x.mp4", *given)


def test_the_last_ones_a_creator_may_meet(tmp_path, monkeypatch):
    import contextlib
    import threading

    import soundfile

    from engine.jobs import analyse
    from engine.jobs.queue import RenderQueue
    from engine.media import frames
    from engine.media.ffmpeg import FfmpegFailed
    from engine.media.probe import open_photo

    running = SimpleNamespace()
    queue = SimpleNamespace(
        _lock=threading.RLock(),
        _job=lambda job_id: running,
        _runner=SimpleNamespace(job=running),
        _waiting=[],
        _past=[],
    )
    with told("This render is running"):
        RenderQueue.remove(queue, "x")
    Picture.fromarray(np.zeros((300, 300, 3), np.uint8)).save(tmp_path / "a.png")
    with told("is damaged: odd", UnreadableMedia), open_photo(tmp_path / "a.png"):
        raise ValueError("odd")

    @contextlib.contextmanager
    def failing(arguments):
        raise FfmpegFailed(1, "no such codec")
        yield

    monkeypatch.setattr(frames.ffmpeg, "reading_from", failing)
    inside = frames.VideoInside((8, 8), 2, 25, False)
    with told("cannot be decoded", UnreadableMedia), frames.frames_of(tmp_path / "a.png", inside):
        pass
    monkeypatch.undo()
    soundfile.write(tmp_path / "a.wav", np.zeros(32000), 16000)
    monkeypatch.setattr(analyse, "turns_of_voice", lambda *_: [])
    with ProjectStore.create(tmp_path / "p") as store:
        project: Project = store.load()
        analyse.add_voices(store, project, [("A", tmp_path / "a.wav"), ("B", tmp_path / "a.wav")])
        with told("None of the recordings holds speech"):
            list(analyse.find_voices(store, project))


def test_what_makes_a_video_unfit_for_the_benchmark_is_told(tmp_path, monkeypatch):
    from engine.jobs import evaluate_folder, make_benchmark

    facts = SimpleNamespace(duration_s=5.0, frame_rate=25.0)
    for found in (1, 3):
        monkeypatch.setattr(evaluate_folder, "people_in", lambda *_, found=found: [None] * found)
        with told(f"{found} faces were found at the beginning"):
            evaluate_folder.two_people(facts, None)
    still = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    moved = np.roll(still, 12, axis=1)
    monkeypatch.setattr(make_benchmark, "frames_of", lambda _: iter([still, *[moved] * 200]))
    for count, words in ((3, "3 faces are seen at 0.0 s"), (2, "The camera moves")):
        analyser = SimpleNamespace(detector=lambda image, count=count: [None] * count)
        with told(words):
            make_benchmark._two_faces_and_a_steady_camera(facts, analyser)
    monkeypatch.setattr(make_benchmark, "look_at", lambda path: facts)
    monkeypatch.setattr(make_benchmark, "own_sound", lambda facts: None)
    with told("It has no sound"):
        make_benchmark._checked(tmp_path / "x.mp4", None)
