"""Where people speak at once, and where one speaks alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.media.types import Waveform
from engine.project.document import Turn


@dataclass(frozen=True)
class Stretch:
    """``speaker_ids``, sorted, all speak from ``start_s`` to ``end_s``."""

    start_s: float
    end_s: float
    speaker_ids: tuple[str, ...]


def stretches_of(turns: Iterable[Turn]) -> list[Stretch]:
    """The recording cut wherever a turn starts or ends; stretches in which nobody speaks are left out."""
    starts = [(turn.start_s, 1, turn.speaker_id) for turn in turns]
    ends = [(turn.end_s, 0, turn.speaker_id) for turn in turns]
    speaking: list[str] = []
    result: list[Stretch] = []
    events = sorted(starts + ends)
    for (time_s, starting, speaker_id), (next_s, _, _) in pairwise([*events, (np.inf, 0, "")]):
        if starting:
            speaking.append(speaker_id)
        else:
            speaking.remove(speaker_id)
        if speaking and next_s > time_s:
            result.append(Stretch(time_s, next_s, tuple(sorted(set(speaking)))))
    return result


def overlaps(stretches: Iterable[Stretch], shortest_s: float) -> list[Stretch]:
    return [s for s in stretches if len(s.speaker_ids) > 1 and s.end_s - s.start_s >= shortest_s]


def alone(waveform: Waveform, stretches: Iterable[Stretch], speaker_id: str, at_most_s: float) -> NDArray[np.float32]:
    """(num_samples,) the first ``at_most_s`` seconds in which only ``speaker_id`` speaks, put together."""
    parts, left_s = [np.zeros(0, np.float32)], at_most_s
    for stretch in stretches:
        if stretch.speaker_ids == (speaker_id,) and left_s > 0:
            part = waveform.between(stretch.start_s, min(stretch.end_s, stretch.start_s + left_s))
            parts.append(np.asarray(part.samples, np.float32))
            left_s -= part.duration_s
    return np.concatenate(parts)
