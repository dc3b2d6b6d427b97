import os

import numpy as np
import pytest
import soundfile
from PIL import Image as PillowImage

from engine.errors import UnreadableMedia
from engine.media import ffmpeg
from engine.media.importing import import_photo, import_recording
from engine.media.read import load_image, load_waveform
from engine.project.store import ProjectStore


@pytest.fixture
def store(tmp_path):
    with ProjectStore.create(tmp_path / "scene") as store:
        yield store


def state(store):
    saved = {path.relative_to(store.folder): path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}
    return {name: content for name, content in saved.items() if name.parts[0] not in ("cache", "project.lock.json")}


def test_photo_and_recording_come_in_and_can_be_read(store, tmp_path):
    PillowImage.new("RGB", (64, 48), "red").save(tmp_path / "$(x) 'p'.png")
    soundfile.write(tmp_path / "-rf.wav", np.ones(16000, np.float32) / 3, 16000)
    photo, sound = import_photo(store, tmp_path / "$(x) 'p'.png"), import_recording(store, tmp_path / "-rf.wav")
    assert (photo.original_name, sound.original_name) == ("$(x) 'p'.png", "-rf.wav")
    assert (photo.info.width, sound.info.duration_s) == (64, 1.0)
    project = store.load()
    project.scene.photo, project.scene.dialogue = photo, sound
    store.save(project)
    assert load_image(store.path_of(store.load().scene.photo)).width == 64
    assert load_waveform(store.path_of(store.load().scene.dialogue), 16000).duration_s == 1.0


def test_bad_files_leave_the_project_as_it_was(store, tmp_path):
    PillowImage.effect_noise((640, 480), 80).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:9000])
    soundfile.write(tmp_path / "short.wav", np.zeros(3200, np.float32), 16000)
    (tmp_path / "text.wav").write_text("hello")
    os.mkfifo(tmp_path / "pipe.wav")
    before = state(store)
    for name in ("cut.jpg", "short.wav", "text.wav", "pipe.wav", "absent.jpg"):
        for take_in in (import_photo, import_recording):
            with pytest.raises(UnreadableMedia, match=name) as caught:
                take_in(store, tmp_path / name)
            assert caught.value.remedy
    assert state(store) == before


def test_damage_that_only_decoding_shows_leaves_nothing(store, tmp_path):
    # A header that promises a minute and a half of AAC, and a body that is all one flat byte.
    soundfile.write(tmp_path / "s.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 16000 * 5), 16000)
    whole = tmp_path / "s.m4a"
    arguments = ["-i", ffmpeg.file_argument(tmp_path / "s.wav"), "-movflags", "+faststart", ffmpeg.file_argument(whole)]
    ffmpeg.run(ffmpeg.command(*arguments))
    content = whole.read_bytes()
    body = content.index(b"mdat") + 4
    (tmp_path / "rotten.m4a").write_bytes(content[:body])
    before = state(store)
    with pytest.raises(UnreadableMedia, match=r"rotten\.m4a"):
        import_recording(store, tmp_path / "rotten.m4a")
    assert state(store) == before


def test_photo_for_recording_and_the_reverse(store, tmp_path):
    PillowImage.new("RGB", (64, 48)).save(tmp_path / "p.png")
    soundfile.write(tmp_path / "s.wav", np.zeros(16000, np.float32), 16000)
    with pytest.raises(UnreadableMedia, match="is a photo"):
        import_recording(store, tmp_path / "p.png")
    with pytest.raises(UnreadableMedia, match="is a recording"):
        import_photo(store, tmp_path / "s.wav")
