import numpy as np
import pytest
import soundfile

from engine.compositing.mix import VoiceSound, cut_recording, mix_voices, softly_limited
from engine.errors import UnreadableMedia, WriteFailed


def noise(duration_s, rate, channels=1, level=0.2, seed=0):
    return np.random.default_rng(seed).uniform(-level, level, (round(duration_s * rate), channels)).astype(np.float32)


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"), [(44100, 2, "PCM_24"), (8000, 1, "PCM_16"), (192000, 2, "FLOAT")]
)
def test_a_range_has_the_very_samples_of_the_recording(tmp_path, rate, channels, subtype):
    source = tmp_path / "-s 'x'.wav"
    soundfile.write(source, noise(3, rate, channels), rate, subtype=subtype)
    original, _ = soundfile.read(source, dtype="float32", always_2d=True)
    found, found_rate = soundfile.read(
        cut_recording(source, tmp_path / "o.wav", (0.5, 1.7137)), always_2d=True, dtype="float32"
    )
    assert found_rate == rate
    assert np.array_equal(found, original[round(0.5 * rate) : round(1.7137 * rate)])


def test_without_a_range_the_recording_is_used_as_it_is(tmp_path):
    assert cut_recording(tmp_path / "s.wav", tmp_path / "o.wav") == tmp_path / "s.wav"


def test_range_of_a_real_video(tmp_path, shared_media):
    path = cut_recording(shared_media("videos", "anytalker_talk_11.mp4"), tmp_path / "o.wav", (2.0, 5.0))
    assert soundfile.info(path).frames == 3 * 48000


def test_bad_ranges_and_sources(tmp_path):
    soundfile.write(tmp_path / "s.wav", noise(1, 8000), 8000)
    with pytest.raises(ValueError, match="empty range"):
        cut_recording(tmp_path / "s.wav", tmp_path / "o.wav", (2.0, 2.0))
    (tmp_path / "t.wav").write_text("text")
    with pytest.raises(UnreadableMedia):
        cut_recording(tmp_path / "t.wav", tmp_path / "o.wav", (0.0, 1.0))
    with pytest.raises((UnreadableMedia, WriteFailed)):
        cut_recording(tmp_path / "s.wav", tmp_path / "absent" / "o.wav", (0.0, 1.0))
    assert not (tmp_path / "o.wav").exists()


def test_voices_are_summed_with_their_gains_over_the_longest(tmp_path):
    first, second = noise(2, 16000), noise(3, 16000, seed=1)
    soundfile.write(tmp_path / "1.wav", first, 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "2.wav", second, 16000, subtype="FLOAT")
    voices = [VoiceSound(tmp_path / "1.wav", -6.0), VoiceSound(tmp_path / "2.wav", 3.0)]
    wanted = second[:, 0] * 10 ** (3 / 20)
    wanted[:32000] += first[:, 0] * 10 ** (-6 / 20)
    found, rate = soundfile.read(mix_voices(voices, tmp_path / "m.wav"), dtype="float32")
    assert rate == 16000
    assert np.allclose(found, wanted, atol=1e-6)
    part, _ = soundfile.read(mix_voices(voices, tmp_path / "p.wav", (1.0, 4.0)), dtype="float32")
    assert len(part) == 48000
    assert np.allclose(part[:32000], wanted[16000:], atol=1e-6)
    assert not part[32000:].any()


def test_only_what_would_clip_is_limited(tmp_path):
    loud = np.concatenate([noise(1, 16000, level=0.3), noise(1, 16000, level=0.9)])
    for index in (1, 2):
        soundfile.write(tmp_path / f"{index}.wav", loud, 16000, subtype="FLOAT")
    found, _ = soundfile.read(
        mix_voices([VoiceSound(tmp_path / "1.wav"), VoiceSound(tmp_path / "2.wav")], tmp_path / "m.wav"),
        dtype="float32",
    )
    assert np.abs(found).max() <= 1
    assert np.allclose(found[:16000], 2 * loud[:16000, 0], atol=1e-6)
    assert (np.abs(found[16000:]) > 0.8).any()


def test_limiter_is_smooth_and_keeps_order():
    ramp = np.linspace(-3, 3, 6001).astype(np.float32)
    bent = softly_limited(ramp)
    assert np.abs(bent).max() <= 1
    steps = np.diff(bent)
    assert (steps >= 0).all()
    assert np.abs(np.diff(steps)).max() < 1e-4  # no corner
    inside = np.abs(ramp) <= 0.8
    assert np.array_equal(bent[inside], ramp[inside])
