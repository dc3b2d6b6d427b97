import random
from itertools import pairwise

import pytest
from talks import one_file_each, spans, talk, turn

from app.actions import turns, voices
from engine.cast.suggest import check
from engine.errors import StudioError
from engine.project.document import Project, Turn


@pytest.fixture
def project() -> Project:
    return talk()


def holds(project: Project) -> None:
    """What every action leaves behind."""
    made = project.scene.turns
    assert made == sorted(made, key=lambda turn: (turn.start_s, turn.end_s))
    assert Project.model_validate_json(project.model_dump_json()) == project
    for speaker in project.scene.speakers:
        own = spans(project, speaker.id)
        assert all(before[1] <= after[0] for before, after in pairwise(own)), own
    for one in made:
        others = [o for o in made if o.speaker_id != one.speaker_id]
        shared = max((min(o.end_s, one.end_s) - max(o.start_s, one.start_s) for o in others), default=0)
        assert one.overlapped == (shared > 0.02)
    check(project.scene)


def test_a_moved_turn_is_the_other_voices_and_stays_so(project):
    changed, said = turns.move_turn(project, "t3", "speaker-1")
    assert turn(changed, "t3").speaker_id == "speaker-1"
    assert turn(changed, "t3").origin == "edited"
    assert said == "Speaker 1 says this now (0:08.0)."
    holds(changed)


def test_a_turn_moved_onto_anothers_becomes_one_with_it(project):
    changed, said = turns.move_turn(project, "t2", "speaker-2")
    assert spans(changed, "speaker-2") == [(2.0, 7.0), (8.0, 9.0)]
    assert "one turn now" in said
    assert not any(turn.overlapped for turn in changed.scene.turns)
    holds(changed)


def test_moving_a_turn_to_its_own_voice_changes_nothing(project):
    before = project.model_copy(deep=True)
    assert turns.move_turn(project, "t0", "speaker-1") == (before, "")


def test_a_split_turn_shares_its_words_between_two_words(project):
    turns.say(project, "t1", "well that is what I said yesterday")
    changed, said = turns.split_turn(project, "t1", 3.0)
    first, second = (t for t in changed.scene.turns if t.speaker_id == "speaker-2" and t.end_s <= 5)
    assert (first.id, first.start_s, first.end_s, second.start_s, second.end_s) == ("t1", 2.0, 3.0, 3.0, 5.0)
    assert (first.text, second.text) == ("well that is", "what I said yesterday")
    assert (first.overlapped, second.overlapped) == (False, True)
    assert said == "Split at 0:03.0."
    holds(changed)


@pytest.mark.parametrize("at_s", [2.0, 2.05, 4.95, 5.0, 1.0, 60.0])
def test_a_turn_is_split_only_inside(project, at_s):
    with pytest.raises(StudioError, match=r"from 0:02\.0 to 0:05\.0") as caught:
        turns.split_turn(project, "t1", at_s)
    assert caught.value.remedy


def test_merged_turns_reach_from_first_start_to_last_end_and_swallow_what_lies_between(project):
    for turn_id, words in (("t0", "one"), ("t2", "two"), ("t4", "three")):
        turns.say(project, turn_id, words)
    changed, said = turns.merge_turns(project, ["t4", "t0"])
    assert spans(changed, "speaker-1") == [(0.0, 10.0)]
    assert turn(changed, "t4").text == "one two three"
    assert said == "3 turns of Speaker 1 are one now."
    assert all(t.overlapped for t in changed.scene.turns)
    holds(changed)


def test_turns_of_two_voices_are_not_merged(project):
    with pytest.raises(StudioError, match="Speaker 1, Speaker 2") as caught:
        turns.merge_turns(project, ["t0", "t1"])
    assert "merge the two voices" in caught.value.remedy
    with pytest.raises(StudioError, match="at least two"):
        turns.merge_turns(project, ["t0", "t0"])


@pytest.mark.parametrize(
    ("turn_id", "wanted", "made"),
    [
        ("t0", (0.5, 1.5), (0.5, 1.5)),
        ("t0", (-3, 2.0), (0.0, 2.0)),  # the recording's start; nothing changes
        ("t4", (9.5, 99), (9.5, 10.0)),  # its end
        ("t2", (1.0, 7.0), (2.0, 7.0)),  # the neighbour of the same voice, not of the other
        ("t2", (4.5, 9.9), (4.5, 9.5)),
        ("t1", (4.99, 5.0), (4.9, 5.0)),  # the start dragged to the end: a tenth is left
        ("t1", (2.0, 1.0), (2.0, 2.1)),  # the end dragged beyond the start
        ("t1", (7.0, 5.0), (4.9, 5.0)),
        ("t3", (8.2, 8.1), (8.2, 8.3)),
    ],
)
def test_dragged_edges_stop_where_a_creator_expects(project, turn_id, wanted, made):
    changed, said = turns.trim_turn(project, turn_id, *wanted)
    after = turn(changed, turn_id)
    assert (after.start_s, after.end_s) == pytest.approx(made)
    assert (after.origin == "edited") == bool(said)
    holds(changed)


def test_trimming_marks_overlaps_anew(project):
    changed, _ = turns.trim_turn(project, "t2", 5.0, 7.0)
    assert not any(t.overlapped for t in changed.scene.turns)


def test_a_voice_stays_without_its_turns(project):
    for turn_id in ("t1", "t3"):
        project, said = turns.delete_turn(project, turn_id)
    assert said == "Speaker 2 is silent from 0:08.0 to 0:09.0 now."
    assert [speaker.id for speaker in project.scene.speakers] == ["speaker-1", "speaker-2"]
    assert [m.face_id for m in project.scene.cast if m.speaker_id == "speaker-2"] == ["face-2"]
    holds(project)


def test_an_added_turn_takes_the_silent_part_of_what_was_marked(project):
    changed, said = turns.add_turn(project, "speaker-1", 8.9, 6.5)
    assert spans(changed, "speaker-1") == [(0, 2), (4.5, 7), (7, 8.9), (9.5, 10)]
    assert said == "Speaker 1 talks from 0:07.0 to 0:08.9 now."
    changed, _ = turns.add_turn(changed, "speaker-2", 9.2, 60)
    assert spans(changed, "speaker-2")[-1] == (9.2, 10.0)
    holds(changed)


@pytest.mark.parametrize(
    ("start_s", "end_s", "message"),
    [(0.2, 1.9, "already"), (1, 1.05, "at least 0.1"), (11, 12, "10 s long"), (-5, -1, "10 s long"), (5, 5, "least")],
)
def test_what_cannot_be_a_turn_is_refused(project, start_s, end_s, message):
    with pytest.raises(StudioError, match=message) as caught:
        turns.add_turn(project, "speaker-1", start_s, end_s)
    assert caught.value.remedy


def test_without_a_recording_there_is_nothing_to_add_to(project):
    project.scene.dialogue, project.scene.turns = None, []
    with pytest.raises(StudioError, match="no recording"):
        turns.add_turn(project, "speaker-1", 0, 1)


def test_words_are_one_clean_line(project):
    changed, _ = turns.say(project, "t0", "  Hello\n\x00 <i>you</i> ")
    assert (turn(changed, "t0").text, turn(changed, "t0").origin) == ("Hello <i>you</i>", "edited")
    with pytest.raises(StudioError, match="2000 letters; this has 2001"):
        turns.say(project, "t0", "x" * 2001)


@pytest.mark.parametrize("value", [None, "soon", float("nan"), float("inf"), True, [], "1e999"])
def test_no_number_is_told_in_words(project, value):
    with pytest.raises(StudioError, match="must be a number"):
        turns.trim_turn(project, "t0", 0.0, value)
    with pytest.raises(StudioError, match="must be a number"):
        turns.split_turn(project, "t0", value)
    with pytest.raises(StudioError, match="must be a number"):
        turns.add_turn(project, "speaker-1", value, 3.0)


@pytest.mark.parametrize(
    "action",
    [
        lambda p: turns.move_turn(p, "t9", "speaker-1"),
        lambda p: turns.move_turn(p, "t0", "speaker-9"),
        lambda p: turns.merge_turns(p, ["t0", "t9"]),
        lambda p: turns.delete_turn(p, ""),
        lambda p: turns.add_turn(p, "speaker-9", 0, 1),
        lambda p: turns.say(p, "../x", "words"),
    ],
)
def test_what_is_not_there_is_refused(project, action):
    with pytest.raises(StudioError, match="no longer part"):
        action(project)


def test_a_voice_with_its_own_file_says_only_what_is_in_it():
    project = one_file_each()
    for action in (
        lambda: turns.move_turn(project, "t0", "speaker-2"),
        lambda: voices.merge_voices(project, "speaker-1", "speaker-2"),
        lambda: voices.add_voice(project),
    ):
        with pytest.raises(StudioError, match="recording of its own"):
            action()
    changed, _ = turns.add_turn(project, "speaker-2", 5.2, 9.0)
    assert spans(changed, "speaker-2")[1] == (5.2, 6.0)


def test_any_sequence_of_edits_leaves_a_sound_timeline():
    dice = random.Random(5)
    project = talk()
    for _ in range(300):
        ids = [t.id for t in project.scene.turns] or ["none"]
        voice = f"speaker-{dice.randint(1, 2)}"
        at, to = dice.uniform(-1, 11), dice.uniform(-1, 11)
        action = dice.choice([
            lambda p, ids=ids, voice=voice: turns.move_turn(p, dice.choice(ids), voice),
            lambda p, ids=ids, at=at: turns.split_turn(p, dice.choice(ids), at),
            lambda p, ids=ids, at=at, to=to: turns.trim_turn(p, dice.choice(ids), at, to),
            lambda p, ids=ids: turns.merge_turns(p, dice.sample(ids, min(2, len(ids)))),
            lambda p, ids=ids: turns.delete_turn(p, dice.choice(ids)),
            lambda p, voice=voice, at=at, to=to: turns.add_turn(p, voice, at, to),
        ])  # fmt: skip
        try:
            project, _ = action(project.model_copy(deep=True))
        except StudioError:
            continue
        holds(project)
    assert all(isinstance(t, Turn) and 0 <= t.start_s < t.end_s <= 10 for t in project.scene.turns)
