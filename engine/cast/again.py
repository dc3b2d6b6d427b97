"""A recording analysed again: voices found again keep who they are, and where a person edited nothing changes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.analysis.diarization import mark_overlaps
from engine.analysis.types import Diarization
from engine.cast.spans import Span, common, minus, seconds, union
from engine.project.document import Scene, Speaker, Turn, new_id

SAME_VOICE = 0.5
"""A voice is the same one when it shares this part of the shorter talking time of the two."""

SLIVER_S = 0.3  # what a cut leaves of a turn and is shorter than this is its ragged edge, no speech of its own
TOUCHING_S = 0.02
SAME_EDGE_S = 0.05

Spoken = Mapping[str, Sequence[Span]]
"""By speaker id: when that one speaks."""


@dataclass(frozen=True)
class HeardAgain:
    """``found``: all that the analysis found, edits aside, under the ids of ``speakers``."""

    speakers: list[Speaker]
    turns: list[Turn]
    found: Spoken


def heard_again(scene: Scene, fresh: Diarization, before: Spoken) -> HeardAgain:
    """The speakers and turns of ``scene`` after its recording was analysed anew.

    ``before``: what the analysis found that the scene's turns come from; it tells what a person took out since. Where
    a turn was edited, added or taken out, the timeline stays as it is for everybody; elsewhere the fresh one counts.
    """
    own_files = {speaker.id: speaker.id for speaker in fresh.speakers} if scene.voices else None
    mapping = own_files or same_voices(spoken(scene.turns), spoken(fresh.turns))
    speakers = _renamed(fresh.speakers, mapping, scene.speakers)
    ids = {old.id: new.id for old, new in zip(fresh.speakers, speakers, strict=True)}
    found = [turn.model_copy(update={"speaker_id": ids[turn.speaker_id]}) for turn in fresh.turns]
    settled = _settled(scene.turns, before)
    turns = _by_old_ids(_put_together(scene.turns, found, settled), scene.turns)
    return HeardAgain(_with_those_who_stay(scene, speakers, turns), mark_overlaps(turns), spoken(found))


def spoken(turns: Iterable[Turn]) -> dict[str, list[Span]]:
    by_speaker: dict[str, list[Span]] = {}
    for turn in turns:
        by_speaker.setdefault(turn.speaker_id, []).append((turn.start_s, turn.end_s))
    return by_speaker


def same_voices(old: Spoken, new: Spoken) -> dict[str, str]:
    """From new ids to the old ones of the same voices: the pairs that share the most time, no id twice."""
    from scipy.optimize import linear_sum_assignment

    if not old or not new:
        return {}
    shared = [[seconds(common(new[n], old[o])) for o in old] for n in new]
    rows, columns = linear_sum_assignment(shared, maximize=True)
    pairs = [
        (list(new)[row], list(old)[column], shared[row][column]) for row, column in zip(rows, columns, strict=True)
    ]
    return {n: o for n, o, both in pairs if both >= SAME_VOICE * min(seconds(union(new[n])), seconds(union(old[o])))}


def _renamed(fresh: Sequence[Speaker], mapping: Mapping[str, str], old: Sequence[Speaker]) -> list[Speaker]:
    """The old speakers where they were found again; numbers that nobody has for the others."""
    known = {speaker.id: speaker for speaker in old}
    taken = set(known) | {speaker.name for speaker in old}
    speakers = []
    for speaker in fresh:
        if speaker.id in mapping and mapping[speaker.id] in known:
            speakers.append(known[mapping[speaker.id]])
            continue
        numbers = (n for n in range(1, len(taken) + 2) if not {f"speaker-{n}", f"Speaker {n}"} & taken)
        number = next(numbers)
        taken |= {f"speaker-{number}", f"Speaker {number}"}
        speakers.append(Speaker(id=f"speaker-{number}", name=f"Speaker {number}"))
    return speakers


def _settled(turns: Sequence[Turn], before: Spoken) -> list[Span]:
    """The time about which a person decided: edited turns, and what was found and is nobody's or another's now."""
    if not turns:
        return []
    now = spoken(turns)
    gone = [span for speaker_id, spans in before.items() for span in minus(spans, now.get(speaker_id, []))]
    edited = [(turn.start_s, turn.end_s) for turn in turns if turn.origin == "edited"]
    return union([*edited, *(span for span in gone if span[1] - span[0] > SAME_EDGE_S)])


def _put_together(turns: Sequence[Turn], found: Sequence[Turn], settled: list[Span]) -> list[Turn]:
    edited = [turn for turn in turns if turn.origin == "edited"]
    inside = [(turn, common([(turn.start_s, turn.end_s)], settled)) for turn in turns if turn.origin == "detected"]
    outside = [(turn, minus([(turn.start_s, turn.end_s)], settled)) for turn in found]
    pieces = [piece for turn, spans in inside for piece in _pieces(turn, spans, 0)]
    pieces += [piece for turn, spans in outside for piece in _pieces(turn, spans, SLIVER_S)]
    return edited + _joined(pieces)


def _pieces(turn: Turn, spans: Sequence[Span], shortest_s: float) -> list[Turn]:
    """The turn itself where nothing was cut off, else what is left of it."""
    if list(spans) == [(turn.start_s, turn.end_s)]:
        return [turn]
    kept = [span for span in spans if span[1] - span[0] > max(shortest_s, 1e-3)]
    return [
        turn.model_copy(update={"start_s": start_s, "end_s": end_s, **({"id": new_id()} if index else {})})
        for index, (start_s, end_s) in enumerate(kept)
    ]


def _joined(turns: Iterable[Turn]) -> list[Turn]:
    """Turns of one voice that touch made one: a cut between them was the border of an edit, not the end of a turn."""
    last: dict[str, Turn] = {}
    joined = []
    for turn in sorted(turns, key=lambda turn: turn.start_s):
        before = last.get(turn.speaker_id)
        if before and turn.start_s <= before.end_s + TOUCHING_S:
            before.end_s = max(before.end_s, turn.end_s)
            continue
        last[turn.speaker_id] = turn.model_copy()
        joined.append(last[turn.speaker_id])
    return joined


def _by_old_ids(turns: Sequence[Turn], old: Sequence[Turn]) -> list[Turn]:
    """A turn found again as it was keeps its id, so that what is selected on a page stays selected."""
    by_start = {(turn.speaker_id, round(turn.start_s / SAME_EDGE_S)): turn for turn in old if turn.origin == "detected"}
    taken = {turn.id for turn in turns}
    kept = []
    for turn in turns:
        same = by_start.get((turn.speaker_id, round(turn.start_s / SAME_EDGE_S)))
        if turn.origin == "detected" and same and abs(same.end_s - turn.end_s) <= SAME_EDGE_S and same.id not in taken:
            taken.add(same.id)
            turn = turn.model_copy(update={"id": same.id})
        kept.append(turn)
    return kept


def _with_those_who_stay(scene: Scene, speakers: list[Speaker], turns: Sequence[Turn]) -> list[Speaker]:
    """Without voices of which an edit left nothing; with those that only edits know, and those made by hand."""
    talking = {turn.speaker_id for turn in turns}
    found_once = {turn.speaker_id for turn in scene.turns if turn.origin == "detected"}
    by_hand = [speaker for speaker in scene.speakers if speaker.id in talking or speaker.id not in found_once]
    kept = [speaker for speaker in speakers if speaker.id in talking]
    ids = {speaker.id for speaker in kept}
    return kept + [speaker for speaker in by_hand if speaker.id not in ids]
