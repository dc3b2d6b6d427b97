"""What segmentation-3.0 hears, joined over overlapping windows: speech, how many at once, where the voice changes.

Everything is on one grid of frames; frame ``t`` stands for the time ``frame_time_s(t)``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.analysis.backends.segmentation import (
    FRAME_SPAN_S,
    FRAME_STEP_S,
    MAX_LOCAL_SPEAKERS,
    SAMPLE_RATE,
    WINDOW_S,
    SegmentationModel,
    powerset,
)
from engine.analysis.resampling import LevelledSound

WINDOW_STEP_S = 2.5
SHORTEST_WINDOW_S = 2.0
WINDOWS_AT_ONCE = 4

Report = Callable[[int, int], None]


def frame_time_s(frame: float) -> float:
    """Where frame ``frame`` begins, seconds: a frame speaks for the middle of the sound that it saw."""
    return frame * FRAME_STEP_S + (FRAME_SPAN_S - FRAME_STEP_S) / 2


@dataclass(frozen=True)
class WindowActivity:
    """Who of three local speakers is active in one window: ``active`` is (num_frames, 3) bool."""

    first_frame: int
    active: NDArray[np.bool_]

    @property
    def frames(self) -> slice:
        return slice(self.first_frame, self.first_frame + len(self.active))


@dataclass(frozen=True)
class Activity:
    """``speech``: (T,) probability that anybody speaks; ``num_speakers``: (T,) mean count of voices at once;
    ``changes``: (T,) share of windows in which the leading local speaker changes at this frame."""

    speech: NDArray[np.float32]
    num_speakers: NDArray[np.float32]
    changes: NDArray[np.float32]
    windows: list[WindowActivity]

    @property
    def num_frames(self) -> int:
        return len(self.speech)

    @property
    def alone(self) -> NDArray[np.bool_]:
        return self.num_speakers < 1.5


def window_starts_s(duration_s: float) -> list[float]:
    if duration_s <= WINDOW_S:
        return [0.0]
    starts = list(np.arange(0, duration_s - WINDOW_S + 1e-6, WINDOW_STEP_S))
    if starts[-1] + WINDOW_S < duration_s - 0.05:
        starts.append(duration_s - WINDOW_S)
    return starts


def _batches(sound: LevelledSound, starts_s: list[float]) -> Iterator[NDArray[np.float32]]:
    if len(starts_s) == 1:
        missing = max(0, round(SHORTEST_WINDOW_S * SAMPLE_RATE) - len(sound))
        yield np.pad(sound[:], (0, missing))[None]
        return
    length = round(WINDOW_S * SAMPLE_RATE)
    firsts = [min(int(start * SAMPLE_RATE), len(sound) - length) for start in starts_s]
    for batch in range(0, len(firsts), WINDOWS_AT_ONCE):
        yield np.stack([sound[first : first + length] for first in firsts[batch : batch + WINDOWS_AT_ONCE]])


def _leader_changes(active: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Frames where the leading local speaker is another than before, pauses bridged."""
    spoken = np.flatnonzero(active.any(1))
    leader = active[spoken].argmax(1)
    return spoken[1:][leader[1:] != leader[:-1]]


_MEMBERS = np.zeros((len(powerset()), MAX_LOCAL_SPEAKERS), bool)
for _row, _members in enumerate(powerset()):
    _MEMBERS[_row, list(_members)] = True


class _Sums:
    """Running sums over windows; kept apart from the windows so that an hour needs a few MB."""

    def __init__(self, num_frames: int) -> None:
        self.cover, self.speech, self.count, self.changes = np.zeros((4, num_frames), np.float32)
        self.windows: list[WindowActivity] = []

    def add(self, first_frame: int, probabilities: NDArray[np.float32]) -> None:
        room = min(len(probabilities), len(self.cover) - first_frame)
        probabilities = probabilities[:room]
        window = WindowActivity(first_frame, _MEMBERS[probabilities.argmax(1)])
        self.windows.append(window)
        self.cover[window.frames] += 1
        self.speech[window.frames] += 1 - probabilities[:, 0]
        self.count[window.frames] += window.active.sum(1)
        self.changes[first_frame + _leader_changes(window.active)] += 1

    def activity(self) -> Activity:
        cover = np.maximum(self.cover, 1)
        sums = (self.speech, self.count, self.changes)
        speech, count, changes = ((values / cover).astype(np.float32) for values in sums)
        return Activity(speech, count, changes, self.windows)


def measure_activity(sound: LevelledSound, model: SegmentationModel, report: Report | None = None) -> Activity:
    """Activity of ``sound``, mono 16 kHz; ``report`` is told windows done and in all."""
    duration_s = len(sound) / SAMPLE_RATE
    starts_s = window_starts_s(duration_s)
    sums = _Sums(int(duration_s / FRAME_STEP_S) + 2)
    done = 0
    for batch in _batches(sound, starts_s):
        for probabilities in model(batch):
            sums.add(round(starts_s[done] / FRAME_STEP_S), probabilities)
            done += 1
        if report:
            report(done, len(starts_s))
    return sums.activity()
