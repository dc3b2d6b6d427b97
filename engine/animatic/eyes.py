"""Eyelids and gaze, painted into the photo before it is warped.

A lid closes by stretching the skin between the brow and the lashes down over the eye, lashes included: it is always the
skin of that face.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.animatic.field import Region
from engine.animatic.mesh import BROWS, IRISES, LOWER_EYELIDS, UPPER_EYELIDS, FaceFrame, smoothstep

Array = NDArray[Any]
CLOSED = 0.97  # where the upper lid stops, of the way to the lower one
LASH_DARKNESS = 0.35
LASH_BAND = 0.30  # of the opening of the eye


@dataclass(frozen=True)
class Eye:
    """One eye of the photo in its own frame. Arrays cover ``patch``: (rows, columns) px unless said otherwise.

    ``down``: position down the eye; ``lid``, ``bottom``, ``fold``: where, in the same units, this column's upper lid,
    lower lid and the top of the stretching skin are; ``gaze_falloff``: how much of a gaze each pixel follows.
    """

    patch: Region
    down: Array
    lid: Array
    bottom: Array
    fold: Array
    axis_down: tuple[float, float]
    gaze_falloff: Array
    iris_radius_px: float

    @staticmethod
    def of(side: int, points_px: Array, frame: FaceFrame, limits: Region) -> "Eye | None":
        """``side`` 0 is the eye on the left of the picture. None where it is under 4 px wide or out of the picture."""
        upper, lower = points_px[UPPER_EYELIDS[side], :2], points_px[LOWER_EYELIDS[side], :2]
        width = float(np.linalg.norm(upper[-1] - upper[0]))
        if width < 4:
            return None
        right = (upper[-1] - upper[0]) / width
        down_axis = np.array([-right[1], right[0]])
        brow = points_px[BROWS[side], :2]
        patch = _patch(np.concatenate([upper, lower, brow]), 0.25 * width, limits)
        if patch is None:
            return None
        xs, ys = np.meshgrid(np.arange(patch.x0, patch.x1), np.arange(patch.y0, patch.y1))
        offset = np.stack([xs, ys], -1) - upper[0]
        across, down = offset @ right, offset @ down_axis
        profile = _Profile(right, down_axis, upper[0])
        lid, bottom = profile.along(upper, across), profile.along(lower, across)
        brow_down = float(((brow - upper[0]) @ down_axis)[5:].mean())  # lower edge of the brow
        open_px = np.maximum(bottom - lid, 0)
        room = np.maximum(lid - brow_down, 0.02 * frame.scale_px)
        fold = lid - np.minimum(room, np.maximum(1.6 * open_px, 0.6 * room) + 1)
        beside = smoothstep((across / width + 0.03) / 0.10) * smoothstep((1.03 - across / width) / 0.10)
        inside = np.clip(np.minimum(down - lid, bottom - down) + 0.5, 0, 1) * beside
        iris = points_px[IRISES[side], :2]
        radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
        distance = np.linalg.norm(np.stack([xs, ys], -1) - iris[0], axis=-1)
        falloff = smoothstep(1.9 - distance / max(radius, 1.0)) * inside
        return Eye(
            patch=patch,
            down=down.astype(np.float32),
            lid=lid.astype(np.float32),
            bottom=(lid + open_px * beside).astype(np.float32),
            fold=fold.astype(np.float32),
            axis_down=(float(down_axis[0]), float(down_axis[1])),
            gaze_falloff=falloff.astype(np.float32),
            iris_radius_px=radius,
        )

    def paint(self, picture: Array, photo: Array, blink: float, gaze: tuple[float, float]) -> None:
        """Paint this eye with the lid ``blink`` (0 open … 1 shut) and the ``gaze`` (right, down) into ``picture``.

        An eye that does nothing is the photo's.
        """
        if blink <= 0.01 and max(abs(gaze[0]), abs(gaze[1])) <= 0.01:
            picture[self.patch.slices] = photo[self.patch.slices]
            return
        xs, ys = np.meshgrid(
            np.arange(self.patch.x0, self.patch.x1, dtype=np.float32),
            np.arange(self.patch.y0, self.patch.y1, dtype=np.float32),
        )
        reach = 0.32 * self.iris_radius_px
        source_x = xs - gaze[0] * reach * self.gaze_falloff
        source_y = ys - gaze[1] * 0.6 * reach * self.gaze_falloff
        cover = None
        if blink > 0.01:
            edge = self.lid + (self.bottom - self.lid) * (CLOSED * blink)
            shift, cover = self._stretched(edge)
            source_x = np.where(cover > 0, xs - shift * self.axis_down[0], source_x)
            source_y = np.where(cover > 0, ys - shift * self.axis_down[1], source_y)
        painted = cv2.remap(photo, source_x, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if cover is not None:
            painted = self._with_lashes(painted, edge, blink)
        picture[self.patch.slices] = painted

    def _stretched(self, edge: Array) -> tuple[Array, Array]:
        """How far down the skin above a lid edge has come at each pixel, and where that skin is."""
        rest, length = self.lid - self.fold, edge - self.fold
        along = self.down - self.fold
        lashes = LASH_BAND * (self.bottom - self.lid)  # come down as they are; the skin above them stretches
        share = smoothstep(along / np.maximum(length - lashes, 1e-3))
        shift = ((length - rest) * share).astype(np.float32)
        cover = ((along > 0) & (self.down <= edge)).astype(np.float32)
        return shift, cover

    def _with_lashes(self, painted: Array, edge: Array, blink: float) -> Array:
        thickness = max(0.7, 0.06 * self.iris_radius_px * 2)
        line = np.exp(-(((self.down - edge) / thickness) ** 2)) * (self.bottom - self.lid > 0.3) * self._between()
        darken = 1 - LASH_DARKNESS * blink * line
        return np.clip(painted * darken[..., None], 0, 255).astype(np.uint8)

    def _between(self) -> Array:
        opening = self.bottom - self.lid
        return np.clip(opening / max(1e-3, 0.35 * float(opening.max())), 0, 1)


@dataclass(frozen=True)
class _Profile:
    """A lid as a height over the line from one eye corner to the other."""

    right: Array
    down: Array
    origin: Array

    def along(self, points: Array, across: Array) -> Array:
        x, y = (points - self.origin) @ self.right, (points - self.origin) @ self.down
        order = np.argsort(x)
        return np.interp(across, x[order], y[order])


def _patch(points: Array, margin: float, limits: Region) -> Region | None:
    low, high = np.floor(points.min(0) - margin).astype(int), np.ceil(points.max(0) + margin).astype(int) + 1
    patch = Region(max(limits.x0, low[0]), max(limits.y0, low[1]), min(limits.x1, high[0]), min(limits.y1, high[1]))
    return patch if patch.size[0] > 2 and patch.size[1] > 2 else None
