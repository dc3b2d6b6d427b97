"""Whom a person looks at: whoever speaks, after a human delay."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.animatic.motion import Curve, FrameClock, smooth, stepped
from engine.cast.streams import CastStream

_MIN_DELAY_S, _MAX_DELAY_S = 0.3, 0.8
_HEAD_AFTER_EYES_S = 0.12
_LINGER_S = 2.0  # eyes stay on a person who has fallen silent
_HEAD_MOVE_S = 0.16
_EYE_MOVE_S = 0.025
_YAW_DEGREES, _PITCH_DEGREES = 6.0, 3.0


@dataclass(frozen=True)
class Attention:
    """Where a person's attention draws eyes and head; as in Performance, ``gaze`` (F, 2), the others (F,)."""

    gaze: NDArray[np.float32]
    yaw: Curve
    pitch: Curve


def attention_of(index: int, streams: Sequence[CastStream], clock: FrameClock, rng: np.random.Generator) -> Attention:
    """The attention of ``streams[index]``: on the last of the others who began to speak; else on the viewer."""
    me = streams[index]
    events = sorted(
        (start, end, other) for other, stream in enumerate(streams) if other != index for start, end in stream.turns_s
    )
    times_s, directions = [], []
    for place, (start, end, other) in enumerate(events):
        moment = start + rng.uniform(_MIN_DELAY_S, _MAX_DELAY_S)
        times_s.append(moment)
        directions.append(direction(me, streams[other]))
        following = events[place + 1][0] if place + 1 < len(events) else np.inf
        away = max(end, moment) + _LINGER_S + rng.uniform(0, 1)
        if following > away:
            times_s.append(away)
            directions.append((0.0, 0.0))
    return _turned(np.asarray(times_s), np.asarray(directions, np.float64).reshape(-1, 2), clock)


def direction(person: CastStream, other: CastStream) -> tuple[float, float]:
    """How far right and down ``other`` is seen from ``person``, each -1..1; a neighbour is already well aside."""
    (x0, y0, x1, y1), (a0, b0, a1, b1) = person.face.box_px, other.face.box_px
    size = max(x1 - x0, 1.0)
    right, down = (a0 + a1 - x0 - x1) / 2, (b0 + b1 - y0 - y1) / 2
    return float(np.tanh(right / (2.0 * size))), float(np.tanh(down / (3.0 * size)))


def _turned(times_s: NDArray[np.float64], directions: NDArray[np.float64], clock: FrameClock) -> Attention:
    order = np.argsort(times_s, kind="stable")
    times_s, directions = times_s[order], directions[order]
    eyes = smooth(stepped(clock, times_s, directions), _EYE_MOVE_S, clock.frame_rate)
    head = smooth(stepped(clock, times_s + _HEAD_AFTER_EYES_S, directions), _HEAD_MOVE_S, clock.frame_rate)
    return Attention(eyes * np.array([0.6, 0.4], np.float32), head[:, 0] * _YAW_DEGREES, head[:, 1] * _PITCH_DEGREES)
