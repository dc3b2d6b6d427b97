"""Separation on made mixtures: sums, silence, fades; and its gain on real voices."""

import numpy as np
import pytest

from engine.analysis.diarization import mark_overlaps
from engine.analysis.overlaps import stretches_of
from engine.analysis.separation import FADE_S, rehearsed_gain_db, separate, si_sdr_db, speech_gate
from engine.analysis.spectral_split import SpectralSplitter
from engine.analysis.types import Diarization
from engine.bench.diarization import read_talk
from engine.media.types import Waveform
from engine.project.document import Speaker, Turn


def diarization(*spans):
    ids = sorted({span[0] for span in spans})
    turns = [Turn(speaker_id=who, start_s=start, end_s=end) for who, start, end in spans]
    return Diarization([Speaker(id=i, name=i) for i in ids], mark_overlaps(turns))


def noise(seconds, rate, seed=0):
    return Waveform(np.random.default_rng(seed).normal(0, 0.2, int(seconds * rate)).astype(np.float32), rate)


TALK = diarization(("a", 0.0, 2.0), ("b", 2.0, 4.0), ("a", 3.5, 5.0), ("c", 4.2, 4.6), ("b", 7.0, 8.0))


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_voices_add_up_to_the_speech(rate):
    recording = noise(8.0, rate)
    voices = separate(recording, TALK)
    gate = speech_gate(TALK.turns, slice(0, len(recording.samples)), rate)
    assert all(len(v.samples) == len(recording.samples) and v.sample_rate == rate for v in voices.values())
    total = sum(voice.samples for voice in voices.values())
    assert np.abs(total - recording.samples * gate).max() < 1e-4
    assert gate.min() == 0
    assert gate.max() == 1


def test_silent_outside_turns_and_untouched_inside_them():
    recording = noise(8.0, 16_000)
    voices = separate(recording, TALK)
    times_s = np.arange(len(recording.samples)) / 16_000
    for who, voice in voices.items():
        spans = [(t.start_s, t.end_s) for t in TALK.turns if t.speaker_id == who]
        far = np.all([(times_s < start - FADE_S) | (times_s > end + FADE_S) for start, end in spans], axis=0)
        assert not voice.samples[far].any()
    only_a = (times_s > 0.1) & (times_s < 1.9)
    np.testing.assert_array_equal(voices["a"].samples[only_a], recording.samples[only_a])


def test_edges_fade_and_do_not_click():
    steady = Waveform(np.ones(16_000, np.float32), 16_000)
    voice = separate(steady, diarization(("a", 0.3, 0.7))).popitem()[1].samples
    assert np.abs(np.diff(voice)).max() < 0.01
    fading = (voice > 0) & (voice < 1)
    assert 0.02 <= fading.sum() / 16_000 <= 0.04


def test_no_turns_and_out_of_range_turns_are_harmless():
    assert separate(noise(1, 16_000), Diarization([], [])) == {}
    voices = separate(noise(1, 16_000), diarization(("a", 0.5, 9.0), ("b", 5.0, 6.0)))
    assert voices["a"].samples[-1] != 0
    assert not voices["b"].samples.any()


def test_stretches_know_who_speaks():
    found = [(s.start_s, s.end_s, "".join(s.speaker_ids)) for s in stretches_of(TALK.turns)]
    assert found == [
        (0, 2, "a"),
        (2, 3.5, "b"),
        (3.5, 4, "ab"),
        (4, 4.2, "a"),
        (4.2, 4.6, "ac"),
        (4.6, 5, "a"),
        (7, 8, "b"),
    ]


class Oracle:
    """A separator that knows the answer for one tone pair, to see that its shares are used and kept summing."""

    def __call__(self, mixture, examples, sample_rate):
        spectrum, pitches = np.fft.rfft(mixture), np.fft.rfftfreq(len(mixture), 1 / sample_rate)
        low = np.fft.irfft(np.where(pitches < 500, spectrum, 0), len(mixture))
        return np.stack([low, mixture - low]).astype(np.float32)


class Swapped(Oracle):
    def __call__(self, mixture, examples, sample_rate):
        return super().__call__(mixture, examples, sample_rate)[::-1]


def tone_talk(rate=16_000):
    times_s = np.arange(6 * rate) / rate
    low, high = 0.3 * np.sin(2 * np.pi * 200 * times_s), 0.3 * np.sin(2 * np.pi * 1500 * times_s)
    low[times_s > 3.5], high[times_s < 2.5] = 0, 0
    return low.astype(np.float32), high.astype(np.float32), diarization(("a", 0, 3.5), ("b", 2.5, 6))


def overlap_gain_db(separator):
    low, high, talk = tone_talk()
    recording = Waveform(low + high, 16_000)
    voices = separate(recording, talk, separator)
    total = sum(voice.samples for voice in voices.values())
    assert np.abs(total - recording.samples * speech_gate(talk.turns, slice(0, len(low)), 16_000)).max() < 1e-4
    both = slice(round(2.55 * 16_000), round(3.45 * 16_000))
    mixture = recording.samples[both]
    return si_sdr_db(low[both], voices["a"].samples[both]) - si_sdr_db(low[both], mixture)


def test_a_separator_that_helps_is_used_and_one_that_harms_is_not():
    assert overlap_gain_db(Oracle()) > 6
    assert overlap_gain_db(Swapped()) == pytest.approx(0, abs=0.1)


def test_learnt_spectra_separate_tones_and_help_real_voices(shared_media):
    assert overlap_gain_db(SpectralSplitter()) > 6
    folder = shared_media("dialogues", "talk_11.rttm").parent
    sides = [read_talk(folder, "talk_11", (side,)) for side in ("left", "right")]
    alone = [np.concatenate([s.sound.between(a, b).samples for a, b, _ in s.truth]) for s in sides]
    assert rehearsed_gain_db(SpectralSplitter(), alone, 16_000) > 1.0


def test_too_little_speech_alone_means_equal_shares():
    recording, talk = noise(3, 16_000), diarization(("a", 0, 2.0), ("b", 1.0, 3.0))
    voices = separate(recording, talk, Oracle())
    both = slice(round(1.1 * 16_000), round(1.9 * 16_000))
    np.testing.assert_allclose(voices["a"].samples[both], recording.samples[both] / 2, atol=1e-6)
