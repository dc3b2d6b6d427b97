"""Turns against video frames: the one place where seconds become frames, and what turns say about a stretch of time."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engine.project.document import Scene, Turn

RAMP_S = 0.08  # a gate rises and falls over this time


def length_s(scene: Scene, speaker_id: str = "") -> float:
    """Seconds of the conversation: of the recording, or the longest voice file; of ``speaker_id``'s own file where one
    is named and has one. 0 = there is no sound yet."""
    own = [voice.media for voice in scene.voices if voice.speaker_id == speaker_id]
    refs = own or ([scene.dialogue] if scene.dialogue else [voice.media for voice in scene.voices])
    return max((ref.info.duration_s or 0.0 for ref in refs), default=0.0)


def num_frames(duration_s: float, frame_rate: float) -> int:
    """Frames of a video as long as the sound (to within half a frame), at least one."""
    return max(1, round(duration_s * frame_rate))


def gate(spans_s: Iterable[tuple[float, float]], frame_rate: float, length: int) -> NDArray[np.float32]:
    """(length,) 1 inside the spans (seconds), 0 outside, with ramps of RAMP_S outside the spans' edges."""
    centre_s = (np.arange(length) + 0.5) / frame_rate
    opened = np.zeros(length, np.float32)
    for start_s, end_s in spans_s:
        first, last = np.searchsorted(centre_s, [start_s - RAMP_S, end_s + RAMP_S])
        at = centre_s[first:last]
        rise = np.minimum((at - start_s) / RAMP_S + 1, (end_s - at) / RAMP_S + 1)
        opened[first:last] = np.maximum(opened[first:last], np.clip(rise, 0, 1))
    return opened


def within(turns: Iterable[Turn], range_s: tuple[float, float]) -> list[Turn]:
    """The turns that touch the range, cut to it and counted from its start."""
    start_s, end_s = range_s
    inside = []
    for turn in turns:
        first, last = max(turn.start_s, start_s) - start_s, min(turn.end_s, end_s) - start_s
        if last - first > 1e-3:
            inside.append(turn.model_copy(update={"start_s": first, "end_s": last}))
    return sorted(inside, key=lambda turn: (turn.start_s, turn.end_s))


def talking_s(turns: Iterable[Turn]) -> dict[str, float]:
    """Seconds of talk per speaker id."""
    totals: dict[str, float] = {}
    for turn in turns:
        totals[turn.speaker_id] = totals.get(turn.speaker_id, 0.0) + turn.end_s - turn.start_s
    return totals
