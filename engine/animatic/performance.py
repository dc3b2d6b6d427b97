"""From voices to what every face of the picture does, frame by frame.

Nothing here knows how a face is drawn, and nothing is random that seed and face do not decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from engine.analysis.visemes import SpeechSounds
from engine.animatic.attention import attention_of
from engine.animatic.gestures import Actor, Gestures, blinks, listening, talking
from engine.animatic.motion import Curve, FrameClock, ease, smooth
from engine.animatic.mouth_shapes import MouthCurves, mouth_curves
from engine.animatic.prosody import Prosody, prosody_of
from engine.animatic.types import Performance
from engine.cast.streams import CastStream
from engine.project.document import Part

_LIMITS = {"smile": (0, 1), "brow": (-1, 1), "gaze": (-1, 1), "yaw": (-12, 12), "pitch": (-9, 9), "roll": (-7, 7)}
_ENDS_S = 0.4  # a take begins and ends with the face of the photo
_MOUTH_ENDS_S = 0.06
_HEAD_INERTIA_S = 0.05
_TALKER_SHARE = 0.45  # of a talker's gestures stays at interaction strength 0: speech without any looks dead


@dataclass(frozen=True)
class PerformanceSettings:
    """``interaction_strength`` 0 still … 1 natural … 2 lively; ``seed`` decides every random choice."""

    interaction_strength: float = 1.0
    seed: int = 42


def perform(
    streams: Sequence[CastStream],
    sounds: Mapping[str, SpeechSounds],
    frame_rate: float,
    settings: PerformanceSettings,
) -> list[Performance]:
    """What each person does, in the order of ``streams``; ``sounds`` by face id, times from the start of the range.

    A voice without sounds moves its mouth by loudness alone.
    """
    prosodies = {
        index: prosody_of(stream.voice, sounds.get(stream.face.id))
        for index, stream in enumerate(streams)
        if stream.part == Part.TALKS and stream.turns_s
    }
    return [
        Performance.at_rest(len(stream.speaking_gate))
        if stream.part == Part.STILL
        else _perform_one(index, streams, prosodies, _Scene(sounds, frame_rate, settings))
        for index, stream in enumerate(streams)
    ]


@dataclass(frozen=True)
class _Scene:
    sounds: Mapping[str, SpeechSounds]
    frame_rate: float
    settings: PerformanceSettings


def _perform_one(
    index: int, streams: Sequence[CastStream], prosodies: Mapping[int, Prosody], scene: _Scene
) -> Performance:
    stream, own = streams[index], prosodies.get(index)
    clock = FrameClock(len(stream.speaking_gate), scene.frame_rate)
    actor = Actor(scene.settings.seed, stream.face.id, clock)
    attention = attention_of(index, streams, clock, actor.chance("attention"))
    others_ends = [float(end) for other, p in prosodies.items() if other != index for end in p.phrases_s[:, 1]]
    others_ends += _unseen_ends_s(stream, [other for place, other in enumerate(streams) if place != index], clock)
    strength = _eased_strength(stream.liveliness * scene.settings.interaction_strength)
    gestures = listening(actor, others_ends, attention).weighed(strength)
    blink = blinks(actor, others_ends, min(1.0, strength))
    mouth = None
    if own:
        speaking = smooth(stream.speaking_gate, 0.25, clock.frame_rate)
        share = _TALKER_SHARE + (1 - _TALKER_SHARE) * _eased_strength(scene.settings.interaction_strength)
        talked = talking(actor, own, attention).weighed(speaking * share)
        gestures = gestures.weighed(1 - speaking).plus(talked)
        blink = blinks(actor, [float(end) for end in own.phrases_s[:, 1]], 1.0)
        mouth = mouth_curves(scene.sounds.get(stream.face.id), own, stream.speaking_gate, clock)
    return _joined(gestures, blink, _strengthened(mouth, stream.lip_strength, clock), clock)


def _unseen_ends_s(stream: CastStream, others: Sequence[CastStream], clock: FrameClock) -> list[float]:
    """When somebody off-screen stops speaking to this person: heard, but spoken by nobody in the picture."""
    seen = np.max([other.speaking_gate for other in others], axis=0, initial=0.0)
    heard = np.concatenate([stream.listening_gate - seen > 0.5, [False]])
    return [float(clock.times_s[last]) for last in np.flatnonzero(heard[:-1] & ~heard[1:])]


def _eased_strength(strength: float) -> float:
    """Above 1 more slowly: twice as lively is not twice as far."""
    return min(strength, 1.0) + 0.6 * max(0.0, strength - 1.0)


def _strengthened(mouth: MouthCurves | None, lip_strength: float, clock: FrameClock) -> dict[str, Curve]:
    """The mouth's curves by name, within bounds; a closed mouth for a listener."""
    if mouth is None:
        return {field.name: np.zeros(clock.num_frames, np.float32) for field in fields(MouthCurves)}
    ends = _ends(clock, _MOUTH_ENDS_S)
    scaled = {field.name: getattr(mouth, field.name) * ends * lip_strength for field in fields(MouthCurves)}
    # Lips that only half open still meet, and a take may begin with an m.
    scaled["lip_press"] = mouth.lip_press * min(1.0, 4 * lip_strength)
    return {
        name: np.clip(curve, -1 if name == "lip_width" else 0, 1).astype(np.float32) for name, curve in scaled.items()
    }


def _joined(gestures: Gestures, blink: Curve, mouth: Mapping[str, Curve], clock: FrameClock) -> Performance:
    ends = _ends(clock, _ENDS_S)
    bounded = {}
    for name, (low, high) in _LIMITS.items():
        curve = getattr(gestures, name)
        if name in ("yaw", "pitch", "roll"):
            curve = smooth(np.clip(curve, low, high), _HEAD_INERTIA_S, clock.frame_rate)
        faded = curve * (ends[:, None] if curve.ndim == 2 else ends)
        bounded[name] = np.clip(faded, low, high).astype(np.float32)
    return Performance(blink=(blink * ends).astype(np.float32), **bounded, **mouth)


def _ends(clock: FrameClock, length_s: float) -> Curve:
    """(F,) 1, but rising from 0 at the start and falling to 0 at the end, in at most a quarter of the take each."""
    length_s = min(length_s, clock.duration_s / 4) or 1.0
    to_end_s = np.minimum(clock.times_s, clock.duration_s - clock.times_s)
    return ease((to_end_s - 0.5 / clock.frame_rate) / length_s).astype(np.float32)
