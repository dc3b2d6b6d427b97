"""Voice isolation through files of the published form: what goes round the network comes back whole and in time."""

import numpy as np
import pytest
from isolator_file import HERTZ, VOICE_RATE, network, tone

from engine.analysis.backends import kim_vocal
from engine.analysis.backends.kim_vocal import BINS, isolator_path, load_isolator
from engine.errors import UnusableCheckpoint
from engine.media.types import Waveform


def test_what_the_network_keeps_comes_back_as_it_was(tmp_path):
    isolate = load_isolator(network(tmp_path / "all.onnx", np.ones(BINS)))
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * VOICE_RATE).astype(np.float32)
    sound = 0.3 * tone(440, 13)  # over two seams
    sound[5 * VOICE_RATE : 8 * VOICE_RATE] += noise
    *shares, found = isolate(Waveform(sound, VOICE_RATE))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert found.samples.shape == sound.shape
    smooth = np.r_[0 : 5 * VOICE_RATE, 8 * VOICE_RATE : len(sound)]
    inside = smooth[(smooth > 1600) & (smooth < len(sound) - 1600)]
    assert np.allclose(found.samples[inside] / 1.009, sound[inside], atol=0.01)
    assert np.corrcoef(found.samples, sound)[0, 1] > 0.99


def test_what_it_leaves_out_is_gone(tmp_path):
    isolate = load_isolator(network(tmp_path / "voices.onnx", (HERTZ > 200) & (HERTZ < 3500)))
    voice, hum = 0.2 * tone(700, 4), 0.4 * tone(60, 4)
    *_, isolated = isolate(Waveform(voice + hum, VOICE_RATE))
    found = isolated.samples[VOICE_RATE:-VOICE_RATE]
    assert np.sqrt(np.mean((found / 1.009 - voice[VOICE_RATE:-VOICE_RATE]) ** 2)) < 0.005


def test_no_sound_at_all_stays_so(tmp_path):
    isolate = load_isolator(network(tmp_path / "all.onnx", np.ones(BINS)))
    for num_samples in (0, 100):
        *_, found = isolate(Waveform(np.zeros(num_samples, np.float32), VOICE_RATE))
        assert found.samples.shape == (num_samples,)
        assert not found.samples.any()


def test_other_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    assert isolator_path() is None
    path = network(tmp_path.joinpath(*kim_vocal.FILE), np.ones(BINS))
    assert isolator_path() == path
    with pytest.raises(UnusableCheckpoint, match="another network"):
        load_isolator(network(tmp_path / "other.onnx", np.ones(2048), ("batch", 4, 2048, 256)))
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    with pytest.raises(UnusableCheckpoint, match="cannot be read"):
        load_isolator(tmp_path / "broken.onnx")
