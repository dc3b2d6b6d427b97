import os
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import soundfile
from PIL import Image as PillowImage

from engine.errors import UnreadableMedia, WriteFailed
from engine.media import ffmpeg
from engine.media.probe import probe
from engine.media.read import load_waveform, weights_from_products
from engine.media.types import Waveform
from engine.media.write import write_waveform


def tone(duration_s=2.0, rate=16000, hz=220.0, level=0.5):
    return (level * np.sin(2 * np.pi * hz * np.arange(round(duration_s * rate)) / rate)).astype(np.float32)


def rms(samples):
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def encode(source, target, *arguments):
    ffmpeg.run(ffmpeg.command("-i", ffmpeg.file_argument(source), *arguments, ffmpeg.file_argument(target)))
    return target


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_every_sample_rate_keeps_length_and_level(tmp_path, rate):
    path = tmp_path / "t.wav"
    soundfile.write(path, tone(rate=rate), rate)
    found = load_waveform(path, 16000)
    assert found.sample_rate == 16000
    assert found.samples.dtype == np.float32
    assert abs(len(found.samples) - 32000) <= 1
    assert abs(rms(found.samples) / rms(tone()) - 1) < 0.01
    assert probe(path).sample_rate == rate


def test_same_rate_gives_the_very_samples(tmp_path):
    samples = np.random.default_rng(0).integers(-32768, 32767, 40000).astype(np.int16)
    soundfile.write(tmp_path / "x.flac", samples, 48000)
    assert np.array_equal(load_waveform(tmp_path / "x.flac", 48000).samples, samples / np.float32(32768))


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.ogg", "libvorbis"), ("a.opus", "libopus"), ("a.flac", "flac")],
)
def test_formats(tmp_path, name, codec):
    soundfile.write(tmp_path / "s.wav", tone(rate=48000), 48000)
    path = encode(tmp_path / "s.wav", tmp_path / name, "-c:a", codec)
    found = load_waveform(path, 16000)
    assert abs(found.duration_s - 2.0) < 0.06
    assert abs(rms(found.samples[4000:-4000]) / rms(tone()) - 1) < 0.08  # lame turns its input down by 0.4 dB
    assert probe(path).kind == "audio"


def test_the_sound_of_a_video(tmp_path, shared_media):
    found = load_waveform(shared_media("videos", "anytalker_talk_11.mp4"), 16000)
    assert abs(found.duration_s - 8.597) < 0.03
    assert probe(shared_media("videos", "anytalker_talk_11.mp4")).kind == "video"


def test_album_cover_does_not_make_a_song_a_video(tmp_path):
    soundfile.write(tmp_path / "s.wav", tone(rate=48000), 48000)
    PillowImage.new("RGB", (64, 64), "red").save(tmp_path / "cover.png")
    picture = ["-i", ffmpeg.file_argument(tmp_path / "cover.png"), "-map", "0", "-map", "1"]
    path = encode(tmp_path / "s.wav", tmp_path / "s.mp3", *picture, "-c:v", "mjpeg", "-disposition:v", "attached_pic")
    assert probe(path).kind == "audio"
    assert load_waveform(path, 16000).duration_s > 1.9


STEREO = {
    "both the same": lambda t: (t, t),
    "left only": lambda t: (t, 0 * t),
    "right only, left hisses": lambda t: (np.random.default_rng(0).normal(0, 1e-4, len(t)), t),
    "opposite phase": lambda t: (t, -t),
    "nearly opposite phase": lambda t: (t, -0.9 * t),
}


@pytest.mark.parametrize("name", STEREO)
def test_stereo_never_cancels_or_fades(tmp_path, name):
    soundfile.write(tmp_path / "st.wav", np.stack(STEREO[name](tone()), 1), 16000)
    found = load_waveform(tmp_path / "st.wav", 16000).samples
    assert 0.9 < rms(found) / rms(tone()) < 1.05
    assert abs(np.corrcoef(found, tone())[0, 1]) > 0.99


def test_two_people_on_two_channels_are_both_heard(tmp_path):
    first, second = tone(hz=200), tone(hz=333)
    soundfile.write(tmp_path / "two.wav", np.stack([first, second], 1), 16000)
    found = load_waveform(tmp_path / "two.wav", 16000).samples
    assert np.allclose(found, (first + second) / 2, atol=1e-3)


def test_weights_of_silence_and_many_channels():
    assert np.allclose(weights_from_products(np.zeros((2, 2))), 0.5)
    products = np.diag([1.0, 1.0, 0, 0, 1e-9, 0])
    assert np.allclose(weights_from_products(products), [0.5, 0.5, 0, 0, 0, 0])


def test_surround(tmp_path):
    soundfile.write(tmp_path / "six.wav", np.stack([0 * tone(), 0 * tone(), tone(), *[0 * tone()] * 3], 1), 16000)
    assert abs(rms(load_waveform(tmp_path / "six.wav", 16000).samples) / rms(tone()) - 1) < 0.02


def test_not_a_number_in_a_float_file_becomes_silence(tmp_path):
    samples = tone()
    samples[100:200] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 16000, subtype="FLOAT")
    assert np.isfinite(load_waveform(tmp_path / "nan.wav", 16000).samples).all()


def wav_header(num_bytes, rate=16000, claimed=None):
    size = num_bytes if claimed is None else claimed
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", min(size + 36, 0xFFFFFFFF)) + b"WAVE" + fmt + b"data" + struct.pack("<I", size)


def test_streamed_wav_without_a_length_is_read(tmp_path):
    content = (tone(3.0) * 32767).astype("<i2").tobytes()
    (tmp_path / "live.wav").write_bytes(wav_header(0, claimed=0xFFFFFFFF) + content)
    assert abs(load_waveform(tmp_path / "live.wav", 16000).duration_s - 3.0) < 0.01


def test_cut_off_wav_gives_what_is_there(tmp_path):
    content = (tone(3.0) * 32767).astype("<i2").tobytes()
    (tmp_path / "cut.wav").write_bytes(wav_header(10 * len(content)) + content)
    assert abs(load_waveform(tmp_path / "cut.wav", 16000).duration_s - 3.0) < 0.01


def sparse_wav(path, duration_s, rate=8000):
    num_bytes = round(duration_s * rate) * 2
    with path.open("wb") as file:
        file.write(wav_header(num_bytes, rate))
        file.truncate(44 + num_bytes)
    return path


def test_two_hours_are_refused_at_once(tmp_path):
    path = sparse_wav(tmp_path / "long.wav", 7200)
    with pytest.raises(UnreadableMedia, match="120 minutes; up to 90") as caught:
        load_waveform(path, 16000)
    assert "Cut it" in caught.value.remedy


def test_two_hours_that_hide_their_length_are_refused_and_leave_no_cache(tmp_path):
    # Raw AAC says nothing about its length beyond a guess from the first frames' rate; cut the guess's basis.
    soundfile.write(tmp_path / "s.flac", np.zeros(8000 * 60, np.int16), 8000)
    minute = encode(tmp_path / "s.flac", tmp_path / "m.aac", "-c:a", "aac", "-b:a", "8k").read_bytes()
    path = tmp_path / "long.aac"
    loud = encode_noise(tmp_path)
    path.write_bytes(loud + minute * 120)
    with pytest.raises(UnreadableMedia, match="minutes; up to 90"):
        load_waveform(path, 8000, tmp_path / "cache")
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


def encode_noise(folder):
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, 8000 * 30)
    soundfile.write(folder / "n.flac", noise, 8000)
    return encode(folder / "n.flac", folder / "n.aac", "-c:a", "aac", "-b:a", "48k").read_bytes()


def silent_video(folder):
    source = ["-f", "lavfi", "-i", "color=red:s=64x64:d=1:r=10"]
    ffmpeg.run(ffmpeg.command(*source, "-c:v", "libx264", ffmpeg.file_argument(folder / "v.mp4")))
    return folder / "v.mp4"


def test_bad_recordings_are_refused_with_a_remedy(tmp_path):
    def written(name, content):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    soundfile.write(tmp_path / "short.wav", tone(0.2), 16000)
    soundfile.write(tmp_path / "s.wav", tone(5), 16000)
    m4a = encode(tmp_path / "s.wav", tmp_path / "s.m4a").read_bytes()
    cases = [
        (written("empty.wav", b""), "is empty"),
        (written("header.wav", wav_header(0)), "lasts only|not a photo"),
        (written("text.mp3", b"not sound at all\n" * 100), "not a photo, recording or video"),
        (written("half.m4a", m4a[: len(m4a) // 2]), "not a photo, recording or video"),
        (tmp_path / "short.wav", r"lasts only 0\.2 s"),
        (silent_video(tmp_path), "has no sound"),
        (tmp_path / "absent.wav", "There is no file"),
    ]
    for path, expected in cases:
        with pytest.raises(UnreadableMedia, match=expected) as caught:
            load_waveform(path, 16000)
        assert caught.value.remedy, path
        assert path.name in caught.value.message


def test_a_photo_is_no_recording(shared_media):
    with pytest.raises(UnreadableMedia, match="is a photo"):
        load_waveform(shared_media("photos", "pair_sofa.png"), 16000)


@pytest.mark.parametrize(
    "playlist",
    ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n"],
)
def test_playlists_do_not_open_other_files(tmp_path, playlist):
    soundfile.write(tmp_path / "secret.wav", tone(), 16000)
    (tmp_path / "list.mp3").write_text(playlist.format("secret.wav"))
    with pytest.raises(UnreadableMedia):
        load_waveform(tmp_path / "list.mp3", 16000)
    with pytest.raises(ffmpeg.FfmpegFailed):  # the second fence holds without the probe, too
        ffmpeg.run(ffmpeg.command(*ffmpeg.input_arguments(tmp_path / "list.mp3"), "-f", "null", "-"))


NAMES = [
    "-i.wav",
    "a b.wav",
    'it\'s "q".wav',
    "日本🎤.wav",
    "$(touch pwned).wav",
    "http:x.wav",
    "%03d.wav",
    "a\nb.wav",
    "|x",
]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_file_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "plain.wav", tone(), 16000)
    path = (tmp_path / "plain.wav").rename(tmp_path / name)
    assert load_waveform(path.relative_to(tmp_path), 16000).duration_s == 2.0
    assert os.listdir(tmp_path) == [name]
    (tmp_path / "sub").mkdir()
    assert load_waveform(tmp_path / "sub" / ".." / name, 16000).duration_s == 2.0


def test_long_sound_is_a_memory_map_and_found_again(tmp_path):
    soundfile.write(tmp_path / "long.flac", np.tile((tone(1.0, 8000) * 32767).astype(np.int16), 70), 8000)
    cache = tmp_path / "cache"
    first = load_waveform(tmp_path / "long.flac", 16000, cache)
    assert isinstance(first.samples, np.memmap)
    assert abs(first.duration_s - 70) < 0.01
    (kept,) = cache.iterdir()
    stamp = kept.stat().st_mtime_ns
    again = load_waveform(tmp_path / "long.flac", 16000, cache)
    assert kept.stat().st_mtime_ns == stamp
    assert np.array_equal(first.samples, again.samples)
    nameless = load_waveform(tmp_path / "long.flac", 16000)
    assert isinstance(nameless.samples, np.memmap)
    assert np.array_equal(first.samples, nameless.samples)


@pytest.mark.slow
def test_an_hour_needs_little_memory(tmp_path):
    path = sparse_wav(tmp_path / "hour.wav", 3600, 16000)
    code = """
        import resource, sys
        from pathlib import Path
        from engine.media.read import load_waveform
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = load_waveform(Path(sys.argv[1]), 16000, Path(sys.argv[2]))
        print(found.duration_s, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path), str(tmp_path / "cache")]
    duration_s, grown_mb = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert float(duration_s) == 3600
    assert int(grown_mb) < 100  # the samples alone are 220 MB


def test_write_waveform_is_exact_and_whole_or_absent(tmp_path):
    path = write_waveform(tmp_path / "o.wav", Waveform(tone(), 16000), "FLOAT")
    assert np.array_equal(soundfile.read(path, dtype="float32")[0], tone())
    with pytest.raises(WriteFailed):
        write_waveform(tmp_path / "no folder" / "o.wav", Waveform(tone(), 16000))
    assert os.listdir(tmp_path) == ["o.wav"]


@pytest.mark.skipif(os.name == "nt", reason="file size limits are POSIX")
def test_full_disk_while_sound_is_written(tmp_path):
    code = """
        import resource, sys
        from pathlib import Path
        import numpy as np
        from engine.errors import WriteFailed
        from engine.media.types import Waveform
        from engine.media.write import write_waveform
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try: write_waveform(Path(sys.argv[1]), Waveform(np.zeros(10**6, np.float32), 16000)); print("written")
        except WriteFailed as error: print("refused:", error)
        """
    (tmp_path / "o.wav").write_bytes(b"older")
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "o.wav")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith("refused: o.wav could not be written"), done.stderr
    assert (tmp_path / "o.wav").read_bytes() == b"older"
    assert os.listdir(tmp_path) == ["o.wav"]
