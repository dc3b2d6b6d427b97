"""From speech sounds to a moving mouth: targets per sound, blended the way neighbouring sounds colour each other.

Jaw: the mean of three measures (sounds of known words, sounds heard freely, loudness), which follows real mouths
better than any one. Lips: each sound pulls with its own weight, so that consonants take the shape of their vowels.
Contacts (lips shut on p b m, lip under teeth on f v, tongue on th l) are never smoothed away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.analysis.types import Phone
from engine.analysis.visemes import SpeechSounds
from engine.animatic.motion import Curve, FrameClock, ease, smooth
from engine.animatic.prosody import RATE, Prosody


@dataclass(frozen=True)
class Shape:
    """Where a sound draws the mouth: jaw 0..1, width -1..1, round 0..1; ``pull`` 0..1: how firmly it holds the lips."""

    jaw: float
    width: float = 0.0
    round: float = 0.0
    pull: float = 0.15


_A, _E, _I, _O, _U = (
    Shape(1.0, 0.05, 0.0, 0.7), Shape(0.7, 0.5, 0.0, 0.8), Shape(0.35, 0.9, 0.0, 1.0),
    Shape(0.65, -0.75, 0.8, 1.0), Shape(0.35, -1.0, 1.0, 1.0),
)  # fmt: skip

# A diphthong is two shapes in turn.
SHAPES: Mapping[str, tuple[Shape, ...]] = {
    "AA": (_A,), "AE": (Shape(0.95, 0.4, 0.0, 0.7),), "AH": (Shape(0.6, 0.05, 0.0, 0.35),),
    "AO": (Shape(0.8, -0.5, 0.6, 0.8),), "AW": (_A, _U), "AY": (_A, _I), "EH": (_E,),
    "ER": (Shape(0.4, -0.35, 0.4, 0.6),), "EY": (_E, _I), "IH": (Shape(0.42, 0.55, 0.0, 0.6),), "IY": (_I,),
    "OW": (_O, _U), "OY": (_O, _I), "UH": (Shape(0.42, -0.8, 0.75, 0.9),), "UW": (_U,),
    "W": (Shape(0.15, -1.0, 1.0, 1.0),), "R": (Shape(0.3, -0.4, 0.4, 0.4),), "Y": (Shape(0.3, 0.7, 0.0, 0.5),),
    "SH": (Shape(0.18, -0.5, 0.5, 0.6),), "ZH": (Shape(0.18, -0.5, 0.5, 0.6),), "CH": (Shape(0.16, -0.5, 0.5, 0.6),),
    "JH": (Shape(0.16, -0.5, 0.5, 0.6),), "S": (Shape(0.1, 0.4, 0.0, 0.35),), "Z": (Shape(0.1, 0.4, 0.0, 0.35),),
    "T": (Shape(0.2),), "D": (Shape(0.22),), "N": (Shape(0.22),), "L": (Shape(0.35),), "TH": (Shape(0.22),),
    "DH": (Shape(0.22),), "K": (Shape(0.3),), "G": (Shape(0.3),), "NG": (Shape(0.3),), "HH": (Shape(0.4),),
    "F": (Shape(0.08),), "V": (Shape(0.08),), "P": (Shape(0.0),), "B": (Shape(0.0),), "M": (Shape(0.0),),
}  # fmt: skip
_SILENCE = Shape(0.0, 0.0, 0.0, 0.3)

PRESSED = {"P": 1.0, "B": 1.0, "M": 1.0}
_TUCKED = {"F": 1.0, "V": 1.0}
_TONGUE = {"TH": 1.0, "DH": 1.0, "L": 0.8, "N": 0.3, "T": 0.25, "D": 0.3}

_BLUR_S = 0.04
_HOLD_S = 0.042  # one frame at 25 a second, wherever the frames fall
_CONTACT_RAMP_S = 0.045
_UNRELEASED_S = 0.12


@dataclass(frozen=True)
class MouthCurves:
    """(F,) float32 each, as in Performance."""

    jaw_open: Curve
    lip_width: Curve
    lip_round: Curve
    lip_press: Curve
    lip_tuck: Curve
    tongue: Curve


def mouth_curves(sounds: SpeechSounds | None, prosody: Prosody, gate: Curve, clock: FrameClock) -> MouthCurves:
    """The mouth of a person who says ``sounds``; shut wherever ``gate`` (F,) 0..1 is 0. Without sounds, by loudness."""
    sounds = sounds or SpeechSounds([], [], [])
    times_s = clock.times_s
    active = gate * _at(times_s, prosody.active)
    press = _contacts(_held_into_silence(sounds.aligned), PRESSED, clock)
    tuck = _contacts(sounds.aligned, _TUCKED, clock) * (1 - press)
    width, rounding = _lips(sounds.aligned, len(prosody.loudness))
    jaw = _at(times_s, _jaw(sounds, prosody.loudness)) * (1 - press) * (1 - 0.7 * tuck)
    return MouthCurves(
        jaw_open=np.clip(jaw * active, 0, 1),
        lip_width=_at(times_s, width) * active * (1 - press),
        lip_round=_at(times_s, rounding) * active * (1 - 0.6 * press),
        lip_press=press * np.minimum(1, 4 * gate),  # a gate that still rises must not part the lips of an m
        lip_tuck=tuck * active,
        tongue=_contacts(sounds.aligned, _TONGUE, clock) * active * (1 - press),
    )


def _at(times_s: NDArray[np.float64], curve: Curve) -> Curve:
    """``curve`` (RATE a second) at the times of the frames."""
    return np.interp(times_s * RATE - 0.5, np.arange(len(curve)), curve, left=0, right=0).astype(np.float32)


def _jaw(sounds: SpeechSounds, loudness: Curve) -> Curve:
    """Opening by the mean of what is known of the voice."""
    measures = [_jaw_of_sounds(phones, len(loudness)) for phones in (sounds.aligned, sounds.allphone) if phones]
    return np.mean([*measures, smooth(loudness, 0.02, RATE)], axis=0).astype(np.float32)


def _jaw_of_sounds(phones: Sequence[Phone], num_values: int) -> Curve:
    return smooth(_sampled(phones, num_values)[:, 0], _BLUR_S, RATE)


def _lips(phones: Sequence[Phone], num_values: int) -> tuple[Curve, Curve]:
    """Width and rounding: the mean of the sounds around, weighed by nearness and pull (dominance blending)."""
    shapes = _sampled(phones, num_values)
    pull = smooth(shapes[:, 3], _BLUR_S, RATE)
    drawn = smooth(shapes[:, 1:3] * shapes[:, 3:], _BLUR_S, RATE)
    blended = (drawn / np.maximum(pull, 1e-3)[:, None]).astype(np.float32)
    return blended[:, 0], blended[:, 1]


def _sampled(phones: Sequence[Phone], num_values: int) -> NDArray[np.float32]:
    """(num_values, 4) jaw, width, round and pull of the sound at each moment."""
    rows = np.tile(np.array([_row(_SILENCE)], np.float32), (num_values, 1))
    for phone in phones:
        shapes = SHAPES.get(phone.label, (_SILENCE,))
        edges = np.linspace(phone.start_s, phone.end_s, len(shapes) + 1) * RATE
        for shape, start, end in zip(shapes, edges[:-1], edges[1:], strict=True):
            rows[max(0, round(start)) : max(0, round(end))] = _row(shape)
    return rows


def _row(shape: Shape) -> tuple[float, float, float, float]:
    return shape.jaw, shape.width, shape.round, shape.pull


def _held_into_silence(phones: Sequence[Phone]) -> list[Phone]:
    """Lips that shut on the last sound before a pause stay shut into it: a final p, b or m is not let go of."""
    after_each = [*phones[1:], Phone(0.0, 0.0, "")]
    return [
        replace(phone, end_s=min(phone.end_s + _UNRELEASED_S, after.end_s))
        if phone.label in PRESSED and after.label == "SIL"
        else phone
        for phone, after in zip(phones, after_each, strict=False)
    ]


def _contacts(phones: Sequence[Phone], sizes: Mapping[str, float], clock: FrameClock) -> Curve:
    """1 (or the sound's size) while the contact of each sound in ``sizes`` is held: for a whole frame at least."""
    curve = np.zeros(clock.num_frames, np.float32)
    touching = [phone for phone in phones if phone.label in sizes]
    if not touching:
        return curve
    hold_s = max(_HOLD_S, 1.02 / clock.frame_rate)
    middles = np.array([(phone.start_s + phone.end_s) / 2 for phone in touching])
    halves = np.array([np.clip(0.8 * (phone.end_s - phone.start_s), hold_s, 0.16) / 2 for phone in touching])
    reach = int((0.08 + _CONTACT_RAMP_S) * clock.frame_rate) + 2
    frames = np.floor(middles * clock.frame_rate).astype(int)[:, None] + np.arange(-reach, reach + 1)
    distance_s = np.abs((frames + 0.5) / clock.frame_rate - middles[:, None]) - halves[:, None]
    strength = ease(1 - distance_s / _CONTACT_RAMP_S) * np.array([sizes[p.label] for p in touching])[:, None]
    inside = (frames >= 0) & (frames < clock.num_frames)
    np.maximum.at(curve, frames[inside], strength[inside].astype(np.float32))
    return curve
