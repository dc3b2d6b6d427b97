import os
import subprocess
import sys
import textwrap
from contextlib import suppress

import av
import numpy as np
import pytest
import soundfile

from engine.cast.timeline import num_frames
from engine.errors import UnreadableMedia, WriteFailed
from engine.media import ffmpeg
from engine.media.probe import probe, probe_tags
from engine.media.read import load_image, load_waveform
from engine.media.write import Encoding, VideoWriter, read_xmp

SIZE = (320, 180)


def frames(num_frames, size=SIZE):
    for index in range(num_frames):
        rgb = np.full((size[1], size[0], 3), 90, np.uint8)
        rgb[:, (index * 4) % size[0] :][:, :20] = (220, 60, 40)
        yield rgb


def write_video(path, duration_s=2.0, rate=25.0, sound=None, encoding=None):
    with VideoWriter(path, SIZE, rate, sound, encoding) as writer:
        for rgb in frames(num_frames(duration_s, rate)):
            writer.write(rgb)
    return path


def speech_like(duration_s, rate, channels=1):
    rng = np.random.default_rng(1)
    time_s = np.arange(round(duration_s * rate)) / rate
    voice = sum(np.sin(2 * np.pi * 140 * k * time_s + k) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(9 * time_s))
    return np.stack([0.15 * voice + rng.normal(0, 0.003, len(time_s))] * channels, 1).astype(np.float32)


def first_frame(path):
    """RGB as floats by BT.709's own formula: swscale's quick way back to RGB is a level or two too dark."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    luma, cb, cr = (np.array(plane).reshape(plane.height, -1)[:, : plane.width].astype(float) for plane in frame.planes)
    y = (luma - 16) / 219
    cb, cr = ((chroma.repeat(2, 0).repeat(2, 1) - 128) / 224 for chroma in (cb, cr))
    red, blue = y + 1.5748 * cr, y + 1.8556 * cb
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    return np.stack([red, green, blue], -1) * 255


def top_level_boxes(path):
    content, at, kinds = path.read_bytes(), 0, []
    while at < len(content):
        kinds.append(content[at + 4 : at + 8].decode("latin1"))
        at += int.from_bytes(content[at : at + 4], "big")
    return kinds


def test_what_browsers_need(tmp_path):
    soundfile.write(tmp_path / "s.wav", speech_like(2, 48000), 48000)
    path = write_video(tmp_path / "v.mp4", sound=tmp_path / "s.wav", encoding=Encoding(xmp="<x/>"))
    with av.open(str(path)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt, sound.codec_context.name) == (
            "h264",
            "yuv420p",
            "aac",
        )
        assert (video.codec_context.colorspace, video.codec_context.color_range) == (1, 1)  # bt709, limited
        assert video.average_rate == 25
        assert sum(1 for _ in container.decode(video=0)) == 50
    boxes = top_level_boxes(path)
    assert boxes.index("moov") < boxes.index("mdat")  # plays before all of it has arrived
    assert boxes[-1] == "uuid"


@pytest.mark.parametrize("duration_s", [1.0, 2.013, 3.337])
@pytest.mark.parametrize(("rate", "channels"), [(48000, 1), (44100, 2), (16000, 1), (8000, 1), (96000, 2)])
def test_sound_keeps_level_and_length_and_video_is_as_long(tmp_path, duration_s, rate, channels):
    original = speech_like(duration_s, rate, channels)
    soundfile.write(tmp_path / "s.wav", original, rate, subtype="FLOAT")
    path = write_video(tmp_path / "v.mp4", duration_s, 25.0, tmp_path / "s.wav")
    info = probe(path)
    assert info.num_channels == channels
    assert abs(info.duration_s - duration_s) < 0.001
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert abs(float(video.duration * video.time_base) - duration_s) <= 1 / 25
    before, after = load_waveform(tmp_path / "s.wav", 16000).samples, load_waveform(path, 16000).samples
    num_samples = min(len(before), len(after))
    level_db = 20 * np.log10(np.std(after[:num_samples]) / np.std(before[:num_samples]))
    assert abs(level_db) < 0.2
    lags = np.correlate(after[2000 : num_samples - 2000], before[1900 : num_samples - 1900], "valid")
    assert lags.argmax() == 100  # not a sample early or late


def test_sound_that_starts_late_in_its_video_is_taken_as_analysis_hears_it(tmp_path):
    soundfile.write(tmp_path / "s.wav", speech_like(2, 48000), 48000)
    plain = write_video(tmp_path / "plain.mp4")
    inputs = ["-i", ffmpeg.file_argument(plain), "-itsoffset", "0.7", "-i", ffmpeg.file_argument(tmp_path / "s.wav")]
    late = tmp_path / "late.mkv"
    output = ["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "flac", ffmpeg.file_argument(late)]
    ffmpeg.run(ffmpeg.command(*inputs, *output))
    heard = load_waveform(late, 16000).samples
    again = load_waveform(write_video(tmp_path / "v.mp4", sound=late), 16000).samples
    assert len(heard) == 32000
    assert probe(tmp_path / "v.mp4").duration_s == 2.0
    assert 0 <= len(again) - 32000 < 1024 / 3  # AAC decoders give its last frame whole
    assert np.corrcoef(heard, again[:32000])[0, 1] > 0.99


@pytest.mark.parametrize(
    "rgb", [(200, 120, 100), (60, 40, 30), (235, 200, 180), (10, 200, 60), (30, 60, 220), (255, 0, 0)]
)
def test_flat_colours_come_back_as_they_were(tmp_path, rgb):
    with VideoWriter(tmp_path / "c.mp4", SIZE, 25) as writer:
        for _ in range(3):
            writer.write(np.full((SIZE[1], SIZE[0], 3), rgb, np.uint8))
    assert np.abs(first_frame(tmp_path / "c.mp4") - rgb).mean() <= 2


def test_a_real_photo_comes_back_as_it_was(tmp_path, shared_media):
    photo = load_image(shared_media("photos", "pair_sofa.png")).rgb
    with VideoWriter(tmp_path / "p.mp4", (852, 480), 25) as writer:
        writer.write(photo)
    difference = first_frame(tmp_path / "p.mp4") - photo
    assert np.abs(difference).mean() <= 1.5
    assert np.abs(difference.mean(axis=(0, 1))).max() <= 0.3  # no tint


def test_metadata_and_xmp_are_kept(tmp_path):
    encoding = Encoding({"title": "a=b; 'c' \"d\" ü 日本", "comment": "-y"}, "<xmp>ä</xmp>")
    path = write_video(tmp_path / "v.mp4", 0.2, encoding=encoding)
    tags = probe_tags(path)
    assert (tags["title"], tags["comment"]) == ("a=b; 'c' \"d\" ü 日本", "-y")
    assert read_xmp(path) == "<xmp>ä</xmp>"
    assert probe_without_sound(path) == (320, 180)


def probe_without_sound(path):
    with av.open(str(path)) as container:
        return container.streams.video[0].width, container.streams.video[0].height


def test_xmp_of_files_that_have_none_or_are_broken(tmp_path):
    plain = write_video(tmp_path / "v.mp4", 0.2)
    assert read_xmp(plain) == ""
    for content in (b"", b"abc", b"\0" * 64, b"\0\0\0\1mdat" + b"\xff" * 30, b"\0\0\0\x20uuid" + b"x" * 8):
        (tmp_path / "broken").write_bytes(content)
        assert read_xmp(tmp_path / "broken") == ""


@pytest.mark.parametrize("name", ["-o.mp4", "a b'\"$(x).mp4", "日本.mp4", "%d.mp4", "concat:a.mp4"])
def test_hostile_target_names(tmp_path, name):
    assert write_video(tmp_path / name, 0.2) == tmp_path / name
    assert os.listdir(tmp_path) == [name]


def test_only_a_finished_video_gets_the_name(tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(b"an older take")
    with suppress(KeyboardInterrupt), VideoWriter(path, SIZE, 25) as writer:
        for rgb in frames(30):
            writer.write(rgb)
        assert path.read_bytes() == b"an older take"
        raise KeyboardInterrupt
    assert path.read_bytes() == b"an older take"
    assert os.listdir(tmp_path) == ["v.mp4"]


def test_wrong_frames_and_sizes_are_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="even"):
        VideoWriter(tmp_path / "v.mp4", (321, 180), 25)
    writer = VideoWriter(tmp_path / "v.mp4", SIZE, 25)
    with pytest.raises(ValueError, match="uint8"):
        writer.write(np.zeros((180, 320, 3), np.float32))
    writer.discard()
    assert os.listdir(tmp_path) == []


def test_missing_folder_and_unreadable_sound(tmp_path):
    with pytest.raises(WriteFailed, match=r"v\.mp4"):
        write_video(tmp_path / "absent" / "v.mp4")
    (tmp_path / "s.wav").write_text("no sound")
    with pytest.raises(UnreadableMedia):
        write_video(tmp_path / "v.mp4", sound=tmp_path / "s.wav")
    assert os.listdir(tmp_path) == ["s.wav"]


@pytest.mark.skipif(os.name == "nt", reason="file size limits are POSIX")
def test_full_disk_leaves_the_older_video(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"an older take")
    code = """
        import resource, signal, sys
        from pathlib import Path
        import numpy as np
        from engine.errors import WriteFailed
        from engine.media.write import VideoWriter
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        rng = np.random.default_rng(0)
        try:
            with VideoWriter(Path(sys.argv[1]), (320, 180), 25) as writer:
                for _ in range(200): writer.write(rng.integers(0, 255, (180, 320, 3), np.uint8))
            print("written")
        except WriteFailed as error: print("refused:", error)
        """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "v.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("refused: v.mp4 could not be written"), done.stdout + done.stderr
    assert "space" in done.stdout
    assert (tmp_path / "v.mp4").read_bytes() == b"an older take"
    assert os.listdir(tmp_path) == ["v.mp4"]


def test_no_process_or_file_is_left_behind(tmp_path):
    writer = VideoWriter(tmp_path / "v.mp4", SIZE, 25)
    process = writer._process
    writer.discard()
    writer.discard()
    assert process.returncode is not None
    assert os.listdir(tmp_path) == []
