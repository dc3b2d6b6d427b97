"""Projects edited by hand, full disks, kills: a clear message with a remedy, and the project as it was."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image as PilImage
from small_project import RATE, ROOT, SHORT, on_disk, portrait, unfinished

from engine.errors import StudioError, WriteFailed
from engine.jobs.events import TakeDone
from engine.jobs.render_scene import render_take
from engine.media.probe import probe
from engine.project.document import RenderSettings, Scene
from engine.project.reading import read_project
from engine.project.store import ProjectStore


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
