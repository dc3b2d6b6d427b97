"""Recordings through the page's own steps, on the real engine."""

import time
from pathlib import Path

import numpy as np
import pytest

from app.actions.media import bring_photo, bring_sound
from app.session import OpenProject, SharedStore


@pytest.fixture
def studio(tmp_path):
    studio = OpenProject(SharedStore.create(tmp_path / "project", "Talk"))
    yield studio
    studio.close()


def wait(studio: OpenProject) -> None:
    end_s = time.monotonic() + 120
    while studio.work:
        assert time.monotonic() < end_s, "the work did not end"
        time.sleep(0.02)


def piece(path: Path, start_s: float, end_s: float) -> Path:
    import soundfile

    from engine.demo import demo_dialogue

    samples, rate = soundfile.read(demo_dialogue())
    soundfile.write(path, samples[int(start_s * rate) : int(end_s * rate)], rate)
    return path


def bring(studio: OpenProject, *paths: Path) -> None:
    studio.analyse(lambda store, project: bring_sound(store, project, paths, None))
    wait(studio)


def test_several_files_are_one_voice_each_named_after_their_file(studio, tmp_path):
    bring(studio, piece(tmp_path / "Ada.wav", 10.6, 14.0), piece(tmp_path / "Bo & Co.wav", 22.0, 28.0))
    scene = studio.project.scene
    assert not studio.notice.is_problem
    assert [speaker.name for speaker in scene.speakers] == ["Ada", "Bo & Co"]
    assert {turn.speaker_id for turn in scene.turns} == {"speaker-1", "speaker-2"}
    assert len(list((studio.store.folder / "cache").glob("voice-*.wav"))) == 2
    assert studio.notice.text == "0 faces, 2 voices: Ada and Bo & Co will be heard off-screen."


def test_silence_is_refused_and_the_recording_stays(studio, tmp_path):
    import soundfile

    bring(studio, piece(tmp_path / "talk.wav", 22.0, 28.0))
    before = studio.project
    assert before.scene.turns
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000 * 4), 16000)
    for name, content in (("silence.wav", None), ("notes.txt", b"hello"), ("empty.mp3", b"")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        bring(studio, tmp_path / name)
        assert studio.notice.is_problem, name
        assert studio.notice.remedy, name
        assert studio.project == before, name


def test_a_photo_without_faces_is_kept_for_drawing(studio, tmp_path):
    from PIL import Image as Picture

    path = tmp_path / "wall.png"
    Picture.fromarray(np.full((300, 400, 3), 128, np.uint8)).save(path)
    studio.analyse(lambda store, project: bring_photo(store, project, path))
    wait(studio)
    assert studio.project.scene.photo.original_name == "wall.png"
    assert "Mark each one by hand" in studio.notice.text
