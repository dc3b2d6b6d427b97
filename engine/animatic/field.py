"""From moved mesh points to a smooth displacement of the picture around a face.

Every expression is a displacement field, sampled once on a coarse grid; a frame is their weighted sum, turned round by
a few fixed-point steps (where does this output pixel come from?) and enlarged to the picture.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from engine.animatic.mesh import EXPRESSIONS, LOWER_LIP, OVAL, UPPER_LIP, ExpressionMoves, FaceFrame, smoothstep

Array = NDArray[Any]
Field = NDArray[Any]

# Rings of anchors around the face outline: how much of a head turn the hair and the background follow there.
RINGS = ((1.18, 0.92), (1.45, 0.60), (1.75, 0.2), (2.0, 0.0), (2.4, 0.0))
REACH = 2.0  # the region ends here, in radii of the face outline
CELLS_PER_FACE = 44


@dataclass(frozen=True)
class Region:
    """Rectangle of the picture that a face may change: x0, y0 inclusive, x1, y1 exclusive, px."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def size(self) -> tuple[int, int]:
        return self.x1 - self.x0, self.y1 - self.y0


def region_of(points_px: Array, width: int, height: int) -> Region:
    """What lies within REACH of the face outline, cut at the borders of the picture."""
    oval = points_px[OVAL, :2]
    centre = (oval.min(0) + oval.max(0)) / 2
    low = np.floor(centre + (oval.min(0) - centre) * REACH).astype(int)
    high = np.ceil(centre + (oval.max(0) - centre) * REACH).astype(int) + 1
    return Region(max(0, low[0]), max(0, low[1]), min(width, high[0]), min(height, high[1]))


@dataclass(frozen=True)
class ExpressionFields:
    """Displacements on a grid over ``region``: ``upper`` and ``lower`` are (K, rows, columns, 2) float32 px.

    Two layers, because the picture is cut along the lip line: ``upper`` holds all but the lower lip, ``lower`` all but
    the upper lip; away from the mouth they agree. ``points`` (K, 478, 2) are the displacements of the mesh points.
    """

    region: Region
    upper: Field
    lower: Field
    points: Field

    @property
    def cell(self) -> tuple[float, float]:
        """Size of a grid cell in px, x and y."""
        width, height = self.region.size
        rows, columns = self.upper.shape[1:3]
        return width / columns, height / rows

    @property
    def cell_centres(self) -> tuple[Array, Array]:
        """x and y in px of each grid cell, (rows, columns)."""
        rows, columns = self.upper.shape[1:3]
        return tuple(np.moveaxis(_cell_centres(self.region, rows, columns), -1, 0))  # type: ignore[return-value]


def _anchors(head: Array, frame: FaceFrame, moves: dict[str, Array]) -> tuple[Array, Array]:
    """Points around the face and their displacements (K, N, 2): a head turn carries the hair, other moves fade.

    ``head`` (478, 3) local: the face rounded to a smooth head.
    """
    local = head[OVAL]
    centre = (local.min(0) + local.max(0)) / 2
    places, values = [], []
    for radius, follow in RINGS:
        ring = centre + (local - centre) * [radius, radius, 0.5]
        below = np.clip((ring[:, 1] - centre[1]) / 0.5, 0, 1)
        ring[:, 2] += 0.12 * (1 - below)
        weight = (follow * (1 - 0.55 * below))[:, None]
        ring_moves = []
        for name in EXPRESSIONS:
            if name in ("yaw", "pitch", "roll"):
                move = ExpressionMoves.turn(ring, name) * weight
            else:
                move = moves[name][OVAL] * (0.45 if radius < 1.3 else 0.0) * (1.0 if name in ("jaw", "close") else 0.4)
            ring_moves.append(frame.vectors_px(move))
        places.append(frame.to_px(ring))
        values.append(np.stack(ring_moves))
    return np.concatenate(places), np.concatenate(values, axis=1)


def build_fields(points_px: Array, region: Region) -> ExpressionFields:
    """Sample every expression of one face on its grid. ``points_px`` is (478, 3) in picture pixels."""
    frame = FaceFrame.of(points_px)
    expressions = ExpressionMoves(points_px, frame)
    moves = expressions.all()
    on_points = np.stack([frame.vectors_px(moves[name]) for name in EXPRESSIONS])
    anchors_px, on_anchors = _anchors(expressions.rounded, frame, moves)
    grid = _grid(region, frame)
    window = _window(grid, points_px)
    layers = []
    for other_lip in (LOWER_LIP, UPPER_LIP):
        kept = np.setdiff1d(np.arange(468), other_lip[:, 1:-1].ravel())
        places = np.concatenate([points_px[kept, :2], anchors_px])
        values = np.concatenate([on_points[:, kept], on_anchors], axis=1)
        sampled = _interpolate((places, values), grid, frame.scale_px)
        layers.append(np.ascontiguousarray(sampled * window[..., None], np.float32))
    return ExpressionFields(region, layers[0], layers[1], on_points.astype(np.float32))


def _grid(region: Region, frame: FaceFrame) -> Array:
    """Centres of the grid cells in px, (rows, columns, 2)."""
    width, height = region.size
    cell = max(1.0, frame.scale_px / CELLS_PER_FACE)
    columns, rows = max(2, round(width / cell)), max(2, round(height / cell))
    return _cell_centres(region, rows, columns)


def _cell_centres(region: Region, rows: int, columns: int) -> Array:
    width, height = region.size
    x = region.x0 + (np.arange(columns) + 0.5) * width / columns - 0.5
    y = region.y0 + (np.arange(rows) + 0.5) * height / rows - 0.5
    return np.stack(np.meshgrid(x, y), -1)


def _window(grid: Array, points_px: Array) -> Array:
    """1 on the face, smoothly 0 at the end of its reach, so that nothing outside the region moves by a pixel."""
    oval = points_px[OVAL, :2]
    centre = (oval.min(0) + oval.max(0)) / 2
    radius = np.linalg.norm((grid - centre) / ((oval.max(0) - oval.min(0)) / 2), axis=-1)
    return smoothstep((REACH - 0.05 - radius) / 0.6)


def _interpolate(known: tuple[Array, Array], grid: Array, scale_px: float) -> Array:
    places, values = known
    num_fields = len(values)
    spline = RBFInterpolator(
        places / scale_px, values.transpose(1, 0, 2).reshape(len(places), -1), kernel="linear", smoothing=2e-4
    )
    sampled = spline(grid.reshape(-1, 2) / scale_px)
    return sampled.reshape(*grid.shape[:2], num_fields, 2).transpose(2, 0, 1, 3)


def blend(fields: Field, weights: Array) -> Field:
    """Weighted sum of (K, rows, columns, 2) fields."""
    return (weights @ fields.reshape(len(weights), -1)).reshape(fields.shape[1:])


def invert(displacement: Field, cell: tuple[float, float], num_steps: int = 4) -> Field:
    """For each output cell, minus the way to where it came from: d(q) with source = q − d(q) (fixed-point steps)."""
    rows, columns = displacement.shape[:2]
    x, y = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
    steps = np.array([1 / cell[0], 1 / cell[1]], np.float32)
    backward = displacement
    for _ in range(num_steps):
        source_x = x - backward[..., 0] * steps[0]
        source_y = y - backward[..., 1] * steps[1]
        backward = cv2.remap(displacement, source_x, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return backward


def enlarge(backward: Field, region: Region) -> Field:
    """Grid field to one value per pixel of the region."""
    return cv2.resize(backward, region.size, interpolation=cv2.INTER_LINEAR)
