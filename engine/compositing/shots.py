"""The director: who is in the picture when, where a shape is too narrow for everybody.

Cuts, not pans: at turns, a little before the voice, never for an interjection, never shorter than the eye needs.
"""

import itertools
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.compositing.viewfinder import Crop, Viewfinder

LEAD_S = 0.16
"""A cut comes this long before the voice: the mouth opens in the picture, and the eye has arrived when it sounds."""

MIN_SHOT_S = 1.2
BRIEF_S = 0.8
"""Shorter turns ("yes", "mhm") are heard, not shown."""

_PAUSE_S = 1.0
"""One person's turns with a shorter pause between them are one."""

_UNSEEN_S = 2.0
"""A voice from outside the picture that speaks this long is worth a cut to a wider framing."""

_PATIENCE_S = 0.3
"""How late a cut may come so that the shot before it is long enough."""

EASE_S = 0.6
_SMALL_MOVE = 0.4
"""Framings that lie closer than this (of their size) show mostly the same: a cut between them looks like a fault of the
film, so that the picture moves instead, quickly, and is there when the voice is."""

_People = frozenset[str]


@dataclass(frozen=True)
class Speaking:
    """Somebody speaks from ``start_s`` to ``end_s`` of the video; ``face_id`` None = a voice from outside."""

    face_id: str | None
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Shot:
    """Frames ``first``…``end`` (without it) show ``crop``, made for ``face_ids``; ``eased``: it moves there from the
    crop of the shot before, instead of a cut."""

    first: int
    end: int
    face_ids: frozenset[str]
    crop: Crop
    eased: bool = False


@dataclass(frozen=True)
class _Wish:
    """Who should be in the picture from ``start_s`` on, until the next wish; ``people`` None = whoever is in it."""

    start_s: float
    people: _People | None


def plan_shots(
    speaking: Sequence[Speaking], finder: Viewfinder, frame_rate: float, num_frames: int
) -> tuple[Shot, ...]:
    """The shots of a video of ``num_frames``, without gaps, in which whoever speaks is in the picture.

    People who fit into one framing share it, also over several turns. In an overlap those who fit are held together;
    otherwise whoever began later, unless the other speaks on for longer. While nobody speaks, the shot stays.
    """
    wishes = _resolved(_wishes(speaking, finder), finder)
    wishes = _merged(wishes, finder)
    wishes = _long_enough(wishes, num_frames / frame_rate)
    wishes = _merged(wishes, finder)
    shots: list[Shot] = []
    for wish in wishes:
        people = wish.people or frozenset()
        first = min(round(wish.start_s * frame_rate), num_frames - 1)
        shots.append(Shot(first, num_frames, people, finder.crop_of(people)))
    return _joined(shots, frame_rate)


def crop_at(shots: Sequence[Shot], index: int, frame_rate: float) -> Crop:
    """The crop of frame ``index``."""
    at = bisect_right(shots, index, key=lambda shot: shot.first) - 1
    shot, num_eased = shots[at], EASE_S * frame_rate
    if not shot.eased or index - shot.first >= num_eased:
        return shot.crop
    share = (index - shot.first + 1) / (num_eased + 1)
    return shots[at - 1].crop.towards(shot.crop, share * share * (3 - 2 * share))


def _wishes(speaking: Sequence[Speaking], finder: Viewfinder) -> list[_Wish]:
    """A wish wherever the people who speak change."""
    spoken = _worth_showing(speaking)
    bounds = sorted({bound for each in spoken for bound in (each.start_s, each.end_s)})
    wishes = []
    active: list[Speaking] = []
    waiting = deque(spoken)
    for start_s, _ in itertools.pairwise(bounds):
        while waiting and waiting[0].start_s <= start_s:
            active.append(waiting.popleft())
        active = [each for each in active if each.end_s > start_s]
        seen = [each for each in active if each.face_id is not None]
        if seen:
            wishes.append(_Wish(start_s, _shown_of(seen, finder)))
        elif active and any(each.end_s - each.start_s >= _UNSEEN_S for each in active):
            wishes.append(_Wish(start_s, frozenset()))
        else:
            wishes.append(_Wish(start_s, None))
    return wishes


def _worth_showing(speaking: Sequence[Speaking]) -> list[Speaking]:
    """The turns of each person, those with short pauses joined; without interjections, unless there is nothing else."""
    joined: list[Speaking] = []
    last: dict[str | None, int] = {}
    turns = sorted(speaking, key=lambda each: (each.start_s, each.end_s))
    for each in turns:
        at = last.get(each.face_id)
        if at is not None and each.start_s - joined[at].end_s < _PAUSE_S and not _between(turns, joined[at], each):
            joined[at] = replace(joined[at], end_s=max(joined[at].end_s, each.end_s))
        else:
            last[each.face_id] = len(joined)
            joined.append(each)
    return [each for each in joined if each.end_s - each.start_s >= BRIEF_S] or joined


def _between(turns: Sequence[Speaking], before: Speaking, after: Speaking) -> bool:
    """Whether somebody else has a turn worth showing in the pause; ``turns`` by their start."""
    first = bisect_left(turns, before.end_s - 0.1, key=lambda each: each.start_s)
    last = bisect_left(turns, after.start_s, key=lambda each: each.start_s)
    return any(each.face_id != before.face_id and each.end_s - each.start_s >= BRIEF_S for each in turns[first:last])


def _shown_of(seen: Sequence[Speaking], finder: Viewfinder) -> _People:
    """Of those who speak at once: the one who matters most, and whoever fits into the picture beside."""
    order = sorted(seen, key=lambda each: each.start_s)
    chief = order[0]
    for later in order[1:]:
        longer = later.end_s - later.start_s > chief.end_s - chief.start_s
        chief = later if later.end_s > chief.end_s or longer else chief
    shown = {str(chief.face_id)}
    for each in order:
        if finder.holds({*shown, str(each.face_id)}):
            shown.add(str(each.face_id))
    return frozenset(shown)


def _resolved(wishes: Sequence[_Wish], finder: Viewfinder) -> list[_Wish]:
    """Every wish with people: pauses hold what is shown, voices from outside get the widest framing there is."""
    most = finder.most()
    first = next((wish.people for wish in wishes if wish.people), most)
    shown, resolved = first, [_Wish(0.0, first)]
    for wish in wishes:
        if wish.people is None:
            continue
        if wish.people:
            shown = wish.people
        elif len(most) > len(shown):
            shown = most
        resolved.append(_Wish(max(0.0, wish.start_s - LEAD_S), shown))
    return resolved


def _merged(wishes: Sequence[_Wish], finder: Viewfinder) -> list[_Wish]:
    """Neighbours in time whose people fit into one framing become one shot."""
    merged = [wishes[0]]
    for wish in wishes[1:]:
        both = (merged[-1].people or frozenset()) | (wish.people or frozenset())
        if both == wish.people == merged[-1].people or finder.holds(both):
            merged[-1] = _Wish(merged[-1].start_s, both)
        else:
            merged.append(wish)
    return merged


def _long_enough(wishes: Sequence[_Wish], end_s: float) -> list[_Wish]:
    """No shot too short to be seen: the next cut waits a little, or the shot is left out and the one before stays."""
    kept = [wishes[0]]
    for wish in wishes[1:]:
        earliest_s = kept[-1].start_s + MIN_SHOT_S
        if earliest_s - wish.start_s <= _PATIENCE_S:
            kept.append(replace(wish, start_s=max(wish.start_s, earliest_s)))
            continue
        short = kept.pop()
        if not kept:
            kept.append(replace(wish, start_s=short.start_s))
        elif kept[-1].people != wish.people:
            kept.append(wish)
    if len(kept) > 1 and end_s - kept[-1].start_s < MIN_SHOT_S:
        kept.pop()
    return kept


def _joined(shots: Sequence[Shot], frame_rate: float) -> tuple[Shot, ...]:
    """Each shot ends where the next begins; close framings are joined by a move, which begins early enough."""
    joined = [shots[0]]
    for shot in shots[1:]:
        before = joined[-1]
        if before.crop == shot.crop:
            joined[-1] = replace(before, face_ids=before.face_ids | shot.face_ids, end=shot.end)
            continue
        if _close(before.crop, shot.crop):
            earliest = before.first + round(MIN_SHOT_S * frame_rate)
            first = max(shot.first - round(EASE_S / 2 * frame_rate), min(earliest, shot.first))
            shot = replace(shot, first=first, eased=True)
        joined[-1] = replace(before, end=shot.first)
        joined.append(shot)
    return tuple(joined)


def _close(one: Crop, other: Crop) -> bool:
    across, down = abs(one.x - other.x) / one.width, abs(one.y - other.y) / one.height
    return max(across, down) < _SMALL_MOVE
