"""What is kept in the cache belongs to exactly the voice it was made from."""

from pathlib import Path

import numpy as np
import pytest

from engine.jobs import evidence
from engine.jobs.analyse import add_dialogue, add_voices
from engine.media.types import Waveform
from engine.media.write import write_waveform
from engine.project.document import Project, Speaker, Turn
from engine.project.store import ProjectStore

RATE = 16_000


def hum(path: Path, pitch_hz: float, duration_s: float = 3.0) -> Path:
    times_s = np.arange(round(duration_s * RATE)) / RATE
    return write_waveform(path, Waveform((0.3 * np.sin(2 * np.pi * pitch_hz * times_s)).astype(np.float32), RATE))


def samples_of(path: Path) -> np.ndarray:
    import soundfile

    return soundfile.read(path, dtype="float32")[0]


@pytest.fixture
def store(tmp_path: Path):
    with ProjectStore.create(tmp_path / "project") as store:
        yield store


@pytest.fixture
def recorded(store: ProjectStore, tmp_path: Path) -> Project:
    """One recording, two speakers whose turns are the same."""
    project = store.load()
    add_dialogue(store, project, hum(tmp_path / "call.wav", 200))
    project.scene.speakers = [Speaker(id=f"speaker-{i}", name=f"Voice {i}") for i in (1, 2)]
    project.scene.turns = [Turn(speaker_id=f"speaker-{i}", start_s=0.5, end_s=2.5) for i in (1, 2)]
    return project


def test_voices_of_the_same_length_and_turns_keep_their_own_players(store: ProjectStore, tmp_path: Path) -> None:
    project = store.load()
    add_voices(store, project, [("Ada", hum(tmp_path / "a.wav", 200)), ("Bo", hum(tmp_path / "b.wav", 500))])
    first = evidence.voice_file(store, project.scene, "speaker-1")
    add_voices(store, project, [("Bo", tmp_path / "b.wav"), ("Ada", tmp_path / "a.wav")])
    other = evidence.voice_file(store, project.scene, "speaker-1")
    assert not np.allclose(samples_of(first), samples_of(other), atol=0.05)


def test_a_player_is_made_once(store: ProjectStore, recorded: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    made = evidence.voice_file(store, recorded.scene, "speaker-1")
    monkeypatch.setattr(evidence, "voices", lambda *_: pytest.fail("the voices were loaded again"))
    assert evidence.voice_file(store, recorded.scene, "speaker-1") == made


def test_an_edited_turn_of_another_voice_counts_where_people_share_a_recording(
    store: ProjectStore, recorded: Project
) -> None:
    before = evidence.voice_file(store, recorded.scene, "speaker-1")
    recorded.scene.turns = recorded.scene.turns[:1]
    after = evidence.voice_file(store, recorded.scene, "speaker-1")
    assert np.abs(samples_of(after)).sum() > 1.2 * np.abs(samples_of(before)).sum()


def test_two_voices_with_the_same_turns_have_sounds_of_their_own(store: ProjectStore, recorded: Project) -> None:
    """In a cache by turns alone, the second speaker's lips would say what the first one says."""
    heard = evidence.voices(store, recorded.scene)
    list(evidence.speech_sounds(store, recorded.scene, heard))
    assert len(list(store.cache_folder.glob("sounds-*.json"))) == 2


def test_an_id_that_is_a_path_stays_inside_the_cache(store: ProjectStore, recorded: Project) -> None:
    hostile = "../../escaped"
    recorded.scene.speakers[0].id = hostile
    recorded.scene.turns[0].speaker_id = hostile
    evidence.voice_file(store, recorded.scene, hostile)
    assert not list(store.folder.parent.rglob("*escaped*"))
