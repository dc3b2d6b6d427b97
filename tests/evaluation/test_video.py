"""Hostile and odd videos: upright, steady and whole, or refused with a reason."""

from pathlib import Path

import numpy as np
import pytest

from engine.errors import UnreadableMedia
from engine.evaluation.video import frames_of, look_at
from engine.media import ffmpeg


def make(
    path: Path, *options: str, source: str = "testsrc2=size=320x180:rate=25:duration=2", sound: bool = True
) -> Path:
    inputs = ["-f", "lavfi", "-i", source] + (["-f", "lavfi", "-i", "sine=duration=2"] if sound else [])
    ffmpeg.run(ffmpeg.command(*inputs, "-pix_fmt", "yuv420p", *options, ffmpeg.file_argument(path)))
    return path


def test_an_ordinary_video(tmp_path: Path) -> None:
    facts = look_at(make(tmp_path / "-i $(x) plain.mp4"))
    assert (facts.size, facts.frame_rate, facts.has_sound, facts.uneven) == ((320, 180), 25.0, True, False)
    frames = list(frames_of(facts))
    assert len(frames) == 50
    assert frames[0].shape == (180, 320, 3)
    assert len(list(frames_of(facts, 1.0))) == 25


def test_a_turned_video_is_read_upright(tmp_path: Path) -> None:
    plain = make(tmp_path / "plain.mp4")
    turned = tmp_path / "turned.mp4"
    ffmpeg.run(
        ffmpeg.command(
            "-display_rotation", "90", *ffmpeg.input_arguments(plain), "-c", "copy", ffmpeg.file_argument(turned)
        )
    )
    facts = look_at(turned)
    assert facts.turned
    assert facts.size == (180, 320)
    straight = next(iter(frames_of(look_at(plain)))).astype(float)
    upright = next(iter(frames_of(facts))).astype(float)
    assert np.abs(np.rot90(straight) - upright).mean() < 8


def test_uneven_interlaced_and_fast_videos_become_steady(tmp_path: Path) -> None:
    kept = "select='not(mod(n\\,7))+not(mod(n\\,3))'"
    uneven = look_at(make(tmp_path / "uneven.mkv", "-vf", kept, "-fps_mode", "vfr"))
    assert uneven.uneven
    assert abs(len(list(frames_of(uneven))) / uneven.frame_rate - 2.0) < 0.2
    interlaced = look_at(make(tmp_path / "old.mkv", "-vf", "interlace", "-flags", "+ildct+ilme", "-c:v", "mpeg2video"))
    assert interlaced.interlaced
    assert len(list(frames_of(interlaced))) > 20
    fast = look_at(make(tmp_path / "fast.mp4", source="testsrc2=size=320x180:rate=60:duration=1"))
    assert fast.frame_rate == 30.0
    assert len(list(frames_of(fast))) == pytest.approx(30, abs=1)


def test_a_large_video_is_read_small(tmp_path: Path) -> None:
    large = make(tmp_path / "large.mp4", source="color=red:size=2560x1440:rate=5:duration=0.4", sound=False)
    assert look_at(large).size == (1280, 720)
    assert not look_at(large).has_sound


def test_a_video_cut_in_the_middle_gives_what_there_is(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4", "-movflags", "+faststart", "-b:v", "2M").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    facts = look_at(cut)
    frames = list(frames_of(facts))
    assert facts.duration_s == pytest.approx(2.0, abs=0.1)
    assert 0 < len(frames) < 45
    without_index = tmp_path / "noindex.mp4"
    without_index.write_bytes(make(tmp_path / "late.mp4").read_bytes()[:9000])
    with pytest.raises(UnreadableMedia):
        look_at(without_index)


@pytest.mark.parametrize(("name", "content"), [("text.mp4", b"hello" * 100), ("empty.mp4", b"")])
def test_what_is_no_video_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableMedia):
        look_at(tmp_path / name)
    with pytest.raises(UnreadableMedia):
        look_at(tmp_path / "nothing.mp4")


def test_a_sound_is_no_video(tmp_path: Path) -> None:
    sound = tmp_path / "a.wav"
    ffmpeg.run(ffmpeg.command("-f", "lavfi", "-i", "sine=duration=1", ffmpeg.file_argument(sound)))
    with pytest.raises(UnreadableMedia, match="no pictures"):
        look_at(sound)
