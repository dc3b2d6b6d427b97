"""Small pieces of movement that gestures are built of; times in seconds, one value per video frame."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float32]
Numbers = Sequence[float] | NDArray[Any]


@dataclass(frozen=True)
class FrameClock:
    """When the frames of a take are shown: frame i stands for the time (i + 0.5) / frame_rate."""

    num_frames: int
    frame_rate: float

    @property
    def times_s(self) -> NDArray[np.float64]:
        return (np.arange(self.num_frames, dtype=np.float64) + 0.5) / self.frame_rate

    @property
    def duration_s(self) -> float:
        return self.num_frames / self.frame_rate


def chance(seed: int, face_id: str, purpose: str) -> np.random.Generator:
    """Randomness of one behaviour of one face: adding a behaviour or a person changes no other."""
    return np.random.default_rng([seed, zlib.crc32(face_id.encode()), zlib.crc32(purpose.encode())])


def smooth(curve: NDArray[Any], sigma_s: float, rate: float) -> Curve:
    """Gaussian smoothing along the first axis; the ends are held."""
    from scipy.ndimage import gaussian_filter1d

    if not len(curve):
        return np.asarray(curve, np.float32)
    smoothed: Curve = gaussian_filter1d(np.asarray(curve, np.float32), sigma_s * rate, axis=0, mode="nearest")
    return smoothed


def wander(rng: np.random.Generator, clock: FrameClock, sigma_s: float) -> Curve:
    """Aimless slow movement around zero with a standard deviation of about 1; a larger ``sigma_s`` is slower."""
    width = max(sigma_s * clock.frame_rate, 0.5)
    margin = int(4 * width) + 1
    noise = rng.standard_normal(clock.num_frames + 2 * margin)
    # Gaussian-filtered white noise has the variance 1 / (2 sqrt(pi) width).
    drawn = smooth(noise, width, 1.0) * np.float32(np.sqrt(2 * np.sqrt(np.pi) * width))
    return drawn[margin : margin + clock.num_frames]


@dataclass(frozen=True)
class Gesture:
    """A movement that rises, is held and falls: seconds for each; its peak begins at the time it is placed at."""

    rise_s: float
    hold_s: float
    fall_s: float


def placed(clock: FrameClock, gesture: Gesture, times_s: Numbers, sizes: Numbers) -> Curve:
    """``gesture`` at each of ``times_s``, as large as ``sizes`` says; where two meet, the larger one shows."""
    curve = np.zeros(clock.num_frames, np.float32)
    for time_s, size in zip(times_s, sizes, strict=True):
        first = max(0, int((time_s - gesture.rise_s) * clock.frame_rate))
        last = min(clock.num_frames, int((time_s + gesture.hold_s + gesture.fall_s) * clock.frame_rate) + 1)
        after_s = (np.arange(first, last) + 0.5) / clock.frame_rate - time_s
        rising = 1 + after_s / gesture.rise_s
        falling = 1 - (after_s - gesture.hold_s) / gesture.fall_s
        shape = size * ease(np.minimum(rising, falling))
        here = curve[first:last]
        here[:] = np.where(np.abs(shape) > np.abs(here), shape, here)
    return curve


def ease(progress: NDArray[np.floating]) -> NDArray[np.floating]:
    """0 to 1 without a corner at either end."""
    x = np.clip(progress, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def stepped(clock: FrameClock, times_s: Numbers, values: NDArray[Any]) -> Curve:
    """The last of ``values`` (N, …) whose time (sorted) has come; zero before the first."""
    rows = np.concatenate([np.zeros((1, *values.shape[1:])), values]).astype(np.float32)
    return rows[np.searchsorted(np.asarray(times_s), clock.times_s, side="right")]


def random_times(rng: np.random.Generator, duration_s: float, mean_s: float, shape: float) -> NDArray[np.float64]:
    """Times with gamma-distributed pauses of ``mean_s`` between them; a larger ``shape`` is more regular."""
    count = int(duration_s / mean_s * 2) + 8
    times = np.cumsum(rng.gamma(shape, mean_s / shape, count)) - mean_s * rng.random()
    return times[(times >= 0) & (times < duration_s)]
