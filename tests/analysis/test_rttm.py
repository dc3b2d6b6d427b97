import pytest

from engine.analysis.diarization import mark_overlaps
from engine.analysis.rttm import read_rttm, write_rttm
from engine.analysis.types import Diarization
from engine.errors import UnreadableMedia, WriteFailed
from engine.project.document import Speaker, Turn


def two_speakers(first="Ann Lee", second="Žofie 50%"):
    speakers = [Speaker(id="a", name=first), Speaker(id="b", name=second)]
    turns = [Turn(speaker_id="a", start_s=0.5, end_s=2.0), Turn(speaker_id="b", start_s=1.75, end_s=3.125)]
    return Diarization(speakers, mark_overlaps(turns))


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "it's a talk.rttm"
    write_rttm(two_speakers(), path, uri='my "talk" $(x)')
    found = read_rttm(path)
    assert [speaker.name for speaker in found.speakers] == ["Ann Lee", "Žofie 50%"]
    assert [(turn.start_s, turn.end_s, turn.overlapped) for turn in found.turns] == [
        (0.5, 2, True),
        (1.75, 3.125, True),
    ]
    assert all(len(line.split()) == 10 for line in path.read_text().splitlines())
    assert list(tmp_path.iterdir()) == [path]


def test_two_speakers_of_one_name_stay_two(tmp_path):
    write_rttm(two_speakers("Sam", "Sam"), tmp_path / "x.rttm", "talk")
    assert len(read_rttm(tmp_path / "x.rttm").speakers) == 2


def test_other_line_types_and_blank_lines_are_passed_over(tmp_path):
    path = tmp_path / "x.rttm"
    path.write_text(
        "\ufeff;; a remark\n\nSPKR-INFO x 1 <NA> <NA> <NA> unknown A <NA>\nSPEAKER x 1 1.0 2.0 <NA> <NA> A <NA> <NA>\n"
        "SPEAKER x 1 0.0 1.5 <NA> <NA> A\n"
    )
    (turn,) = read_rttm(path).turns
    assert (turn.start_s, turn.end_s) == (0.0, 3.0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an rttm\n",
        b"SPEAKER x 1 0.0\n",
        b"SPEAKER x 1 zero 1 <NA> <NA> A <NA> <NA>\n",
        b"SPEAKER x 1 nan 1 <NA> <NA> A <NA> <NA>\n",
        b"SPEAKER x 1 1e300 1e300 <NA> <NA> A <NA> <NA>\n",
        b"SPEAKER x 1 0 -1 <NA> <NA> A <NA> <NA>\n",
        b"SPEAKER x 1 -3 1 <NA> <NA> A <NA> <NA>\n",
        b"\xff\xfe\x00\x01 binary \x80",
        b"SPEAKER x 1 0.0 1.0 <NA> <NA> A <NA> <NA>\n" * 100_001,
    ],
)
def test_hostile_files_are_refused_with_a_remedy(tmp_path, content):
    path = tmp_path / "x.rttm"
    path.write_bytes(content)
    with pytest.raises(UnreadableMedia) as caught:
        read_rttm(path)
    assert "x.rttm" in caught.value.message
    assert caught.value.remedy


def test_absent_file_and_unwritable_folder_are_said_clearly(tmp_path):
    with pytest.raises(UnreadableMedia, match=r"gone\.rttm"):
        read_rttm(tmp_path / "gone.rttm")
    with pytest.raises(WriteFailed, match=r"x\.rttm"):
        write_rttm(two_speakers(), tmp_path / "no folder" / "x.rttm", "talk")
