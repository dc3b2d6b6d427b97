"""How alive listeners are: the motion of eyes and brows while others speak (AnyTalker, arXiv 2511.23475, eq. 5 and 6).

The paper's 22 points of InsightFace's 106 are taken from the dense mesh at the same places. Faces are normalised to a
224 px crop whatever their size, and a jump of more than 10 px is frozen out, as the paper's supplement says.
"""

import numpy as np
from numpy.typing import NDArray

CROP_PX = 224.0
OUTLIER_PX = 10.0
CENTRE_GAIN = 0.7  # share of the new centre in the smoothed crop
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
POINTS = BROWS + EYES


def motion(points_px: NDArray[np.float32]) -> NDArray[np.float64]:
    """(F − 1,) mean motion of eyes and brows of one face, (F, 478, 3), from frame to frame in a 224 px crop."""
    places = points_px[:, :468, :2].astype(np.float64)
    low, high = places.min(1), places.max(1)
    side = float((high - low).max())
    centre = (low + high) / 2
    smoothed = centre.copy()
    for index in range(1, len(centre)):
        smoothed[index] = CENTRE_GAIN * centre[index] + (1 - CENTRE_GAIN) * smoothed[index - 1]
    aligned = (places - smoothed[:, None]) * CROP_PX / side
    stable = aligned[0]
    steps = np.zeros(len(aligned) - 1)
    for index, face in enumerate(aligned[1:]):
        if np.linalg.norm(face - stable, axis=1).mean() > OUTLIER_PX:
            continue  # frozen: the face stays where it was
        steps[index] = np.linalg.norm(face[list(POINTS)] - stable[list(POINTS)], axis=1).mean()
        stable = face
    return steps


def interactivity(points_px: NDArray[np.float32], listening: NDArray[np.bool_]) -> float:
    """Mean motion over all listening frames: ``points_px`` (F, people, 478, 3), ``listening`` (F, people)."""
    steps = np.stack([motion(points_px[:, person]) for person in range(points_px.shape[1])], axis=1)
    counted = listening[1:]
    if not counted.any():
        raise ValueError("nobody listens in this video")
    return float(steps[counted].mean())
