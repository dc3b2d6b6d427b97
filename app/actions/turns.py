"""Who talks when, corrected by hand. Each takes a copy of a project and gives it back changed, with a sentence.

What is changed here counts as edited: the recording can be analysed again without losing it. Turns of one voice never
overlap; they are kept sorted, and overlaps with other voices are marked anew after each change.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from app import texts
from app.actions.lookup import Changed, number, speaker_of, turn_of, written
from engine.analysis.diarization import mark_overlaps
from engine.cast.spans import Span, minus
from engine.cast.timeline import length_s
from engine.errors import StudioError
from engine.project.document import Project, Turn

SHORTEST_TURN_S = 0.1
LONGEST_WORDS = 2000


def move_turn(project: Project, turn_id: str, speaker_id: str) -> Changed:
    """Give a turn to another voice; where that one talks at the same time already, the two become one turn."""
    turn, speaker = turn_of(project, turn_id), speaker_of(project, speaker_id)
    if turn.speaker_id == speaker.id:
        return project, ""
    refuse_own_files(project)
    others = [other for other in project.scene.turns if other.id != turn.id]
    met = [other for other in others if other.speaker_id == speaker.id and _overlap(other, turn)]
    moved = _united([turn.model_copy(update={"speaker_id": speaker.id}), *met])
    arrange(project, [*_without(others, met), moved])
    return project, (texts.JOINED_TURN if met else texts.MOVED_TURN).format(
        voice=speaker.name, at=texts.clock(turn.start_s)
    )


def split_turn(project: Project, turn_id: str, at_s: float) -> Changed:
    """Two turns from one, at ``at_s`` of the recording; its words are split in proportion, between two words."""
    turn, at = turn_of(project, turn_id), round(number(at_s, "at_s"), 3)
    if not turn.start_s + SHORTEST_TURN_S <= at <= turn.end_s - SHORTEST_TURN_S:
        told = texts.SPLIT_AT_EDGE.format(start=texts.clock(turn.start_s), end=texts.clock(turn.end_s))
        raise StudioError(told, texts.SPLIT_AT_EDGE_REMEDY.format(shortest=SHORTEST_TURN_S))
    before, after = _split_words(turn.text, (at - turn.start_s) / (turn.end_s - turn.start_s))
    first = turn.model_copy(update={"end_s": at, "text": before, "origin": "edited"})
    second = Turn(speaker_id=turn.speaker_id, start_s=at, end_s=turn.end_s, text=after, origin="edited")
    arrange(project, [*_without(project.scene.turns, [turn]), first, second])
    return project, texts.SPLIT_TURN.format(at=texts.clock(at))


def merge_turns(project: Project, turn_ids: Iterable[str]) -> Changed:
    """One turn from the first one's start to the last one's end; turns of this voice that lie between join it."""
    chosen = [turn_of(project, turn_id) for turn_id in dict.fromkeys(turn_ids)]
    if len(chosen) < 2:
        raise StudioError(texts.MERGE_NEEDS_TWO, texts.MERGE_NEEDS_TWO_REMEDY)
    voices = {turn.speaker_id: speaker_of(project, turn.speaker_id).name for turn in chosen}
    if len(voices) > 1:
        raise StudioError(texts.MERGE_OTHERS.format(voices=", ".join(voices.values())), texts.MERGE_OTHERS_REMEDY)
    whole = _united(chosen)
    swallowed = [turn for turn in project.scene.turns if turn.speaker_id == whole.speaker_id and _overlap(turn, whole)]
    merged = _united([*chosen, *_without(swallowed, chosen)])
    arrange(project, [*_without(project.scene.turns, [*chosen, *swallowed]), merged])
    return project, texts.MERGED_TURNS.format(
        count=len({turn.id for turn in [*chosen, *swallowed]}), voice=voices[whole.speaker_id]
    )


def trim_turn(project: Project, turn_id: str, start_s: float, end_s: float) -> Changed:
    """New edges for a turn. Each stops at the ends of the recording, at the same voice's neighbouring turns, and
    SHORTEST_TURN_S before the other edge: as a dragged edge does."""
    turn = turn_of(project, turn_id)
    low, high = _room(project, turn)
    start = min(max(round(number(start_s, "start_s"), 3), low), high)
    end = min(max(round(number(end_s, "end_s"), 3), low), high)
    shortest = min(SHORTEST_TURN_S, high - low)
    if end - start < shortest:
        if start == turn.start_s or start + shortest > high:  # the end was dragged, or there is no room behind
            start = start if start + shortest <= high else high - shortest
            end = start + shortest
        elif end == turn.end_s and end - shortest >= low:
            start = end - shortest
        else:
            end = start + shortest
    if (start, end) == (turn.start_s, turn.end_s):
        return project, ""
    trimmed = turn.model_copy(update={"start_s": round(start, 3), "end_s": round(end, 3), "origin": "edited"})
    arrange(project, [*_without(project.scene.turns, [turn]), trimmed])
    return project, _told(project, texts.TRIMMED_TURN, trimmed)


def delete_turn(project: Project, turn_id: str) -> Changed:
    """The voice stays, also without any turn."""
    turn = turn_of(project, turn_id)
    arrange(project, _without(project.scene.turns, [turn]))
    return project, _told(project, texts.DELETED_TURN, turn)


def add_turn(project: Project, speaker_id: str, start_s: float, end_s: float) -> Changed:
    """A turn where nobody found one: the longest part of the stretch in which this voice is silent yet."""
    speaker = speaker_of(project, speaker_id)
    whole = length_s(project.scene, speaker.id)
    if not whole:
        raise StudioError(texts.NO_SOUND, texts.NO_SOUND_REMEDY)
    start, end = sorted((number(start_s, "start_s"), number(end_s, "end_s")))
    if start >= whole or end <= 0:
        at = texts.clock(max(0.0, start if start >= whole else end))
        raise StudioError(texts.TURN_OUTSIDE.format(length=texts.seconds(whole), at=at), texts.TURN_OUTSIDE_REMEDY)
    start, end = max(0.0, start), min(end, whole)
    if end - start < SHORTEST_TURN_S - 1e-6:
        raise StudioError(texts.TURN_TOO_SHORT.format(shortest=SHORTEST_TURN_S), texts.TURN_TOO_SHORT_REMEDY)
    own = [(turn.start_s, turn.end_s) for turn in project.scene.turns if turn.speaker_id == speaker.id]
    free = max(minus([(start, end)], own), key=lambda span: span[1] - span[0], default=(0.0, 0.0))
    if free[1] - free[0] < SHORTEST_TURN_S - 1e-6:
        raise StudioError(texts.TURN_TAKEN.format(voice=speaker.name), texts.TURN_TAKEN_REMEDY)
    turn = Turn(speaker_id=speaker.id, start_s=round(free[0], 3), end_s=round(free[1], 3), origin="edited")
    arrange(project, [*project.scene.turns, turn])
    return project, _told(project, texts.ADDED_TURN, turn)


def say(project: Project, turn_id: str, text: str) -> Changed:
    """The words of a turn, for its caption; "" = as they are recognised."""
    turn = turn_of(project, turn_id)
    words = written(text, "text", LONGEST_WORDS)
    if words != turn.text:
        changed = turn.model_copy(update={"text": words, "origin": "edited"})
        project.scene.turns = [changed if other.id == turn.id else other for other in project.scene.turns]
    return project, ""


def arrange(project: Project, turns: Iterable[Turn]) -> None:
    """Make ``turns`` the project's: sorted, with their overlaps marked."""
    project.scene.turns = mark_overlaps(turns)


def united_by_voice(turns: Iterable[Turn], speaker_id: str) -> list[Turn]:
    """The turns, those of ``speaker_id`` joined where they overlap."""
    joined, others = list[Turn](), list[Turn]()
    for turn in sorted(turns, key=lambda turn: (turn.start_s, turn.end_s)):
        if turn.speaker_id != speaker_id:
            others.append(turn)
        elif joined and _overlap(joined[-1], turn):
            joined[-1] = _united([joined[-1], turn])
        else:
            joined.append(turn)
    return others + joined


def refuse_own_files(project: Project) -> None:
    """Raises StudioError where every voice is a file of its own: one cannot say what is in another's."""
    if project.scene.voices:
        raise StudioError(texts.OWN_FILES, texts.OWN_FILES_REMEDY)


def _united(turns: Sequence[Turn]) -> Turn:
    """One edited turn over all of them, with the first one's id and voice, and their words in order."""
    ordered = sorted(turns, key=lambda turn: turn.start_s)
    update: dict[str, Any] = {
        "start_s": ordered[0].start_s,
        "end_s": max(turn.end_s for turn in ordered),
        "text": " ".join(turn.text for turn in ordered if turn.text)[:LONGEST_WORDS],
        "origin": "edited",
    }
    return turns[0].model_copy(update=update)


def _room(project: Project, turn: Turn) -> Span:
    """How far the edges of a turn may go: to its own voice's neighbours, or the ends of the recording."""
    own = [t for t in project.scene.turns if t.speaker_id == turn.speaker_id and t.id != turn.id]
    low = max((t.end_s for t in own if t.end_s <= turn.start_s), default=0.0)
    whole = max(length_s(project.scene, turn.speaker_id), turn.end_s)
    return low, min((t.start_s for t in own if t.start_s >= turn.end_s), default=whole)


def _split_words(text: str, share: float) -> tuple[str, str]:
    """The words before and behind the gap between two words that is nearest to ``share`` of the letters."""
    words = text.split()
    heads = [" ".join(words[:count]) for count in range(len(words) + 1)]
    count = min(range(len(heads)), key=lambda index: abs(len(heads[index]) - share * len(text)))
    return heads[count], " ".join(words[count:])


def _overlap(a: Turn, b: Turn) -> bool:
    return min(a.end_s, b.end_s) > max(a.start_s, b.start_s)


def _without(turns: Iterable[Turn], gone: Iterable[Turn]) -> list[Turn]:
    ids = {turn.id for turn in gone}
    return [turn for turn in turns if turn.id not in ids]


def _told(project: Project, sentence: str, turn: Turn) -> str:
    voice = speaker_of(project, turn.speaker_id).name
    return sentence.format(voice=voice, start=texts.clock(turn.start_s), end=texts.clock(turn.end_s))
