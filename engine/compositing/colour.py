"""A long video keeps the colours of its photo: slow drift is taken out, whatever moves stays."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

Frames = NDArray[np.uint8]

_STATISTICS_STEP_PX = 4  # every fourth pixel each way: the same to a hundredth of a level, in a sixteenth of the time
_SMOOTHED_FRAMES = 25
_MAX_GAIN, _MAX_SHIFT = 1.25, 20.0
"""Beyond these it is not drift but another picture, which no change of levels makes right."""


@dataclass(frozen=True)
class ColourMatch:
    """Brings frames to the mean and spread of the photo, channel by channel in CIE L*a*b* (Reinhard et al. 2001).

    ``mean`` and ``spread`` (3,) of the photo. Statistics are smoothed over a second, so that a mouth that opens or a
    head that turns changes nothing.
    """

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def to(cls, photo: NDArray[np.uint8]) -> "ColourMatch":
        return cls(*_statistics(photo))

    def __call__(self, frames: Frames) -> Frames:
        """(num_frames, height, width, 3) uint8 of any picture of the same scene → the same with the photo's colours."""
        measured = [_statistics(frame) for frame in frames]
        means, spreads = (_smoothed(np.stack(column)) for column in zip(*measured, strict=True))
        matched = np.empty_like(frames)
        for frame, out, mean, spread in zip(frames, matched, means, spreads, strict=True):
            gain = np.clip(self.spread / np.maximum(spread, 1e-3), 1 / _MAX_GAIN, _MAX_GAIN)
            shift = np.clip(self.mean - mean, -_MAX_SHIFT, _MAX_SHIFT)
            out[:] = _from_lab((_to_lab(frame) - mean) * gain + mean + shift)
        return matched


def _statistics(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    lab = _to_lab(rgb[::_STATISTICS_STEP_PX, ::_STATISTICS_STEP_PX]).reshape(-1, 3)
    return lab.mean(axis=0), lab.std(axis=0)


def _smoothed(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return uniform_filter1d(rows, _SMOOTHED_FRAMES, axis=0, mode="nearest")


def _to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb, np.float32) / np.float32(255), cv2.COLOR_RGB2LAB))


def _from_lab(lab: NDArray[np.float32]) -> NDArray[np.uint8]:
    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.rint(rgb.clip(0, 1) * 255).astype(np.uint8)
