"""What eyes, brows and head do: while talking, while listening, and always (blinks)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from engine.animatic.attention import Attention
from engine.animatic.motion import Curve, FrameClock, Gesture, chance, placed, random_times, smooth, stepped, wander
from engine.animatic.prosody import Prosody

_BLINK = Gesture(rise_s=0.09, hold_s=0.02, fall_s=0.17)
_BLINK_EVERY_S = 60 / 17.5
_BLINK_SPACING_S = 0.6
_NOD = Gesture(0.16, 0.02, 0.3)
_BROW = Gesture(0.22, 0.12, 0.4)
_SMILE = Gesture(0.5, 1.0, 0.9)
_GAZE_MOVE_S = 0.025  # an eye is there within a frame


@dataclass(frozen=True)
class Gestures:
    """The part of a Performance above and around the mouth; (F,) float32 each, ``gaze`` (F, 2)."""

    smile: Curve
    brow: Curve
    gaze: NDArray[np.float32]
    yaw: Curve
    pitch: Curve
    roll: Curve

    def weighed(self, weight: Curve | float) -> "Gestures":
        """All of it times ``weight``, a number or (F,)."""
        column = weight[:, None] if isinstance(weight, np.ndarray) else weight
        return Gestures(*(getattr(self, f.name) * (column if f.name == "gaze" else weight) for f in fields(self)))

    def plus(self, other: "Gestures") -> "Gestures":
        return Gestures(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Actor:
    """Who moves: the seed and the face decide every random choice."""

    seed: int
    face_id: str
    clock: FrameClock

    def chance(self, purpose: str) -> np.random.Generator:
        return chance(self.seed, self.face_id, purpose)


def blinks(actor: Actor, phrase_ends_s: Sequence[float], rate: float) -> Curve:
    """Blinks, 17 or 18 a minute times ``rate`` (0..1), drawn to phrase ends where one is near."""
    rng, clock = actor.chance("blinks"), actor.clock
    drawn = random_times(rng, clock.duration_s, _BLINK_EVERY_S, shape=7)
    kept = rng.random(len(drawn)) < rate
    ends = np.asarray(sorted(phrase_ends_s)) + 0.08
    times: list[float] = []
    for time_s in drawn:
        nearest = ends[np.abs(ends - time_s).argmin()] if len(ends) else time_s
        latest = times[-1] if times else -_BLINK_SPACING_S
        if abs(nearest - time_s) < 0.6 and nearest - latest > _BLINK_SPACING_S:
            time_s = nearest
        times.append(max(float(time_s), latest + _BLINK_SPACING_S))
    # A lid that shuts between two frames would never be seen shut: begin the hold just before a frame's moment.
    frames = np.floor(np.asarray(times, np.float64)[kept] * clock.frame_rate)
    return placed(clock, _BLINK, list((frames + 0.4) / clock.frame_rate), [1.0] * len(frames))


def talking(actor: Actor, prosody: Prosody, toward: Attention) -> Gestures:
    """Brows and nods on stressed syllables, a head that sways, eyes on the person spoken to, who is at ``toward``."""
    clock, rng = actor.clock, actor.chance("stresses")
    stresses, sizes = prosody.stresses_s, prosody.stress_sizes
    nodded, raised = rng.random(len(stresses)) < 0.7, rng.random(len(stresses)) < 0.55
    nods = placed(clock, _NOD, stresses[nodded] - 0.02, 3.4 * sizes[nodded])
    brows = placed(clock, _BROW, stresses[raised] - 0.08, 0.6 * sizes[raised])
    openings = prosody.phrases_s[:, 0]
    brows = np.maximum(brows, placed(clock, _BROW, openings, 0.2 + 0.2 * rng.random(len(openings))))
    swayed = _sway(actor, "talking", 1.5)
    return Gestures(
        smile=0.08 + 0.06 * wander(actor.chance("talking smile"), clock, 0.8),
        brow=brows + 0.05 * wander(actor.chance("talking brow"), clock, 0.25),
        gaze=0.6 * toward.gaze + _saccades(actor, "talking") + _aversions(actor, openings),
        yaw=swayed[:, 0] + 0.45 * toward.yaw,
        pitch=swayed[:, 1] + 0.4 * toward.pitch + nods,
        roll=swayed[:, 2],
    )


def listening(actor: Actor, phrase_ends_s: Sequence[float], toward: Attention) -> Gestures:
    """Eyes and head on whoever speaks (``toward``); nods, brows and smiles answer ``phrase_ends_s`` of the others."""
    clock, rng = actor.clock, actor.chance("answers")
    ends = np.asarray(sorted(phrase_ends_s), np.float64)
    delays = 0.1 + 0.35 * rng.random(len(ends))
    draws, sizes = rng.random((4, len(ends))), 0.6 + 0.4 * rng.random((3, len(ends)))
    own = random_times(actor.chance("own nods"), clock.duration_s, 3.2, shape=3)  # attention between phrase ends
    nod_times, nod_sizes = _nod_trains(
        np.concatenate([(ends + delays)[draws[0] < 0.8], own]),
        np.concatenate([4.2 * sizes[0][draws[0] < 0.8], np.full(len(own), 3.0)]),
        actor.chance("nod trains"),
    )
    brows = placed(clock, _BROW, (ends + delays)[draws[1] < 0.5], 0.6 * sizes[1][draws[1] < 0.5])
    smiles = placed(clock, _SMILE, (ends + delays)[draws[2] < 0.4], 0.45 * sizes[2][draws[2] < 0.4])
    swayed = _sway(actor, "listening", 2.0)
    tilts = stepped(clock, *_tilts(actor))
    return Gestures(
        smile=np.maximum(smiles, 0.1 + 0.07 * wander(actor.chance("smile"), clock, 1.0)),
        brow=brows + 0.1 * wander(actor.chance("brow"), clock, 0.25),
        gaze=toward.gaze + _saccades(actor, "listening"),
        yaw=swayed[:, 0] + toward.yaw,
        pitch=swayed[:, 1] + toward.pitch + placed(clock, _NOD, nod_times, nod_sizes),
        roll=swayed[:, 2] + smooth(tilts, 0.35, clock.frame_rate),
    )


def _sway(actor: Actor, purpose: str, degrees: float) -> NDArray[np.float32]:
    """(F, 3) yaw, pitch, roll: a slow drift with a quicker, smaller movement on it."""
    columns = []
    for axis, share in (("yaw", 1.0), ("pitch", 0.85), ("roll", 0.75)):
        rng = actor.chance(f"{purpose} sway {axis}")
        slow, quick = wander(rng, actor.clock, 0.9), wander(rng, actor.clock, 0.24)
        columns.append(degrees * share * (0.8 * slow + 0.75 * quick))
    return np.stack(columns, axis=1)


def _nod_trains(
    starts_s: NDArray[np.float64], sizes: NDArray[np.float64], rng: np.random.Generator
) -> tuple[list[float], list[float]]:
    """One to three nods after each start, each smaller than the one before."""
    times, degrees = [], []
    for start_s, size, count in zip(starts_s, sizes, rng.integers(1, 4, len(starts_s)), strict=True):
        for index in range(int(count)):
            times.append(float(start_s + 0.16 + 0.42 * index))
            degrees.append(float(size * 0.7**index))
    return times, degrees


def _tilts(actor: Actor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = actor.chance("tilts")
    times = random_times(rng, actor.clock.duration_s, 4.0, shape=3)
    return times, 1.6 * rng.standard_normal(len(times)).clip(-1.5, 1.5)


def _saccades(actor: Actor, purpose: str) -> NDArray[np.float32]:
    """(F, 2): eyes are never quite still, they jump a little from one fixation to the next."""
    rng = actor.chance(f"{purpose} saccades")
    times = random_times(rng, actor.clock.duration_s, 0.9, shape=2)
    jumps = rng.standard_normal((len(times), 2)).clip(-2, 2) * (0.09, 0.05)
    return smooth(stepped(actor.clock, times, jumps), _GAZE_MOVE_S, actor.clock.frame_rate)


def _aversions(actor: Actor, phrase_starts_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """(F, 2): people look aside for a moment as they begin to say something."""
    rng, clock = actor.chance("aversions"), actor.clock
    count = len(phrase_starts_s)
    chosen = rng.random(count) < 0.45
    sides = np.where(rng.random(count) < 0.5, -1.0, 1.0) * (0.25 + 0.2 * rng.random(count))
    aside = Gesture(0.06, 0.7, 0.08)
    starts = phrase_starts_s[chosen]
    return np.stack(
        [placed(clock, aside, starts, sides[chosen]), placed(clock, aside, starts, np.full(len(starts), 0.18))], axis=1
    )
