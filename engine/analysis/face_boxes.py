"""Arithmetic on face boxes (x0 y0 x1 y1, pixels), and the pictures that face models are shown."""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_protocols import Box

# Mesh indices of what Face.landmarks_px holds: irises, nose tip, mouth corners.
MESH_OF_LANDMARKS = (468, 473, 1, 61, 291)


def shared_area(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    both = _intersection(a, b)
    return both / (box_area(a) + box_area(b) - both) if both else 0.0


def covered_part(a: Box, b: Box) -> float:
    """How much of the smaller box lies inside the larger one, 0..1."""
    both = _intersection(a, b)
    return both / min(box_area(a), box_area(b)) if both else 0.0


def _intersection(a: Box, b: Box) -> float:
    return box_area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def box_area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def within(box: Box, width_px: int, height_px: int) -> Box:
    """The part of the box inside a photo; without area where there is none."""
    x0, x1 = (float(np.clip(x, 0, width_px)) for x in (box[0], box[2]))
    y0, y1 = (float(np.clip(y, 0, height_px)) for y in (box[1], box[3]))
    return x0, y0, x1, y1


def landmark_gap(points_px: NDArray[np.float32], landmarks_px: NDArray[np.float32], box_px: Box) -> float:
    """How far a mesh (478, 3) lies from a detector's five points (5, 2), in parts of the box side.

    Measured on 60 plain faces: 0.04 in the middle, 0.106 at most.
    """
    gaps = np.linalg.norm(points_px[list(MESH_OF_LANDMARKS), :2] - landmarks_px, axis=1)
    return float(gaps.mean() / max(box_px[2] - box_px[0], box_px[3] - box_px[1]))


def scaled_to(rgb: NDArray[np.uint8], long_side_px: int) -> NDArray[np.uint8]:
    """The picture (h, w, 3) with its long side as given; the short side has at least 1 px."""
    scale = long_side_px / max(rgb.shape[:2])
    height, width = (max(1, round(side * scale)) for side in rgb.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=method), np.uint8)


def square_cut(rgb: NDArray[np.uint8], affine: NDArray[np.float64], side_px: int) -> NDArray[np.uint8]:
    """A turned square of the photo, (side, side, 3); ``affine`` (2, 3) leads from photo to square.

    Outside the photo its edge goes on.
    """
    inverse = cv2.invertAffineTransform(affine)
    reach = np.array([[-0.25, -0.25], [1.25, -0.25], [-0.25, 1.25], [1.25, 1.25]]) * side_px
    corners = reach @ inverse[:, :2].T + inverse[:, 2]
    limits = np.array([rgb.shape[1] - 1, rgb.shape[0] - 1])
    (x0, y0), (x1, y1) = (np.clip(edge(axis=0), 0, limits).astype(int) for edge in (corners.min, corners.max))
    near = rgb[y0 : y1 + 1, x0 : x1 + 1]  # OpenCV refuses to warp pictures of 32768 px and more
    # Sampling a large face sparsely would alias its lips: warp it finer, then shrink it by area.
    factor = max(1, int(np.sqrt(abs(np.linalg.det(inverse[:, :2])))))
    fine = affine * factor
    fine[:, 2] += fine[:, :2] @ np.array([x0, y0]) + (factor - 1) / 2
    large = cv2.warpAffine(near, fine, (side_px * factor, side_px * factor), borderMode=cv2.BORDER_REPLICATE)
    cut = large if factor == 1 else cv2.resize(large, (side_px, side_px), interpolation=cv2.INTER_AREA)
    return np.asarray(cut, np.uint8)
