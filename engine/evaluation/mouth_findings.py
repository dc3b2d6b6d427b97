"""Findings about mouths and voices: in step, in time, the right one, silent when silent, shut on p, b and m."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.evaluation.lip_sync import (
    Curve,
    Mask,
    filled,
    in_spans,
    loudness,
    mean_motion,
    speech_motion,
    sync_of,
    widened,
    worst_motion,
)
from engine.evaluation.report import Finding, Verdict
from engine.evaluation.scene import Expected, SpokenTurn, Voice
from engine.evaluation.thresholds import Thresholds
from engine.evaluation.watching import PersonCurves, Watched

TURN_ROOM_S = 0.3  # turns begin and end a syllable off
SILENT_ROOM_S = 0.4
HEARD = 0.25  # of the loudest: a voice this loud outside its turns speaks all the same
MIN_SEEN = 0.6


@dataclass(frozen=True)
class Mouths:
    """Every mouth and voice of a video on one clock; curves are made when first asked for, and kept."""

    watched: Watched
    expected: Expected
    limits: Thresholds

    @cached_property
    def openings(self) -> dict[str, Curve]:
        return {person.face_id: filled(person.opening) for person in self.watched.people}

    @cached_property
    def motions(self) -> dict[str, Curve]:
        rate = self.watched.frame_rate
        return {person.face_id: speech_motion(person.opening, rate) for person in self.watched.people}

    @cached_property
    def loud(self) -> dict[str, Curve]:
        """By speaker id; all zero where there is no sound."""
        rate, length = self.watched.frame_rate, self.watched.num_frames
        return {voice.speaker_id: loudness(voice.sound, rate, length) for voice in self.expected.voices}

    @cached_property
    def silent(self) -> dict[str, Mask]:
        """By face id: frames in which this person surely says nothing, and is seen."""
        masks = {}
        for person in self.watched.people:
            quiet = person.seen.copy()
            for voice in self.voices_of(person.face_id):
                quiet &= ~in_spans(voice.spans_s, self.watched.at_s, SILENT_ROOM_S)
                heard = self.loud[voice.speaker_id] > HEARD
                quiet &= ~widened(heard, round(0.2 * self.watched.frame_rate))
            masks[person.face_id] = quiet
        return masks

    def voices_of(self, face_id: str) -> list[Voice]:
        return [voice for voice in self.expected.voices if voice.face_id == face_id]

    def frames_of(self, turn: SpokenTurn, room_s: float = TURN_ROOM_S) -> Mask:
        return in_spans([(turn.start_s, turn.end_s)], self.watched.at_s, room_s)

    def in_recording(self, at_s: float) -> float:
        return round(at_s + self.expected.starts_s, 3)

    @property
    def max_lag(self) -> int:
        return max(1, round(self.limits.max_lag_s * self.watched.frame_rate))

    def r(self, face_id: str, voice: Voice, where: Mask) -> float:
        return sync_of(self.openings[face_id][where], self.loud[voice.speaker_id][where], self.max_lag).r


def turn_sync(mouths: Mouths, person: PersonCurves, voice: Voice, turn: SpokenTurn) -> Finding:
    """Does this person's mouth follow their own voice in this turn?"""
    limits, name = mouths.limits, person.name
    where = mouths.frames_of(turn)
    times = {"start_s": mouths.in_recording(turn.start_s), "end_s": mouths.in_recording(turn.end_s)}
    why = _unjudged(mouths, person, voice, turn)
    if why:
        return Finding(kind="lip-sync", verdict="unknown", sentence=why, **times)
    # Without the room around the turn: the next turn may begin there.
    moved = mean_motion(mouths.motions[person.face_id], mouths.frames_of(turn, -0.1) & person.seen)
    if moved < limits.moves:
        sentence = f"{name}'s mouth hardly moves while {name} speaks."
        return Finding(
            kind="lip-sync", verdict="redo", value=round(moved, 4), threshold=limits.moves, sentence=sentence, **times
        )
    r = mouths.r(person.face_id, voice, where)
    verdict = _below(r, limits.sync_look, limits.sync_redo)
    sentence = {
        "good": f"{name}'s lips follow the voice.",
        "look": f"{name}'s lips follow the voice only loosely.",
        "redo": f"{name}'s lips do not follow {name}'s voice.",
    }[verdict]
    return Finding(
        kind="lip-sync", verdict=verdict, value=round(r, 3), threshold=limits.sync_look, sentence=sentence, **times
    )


def _unjudged(mouths: Mouths, person: PersonCurves, voice: Voice, turn: SpokenTurn) -> str:
    """Why this turn cannot be judged, "" where it can."""
    where = mouths.frames_of(turn)
    loud = mouths.loud[voice.speaker_id]
    if not loud.any():
        return f"{voice.name}'s voice holds no sound, so {person.name}'s lips could not be judged."
    if turn.start_s >= mouths.watched.num_frames / mouths.watched.frame_rate:
        return "The video ends before this turn."
    if turn.end_s - turn.start_s < mouths.limits.min_turn_s or where.sum() < 12:
        return "Too short to judge the lips by."
    if loud[where].max(initial=0.0) < 0.1:
        return f"Nothing is heard of {voice.name} in this turn: is the turn right?"
    if person.seen[where].mean() < MIN_SEEN:
        return f"{person.name}'s face is not seen well enough to judge the lips."
    return ""


def wrong_mouths(mouths: Mouths, voice: Voice, turn: SpokenTurn) -> list[Finding]:
    """Everybody else whose mouth moves to this voice while they say nothing themselves."""
    limits, found = mouths.limits, []
    where = mouths.frames_of(turn)
    if not mouths.loud[voice.speaker_id][where].any():
        return []
    for person in mouths.watched.people:
        silent = where & mouths.silent[person.face_id]
        if person.face_id == voice.face_id or silent.sum() < 0.6 * mouths.watched.frame_rate:
            continue
        moved = mean_motion(mouths.motions[person.face_id], silent)
        r = mouths.r(person.face_id, voice, silent)
        if moved >= limits.moves and r >= limits.wrong_r:
            sentence = f"{person.name}'s mouth moves to {voice.name}'s voice."
            found.append(
                Finding(
                    kind="wrong-mouth",
                    verdict="redo",
                    value=round(r, 3),
                    threshold=limits.wrong_r,
                    sentence=sentence,
                    start_s=mouths.in_recording(turn.start_s),
                    end_s=mouths.in_recording(turn.end_s),
                )
            )
    return found


def delay(mouths: Mouths, person: PersonCurves, voice: Voice) -> Finding:
    """Is the mouth late or early, over everything this person says?"""
    limits, rate = mouths.limits, mouths.watched.frame_rate
    where = in_spans(voice.spans_s, mouths.watched.at_s, 0.6)
    opening, loud = mouths.openings[person.face_id][where], mouths.loud[voice.speaker_id][where]
    reach = round(limits.delay_reach_s * rate)
    sync, in_time = sync_of(opening, loud, reach), sync_of(opening, loud, 0)
    spoken_s = in_spans(voice.spans_s, mouths.watched.at_s).sum() / rate
    sure = loud.any() and sync.r >= limits.delay_sure_r and abs(sync.lag_frames) < reach - 0.5
    if not sure or person.seen[where].mean() < MIN_SEEN or spoken_s < limits.delay_min_s:
        sentence = f"Whether {person.name}'s lips are late could not be judged."
        return Finding(kind="delay", verdict="unknown", sentence=sentence)
    late_ms = 1000 * sync.lag_frames / rate
    verdict = _above(abs(late_ms), limits.delay_look_ms, limits.delay_redo_ms)
    if sync.r - in_time.r < limits.delay_gain_r:
        verdict = "good"  # no better than in time
    how = f"{abs(late_ms):.0f} ms {'late' if late_ms > 0 else 'early'}"
    sentence = f"{person.name}'s lips are in time." if verdict == "good" else f"{person.name}'s lips are {how}."
    return Finding(
        kind="delay", verdict=verdict, value=round(late_ms, 1), threshold=limits.delay_look_ms, sentence=sentence
    )


def silent_mouth(mouths: Mouths, person: PersonCurves) -> Finding:
    """Does the mouth make syllables while this person says nothing? Smiles and nods are too slow to count."""
    limits = mouths.limits
    motion = mouths.motions[person.face_id]
    worst, at = worst_motion(motion, mouths.silent[person.face_id], mouths.watched.frame_rate)
    if np.isnan(worst):
        sentence = f"{person.name} is never silent for a second, so a silent mouth could not be judged."
        return Finding(kind="silent-mouth", verdict="unknown", sentence=sentence)
    verdict = _above(worst, limits.moves, limits.moves_much)
    sentence = {
        "good": f"{person.name}'s mouth rests while others speak.",
        "look": f"{person.name}'s mouth moves a little while {person.name} is silent.",
        "redo": f"{person.name}'s mouth moves as if speaking while {person.name} is silent.",
    }[verdict]
    middle_s = (at + 0.5) / mouths.watched.frame_rate
    return Finding(
        kind="silent-mouth",
        verdict=verdict,
        value=round(worst, 4),
        threshold=limits.moves,
        sentence=sentence,
        start_s=mouths.in_recording(max(0.0, middle_s - 0.5)),
        end_s=mouths.in_recording(middle_s + 0.5),
    )


def closures(mouths: Mouths, person: PersonCurves, voice: Voice) -> Finding | None:
    """At how many of p, b and m do the lips meet? None where the speech sounds are not known."""
    if voice.closures_s is None:
        return None
    limits = mouths.limits
    opening = mouths.openings[person.face_id]
    speaking = in_spans(voice.spans_s, mouths.watched.at_s) & person.seen
    met = []
    if speaking.any():
        shut, wide = np.percentile(opening[person.seen], 5), np.percentile(opening[speaking], 80)
        for start_s, end_s in voice.closures_s:
            near = in_spans([(start_s, end_s)], mouths.watched.at_s, 0.06) & person.seen
            if near.any():
                met.append(opening[near].min() - shut <= limits.closed_opening * max(wide - shut, 1e-6))
    if len(met) < limits.min_closures:
        sentence = f"{person.name} says too few p, b and m to judge how the lips meet."
        return Finding(kind="closure", verdict="unknown", sentence=sentence)
    share = float(np.mean(met))
    verdict: Verdict = "good" if share >= limits.closed_look else "look"
    sentence = f"{person.name}'s lips meet at {sum(met)} of {len(met)} p, b and m."
    return Finding(
        kind="closure", verdict=verdict, value=round(share, 3), threshold=limits.closed_look, sentence=sentence
    )


def video_sound(mouths: Mouths) -> Finding | None:
    """Is the sound in the video that of the voices, and does it start when they do? None without a sound to compare."""
    watched, limits = mouths.watched, mouths.limits
    if mouths.expected.sound is None or not mouths.loud:
        return None
    heard = loudness(mouths.expected.sound, watched.frame_rate, watched.num_frames)
    together = np.max(list(mouths.loud.values()), axis=0)
    if not heard.any() or not together.any():
        return Finding(kind="sound", verdict="redo", sentence="The video is silent, or the voices are.")
    sync = sync_of(heard, together, mouths.max_lag)
    late_ms = 1000 * sync.lag_frames / watched.frame_rate
    if sync.r < limits.same_sound_r:
        sentence = "The sound of the video does not seem to be that of these voices."
        return Finding(
            kind="sound", verdict="look", value=round(sync.r, 3), threshold=limits.same_sound_r, sentence=sentence
        )
    verdict = _above(abs(late_ms), limits.sound_late_ms, limits.delay_look_ms)
    how = f"{abs(late_ms):.0f} ms {'late' if late_ms > 0 else 'early'}"
    sentence = "The video's sound is in time." if verdict == "good" else f"The video's sound is {how}."
    return Finding(
        kind="sound", verdict=verdict, value=round(late_ms, 1), threshold=limits.sound_late_ms, sentence=sentence
    )


def _above(value: float, look: float, redo: float) -> Verdict:
    return "redo" if value >= redo else "look" if value >= look else "good"


def _below(value: float, look: float, redo: float) -> Verdict:
    return "redo" if value < redo else "look" if value < look else "good"
