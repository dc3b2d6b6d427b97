"""The embedded diarizer on real recordings, and the joins around any diarizer."""

import numpy as np
import pytest

from engine.analysis import diarization
from engine.analysis.diarization import diarization_of, diarize, mark_overlaps, turns_of_voice
from engine.analysis.resampling import at_voice_rate, levelled
from engine.analysis.voice_protocols import SpokenSpan
from engine.bench.diarization import Tally, joined, measure, pyannote_sample, read_talk, score
from engine.errors import NoSpeechFound
from engine.media.types import Waveform
from engine.project.document import Speaker, Turn

RATE = 16_000


def wave(samples, rate=RATE):
    return Waveform(np.asarray(samples, np.float32), rate)


class Says:
    """A diarizer that answers with given spans, and keeps what it was asked."""

    def __init__(self, *spans):
        self.spans = [SpokenSpan(*span) for span in spans]

    def __call__(self, sound, num_speakers=None, on_progress=None):
        self.sound, self.num_speakers = sound, num_speakers
        return self.spans


def chords(seconds=8):
    """Plucked chords: music without a voice."""
    rng, times_s = np.random.default_rng(0), np.arange(seconds * RATE) / RATE
    sound = np.zeros_like(times_s)
    for beat in range(2 * seconds):
        since_s = times_s - beat / 2
        pitches = rng.choice([220, 261.6, 293.7, 329.6, 392, 440], 3, replace=False)
        tone = sum(np.sin(2 * np.pi * p * h * since_s) / h**1.5 for p in pitches for h in range(1, 6))
        sound += np.where(since_s >= 0, tone * np.exp(-4 * np.maximum(since_s, 0)), 0) * 0.1
    return sound


NOTHING_SAID = {
    "silence": np.zeros(3 * RATE),
    "noise": np.random.default_rng(0).normal(0, 0.1, 8 * RATE),
    "faint noise": np.random.default_rng(0).normal(0, 1e-4, 8 * RATE),
    "hum": 0.3 * np.sin(2 * np.pi * 50 * np.arange(4 * RATE) / RATE),
    "music": chords(),
    "not numbers": np.full(2 * RATE, np.nan),
}


@pytest.mark.parametrize("name", NOTHING_SAID)
def test_no_speech_is_said_with_a_remedy(name):
    with pytest.raises(NoSpeechFound) as caught:
        diarize(wave(NOTHING_SAID[name]))
    assert caught.value.remedy


@pytest.mark.parametrize("num_samples", [0, 1, round(0.2 * RATE)])
def test_too_short_is_said_before_any_model_is_loaded(num_samples):
    def untouchable(*_):
        raise AssertionError("the diarizer was asked")

    with pytest.raises(NoSpeechFound, match="short"):
        diarize(wave(np.ones(num_samples)), untouchable)


def test_speakers_are_numbered_in_order_of_first_speech():
    found = diarize(wave(np.zeros(10 * RATE)), Says((4, 6, 0), (1, 2, 7), (1.5, 3, 7), (5, 11, 7)), num_speakers=2)
    assert [(s.id, s.name) for s in found.speakers] == [("speaker-1", "Speaker 1"), ("speaker-2", "Speaker 2")]
    assert [(t.speaker_id, t.start_s, t.end_s, t.overlapped) for t in found.turns] == [
        ("speaker-1", 1, 3, False),
        ("speaker-2", 4, 6, True),
        ("speaker-1", 5, 10, True),
    ]


def test_overlap_marks_follow_the_turns():
    turns = [
        Turn(speaker_id=w, start_s=s, end_s=e, overlapped=True) for w, s, e in [("a", 0, 5), ("b", 5, 6), ("c", 8, 9)]
    ]
    assert not any(turn.overlapped for turn in mark_overlaps(turns))
    turns.append(Turn(speaker_id="c", start_s=4, end_s=5.5))
    assert [turn.overlapped for turn in mark_overlaps(turns)] == [True, True, True, False]


def test_no_spans_of_no_length():
    assert diarization_of([SpokenSpan(2, 2, 0), SpokenSpan(12, 13, 1)], 10).turns == []


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000, 192_000])
def test_every_rate_is_brought_to_the_models_rate_without_seams(rate, monkeypatch):
    monkeypatch.setattr("engine.analysis.resampling.BLOCK_S", 0.5)
    times_s = np.arange(int(2.3 * rate)) / rate
    sound = at_voice_rate(wave(np.sin(2 * np.pi * 440 * times_s), rate))
    expected = np.sin(2 * np.pi * 440 * np.arange(len(sound)) / RATE)
    assert len(sound) == pytest.approx(2.3 * RATE, abs=2)
    assert np.abs(sound - expected)[200:-200].max() < 0.01


def test_long_recordings_lie_on_disk(monkeypatch):
    monkeypatch.setattr("engine.analysis.resampling.ON_DISK_S", 1)
    sound = at_voice_rate(wave(np.ones(2 * 8_000), 8_000))
    assert isinstance(sound, np.memmap)
    assert sound[1000:-1000].mean() == pytest.approx(1, abs=0.01)


def test_level_does_not_matter_and_broken_values_are_silence():
    quiet = np.random.default_rng(0).normal(0, 1e-3, RATE).astype(np.float32)
    np.testing.assert_allclose(levelled(quiet)[:], levelled(quiet * 100)[:], rtol=1e-4)
    assert not levelled(np.full(RATE, np.inf, np.float32))[:].any()
    assert not levelled(np.zeros(RATE, np.float32))[:].any()


@pytest.fixture(scope="module")
def sample():
    return pyannote_sample()


def test_the_sample_conversation(sample):
    steps = []
    found = diarize(sample.sound, on_progress=lambda done, total, text: steps.append((done, total, text)))
    tally = Tally()
    score(tally, sample, found)
    assert tally.error <= 0.015
    assert len(found.speakers) == 2
    shares = [done / total for done, total, _ in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert all(text for _, _, text in steps)


@pytest.mark.slow
def test_known_number_of_speakers_is_kept(sample):
    known = measure([sample], speakers_known=True)
    assert known.error <= 0.015
    part = sample.sound.between(6, 16)
    for number in (1, 2, 3):
        assert len(diarize(part, num_speakers=number).speakers) == number


def test_one_persons_own_recording(shared_media):
    folder = shared_media("dialogues", "talk_6.rttm").parent
    talk = read_talk(folder, "talk_6", ("right",))
    turns = turns_of_voice(talk.sound, Speaker(id="ann", name="Ann"))
    assert {turn.speaker_id for turn in turns} == {"ann"}
    starts, ends = zip(*[(turn.start_s, turn.end_s) for turn in turns], strict=True)
    truth = talk.truth
    assert starts[0] == pytest.approx(truth[0][0], abs=0.4)
    assert ends[-1] == pytest.approx(truth[-1][1], abs=0.4)
    assert any(end <= 2.5 and start >= 5 for end, start in zip(ends[:-1], starts[1:], strict=True))
    with pytest.raises(NoSpeechFound, match="Ann"):
        turns_of_voice(wave(np.zeros(RATE)), Speaker(id="ann", name="Ann"))


@pytest.mark.slow
def test_error_on_sums_of_two_clean_voices(shared_media):
    folder = shared_media("dialogues", "talk_1.rttm").parent
    tally = measure([read_talk(folder, path.stem) for path in sorted(folder.glob("talk_*.rttm"))])
    assert tally.counted_right == tally.recordings
    assert tally.error <= 0.045


@pytest.mark.slow
def test_three_and_four_voices(shared_media):
    folder = shared_media("dialogues", "talk_1.rttm").parent
    first, second, left = (
        read_talk(folder, "talk_3"),
        read_talk(folder, "talk_4"),
        read_talk(folder, "talk_4", ("left",)),
    )
    three, four = joined([first, left, first]), joined([first, second, first])
    for recording, bar in ((three, 0.06), (four, 0.08)):
        tally = measure([recording])
        assert tally.error <= bar
        assert tally.counted_right == 1


def test_the_embedded_diarizer_serves_where_pyannotes_weights_do_not_load(monkeypatch, tmp_path, caplog):
    folder = tmp_path / "speaker-diarization-3.1"
    folder.mkdir()
    (folder / "config.yaml").write_text("pipeline: {name: nowhere.Nothing}\n")
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    monkeypatch.setattr("engine.analysis.backends.pyannote_pipeline.load_pipeline", _refuse)
    assert type(diarization.default_diarizer()).__name__ == "EmbeddedDiarizer"
    assert "embedded" in caplog.text


def _refuse():
    from engine.errors import ModelMissing

    raise ModelMissing("The pipeline could not be loaded.")
