"""Pieces of video put together: windows that overlap in time, and what stays as the photo has it."""

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
"""(num_frames, height, width, 3)."""


def blend_seam(before: Frames, after: Frames) -> Frames:
    """Two versions of the same k frames: from ``before`` at the first to ``after`` at the last, in even steps.

    Raises ValueError where their shapes differ.
    """
    if before.shape != after.shape:
        raise ValueError(f"a seam of {before.shape} and {after.shape}")
    weights = (np.arange(len(before)) + 1) / (len(before) + 1)
    blended = [
        old + np.float32(weight) * (new - old)
        for weight, old, new in zip(weights, before.astype(np.float32), after.astype(np.float32), strict=True)
    ]
    return np.rint(blended).astype(np.uint8) if blended else before


def keep_still(frames: Frames, photo: NDArray[np.uint8], mask: NDArray[np.float32]) -> Frames:
    """``frames`` with the pixels of ``photo`` (height, width, 3) where ``mask`` (height, width) is 1, blended by it."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return frames
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    share = mask[box][..., None]
    kept = frames.copy()
    for frame in kept:
        part = frame[box].astype(np.float32)
        frame[box] = np.rint(part + share * (photo[box] - part)).astype(np.uint8)
    return kept
