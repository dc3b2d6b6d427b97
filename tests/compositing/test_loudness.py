"""Loudness is measured again by another meter: a BS.1770 of our own, written from the standard's formulas."""

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter, resample_poly

from engine.compositing.loudness import brought_to, measure
from engine.demo import demo_dialogue
from engine.errors import UnreadableMedia
from engine.media.read import load_waveform

RATE = 48000


def filtered(samples):
    """ITU-R BS.1770-4, tables 1 and 2: the head's shelf, then the high-pass, for 48 kHz."""
    shelf = ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585])
    high_pass = ([1.0, -2.0, 1.0], [1, -1.99004745483398, 0.99007225036621])
    return lfilter(*high_pass, lfilter(*shelf, samples))


def loudness_by_the_book(samples):
    """Mean square of 400 ms blocks, those below -70 and then those 10 below the rest left out."""
    weighted = filtered(samples.astype(np.float64)) ** 2
    block, step = round(0.4 * RATE), round(0.1 * RATE)
    power = np.array([weighted[at : at + block].mean() for at in range(0, len(weighted) - block + 1, step)])
    lufs = -0.691 + 10 * np.log10(np.maximum(power, 1e-20))
    loud = lufs > -70
    gate = -0.691 + 10 * np.log10(power[loud].mean()) - 10
    return -0.691 + 10 * np.log10(power[loud & (lufs > gate)].mean())


def true_peak_db(samples):
    finer = resample_poly(samples.astype(np.float64), 8, 1)
    return 20 * np.log10(np.abs(finer[1000:-1000]).max())  # a cut through a word rings at the very ends


@pytest.fixture(scope="module")
def speech():
    return load_waveform(demo_dialogue(), RATE).samples[5 * RATE : 15 * RATE]


def test_measured_as_by_the_book(tmp_path, speech):
    soundfile.write(tmp_path / "s.wav", speech, RATE, subtype="FLOAT")
    found = measure(tmp_path / "s.wav")
    assert found.integrated_lufs == pytest.approx(loudness_by_the_book(speech), abs=0.15)
    assert found.peak_dbtp == pytest.approx(true_peak_db(speech), abs=0.3)


@pytest.mark.parametrize(("wanted_lufs", "gain_db"), [(-14, 0), (-16, -65), (-23, -45), (-14, 25), (-23, 0)])
def test_speech_comes_out_as_loud_as_wanted_and_not_a_sample_late(tmp_path, speech, wanted_lufs, gain_db):
    source, target = tmp_path / "s.wav", tmp_path / "t.wav"
    soundfile.write(source, speech * 10 ** (gain_db / 20), RATE, subtype="FLOAT")
    brought_to(source, target, wanted_lufs)
    found, rate = soundfile.read(target)
    assert (rate, len(found)) == (RATE, len(speech))
    assert loudness_by_the_book(found) == pytest.approx(wanted_lufs, abs=0.3)
    assert true_peak_db(found) < -1.0
    lags = np.correlate(found[RATE : 2 * RATE], speech[RATE - 50 : 2 * RATE + 50], "valid")
    assert lags.argmax() == 50


def test_where_no_peak_is_in_the_way_it_is_one_gain_and_nothing_else(tmp_path, speech):
    source, target = tmp_path / "s.wav", tmp_path / "t.wav"
    stereo = np.stack([speech, speech * 0.5], 1) * 0.05
    soundfile.write(source, stereo, RATE, subtype="FLOAT")
    brought_to(source, target, -30)
    found, _ = soundfile.read(target)
    heard = np.abs(stereo) > 1e-4
    gains = found[heard] / stereo[heard]
    assert gains.std() < 1e-3 * gains.mean()


@pytest.mark.parametrize("level", [0.0, 2e-5])
def test_silence_stays_as_it_is(tmp_path, level):
    soundfile.write(tmp_path / "s.wav", np.random.default_rng(0).normal(0, 1, RATE * 2) * level, RATE, subtype="FLOAT")
    assert measure(tmp_path / "s.wav").is_silent
    assert brought_to(tmp_path / "s.wav", tmp_path / "t.wav", -14) is None
    assert not (tmp_path / "t.wav").exists()


def test_what_is_no_sound_is_refused(tmp_path):
    (tmp_path / "s.wav").write_text("no sound")
    with pytest.raises(UnreadableMedia):
        measure(tmp_path / "s.wav")
