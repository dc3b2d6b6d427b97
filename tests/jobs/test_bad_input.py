"""Bad input through the real jobs: a clear message with a remedy, and the project as it was."""

import io
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image as PilImage
from small_project import RATE, SHORT, on_disk, portrait, talk

from engine.errors import NoFacesFound, NoSpeechFound, UnreadableMedia
from engine.jobs.analyse import add_dialogue, add_photo, add_voices, analyse, draw_face
from engine.jobs.events import FrameReady, TakeDone
from engine.jobs.render_scene import render_take
from engine.project.document import Part, Project, RenderSettings
from engine.project.store import ProjectStore

HOSTILE = '../../"it\'s" $(touch pwned) ü日本'


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
