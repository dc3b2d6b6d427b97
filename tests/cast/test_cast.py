import numpy as np
import pytest

from engine.cast.streams import Evidence, build_streams
from engine.cast.suggest import check, describe, suggest
from engine.cast.timeline import gate, num_frames, talking_s, within
from engine.errors import UncastSpeaker, UnknownFace
from engine.media.types import Waveform
from engine.project.document import CastMember, Face, Part, Scene, Speaker, Turn


def faces(count: int) -> list[Face]:
    return [
        Face(id=f"face-{i}", name=f"Face {i}", colour="#fff", box_px=(100 * i, 0, 100 * i + 50, 50))
        for i in range(1, count + 1)
    ]


def speakers(count: int) -> list[Speaker]:
    return [Speaker(id=f"speaker-{i}", name=f"Speaker {i}") for i in range(1, count + 1)]


def scene(num_faces: int, num_speakers: int) -> Scene:
    turns = [Turn(speaker_id=f"speaker-{i}", start_s=2.0 * i, end_s=2.0 * i + 1.5) for i in range(1, num_speakers + 1)]
    made = Scene(faces=faces(num_faces), speakers=speakers(num_speakers), turns=turns)
    made.cast = suggest(made.faces, made.speakers)
    return made


@pytest.mark.parametrize(
    ("num_faces", "num_speakers", "sentence"),
    [
        (2, 2, "2 faces, 2 voices: everyone talks."),
        (4, 3, "4 faces, 3 voices: Face 4 will listen."),
        (4, 2, "4 faces, 2 voices: Face 3 and Face 4 will listen."),
        (1, 3, "1 face, 3 voices: Speaker 2 and Speaker 3 will be heard off-screen."),
        (0, 1, "0 faces, 1 voice: Speaker 1 will be heard off-screen."),
    ],
)
def test_everybody_gets_exactly_one_place_and_it_is_said(num_faces: int, num_speakers: int, sentence: str) -> None:
    made = scene(num_faces, num_speakers)
    assert [m.face_id for m in made.cast if m.face_id] == [face.id for face in made.faces]
    assert [m.speaker_id for m in made.cast if m.speaker_id] == [speaker.id for speaker in made.speakers]
    assert describe(made) == sentence
    check(made)


def test_what_a_person_chose_stays_when_analysis_runs_again() -> None:
    chosen = CastMember(face_id="face-2", speaker_id="speaker-1", part=Part.TALKS, liveliness=1.5, origin="chosen")
    cast = suggest(faces(3), speakers(2), [chosen, CastMember(face_id="face-1", speaker_id="speaker-1")])
    assert chosen in cast
    assert [(m.face_id, m.speaker_id) for m in cast] == [
        ("face-2", "speaker-1"),
        ("face-1", "speaker-2"),
        ("face-3", None),
    ]


def test_a_chosen_member_whose_voice_is_gone_listens() -> None:
    chosen = CastMember(face_id="face-1", speaker_id="speaker-9", part=Part.TALKS, origin="chosen")
    kept = suggest(faces(1), [], [chosen])
    assert (kept[0].speaker_id, kept[0].part) == (None, Part.LISTENS)


def test_a_dropped_voice_is_refused() -> None:
    made = scene(2, 2)
    made.cast = made.cast[:1]
    with pytest.raises(UncastSpeaker, match="Speaker 2"):
        check(made)


def test_a_speaker_told_to_stay_still_is_refused() -> None:
    made = scene(2, 2)
    made.cast[0].part = Part.STILL
    with pytest.raises(UncastSpeaker, match="Speaker 1"):
        check(made)


def test_one_voice_on_two_faces_is_refused() -> None:
    made = scene(2, 2)
    made.cast[1].speaker_id = "speaker-1"
    with pytest.raises(UncastSpeaker, match="twice"):
        check(made)


def test_a_face_that_is_not_there_is_refused() -> None:
    made = scene(1, 1)
    made.cast[0].face_id = "face-7"
    with pytest.raises(UnknownFace):
        check(made)


def test_streams_gate_the_right_person() -> None:
    made = scene(3, 2)
    voices = {speaker.id: Waveform(np.full(16000 * 8, 0.1, np.float32), 16000) for speaker in made.speakers}
    first, second, listener = build_streams(made, Evidence(voices, {}), (0.0, 8.0))
    assert len(first.speaking_gate) == 200
    assert first.speaking_gate[int(2.5 * 25)] == 1
    assert second.speaking_gate[int(2.5 * 25)] == 0
    assert second.listening_gate[int(2.5 * 25)] == 1
    assert not listener.speaking_gate.any()
    assert not listener.voice.samples.any()
    assert np.array_equal(listener.listening_gate > 0, (first.speaking_gate + second.speaking_gate) > 0)


def test_swapping_two_people_swaps_their_streams_and_nothing_else() -> None:
    made = scene(2, 2)
    voices = {f"speaker-{i}": Waveform(np.full(16000 * 8, 0.1 * i, np.float32), 16000) for i in (1, 2)}
    before = build_streams(made, Evidence(voices, {}), (0.0, 8.0))
    made.cast[0].speaker_id, made.cast[1].speaker_id = "speaker-2", "speaker-1"
    after = build_streams(made, Evidence(voices, {}), (0.0, 8.0))
    for old, new in ((before[0], after[1]), (before[1], after[0])):
        assert np.array_equal(old.voice.samples, new.voice.samples)
        assert np.array_equal(old.speaking_gate, new.speaking_gate)
        assert old.turns_s == new.turns_s
    assert [stream.face for stream in before] == [stream.face for stream in after]


def test_streams_of_a_range_start_at_its_start() -> None:
    made = scene(1, 1)
    voices = {"speaker-1": Waveform(np.arange(16000 * 8, dtype=np.float32), 16000)}
    (stream,) = build_streams(made, Evidence(voices, {}), (2.5, 4.0))
    assert stream.voice.samples[0] == 2.5 * 16000
    assert stream.turns_s == ((0.0, 1.0),)


def test_gate_ramps_outside_the_turn() -> None:
    opened = gate([(1.0, 2.0)], 100, 300)
    assert opened[100:200].min() == 1
    assert 0 < opened[95] < 1
    assert opened[:90].max() == 0


def test_times_and_frames() -> None:
    turns = [Turn(speaker_id="a", start_s=0, end_s=2), Turn(speaker_id="b", start_s=10, end_s=13)]
    turns += [Turn(speaker_id="a", start_s=13, end_s=14)]
    assert talking_s(turns) == {"a": 3.0, "b": 3.0}
    assert [turn.start_s for turn in within(turns, (11, 20))] == [0, 2]
    assert num_frames(0.001, 25) == 1
    assert num_frames(8.6, 25) == 215


def test_a_voice_that_ends_early_goes_on_as_silence() -> None:
    """One file per person: the shorter one still gives sound for every frame of the range."""
    made = scene(2, 2)
    voices = {
        "speaker-1": Waveform(np.ones(3 * 16000, np.float32), 16000),
        "speaker-2": Waveform(np.ones(8 * 16000, np.float32), 16000),
    }
    for range_s, heard_s in (((0.0, 8.0), 3.0), ((2.9, 5.0), 0.1), ((3.0, 5.0), 0.0)):
        short, long = build_streams(made, Evidence(voices, {}), range_s)
        assert len(short.voice.samples) == len(long.voice.samples) == round((range_s[1] - range_s[0]) * 16000)
        assert short.voice.samples.sum() == pytest.approx(heard_s * 16000, abs=1)
