"""How alive listeners are: the motion of eyes and brows while others speak (AnyTalker, arXiv 2511.23475, eq. 5 and 6).

Protocol of the paper's benchmark: a square crop follows a face detector's box, its centre smoothed and kept from
jumping; landmarks are counted in a 224 px crop; a face that jumps by more than 10 px is frozen until it moves by less.
The paper's 22 points of InsightFace's 106 are taken from the dense mesh at the same places, and every face is
normalised, however small.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_protocols import FaceDetector
from engine.media.types import Image

CROP_PX = 224.0
DETECTOR_LONG_SIDE_PX = 224
OUTLIER_PX = 10.0
CENTRE_GAIN = 0.7  # share of the new centre in the smoothed crop
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
POINTS = BROWS + EYES


def face_boxes(frames: Iterable[NDArray[np.uint8]], points_px: NDArray[np.float32]) -> NDArray[np.float64]:
    """(F, people, 4) x0 y0 x1 y1 px: the detector's box of each tracked face; see ``boxes_of``."""
    return boxes_of([detected_boxes(rgb) for rgb in frames], points_px)


def detected_boxes(rgb: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """The boxes (4,) px of all faces of a frame, which the detector sees small, as in the benchmark."""
    return [np.array(face.box_px) for face in _detector()(Image(rgb))]


@lru_cache(maxsize=1)
def _detector() -> FaceDetector:
    from engine.analysis.backends.centerface import CenterFace

    return CenterFace(long_sides_px=(DETECTOR_LONG_SIDE_PX,))


def boxes_of(found: Sequence[Sequence[NDArray[np.float64]]], points_px: NDArray[np.float32]) -> NDArray[np.float64]:
    """(F, people, 4): which of the boxes ``found`` in each frame holds whose face.

    ``points_px`` (F, people, N, 2 or 3); where the detector misses a face, its box stays the last one.
    """
    boxes = np.concatenate([points_px[..., :2].min(2), points_px[..., :2].max(2)], axis=-1).astype(np.float64)
    for index, in_frame in enumerate(found):
        if index:
            boxes[index] = boxes[index - 1]
        for person, points in enumerate(points_px[index, :, :, :2]):
            middle = points.mean(0)
            holding = [box for box in in_frame if np.all(middle > box[:2]) and np.all(middle < box[2:])]
            if holding:
                boxes[index, person] = holding[0]
    return boxes


def motion(
    points_px: NDArray[np.float32], boxes_px: NDArray[np.float64], chosen: Sequence[int] = POINTS
) -> NDArray[np.float64]:
    """(F - 1,) mean motion of eyes and brows from frame to frame, px in the crop; one face: (F, N, 2 or 3) and (F, 4).

    ``chosen``: which of the N points are eyes and brows; all of them decide whether a face jumps.
    """
    side = float((boxes_px[:, 2:] - boxes_px[:, :2]).max())
    corner = _steady_centres((boxes_px[:, :2] + boxes_px[:, 2:]) / 2) - side / 2
    aligned = (points_px[..., :2] - corner[:, None]) * CROP_PX / side
    steps = np.zeros(len(aligned) - 1)
    moves = np.linalg.norm(np.diff(aligned, axis=0), axis=-1)
    jumps = moves.mean(axis=1) > OUTLIER_PX
    # Frozen until the face moves by less again: neither the jump counts, nor the step out of it.
    counted = ~jumps & ~np.concatenate([[False], jumps[:-1]])
    steps[counted] = moves[counted][:, list(chosen)].mean(axis=1)
    return steps


def _steady_centres(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    smoothed, steady = centres.copy(), centres[0]
    for index in range(1, len(centres)):
        if np.linalg.norm(centres[index] - steady) <= OUTLIER_PX:
            steady = centres[index]
        smoothed[index] = CENTRE_GAIN * steady + (1 - CENTRE_GAIN) * smoothed[index - 1]
    return smoothed


def interactivity(
    points_px: NDArray[np.float32],
    boxes_px: NDArray[np.float64],
    listening: NDArray[np.bool_],
    chosen: Sequence[int] = POINTS,
) -> float:
    """Mean motion over all listening frames: (F, people, N, 2 or 3), (F, people, 4) and (F, people).

    Raises ValueError when nobody listens.
    """
    people = range(points_px.shape[1])
    steps = np.stack([motion(points_px[:, person], boxes_px[:, person], chosen) for person in people], axis=1)
    if not listening[1:].any():
        raise ValueError("nobody listens in this video")
    return float(steps[listening[1:]].mean())
