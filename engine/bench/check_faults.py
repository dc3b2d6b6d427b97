"""Faults put into a video on purpose: what a check has to find."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_protocols import Box

Frame = NDArray[np.uint8]
Points = NDArray[np.float32]
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
"""The outline of a face in the mesh."""
ALIGNED_BY = (33, 263, 1, 61, 291)
ROOM = 0.35  # of the box, beside a face that is held: the whole head


@dataclass(frozen=True)
class Stretch:
    """Frames ``first`` to ``last`` (not included) that are touched."""

    first: int
    last: int

    def __contains__(self, index: int) -> bool:
        return self.first <= index < self.last


def frozen(frames: Sequence[Frame], box: Box, when: Stretch) -> Iterator[Frame]:
    """The place of a face stands still like a photo."""
    rows, columns = _place(frames[0], box)
    for index, frame in enumerate(frames):
        held = frame.copy()
        if index in when:
            held[rows, columns] = frames[when.first][rows, columns]
        yield held


def tinted(frames: Sequence[Frame], shift_lab: NDArray[np.float32], when: Stretch) -> Iterator[Frame]:
    """A window whose colours are shifted in CIE L*a*b*."""
    for index, frame in enumerate(frames):
        if index not in when:
            yield frame
            continue
        lab = cv2.cvtColor(frame.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB) + shift_lab
        rgb = cv2.cvtColor(np.asarray(lab, np.float32), cv2.COLOR_LAB2RGB)
        yield np.asarray(np.rint(rgb.clip(0, 1) * 255), np.uint8)


def half_taken(
    frames: Sequence[Frame], other: Sequence[Frame], x_px: int, left: bool, when: Stretch
) -> Iterator[Frame]:
    """One half of the picture is taken from another video of the same photo: only one person does something else."""
    for index, frame in enumerate(frames):
        mixed = frame.copy()
        if index in when:
            side = np.s_[:, :x_px] if left else np.s_[:, x_px:]
            mixed[side] = other[index][side]
        yield mixed


def replaced(
    frames: Sequence[Frame], points: Sequence[Points], donor: tuple[Frame, Points], when: Stretch
) -> Iterator[Frame]:
    """Another person's face on this one's head: ``points`` (478, 3) px in each frame, the donor's picture and mesh."""
    picture, face = donor
    for index, frame in enumerate(frames):
        if index not in when:
            yield frame
            continue
        target = points[index]
        affine, _ = cv2.estimateAffinePartial2D(face[list(ALIGNED_BY), :2], target[list(ALIGNED_BY), :2])
        height, width = frame.shape[:2]
        warped = cv2.warpAffine(picture, affine, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
        outline = face[list(OVAL), :2] @ affine[:, :2].T + affine[:, 2]
        mask = np.zeros((height, width), np.uint8)
        cv2.fillConvexPoly(mask, cv2.convexHull(outline.astype(np.int32)), 255)
        size = float(np.ptp(outline[:, 0]))
        soft = cv2.GaussianBlur(mask, (0, 0), max(1.0, size * 0.03)).astype(np.float32)[..., None] / 255
        yield np.asarray(np.rint(frame * (1 - soft) + warped * soft), np.uint8)


def _place(frame: Frame, box: Box) -> tuple[slice, slice]:
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = box
    dx, dy = ROOM * (x1 - x0), ROOM * (y1 - y0)
    rows = slice(max(0, int(y0 - dy)), min(height, int(y1 + dy)))
    return rows, slice(max(0, int(x0 - dx)), min(width, int(x1 + dx)))
