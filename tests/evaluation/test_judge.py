"""The judgement on curves whose truth is known: each fault is told by its own kind, at its own person, and no other."""

from dataclasses import replace

import numpy as np
import pytest
from known_videos import FRAMES, RATE, TURNS, syllables, talk, with_person

from engine.evaluation.judge import judge
from engine.evaluation.lip_sync import loudness, speech_motion, sync_of
from engine.evaluation.report import Finding, TakeReport, worst
from engine.evaluation.scene import SpokenTurn
from engine.media.types import Waveform


def bad(report: TakeReport) -> set[str]:
    return {finding.kind for finding in report.every_finding() if finding.verdict in ("look", "redo")}


def of(report: TakeReport, kind: str) -> list[Finding]:
    return [finding for finding in report.every_finding() if finding.kind == kind]


def test_a_sound_video_is_good_in_everything() -> None:
    report = judge(*talk())
    assert report.verdict == "good", report.sentence
    assert bad(report) == set()
    assert [turn.face_id for turn in report.turns] == ["ada", "bo"]


def test_swapped_voices_are_wrong_mouths_that_should_be_silent() -> None:
    watched, expected = talk()
    first, second = expected.voices
    swapped = (replace(first, face_id="bo"), replace(second, face_id="ada"))
    report = judge(watched, replace(expected, voices=swapped))
    assert report.verdict == "redo"
    assert {turn.verdict for turn in report.turns} == {"redo"}
    assert bad(report) == {"lip-sync", "wrong-mouth", "silent-mouth"}
    assert "Ada's mouth moves to" in of(report, "wrong-mouth")[1].sentence + of(report, "wrong-mouth")[0].sentence


@pytest.mark.parametrize("frames", [-4, -3, 3, 4])
def test_late_and_early_lips_are_told_apart(frames: int) -> None:
    watched, expected = talk()
    late = with_person(watched, 0, opening=np.roll(watched.people[0].opening, frames))
    found = of(judge(late, expected), "delay")
    assert found[0].verdict in ("look", "redo")
    assert found[0].value == pytest.approx(40 * frames, abs=12)
    assert ("late" if frames > 0 else "early") in found[0].sentence
    assert found[1].verdict == "good"


def test_a_listener_who_is_driven_is_found_and_a_smile_is_not() -> None:
    watched, expected = talk()
    listener = watched.people[1]
    driven = listener.opening + 0.15 * loudness(expected.voices[0].sound, RATE, FRAMES)
    report = judge(with_person(watched, 1, opening=driven), expected)
    assert bad(report) == {"silent-mouth", "wrong-mouth"}
    assert report.people[0].verdict == "good"
    at_s = (np.arange(FRAMES) + 0.5) / RATE
    smile = 0.06 * np.clip(np.sin(np.pi * (at_s - 0.5) / 3), 0, None)
    smiling = with_person(watched, 1, opening=listener.opening + smile, width=listener.width + smile)
    assert judge(smiling, expected).verdict == "good"


def test_a_shut_mouth_while_speaking_is_to_be_done_again() -> None:
    watched, expected = talk()
    report = judge(with_person(watched, 0, opening=np.full(FRAMES, 0.01)), expected)
    assert [turn.verdict for turn in report.turns] == ["redo", "good"]
    assert "hardly moves" in report.turns[0].findings[0].sentence


def test_another_face_for_two_seconds_is_another_person() -> None:
    watched, expected = talk()
    identity = watched.people[1].identity.copy()
    identity[5] = 0.55  # once: a turned head
    assert bad(judge(with_person(watched, 1, identity=identity), expected)) == set()
    identity[5:9] = 0.55
    report = judge(with_person(watched, 1, identity=identity), expected)
    assert bad(report) == {"identity"}
    assert report.people[1].verdict == "redo"
    assert of(report, "identity")[1].start_s == pytest.approx(5 * 12 / RATE)


def test_a_frozen_face_is_found_unless_it_is_meant_to_be_still() -> None:
    watched, expected = talk()
    change = watched.people[0].change.copy()
    change[100:120] = 0.01
    frozen = with_person(watched, 0, change=change)
    report = judge(frozen, expected)
    assert bad(report) == {"freeze"}
    assert of(report, "freeze")[0].value == pytest.approx(0.8, abs=0.05)
    assert bad(judge(frozen, replace(expected, still=frozenset({"ada"})))) == set()


def test_colours_that_change_and_seams_are_found() -> None:
    watched, expected = talk()
    colour = watched.colour.copy()
    colour[80:140] += [4.0, 0.0, 3.0]
    assert bad(judge(replace(watched, colour=colour), expected)) == {"colour"}
    change = watched.change.copy()
    change[80] = 4.0
    report = judge(replace(watched, change=change), expected)
    assert bad(report) == {"seam"}
    assert of(report, "seam")[0].start_s == pytest.approx(80 / RATE)
    moved = np.where(np.arange(FRAMES) > 90, 0.1, 0.0)
    assert bad(judge(replace(watched, outside=moved), expected)) == {"outside"}
    assert bad(judge(replace(watched, outside=moved), replace(expected, only_faces_move=False))) == set()


def test_a_lost_face_is_found_and_what_it_hides_is_not_judged() -> None:
    watched, expected = talk()
    opening = watched.people[0].opening.copy()
    opening[10:90] = np.nan
    report = judge(with_person(watched, 0, opening=opening), expected)
    assert bad(report) == {"face-lost"}
    assert report.turns[0].findings[0].verdict == "unknown"
    assert "not seen" in report.turns[0].findings[0].sentence


def test_silence_and_wrong_turns_are_named_never_numbers() -> None:
    watched, expected = talk()
    mute = Waveform(np.zeros(8 * 16000, np.float32), 16000)
    silent = replace(expected, voices=tuple(replace(voice, sound=mute) for voice in expected.voices))
    for turn in judge(watched, silent).turns:
        assert [(f.verdict, f.value) for f in turn.findings] == [("unknown", None)]
    ada, bo = expected.voices
    wrong = replace(ada, turns=(SpokenTurn("t", 5.0, 7.0),))
    report = judge(watched, replace(expected, voices=(wrong, bo)))
    turn = next(turn for turn in report.turns if turn.turn_id == "t")
    assert turn.findings[0].verdict == "unknown"
    assert "is the turn right" in turn.findings[0].sentence


def test_the_sound_of_the_video_is_held_against_the_voices() -> None:
    watched, expected = talk()
    samples = sum(voice.sound.samples for voice in expected.voices)
    assert isinstance(samples, np.ndarray)
    together = Waveform(samples, 16000)
    assert of(judge(watched, replace(expected, sound=together)), "sound")[0].verdict == "good"
    late = Waveform(np.roll(samples, 1600), 16000)
    found = of(judge(watched, replace(expected, sound=late)), "sound")[0]
    assert found.verdict == "redo"
    assert found.value == pytest.approx(100, abs=10)
    other = syllables(77, TURNS["bo"])
    assert of(judge(watched, replace(expected, sound=other)), "sound")[0].verdict == "look"


def test_a_video_that_ends_early_says_so() -> None:
    watched, expected = talk()
    report = judge(watched.between(0, 140), expected)
    assert "length" in bad(report)


def test_lips_that_never_meet_on_p_b_m() -> None:
    watched, expected = talk()
    ada, bo = expected.voices
    spots = tuple((at, at + 0.06) for at in np.linspace(0.6, 3.2, 8))
    at_s = watched.at_s
    opening = watched.people[0].opening.copy()
    opening[(at_s > 0.3) & (at_s < 3.8)] += 0.09
    agape = judge(
        with_person(watched, 0, opening=opening), replace(expected, voices=(replace(ada, closures_s=spots), bo))
    )
    assert of(agape, "closure")[0].verdict == "look"
    for start, end in spots:
        opening[(at_s > start - 0.02) & (at_s < end + 0.02)] = 0.01
    meets = judge(
        with_person(watched, 0, opening=opening), replace(expected, voices=(replace(ada, closures_s=spots), bo))
    )
    assert of(meets, "closure")[0].value == 1.0


def test_a_part_of_a_video_has_its_own_clock() -> None:
    watched, expected = talk()
    report = judge(watched.between(100, 200), expected.between(4.0, 8.0))
    assert [turn.turn_id for turn in report.turns] == ["turn-bo"]
    assert report.turns[0].start_s == pytest.approx(4.2)
    assert report.verdict == "good", report.sentence


def test_the_lag_is_found_between_frames() -> None:
    at = np.arange(200) / RATE
    loud = np.clip(np.sin(2 * np.pi * 1.3 * at) + np.sin(2 * np.pi * 0.4 * at), 0, None)
    late = np.interp(at - 0.05, at, loud)
    assert sync_of(late, loud, 6).lag_frames == pytest.approx(1.25, abs=0.15)
    assert sync_of(np.zeros(200), loud, 6).r == 0.0


def test_speech_is_quick_and_a_smile_is_slow() -> None:
    at = np.arange(200) / RATE
    assert np.abs(speech_motion(0.2 * np.sin(2 * np.pi * 0.3 * at), RATE)[25:-25]).max() < 0.02
    assert np.abs(speech_motion(0.2 * np.sin(2 * np.pi * 4 * at), RATE)[25:-25]).max() > 0.19


def test_loudness_is_the_same_in_blocks() -> None:
    sound = syllables(3, (1.0, 130.0), 132.0)
    whole = loudness(sound, RATE, int(132 * RATE))
    part = loudness(sound.between(59.0, 61.5), RATE, int(2.5 * RATE))
    middle = whole[int(59.0 * RATE) : int(61.5 * RATE)]
    assert np.corrcoef(part[6:-6], middle[6:-6])[0, 1] > 0.999  # across the border of two blocks at 60 s


def test_the_worst_verdict_counts_and_unknown_only_alone() -> None:
    assert worst(["good", "unknown", "look"]) == "look"
    assert worst(["unknown"]) == "unknown"
    assert worst(["unknown", "good"]) == "good"
    assert worst([]) == "unknown"
