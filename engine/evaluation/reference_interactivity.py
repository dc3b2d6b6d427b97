"""The published benchmark code's Interactivity, defects and all: to compare with figures that others got with it.

What it does otherwise than the paper says (and ``interactivity`` here): intervals are read as decimal seconds though
they are seconds.frames; a crop is never smaller than 224 px, so faces smaller than that count less; a face that jumps
once may stay frozen for good; a video in which a face is missing once fails as a whole (-1), and callers then leave it
out of the mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CROP_PX = 224
OUTLIER_PX = 10.0
NEW_SHARE = 0.7
# InsightFace's 106 points: brows of one and the other side, then the eyes.
POINTS = (43, 48, 49, 51, 50, 102, 103, 104, 105, 101, 35, 41, 42, 39, 37, 36, 89, 95, 96, 93, 91, 90)
FAILED = -1.0
SIDES = ("left", "right")

Floats = NDArray[np.float64]
Span = tuple[float, float]


@dataclass(frozen=True)
class FoundFaces:
    """What the two detectors found in each frame, in their order: boxes (n, 4) and landmarks (m, 106, 2), px.

    ``size``: width and height of the frames.
    """

    boxes: Sequence[Floats]
    landmarks: Sequence[Floats]
    size: tuple[int, int]


@dataclass(frozen=True)
class ReferenceScore:
    """``overall`` -1 = failed; a side is NaN where nothing of it was counted."""

    overall: float
    left: float
    right: float


def reference_interactivity(
    found: FoundFaces, frame_rate: float, speaking: Mapping[str, Sequence[Span]] | None
) -> ReferenceScore:
    """``speaking``: seconds by "left" and "right"; None = every frame counts."""
    failed = ReferenceScore(FAILED, float("nan"), float("nan"))
    faces = _left_to_right(found)
    side_px = _crop_side(found.boxes)
    crops = (_Crop(side_px, found.size), _Crop(side_px, found.size))
    counted: tuple[list[float], list[float]] = ([], [])
    for index, pair in enumerate(faces):
        if pair is None:
            if any(crop.stable is not None for crop in crops):
                return failed
            continue
        boxes, landmarks = pair
        for crop, box, points, side, motions in zip(crops, boxes, landmarks, SIDES, counted, strict=True):
            step = crop.step(box, points)
            if step is not None and not _speaks(index / frame_rate, speaking, side):
                motions.append(step)
    if not counted[0] + counted[1]:
        return failed
    left, right = (float(np.mean(motions)) if motions else float("nan") for motions in counted)
    return ReferenceScore(float(np.mean(counted[0] + counted[1])), left, right)


@dataclass
class _Crop:
    """One side's crop that follows its box, and the last landmarks that were believed."""

    side_px: int
    size: tuple[int, int]
    centre: Floats | None = None
    stable_centre: Floats | None = None
    stable: NDArray[np.float32] | None = None

    def step(self, box: Floats | None, points: Floats) -> float | None:
        """Mean motion of the 22 points since the frame before; None for the first frame."""
        corner = self._follow(box) - self.side_px / 2
        aligned = ((points - corner) * (CROP_PX / self.side_px)).astype(np.float32)
        before = self.stable
        if before is None:
            self.stable = aligned
            return None
        if np.linalg.norm(aligned - before, axis=1).mean() > OUTLIER_PX:
            aligned = before
        self.stable = aligned
        chosen = list(POINTS)
        return float(np.linalg.norm(aligned[chosen] - before[chosen], axis=1).mean())

    def _follow(self, box: Floats | None) -> Floats:
        if box is None:
            assert self.centre is not None
            return self.centre
        new = _middle_of_square(box, self.size)
        if self.centre is None or self.stable_centre is None:
            self.centre = self.stable_centre = new
            return new
        jumped = np.linalg.norm(new - self.stable_centre) > OUTLIER_PX
        target = self.stable_centre if jumped else new
        self.centre = NEW_SHARE * target + (1 - NEW_SHARE) * self.centre
        if not jumped:
            self.stable_centre = self.centre
        return self.centre


def _middle_of_square(box: Floats, size: tuple[int, int]) -> Floats:
    """Of the square around the box, pushed back inside the picture where it reaches beyond."""
    side = max(box[2] - box[0], box[3] - box[1])
    corner = np.array([(box[0] + box[2] - side) / 2, (box[1] + box[3] - side) / 2])
    return np.asarray(np.minimum(np.maximum(corner, 0), np.array(size) - side) + side / 2)


def _crop_side(boxes: Sequence[Floats]) -> int:
    sides = [max(box[2] - box[0], box[3] - box[1]) for found in boxes if len(found) >= 2 for box in _largest(found)]
    return max(CROP_PX, int(max(sides, default=0)))


def _largest(boxes: Floats) -> Floats:
    """The two largest boxes by area, from left to right."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = boxes[np.argsort(-areas, kind="stable")[:2]]
    return np.asarray(kept[np.argsort(kept[:, 0], kind="stable")])


def _left_to_right(found: FoundFaces) -> list[tuple[list[Floats | None], list[Floats]] | None]:
    """Per frame two boxes (None: not found) and two faces; None where there are not exactly two faces."""
    frames: list[tuple[list[Floats | None], list[Floats]] | None] = []
    for boxes, landmarks in zip(found.boxes, found.landmarks, strict=True):
        if len(landmarks) > 2:
            spans = np.ptp(landmarks, axis=1)
            landmarks = landmarks[np.argsort(-spans.prod(axis=1), kind="stable")[:2]]
        if len(landmarks) != 2:
            frames.append(None)
            continue
        ordered = sorted(landmarks, key=lambda points: float(points[:, 0].mean()))
        pair: list[Floats | None] = list(_largest(boxes)) if len(boxes) >= 2 else [None, None]
        frames.append((pair, ordered))
    return frames


def _speaks(at_s: float, speaking: Mapping[str, Sequence[Span]] | None, side: str) -> bool:
    return any(start <= at_s <= end for start, end in (speaking or {}).get(side, ()))


def curves_of(found: FoundFaces) -> tuple[NDArray[np.float32], Floats, NDArray[np.bool_]]:
    """The same findings as the paper's definition takes them: points (F, 2, 106, 2), boxes (F, 2, 4), seen (F,).

    Where not exactly two faces were found the last ones are held, and the frame is marked as not seen.
    """
    points: list[Floats] = []
    boxes: list[Floats] = []
    frames = _left_to_right(found)
    for pair in frames:
        both = [] if pair is None else [box for box in pair[0] if box is not None]
        points.append(points[-1] if pair is None else np.stack(pair[1]))
        boxes.append(np.stack(both) if len(both) == 2 else boxes[-1])
    return np.stack(points).astype(np.float32), np.stack(boxes), np.array([pair is not None for pair in frames])
