"""What a face needs to know of a voice besides its sounds: when it is heard, where phrases end, what it stresses."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.analysis.visemes import SpeechSounds, loudness_envelope
from engine.animatic.motion import Curve, smooth
from engine.media.types import Waveform

RATE = 200  # values a second of everything measured on a voice

VOWELS = frozenset(["AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"])

_HEARD_LEVEL = 0.16
_SHORT_GAP_S = 0.15  # the mouth stays in speech over shorter ones
_PHRASE_GAP_S = 0.3
_STRESS_SPACING_S = 0.7


@dataclass(frozen=True)
class Prosody:
    """``loudness`` and ``active`` have RATE values a second, ``active`` is 0..1; the rest are times in seconds.

    ``phrases_s``: (P, 2) start and end of each phrase. ``stresses_s``: (S,) middles of stressed syllables,
    ``stress_sizes``: (S,) 0..1 how strongly.
    """

    loudness: Curve
    active: Curve
    phrases_s: NDArray[np.float64]
    stresses_s: NDArray[np.float64]
    stress_sizes: NDArray[np.float64]


def prosody_of(voice: Waveform, sounds: SpeechSounds | None) -> Prosody:
    """Measure ``voice``; ``sounds`` make the stresses more exact where they are known."""
    loudness = loudness_envelope(voice, RATE, round(voice.duration_s * RATE))
    heard = _joined(loudness > _HEARD_LEVEL, _SHORT_GAP_S)
    phrases = _runs(_joined(heard, _PHRASE_GAP_S)) / RATE
    phrases = phrases[phrases[:, 1] - phrases[:, 0] > 0.12]
    times, sizes = _stresses(loudness, sounds)
    return Prosody(loudness, smooth(heard, 0.025, RATE), phrases, times, sizes)


def _runs(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N, 2) first and one past the last index of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return edges.reshape(-1, 2)


def _joined(flags: NDArray[np.bool_], gap_s: float) -> NDArray[np.bool_]:
    """``flags`` with gaps shorter than ``gap_s`` closed; the silence at either end stays."""
    runs = _runs(flags)
    result = flags.copy()
    for (_, end), (start, _) in itertools.pairwise(runs):
        if start - end < gap_s * RATE:
            result[end:start] = True
    return result


def _stresses(loudness: Curve, sounds: SpeechSounds | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Syllables that are louder and longer than the voice's others, at most one in 0.7 s."""
    from scipy.signal import find_peaks

    vowels = [phone for phone in sounds.aligned if phone.label in VOWELS] if sounds else []
    score = np.zeros(len(loudness) + 1)
    if vowels:
        middles = np.clip([round((v.start_s + v.end_s) / 2 * RATE) for v in vowels], 0, len(loudness) - 1)
        lengths = _standing(np.log([max(v.end_s - v.start_s, 0.02) for v in vowels]))
        score[middles] = np.maximum(0.0, lengths + _standing(loudness[middles]) + 1.0)
    else:
        score[:-1] = np.maximum(0.0, _standing(smooth(loudness, 0.1, RATE)) + 0.5)
    peaks, _ = find_peaks(score, height=1.2, distance=round(_STRESS_SPACING_S * RATE))
    return peaks / RATE, np.clip(score[peaks] / 4.0, 0.3, 1.0)


def _standing(values: NDArray[np.floating]) -> NDArray[np.float64]:
    return (np.asarray(values, np.float64) - np.mean(values)) / max(float(np.std(values)), 1e-6)
