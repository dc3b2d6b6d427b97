"""The liveliest exchange of a conversation: what a preview shows when nobody chose a stretch."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from engine.cast.timeline import length_s as length_of
from engine.project.document import Scene, Turn

LEAD_IN_S = 0.15
"""A window starts this long before its first turn, so that its first sound is not cut."""

TALK_POINTS, OVERLAP_POINTS, CHANGE_POINTS, SPEAKER_POINTS = 1.0, 0.5, 0.6, 1.0
"""What a second of talk, a second of overlap, a change of speaker and each speaker after the first are worth."""

CUT_POINTS = 0.8
"""What it costs when a turn that began before goes on at the window's start: a word could be cut there."""


def liveliest_range(scene: Scene, length_s: float = 5.0) -> tuple[float, float]:
    """Start and end, in seconds, of the stretch of ``length_s`` with the most changes of speaker, overlap and talk.

    It starts just before a turn does. The whole conversation where that is shorter; (0, 0) without any sound.
    """
    whole_s = length_of(scene) or max((turn.end_s for turn in scene.turns), default=0.0)
    if whole_s <= length_s or not scene.turns:
        return 0.0, min(length_s, whole_s)
    turns = _Turns.of(scene.turns)
    latest_s = whole_s - length_s
    starts = {min(max(0.0, turn.start_s - LEAD_IN_S), latest_s) for turn in scene.turns}
    start_s = max(sorted(starts), key=lambda start_s: round(turns.points(start_s, start_s + length_s), 6))
    return round(start_s, 3), round(start_s + length_s, 3)


@dataclass(frozen=True)
class _Turns:
    """Turns by start. ``latest_end_s[i]``: of all turns up to i, so that those before a window are passed over."""

    turns: Sequence[Turn]
    starts_s: Sequence[float]
    latest_end_s: Sequence[float]

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> "_Turns":
        ordered = sorted(turns, key=lambda turn: (turn.start_s, turn.end_s))
        ends_s = list(accumulate((turn.end_s for turn in ordered), max))
        return cls(ordered, [turn.start_s for turn in ordered], ends_s)

    def points(self, start_s: float, end_s: float) -> float:
        first, last = bisect_right(self.latest_end_s, start_s), bisect_left(self.starts_s, end_s)
        inside = [turn for turn in self.turns[first:last] if turn.end_s > start_s]
        talk_s = sum(min(turn.end_s, end_s) - max(turn.start_s, start_s) for turn in inside)
        overlap_s = sum(max(0.0, min(a.end_s, b.end_s, end_s) - max(b.start_s, start_s)) for a, b in pairwise(inside))
        changes = sum(a.speaker_id != b.speaker_id for a, b in pairwise(inside))
        cut = any(turn.start_s < start_s for turn in inside)
        return (
            TALK_POINTS * talk_s
            + OVERLAP_POINTS * overlap_s
            + CHANGE_POINTS * changes
            + SPEAKER_POINTS * (len({turn.speaker_id for turn in inside}) - 1)
            - CUT_POINTS * cut
        )
