"""A recording analysed again, as a matter of turns alone."""

import pytest

from engine.analysis.types import Diarization
from engine.cast.again import heard_again, same_voices, spoken
from engine.cast.spans import common, minus, seconds, union
from engine.project.document import MediaInfo, MediaRef, Scene, Speaker, Turn, VoiceFile

FIRST = {1: ((0, 2), (5, 8), (12, 14)), 2: ((2, 5), (8.5, 12))}


def found(spans: dict[int, tuple]) -> Diarization:
    speakers = [Speaker(id=f"speaker-{n}", name=f"Speaker {n}") for n in spans]
    turns = [Turn(speaker_id=f"speaker-{n}", start_s=s, end_s=e) for n, own in spans.items() for s, e in own]
    return Diarization(speakers, sorted(turns, key=lambda turn: turn.start_s))


def analysed(spans: dict[int, tuple]) -> tuple[Scene, dict]:
    first = heard_again(Scene(), found(spans), {})
    return Scene(speakers=first.speakers, turns=first.turns), dict(first.found)


def at(scene: Scene, speaker: int, start_s: float) -> Turn:
    return next(t for t in scene.turns if (t.speaker_id, t.start_s) == (f"speaker-{speaker}", start_s))


def edit(scene: Scene, turn: Turn, **update: object) -> None:
    changed = turn.model_copy(update={"origin": "edited", **update})
    scene.turns = [changed if other is turn else other for other in scene.turns]


def again(scene: Scene, before: dict, spans: dict[int, tuple] = FIRST) -> dict[str, list]:
    heard = heard_again(scene, found(spans), before)
    assert {turn.speaker_id for turn in heard.turns} <= {speaker.id for speaker in heard.speakers}
    return spoken(heard.turns)


def test_the_first_analysis_is_taken_as_it_is():
    scene, before = analysed(FIRST)
    assert [(s.id, s.name) for s in scene.speakers] == [("speaker-1", "Speaker 1"), ("speaker-2", "Speaker 2")]
    assert before == spoken(scene.turns) == {f"speaker-{n}": list(own) for n, own in FIRST.items()}


def test_analysed_again_without_edits_nothing_changes_not_even_ids():
    scene, before = analysed(FIRST)
    heard = heard_again(scene, found(FIRST), before)
    assert (heard.turns, heard.speakers) == (scene.turns, scene.speakers)


def test_voices_numbered_another_way_keep_their_names():
    scene, before = analysed(FIRST)
    scene.speakers[0].name, scene.speakers[1].name = "Ada", "Bo"
    heard = heard_again(scene, found({1: FIRST[2], 2: FIRST[1]}), before)
    assert {s.id: s.name for s in heard.speakers} == {"speaker-1": "Ada", "speaker-2": "Bo"}
    assert spoken(heard.turns) == spoken(scene.turns)


def test_a_new_voice_gets_an_id_and_a_name_that_nobody_has():
    scene, before = analysed(FIRST)
    scene.speakers[1].name = "Speaker 3"
    heard = heard_again(scene, found({1: ((0, 2), (5, 8)), 2: FIRST[2], 3: ((12, 14),)}), before)
    assert [(s.id, s.name) for s in heard.speakers] == [
        ("speaker-1", "Speaker 1"), ("speaker-2", "Speaker 3"), ("speaker-4", "Speaker 4"),
    ]  # fmt: skip


def test_a_voice_that_is_not_found_again_goes_and_one_by_hand_stays():
    scene, before = analysed(FIRST)
    scene.speakers = [*scene.speakers, Speaker(id="speaker-9", name="Cy")]
    heard = heard_again(scene, found({1: ((0, 14),)}), before)
    assert [s.id for s in heard.speakers] == ["speaker-1", "speaker-9"]


def test_a_moved_turn_stays_moved_and_its_neighbours_are_found_anew():
    scene, before = analysed(FIRST)
    edit(scene, at(scene, 1, 5), speaker_id="speaker-2")
    spans = {1: ((0, 2.5), (5.05, 8.1), (12, 14)), 2: ((2.5, 5.1), (8.5, 12))}
    assert again(scene, before, spans) == {
        "speaker-1": [(0, 2.5), (12, 14)],
        "speaker-2": [(2.5, 5.0), (5, 8), (8.5, 12)],
    }


def test_what_was_taken_out_does_not_come_back_whatever_the_number_of_voices():
    scene, before = analysed(FIRST)
    scene.turns = [turn for turn in scene.turns if turn.start_s != 5]
    kept = {"speaker-1": [(0, 2), (12, 14)], "speaker-2": [(2, 5), (8.5, 12)]}
    assert again(scene, before) == kept
    assert again(scene, before, {1: FIRST[1], 2: ((2, 5),), 3: ((8.5, 12),)})["speaker-1"] == kept["speaker-1"]
    ((_, single),) = again(scene, before, {1: ((0, 14),)}).items()
    assert seconds(common(single, [(5, 8)])) == 0
    heard = heard_again(scene, found(FIRST), before)  # and again, by what that one found
    scene = Scene(speakers=heard.speakers, turns=heard.turns)
    assert again(scene, dict(heard.found)) == kept
    assert (5, 8) in again(scene, {})["speaker-1"]  # once the cache is gone, it does


def test_a_trimmed_turn_keeps_its_edges():
    scene, before = analysed(FIRST)
    edit(scene, at(scene, 1, 5), start_s=5.6, end_s=7)
    assert again(scene, before)["speaker-1"] == [(0, 2), (5.6, 7), (12, 14)]


def test_an_interjection_under_an_edited_turn_is_kept():
    scene, before = analysed({1: ((0, 10),), 2: ((4, 5), (10, 12))})
    edit(scene, at(scene, 1, 0), text="my words")
    assert again(scene, before, {1: ((0, 10),), 2: ((4, 5), (10, 12))})["speaker-2"] == [(4, 5), (10, 12)]


def test_a_turn_that_reaches_out_of_an_edit_stays_one_turn():
    scene, before = analysed({1: ((0, 5),), 2: ((4, 8),)})
    edit(scene, at(scene, 1, 0), text="words")
    assert again(scene, before, {1: ((0, 5),), 2: ((4.1, 9),)}) == {"speaker-1": [(0, 5)], "speaker-2": [(4, 9)]}


def test_two_voices_merged_by_hand_stay_one():
    scene, before = analysed(FIRST)
    for turn in list(scene.turns):
        if turn.speaker_id == "speaker-2":
            edit(scene, turn, speaker_id="speaker-1")
    scene.speakers = scene.speakers[:1]
    heard = heard_again(scene, found({1: ((0, 2.1), (5, 8), (12, 14)), 2: ((2, 5.2), (8.5, 12.1))}), before)
    assert [s.id for s in heard.speakers] == ["speaker-1"]
    assert sorted(spoken(heard.turns)["speaker-1"])[0] == (0, 2)


def test_an_added_turn_stays():
    scene, before = analysed(FIRST)
    scene.turns = [*scene.turns, Turn(speaker_id="speaker-1", start_s=9, end_s=10, origin="edited")]
    assert (9, 10) in again(scene, before)["speaker-1"]
    assert again(scene, before)["speaker-2"] == [(2, 5), (8.5, 12)]


def test_a_voice_with_its_own_file_is_never_taken_for_another():
    scene, before = analysed({1: ((0, 2),), 2: ((0, 9),)})
    media = MediaRef(path="media/a.wav", sha256="0" * 64, info=MediaInfo(kind="audio", duration_s=10))
    scene.voices = [VoiceFile(speaker_id=s.id, media=media) for s in scene.speakers]
    assert again(scene, before, {1: ((0, 9),), 2: ((0, 2),)}) == {"speaker-1": [(0, 9)], "speaker-2": [(0, 2)]}


def test_voices_are_the_same_only_where_they_share_most_of_the_shorter_ones_time():
    assert same_voices({"a": [(0, 10)]}, {"x": [(9, 30)]}) == {}
    assert same_voices({"a": [(0, 10)], "b": [(10, 12)]}, {"x": [(0, 12)]}) == {"x": "a"}
    assert same_voices({}, {"x": [(0, 1)]}) == {}


@pytest.mark.parametrize(
    ("a", "b", "left", "both"),
    [
        ([(0, 4)], [(1, 2), (3, 5)], [(0, 1), (2, 3)], [(1, 2), (3, 4)]),
        ([(0, 1), (0.5, 2)], [], [(0, 2)], []),
        ([(0, 1), (2, 3)], [(-1, 9)], [], [(0, 1), (2, 3)]),
        ([], [(0, 1)], [], []),
    ],
)
def test_arithmetic_of_time(a, b, left, both):
    assert (minus(a, b), common(a, b)) == (left, both)
    assert seconds(union([*left, *both])) == seconds(union(a))
