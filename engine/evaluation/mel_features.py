"""Mel cepstra as the package python_speech_features 0.6 makes them by default, with which SyncNet was trained.

Written anew in NumPy: that package has had no release since 2017, and torchaudio rounds its filters' edges otherwise.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

RATE_HZ, WINDOW, STEP = 16_000, 400, 160  # 25 ms every 10 ms
NUM_CEPSTRA, NUM_FILTERS, FFT = 13, 26, 512
_PREEMPHASIS, _LIFTER = 0.97, 22
_LEAST = np.finfo(np.float64).eps


def cepstra(samples: NDArray[np.float64], before: float = 0.0) -> NDArray[np.float64]:
    """(K, 13): K = 1 + the steps that begin after the first window. ``samples`` at 16 kHz in units of 16-bit integers,
    ``before``: the sample before them. The first cepstrum is the logarithm of the window's energy.
    """
    lifted = samples - _PREEMPHASIS * np.append(before, samples[:-1])
    count = 1 + max(0, -(-(len(samples) - WINDOW) // STEP))
    padded = np.pad(lifted, (0, max(0, (count - 1) * STEP + WINDOW - len(lifted))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP][:count]
    power = np.square(np.abs(np.fft.rfft(windows, FFT))) / FFT
    bands = _above_nothing(power @ _filters().T)
    found = dct(np.log(bands), type=2, axis=1, norm="ortho")[:, :NUM_CEPSTRA]
    found *= 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(NUM_CEPSTRA) / _LIFTER)
    found[:, 0] = np.log(_above_nothing(power.sum(axis=1)))
    return np.asarray(found, np.float64)


def _above_nothing(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values == 0, _LEAST, values)


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float64]:
    """(26, 257) triangles, evenly spaced in mel, whose corners lie on whole lines of the spectrum."""
    mels = np.linspace(0, 2595 * np.log10(1 + RATE_HZ / 2 / 700), NUM_FILTERS + 2)
    corners = np.floor((FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / RATE_HZ)
    lines = np.arange(FFT // 2 + 1)
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising = (lines - low) / np.maximum(middle - low, 1)
    falling = (high - lines) / np.maximum(high - middle, 1)
    inside = (lines >= low) & (lines < high)
    return np.asarray(np.where(lines < middle, rising, falling) * inside, np.float64)
