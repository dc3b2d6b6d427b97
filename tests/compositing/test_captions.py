import itertools
import re

import numpy as np
import pytest
import srt
from PIL import Image as PillowImage

from engine.analysis.types import Word
from engine.compositing.captions import (
    LINE_CHARACTERS,
    CaptionPainter,
    make_cues,
    speaker_colours,
    to_srt,
    to_vtt,
    write_captions,
)
from engine.compositing.lettering import readable
from engine.project.document import CastMember, Face, Part, Scene, Speaker, Turn

ANNA, BEN = Speaker(id="a", name="Anna"), Speaker(id="b", name="Ben")
LONG = " ".join(f"word{index}" for index in range(60))


def turn(speaker, start_s, end_s, text=""):
    return Turn(speaker_id=speaker.id, start_s=start_s, end_s=end_s, text=text)


def test_srt_reads_back_with_names_and_times():
    cues = make_cues([turn(BEN, 2.5, 4, "Hello."), turn(ANNA, 0.25, 2)], [ANNA, BEN])
    found = list(srt.parse(to_srt(cues)))
    assert [(one.start.total_seconds(), one.end.total_seconds(), one.content) for one in found] == [
        (0.25, 2.0, "[Anna speaks]"),
        (2.5, 4.0, "Ben: Hello."),
    ]


def test_vtt():
    text = to_vtt(make_cues([turn(ANNA, 3661.5, 3663.25, "Hi")], [ANNA]))
    assert text == "WEBVTT\n\n01:01:01.500 --> 01:01:03.250\n<v Anna>Anna: Hi</v>\n"


def test_times_follow_the_rendered_range():
    turns = [
        turn(ANNA, 0, 3, "before"),
        turn(ANNA, 9, 12, "over the edge"),
        turn(BEN, 14, 99, "end"),
        turn(BEN, 100, 101),
    ]
    cues = make_cues(turns, [ANNA, BEN], range_s=(10.0, 20.0))
    assert [(cue.start_s, cue.end_s) for cue in cues] == [(0.0, 2.0), (4.0, 10.0)]


def test_overlapping_turns_give_two_cues_at_once():
    cues = make_cues([turn(ANNA, 0, 3, "one"), turn(BEN, 2, 5, "two")], [ANNA, BEN])
    assert cues[1].start_s < cues[0].end_s


def test_long_texts_become_readable_cues():
    cues = make_cues([turn(ANNA, 1.0, 31.0, LONG)], [ANNA])
    assert all(len(line) <= LINE_CHARACTERS for cue in cues for line in cue.lines)
    assert all(len(cue.lines) <= 2 for cue in cues)
    assert " ".join(line for cue in cues for line in cue.lines) == f"Anna: {LONG}"
    assert (cues[0].start_s, cues[-1].end_s) == (1.0, 31.0)
    assert all(first.end_s == second.start_s for first, second in itertools.pairwise(cues))
    lengths = np.array([sum(map(len, cue.lines)) for cue in cues])
    durations = np.array([cue.end_s - cue.start_s for cue in cues])
    assert np.corrcoef(lengths, durations)[0, 1] > 0.6


def test_word_times_decide_where_cues_change():
    one = turn(ANNA, 0, 60, LONG)
    pieces = LONG.split()
    fast = [Word(index * 0.2, index * 0.2 + 0.2, text) for index, text in enumerate(pieces[:30])]
    slow = [Word(6 + index * 1.8, 6 + index * 1.8 + 1.8, text) for index, text in enumerate(pieces[30:])]
    cues = make_cues([one], [ANNA], words={one.id: fast + slow})
    for cue in cues[:-1]:
        last = cue.lines[-1].split()[-1]
        word = next(word for word in fast + slow if word.text == last)
        assert abs(cue.end_s - word.end_s) < 0.05
    assert make_cues([turn(ANNA, 0, 1)], [ANNA], words={}) != cues


def test_words_alone_are_text_enough():
    one = turn(ANNA, 0, 2)
    (cue,) = make_cues([one], [ANNA], words={one.id: [Word(0.1, 0.5, "Good"), Word(0.5, 1, "day")]})
    assert cue.lines == ("Anna: Good day",)


def test_short_wordless_turns_do_not_flicker():
    turns = [turn(ANNA, index, index + 0.6) for index in range(5)] + [turn(BEN, 2, 3)]
    cues = make_cues(turns, [ANNA, BEN])
    assert [(cue.speaker_name, cue.start_s, cue.end_s) for cue in cues] == [("Anna", 0, 4.6), ("Ben", 2, 3)]


HOSTILE = "<script>alert(1)</script> & {\\an8} 00:00:01,000 --> 00:00:02,000\n\n1\nx\u202e\0"


def test_markup_in_texts_and_names_stays_text():
    evil = Speaker(id="e", name="<b>Eve\n\n7\n00:00:00,000 --> 00:00:09,000")
    cues = make_cues([turn(evil, 0, 30, HOSTILE), turn(evil, 31, 32)], [evil])
    found = list(srt.parse(to_srt(cues)))
    assert len(found) == len(cues)
    assert not re.search(r"[<>{}\0\u202e]", "".join(one.content for one in found))
    vtt = to_vtt(cues)
    assert vtt.count("-->") == len(cues)
    assert set(re.findall(r"<[^>]*>", vtt)) == {"</v>", "<v &lt;b&gt;Eve 7 00:00:00,000 --&gt; 00:00:09,000>"}


def test_empty_and_odd_names():
    for name in ("", "  ", "\n"):
        odd = Speaker(id="o", name=name)
        assert make_cues([turn(odd, 0, 1)], [odd])[0].lines == ("[Someone speaks]",)
    assert make_cues([turn(ANNA, 0, 1)], [])[0].lines == ("[a speaks]",)
    long_name = Speaker(id="l", name="N" * 200)
    assert all(
        len(line) <= LINE_CHARACTERS
        for cue in make_cues([turn(long_name, 0, 9, "x")], [long_name])
        for line in cue.lines
    )
    assert to_vtt([]) == "WEBVTT\n"
    assert to_srt([]) == ""


def test_files_lie_beside_the_video(tmp_path):
    paths = write_captions(tmp_path / "video.mp4", make_cues([turn(ANNA, 0, 1, "Grüße 日本")], [ANNA]))
    assert [path.name for path in paths] == ["video.srt", "video.vtt"]
    assert all("Grüße 日本" in path.read_text(encoding="utf-8") for path in paths)


def test_painting_changes_the_lower_part_only_while_someone_speaks():
    cues = make_cues([turn(ANNA, 1, 2, "Hello there, this is a caption."), turn(BEN, 1.5, 2, "And mine")], [ANNA, BEN])
    painter = CaptionPainter(cues, {"a": "#ff0000", "b": "#2e86ab"})
    frame = np.full((480, 832, 3), 120, np.uint8)
    assert painter.paint(frame, 0.99) is frame
    assert painter.paint(frame, 2.0) is frame
    painted = painter.paint(frame, 1.2)
    assert (frame == 120).all()
    assert np.array_equal(painted[:380], frame[:380])
    changed = np.argwhere((painted != frame).any(-1))
    assert abs(changed[:, 1].mean() - 832 / 2) < 10  # in the middle
    red = (painted[..., 0].astype(int) - painted[..., 1] > 60).sum()
    assert red > 50  # the speaker's name in the face's colour
    assert (painted.min(-1) > 230).sum() > 100  # the words in white
    assert (painter.paint(frame, 1.7) != frame).sum() > (painted != frame).sum()  # two at once


@pytest.mark.parametrize("size", [(128, 128), (270, 480), (3840, 2160)])
def test_painting_fits_every_size(size):
    cues = make_cues([turn(ANNA, 0, 9, LONG)], [ANNA])
    frame = np.zeros((size[1], size[0], 3), np.uint8)
    painted = CaptionPainter(cues, {}).paint(frame, 0.1)
    assert painted.shape == frame.shape
    assert not painted[:, 0].any()
    assert not painted[-1].any()
    PillowImage.fromarray(painted)


def test_colours_come_from_the_cast():
    face = Face(id="f", name="F", colour="#123456", box_px=(0, 0, 9, 9))
    cast = [CastMember(face_id="f", speaker_id="a", part=Part.TALKS), CastMember(speaker_id="b", part=Part.TALKS)]
    assert speaker_colours(Scene(faces=[face], cast=cast)) == {"a": "#123456"}


@pytest.mark.parametrize("colour", ["#000000", "#5e60ce", "#ffffff", "red", "", "#xyzxyz"])
def test_colours_are_readable_on_the_dim_panel(colour):
    assert np.dot(readable(colour), (0.2126, 0.7152, 0.0722)) > 145
