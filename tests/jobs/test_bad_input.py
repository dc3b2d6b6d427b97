"""Bad input through the real jobs: a clear message with a remedy, and the project as it was."""

import io
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image as PilImage

from engine.demo import demo_dialogue
from engine.errors import NoFacesFound, NoSpeechFound, StudioError, UnreadableMedia, WriteFailed
from engine.jobs.analyse import add_dialogue, add_photo, add_voices, analyse, draw_face
from engine.jobs.events import FrameReady, TakeDone
from engine.jobs.render_scene import render_take
from engine.media.probe import probe
from engine.project.document import Part, Project, RenderSettings, Scene
from engine.project.reading import read_project
from engine.project.store import ProjectStore

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000
SETTINGS = RenderSettings(height=256)
SHORT = RenderSettings(height=256, range_s=(0.0, 0.6))
HOSTILE = '../../"it\'s" $(touch pwned) ü日本'


def portrait() -> np.ndarray:
    from skimage.data import astronaut

    return np.asarray(astronaut())


def talk(start_s: float, end_s: float) -> np.ndarray:
    samples, rate = soundfile.read(demo_dialogue())
    assert rate == RATE
    return samples[int(start_s * rate) : int(end_s * rate)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one face and two voices, analysed, with one finished take of 0.6 s."""
    folder = tmp_path_factory.mktemp("bad")
    PilImage.fromarray(portrait()).save(folder / "photo.png")
    soundfile.write(folder / "call.wav", talk(5, 12), RATE)
    with ProjectStore.create(folder / "project", "Ours") as store:
        project = store.load()
        add_photo(store, project, folder / "photo.png")
        add_dialogue(store, project, folder / "call.wav")
        list(analyse(store, project, num_speakers=2))
        list(render_take(store, project, SHORT))
    return folder / "project"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of its own, at a place with an awkward name."""
    return Path(shutil.copytree(made, tmp_path / "a 'b' $(c) ü"))


@pytest.fixture
def store(folder: Path) -> Iterator[ProjectStore]:
    with ProjectStore.open(folder) as store:
        yield store


def on_disk(folder: Path) -> dict[str, bytes]:
    """Every file that holds work: all but the cache and the locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != "cache" and "lock" not in path.name
    }


def unfinished(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if ".part" in path.name]


def jpeg(picture: PilImage.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95, **options)
    return out.getvalue()


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def wav(samples: np.ndarray) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, RATE, format="WAV")
    return out.getvalue()


def two_hours() -> bytes:
    num_bytes = 2 * 3600 * 100 * 2  # the header claims 8 kHz; only the claim is long
    num_bytes *= 80
    form = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + num_bytes)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + (struct.pack("<I", num_bytes) + bytes(4000))
    )


def chords() -> np.ndarray:
    times_s = np.arange(6 * RATE) / RATE
    beat_s = times_s % 0.5
    pitches = np.array([220, 261.6, 329.6, 392])[(times_s // 0.5).astype(int) % 4]
    sound = sum(np.sin(2 * np.pi * pitches * k * times_s) / k**1.5 for k in range(1, 6))
    return 0.2 * sound * np.exp(-4 * beat_s)


BAD_PHOTOS: dict[str, Callable[[], bytes]] = {
    "not an image": lambda: b"This is no picture.\n" * 50,
    "empty": lambda: b"",
    "truncated": lambda: jpeg(PilImage.fromarray(portrait()))[:20_000],
    "1 x 1": lambda: jpeg(PilImage.new("RGB", (1, 1))),
    "60 megapixels": lambda: png_of(10_000, 6_000),
    "a recording": lambda: wav(talk(5, 7)),
}


@pytest.mark.parametrize("name", BAD_PHOTOS)
def test_a_photo_that_cannot_be_used_changes_nothing(store: ProjectStore, tmp_path: Path, name: str) -> None:
    path = tmp_path / "new photo.jpg"
    path.write_bytes(BAD_PHOTOS[name]())
    project, files = store.load(), on_disk(store.folder)
    with pytest.raises(UnreadableMedia, match=r"new photo\.jpg") as caught:
        add_photo(store, project, path)
    assert caught.value.remedy
    assert project == store.load()
    assert on_disk(store.folder) == files


BAD_SOUNDS: dict[str, Callable[[], bytes]] = {
    "not audio": lambda: b"not sound at all\n" * 100,
    "empty": lambda: b"",
    "0.2 s": lambda: wav(talk(6, 6.2)),
    "2 h": two_hours,
    "a photo": lambda: jpeg(PilImage.fromarray(portrait())),
}


@pytest.mark.parametrize("name", BAD_SOUNDS)
def test_a_recording_that_cannot_be_used_changes_nothing(store: ProjectStore, tmp_path: Path, name: str) -> None:
    path = tmp_path / "new talk.wav"
    path.write_bytes(BAD_SOUNDS[name]())
    project, files = store.load(), on_disk(store.folder)
    for take_in in (lambda: add_dialogue(store, project, path), lambda: add_voices(store, project, [("Ada", path)])):
        with pytest.raises(UnreadableMedia, match=r"new talk\.wav") as caught:
            take_in()
        assert caught.value.remedy
        assert project == store.load()
        assert on_disk(store.folder) == files


SPEECHLESS: dict[str, Callable[[], np.ndarray]] = {
    "silence": lambda: np.zeros(3 * RATE),
    "noise": lambda: np.random.default_rng(0).normal(0, 0.1, 5 * RATE),
    "music only": chords,
}


@pytest.mark.parametrize("name", SPEECHLESS)
def test_a_recording_without_speech_leaves_the_saved_project(store: ProjectStore, tmp_path: Path, name: str) -> None:
    path = tmp_path / "quiet.wav"
    soundfile.write(path, SPEECHLESS[name](), RATE)
    saved = on_disk(store.folder)
    project = store.load()
    project.scene.photo = None  # faces are not looked for again
    add_dialogue(store, project, path)
    before = project.model_copy(deep=True)
    with pytest.raises(NoSpeechFound) as caught:
        list(analyse(store, project))
    assert caught.value.remedy
    assert project == before
    now = on_disk(store.folder)
    assert {name: now[name] for name in saved} == saved
    assert [name for name in now if name not in saved and not name.startswith("media/")] == []
    list(render_take(store, store.load(), SHORT))  # what was there still renders


def test_an_analysis_that_fails_half_way_changes_nothing(store: ProjectStore) -> None:
    project = store.load()
    project.scene.faces[0].name = "Eileen"
    store.save(project)
    saved, before = on_disk(store.folder), project.model_copy(deep=True)
    store.path_of(project.scene.dialogue).rename(store.folder / "away.wav")  # the faces are found, then this is met
    with pytest.raises(UnreadableMedia, match=r"call\.wav") as caught:
        list(analyse(store, project))
    (store.folder / "away.wav").rename(store.folder / project.scene.dialogue.path)
    assert "Add it again" in caught.value.remedy
    assert project == before
    assert on_disk(store.folder) == saved


def test_a_broken_decoder_does_not_cost_the_recording_that_is_in_use(
    store: ProjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = store.load()
    again = Path(shutil.copy(store.path_of(project.scene.dialogue), tmp_path / "again.wav"))

    def fails(*_: object) -> None:
        raise UnreadableMedia("again.wav cannot be decoded.", "Try again.")

    monkeypatch.setattr("engine.media.importing.load_waveform", fails)
    with pytest.raises(UnreadableMedia):
        add_dialogue(store, project, again)
    assert store.path_of(project.scene.dialogue).is_file()


def with_photo(store: ProjectStore, path: Path) -> Project:
    """The project with another photo; its voices are kept, so nothing is listened to again."""
    project = store.load()
    add_photo(store, project, path)
    voices = project.scene.model_copy(update={"dialogue": None, "voices": []}, deep=True)
    seen = project.model_copy(update={"scene": voices}, deep=True)
    list(analyse(store, seen))
    project.scene.faces, project.scene.cast = seen.scene.faces, seen.scene.cast
    store.save(project)
    return project


def rotated() -> bytes:
    exif = PilImage.Exif()
    exif[0x0112] = 6  # to be turned clockwise to be upright
    return jpeg(PilImage.fromarray(np.ascontiguousarray(np.rot90(portrait()))), exif=exif.tobytes())


def animated() -> bytes:
    out, first = io.BytesIO(), PilImage.fromarray(portrait())
    first.save(out, "GIF", save_all=True, append_images=[PilImage.new("RGB", first.size)] * 2, duration=100)
    return out.getvalue()


def cmyk() -> bytes:
    return jpeg(PilImage.fromarray(portrait()).convert("CMYK"))


@pytest.mark.parametrize("content", [rotated, animated, cmyk], ids=lambda content: content.__name__)
def test_odd_photos_give_the_same_upright_face(
    store: ProjectStore, tmp_path: Path, content: Callable[[], bytes]
) -> None:
    expected = store.load().scene.faces[0].box_px
    path = tmp_path / "odd"
    path.write_bytes(content())
    (face,) = with_photo(store, path).scene.faces
    assert face.box_px == pytest.approx(expected, abs=8)


def test_a_photo_without_a_face_is_kept_and_says_what_to_do(store: ProjectStore, tmp_path: Path) -> None:
    PilImage.new("RGB", (400, 300), "grey").save(tmp_path / "wall.png")
    project = store.load()
    add_photo(store, project, tmp_path / "wall.png")
    seen = project.model_copy(deep=True)
    seen.scene.dialogue = None
    last = list(analyse(store, seen))[-1]
    assert "by hand" in last.text
    assert [member.face_id for member in seen.scene.cast] == [None, None]
    project.scene.faces, project.scene.cast = [], seen.scene.cast
    store.save(project)
    files = on_disk(store.folder)
    with pytest.raises(NoFacesFound) as caught:
        list(render_take(store, project, SHORT))
    assert "draw" in caught.value.remedy
    assert on_disk(store.folder) == files
    draw_face(store, project, (100, 50, 220, 210))  # a box where nothing looks like a face: kept, and it renders
    assert isinstance(list(render_take(store, project, SHORT))[-1], TakeDone)


def on_ground(face: np.ndarray, at: tuple[int, int], size: tuple[int, int]) -> PilImage.Image:
    ground = PilImage.new("RGB", size, (90, 100, 110))
    ground.paste(PilImage.fromarray(face), at)
    return ground


def twenty_faces() -> PilImage.Image:
    return PilImage.fromarray(np.tile(portrait()[0:220, 120:320], (4, 5, 1)))


def at_the_border() -> PilImage.Image:
    return on_ground(portrait(), (-170, -30), (500, 470))


def twenty_px_face() -> PilImage.Image:
    small = PilImage.fromarray(portrait()).resize((110, 110), PilImage.Resampling.LANCZOS)  # the face is about 100/512
    return on_ground(np.asarray(small), (300, 200), (640, 360))


@pytest.mark.parametrize(
    ("picture", "num_faces"), [(twenty_faces, 20), (at_the_border, 1), (twenty_px_face, 1)],
    ids=["twenty faces", "face at the border", "20 px face"],
)  # fmt: skip
def test_faces_of_any_number_place_and_size_are_cast_and_rendered(
    store: ProjectStore, tmp_path: Path, picture: Callable[[], PilImage.Image], num_faces: int
) -> None:
    shown = picture()
    shown.save(tmp_path / "people.png")
    project = with_photo(store, tmp_path / "people.png")
    scene = project.scene
    assert len(scene.faces) == num_faces
    if picture is twenty_px_face:
        assert scene.faces[0].width_px < 24
    assert {m.speaker_id for m in scene.cast if m.speaker_id} == {"speaker-1", "speaker-2"}
    assert sum(m.part is Part.LISTENS for m in scene.cast) == max(0, num_faces - 2)
    assert sum(m.face_id is None for m in scene.cast) == max(0, 2 - num_faces)
    done = list(render_take(store, project, SHORT))
    assert sum(isinstance(event, FrameReady) for event in done) == 15
    assert isinstance(done[-1], TakeDone)


def test_one_speaker_alone(store: ProjectStore, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "alone.wav", talk(10.6, 14), RATE)
    project = store.load()
    add_dialogue(store, project, tmp_path / "alone.wav")
    list(analyse(store, project))
    assert [(m.face_id, m.speaker_id) for m in project.scene.cast] == [("face-1", "speaker-1")]
    assert isinstance(list(render_take(store, project, SHORT))[-1], TakeDone)


def test_hostile_names_of_files_and_people_are_only_text(
    store: ProjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    photo, voice = (tmp_path / "in" / f"{HOSTILE[6:]}{suffix}" for suffix in (".png", ".wav"))
    PilImage.fromarray(portrait()).save(photo)
    soundfile.write(voice, talk(10.6, 13), RATE)
    outside = sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(store.folder))
    project = store.load()
    project.title = HOSTILE
    add_photo(store, project, tmp_path / "in" / ".." / "in" / photo.name)
    add_voices(store, project, [(HOSTILE, voice), ("<b>Bo</b>", voice)])
    list(analyse(store, project))
    done = list(render_take(store, project, RenderSettings(height=256, range_s=(0, 0.6), captions="burnt-in")))[-1]
    assert isinstance(done, TakeDone)
    assert done.video_path.is_relative_to(store.folder)
    assert sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(store.folder)) == outside
    assert all(os.sep not in ref and ".." not in ref for ref in os.listdir(store.folder / "media"))


def edited(scene: Scene, edit: str) -> None:
    """Edits that the document's own bounds let through."""
    member, face, turn = scene.cast[0], scene.faces[0], scene.turns[0]
    assert scene.dialogue is not None
    assert scene.photo is not None
    changes: dict[str, Callable[[], None]] = {
        "a turn of nobody": lambda: setattr(turn, "speaker_id", "nobody"),
        "a cast of nobody": lambda: setattr(member, "face_id", "face-77"),
        "a face outside the photo": lambda: setattr(face, "box_px", (9000.0, 9000.0, 9100.0, 9100.0)),
        "a photo that is the recording": lambda: setattr(scene.photo, "path", scene.dialogue.path),
        "a recording that is the photo": lambda: setattr(scene.dialogue, "path", scene.photo.path),
        "a recording that is gone": lambda: setattr(scene.dialogue, "path", "media/gone.wav"),
        "no recording": lambda: setattr(scene, "dialogue", None),
        "no speakers": lambda: setattr(scene, "speakers", []),
        "the same face twice": lambda: setattr(scene, "faces", [face, face]),
        "the same speaker twice": lambda: setattr(scene, "speakers", [scene.speakers[0]] * 2),
    }
    changes[edit]()


EDITS = [
    "a turn of nobody", "a cast of nobody", "a face outside the photo", "a photo that is the recording",
    "a recording that is the photo", "a recording that is gone", "no recording", "no speakers",
    "the same face twice", "the same speaker twice",
]  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_a_project_edited_by_hand_into_nonsense_is_refused_in_words(store: ProjectStore, edit: str) -> None:
    project = store.load()
    edited(project.scene, edit)
    store.save(project)
    before = store.load()
    with pytest.raises(StudioError) as caught:
        list(render_take(store, project, SHORT))
    assert caught.value.message
    assert caught.value.remedy
    after = store.load()
    assert all(take.status in ("done", "failed") for take in after.scene.takes)
    after.scene.takes = before.scene.takes
    assert after == before
    assert unfinished(store.folder) == []


def test_a_length_edited_by_hand_does_not_make_an_endless_video(store: ProjectStore) -> None:
    project = store.load()
    assert project.scene.dialogue is not None
    project.scene.dialogue.info.duration_s = 1e9
    project.scene.turns[-1].end_s = 1e9
    done = list(render_take(store, project, RenderSettings(height=128)))[-1]
    assert isinstance(done, TakeDone)
    assert probe(done.video_path).duration_s == pytest.approx(7.0, abs=0.05)
    with pytest.raises(StudioError, match=r"7\.0 s") as caught:
        list(render_take(store, project, SHORT.model_copy(update={"range_s": (0.0, 1e8)})))
    assert caught.value.remedy


def test_damaged_caches_are_made_anew(store: ProjectStore) -> None:
    cached = [path for path in store.cache_folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in cached} >= {".npz", ".npy", ".json"}
    for path in cached:
        path.write_bytes(path.read_bytes()[:40])
    assert isinstance(list(render_take(store, store.load(), SHORT))[-1], TakeDone)


def engine(*arguments: object, full_at: int | None = None) -> "subprocess.Popen[str]":
    """``python -m engine …``; with ``full_at`` no file can grow beyond that many bytes, as on a full disk."""

    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (full_at or 0, full_at or 0))

    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "engine", *map(str, arguments)],
        # No bytecode: under the limit Python 3.11 would keep cut files, and every later start would fail on them.
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit if full_at else None,
    )


@pytest.mark.skipif(os.name == "nt", reason="file size limits are POSIX")
@pytest.mark.parametrize("full_at", [300, 12_000, 60_000])
def test_a_full_disk_stops_the_render_and_keeps_the_project(folder: Path, full_at: int) -> None:
    before, files = read_project(folder / "project.json"), on_disk(folder)
    process = engine("render", folder, "--range", "0:1", full_at=full_at)
    _, words = process.communicate(timeout=120)
    assert process.returncode == 1, words
    assert "Traceback" not in words
    assert "could not be written" in words
    assert "What was saved before is still there" in words
    assert unfinished(folder) == []
    after = read_project(folder / "project.json")
    assert [take.status for take in after.scene.takes] in (["done"], ["done", "failed"])
    after.scene.takes = before.scene.takes
    assert after == before
    now = on_disk(folder)
    assert all(now[name] == files[name] for name in files if not name.startswith("project.json"))


def test_a_save_that_fails_leaves_the_project_in_memory_as_it_was(
    store: ProjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = store.load()
    before, files = project.model_copy(deep=True), on_disk(store.folder)

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteFailed, match="disk is full"):
        list(render_take(store, project, SHORT))
    monkeypatch.undo()
    assert project == before
    assert on_disk(store.folder) == files


def test_a_project_that_is_open_elsewhere_is_not_rendered(folder: Path) -> None:
    files = on_disk(folder)
    with ProjectStore.open(folder):
        process = engine("render", folder)
        _, words = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is open elsewhere" in words
    assert f"process {os.getpid()}" in words
    assert "Close it there" in words
    assert on_disk(folder) == files


def test_an_unreadable_project_is_not_rendered_and_not_touched(folder: Path) -> None:
    (folder / "project.json").write_text('{"schema_version": 1, "scene": ')
    files = on_disk(folder)
    process = engine("render", folder)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "line 1" in words
    assert "restore the backup" in words
    assert on_disk(folder) == files


def test_a_failed_new_leaves_a_folder_that_was_there_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    PilImage.fromarray(portrait()).save(tmp_path / "photo.png")
    soundfile.write(tmp_path / "silence.wav", np.zeros(2 * RATE), RATE)
    process = engine("new", place, "--photo", tmp_path / "photo.png", "--dialogue", tmp_path / "silence.wav")
    _, words = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "speech" in words
    assert [path.name for path in place.iterdir()] == ["notes.txt"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is POSIX")
def test_killed_in_the_middle_of_a_render(folder: Path) -> None:
    """kill -9 while frames are being written: the next start says so, clears up, and renders."""
    before = read_project(folder / "project.json")
    victim = engine("render", folder)
    try:
        end_s = time.monotonic() + 60
        while not list((folder / "takes").glob("*/.video.mp4.*.part")):
            assert victim.poll() is None, victim.communicate()
            assert time.monotonic() < end_s, "no frame was written"
            time.sleep(0.01)
    finally:
        victim.kill()
        victim.communicate()
    killed = read_project(folder / "project.json")
    assert [take.status for take in killed.scene.takes] == ["done", "rendering"]
    assert not list((folder / "takes" / killed.scene.takes[-1].id).glob("video.mp4"))

    again = engine("render", folder, "--range", "0:1")
    said, words = again.communicate(timeout=120)
    assert again.returncode == 0, words
    assert "The program stopped while this animatic was being rendered." in words
    assert "render it again" in words
    video = Path(said.strip().splitlines()[-1])
    assert probe(video).duration_s == pytest.approx(1.0, abs=0.05)
    after = read_project(folder / "project.json")
    assert [take.status for take in after.scene.takes] == ["done", "interrupted", "done"]
    assert after.scene.takes[1].message
    assert unfinished(folder) == []
    after.scene.takes = before.scene.takes
    assert after == before


def test_parts_of_a_killed_cut_and_of_the_cache_are_cleared(store: ProjectStore) -> None:
    project = store.load()
    project.scene.takes[0].status = "rendering"
    place = store.takes_folder / project.scene.takes[0].id
    (place / "take.json").unlink()  # written last: a render that was killed has none
    cache = store.cache_folder
    for path in (place / ".sound.wav.part", cache / ".sound-1.f32.1.part", cache / ".voice-1.npy.1.part"):
        path.write_bytes(b"half")
    _, sentences = store.recover(project)
    assert len(sentences) == 1
    assert unfinished(store.folder) == []
