"""A recording at the rate (16 kHz) and level that voice models expect, without holding the original in memory."""

import tempfile
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from engine.analysis.voice_protocols import VOICE_RATE
from engine.media.types import Waveform

BLOCK_S = 30
ON_DISK_S = 600
SPEECH_LEVEL = 0.1
MOST_GAIN = 1000.0
LEVEL_FRAME = 1600


@dataclass(frozen=True)
class LevelledSound:
    """``sound[a:b]`` times ``gain``, computed when asked for; values that are no numbers become silence."""

    sound: NDArray[np.float32]
    gain: float

    def __len__(self) -> int:
        return len(self.sound)

    def __getitem__(self, part: slice) -> NDArray[np.float32]:
        return np.nan_to_num(np.float32(self.gain) * self.sound[part], posinf=0, neginf=0)


def levelled(sound: NDArray[np.float32]) -> LevelledSound:
    """``sound`` (16 kHz) with its loud tenths of seconds at RMS 0.1: the models' inner floors expect such a level."""
    powers = [np.zeros(0)]
    block = LEVEL_FRAME * 10 * BLOCK_S
    for start in range(0, len(sound), block):
        values = np.nan_to_num(sound[start : start + block], posinf=0, neginf=0).astype(np.float64)
        frames = values[: len(values) // LEVEL_FRAME * LEVEL_FRAME].reshape(-1, LEVEL_FRAME)
        powers.append((frames**2).mean(1))
    heard = np.concatenate(powers)
    loud = np.sqrt(np.percentile(heard, 90)) if len(heard) else 0.0
    return LevelledSound(sound, min(MOST_GAIN, SPEECH_LEVEL / loud) if loud > 0 else 1.0)


def at_voice_rate(waveform: Waveform) -> NDArray[np.float32]:
    """(num_samples,) mono 16 kHz. More than ten minutes lie in a temporary file that goes with the array."""
    if waveform.sample_rate == VOICE_RATE:
        return waveform.samples
    divisor = gcd(waveform.sample_rate, VOICE_RATE)
    up, down = VOICE_RATE // divisor, waveform.sample_rate // divisor
    result = room_for(-(-len(waveform.samples) * up // down), waveform.duration_s)
    block = down * max(1, round(BLOCK_S * waveform.sample_rate / down))
    for start in range(0, len(waveform.samples), block):
        values = _resampled_block(waveform.samples, slice(start, start + block), up, down)
        first = start // down * up
        result[first : first + len(values)] = values[: len(result) - first]
    return result


def _resampled_block(samples: NDArray[np.float32], part: slice, up: int, down: int) -> NDArray[np.float32]:
    """``part`` begins at a multiple of ``down``; taken with a margin as wide as the filter, so no seam is heard."""
    from scipy.signal import resample_poly

    margin = down * (-(-10 * max(up, down) // (up * down)) + 1)
    first = max(0, part.start - margin)
    values = resample_poly(np.asarray(samples[first : part.stop + margin]), up, down)
    skipped = (part.start - first) // down * up
    wanted = -(-(min(part.stop, len(samples)) - part.start) * up // down)
    return values[skipped : skipped + wanted].astype(np.float32)


def room_for(num_samples: int, duration_s: float) -> NDArray[np.float32]:
    """(num_samples,) zeros, in a temporary file where the sound is longer than ten minutes."""
    if duration_s <= ON_DISK_S:
        return np.zeros(num_samples, np.float32)
    file = tempfile.TemporaryFile(prefix="roundtable-")  # noqa: SIM115 (lives as long as the array)
    return np.memmap(file, np.float32, "w+", shape=(num_samples,))
