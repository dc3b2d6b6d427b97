"""The animatic: a performance for each person, drawn by warping the photo. numpy and OpenCV only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.animatic.eyes import Eye
from engine.animatic.field import ExpressionFields, Region, blend, build_fields, enlarge, invert, region_of
from engine.animatic.mesh import EXPRESSIONS, OVAL, FaceFrame, Mouth, inset_lip_edges, smoothstep
from engine.animatic.mouth import (
    SHOWS_TEETH_ABOVE,
    InsidePlacement,
    LipLine,
    MouthInside,
    draw_inside,
    fill,
    lower_lip_cover,
    paint_inside,
    patch_of,
    shade_under_lips,
)
from engine.animatic.types import Performance
from engine.media.types import Image

Array = NDArray[Any]
Picture = NDArray[Any]  # (height, width, 3) uint8
SEAM_DARKNESS = 0.38
FINE = 2  # frames are sampled from a photo this much finer


def expression_weights(performance: Performance, frame_index: int, speaks: bool) -> Array:
    """(K,) weight of each of EXPRESSIONS in one frame; head turns in radians."""
    at = {
        name: float(getattr(performance, name)[frame_index])
        for name in Performance.__dataclass_fields__
        if name != "gaze"
    }
    weights = {
        "close": 1.0 if speaks else 0.0,
        "jaw": at["jaw_open"] * (1 - at["lip_press"]),
        "spread": max(0.0, at["lip_width"]),
        "narrow": max(0.0, -at["lip_width"]),
        "round": at["lip_round"],
        "press": at["lip_press"],
        "tuck": at["lip_tuck"],
        "smile": at["smile"],
        "brow": at["brow"],
        **{axis: np.deg2rad(at[axis]) for axis in ("yaw", "pitch", "roll")},
    }
    return np.array([weights[name] for name in EXPRESSIONS], np.float32)


@dataclass(frozen=True)
class FaceRig:
    """Everything about one face that does not change from frame to frame; the eyes are in the finer photo."""

    points_px: Array
    frame: FaceFrame
    fields: ExpressionFields
    inside: MouthInside
    eyes: tuple[Eye, ...]
    shows_teeth: bool
    speaks: bool

    @staticmethod
    def of(photo: Picture, points_px: Array, speaks: bool) -> "FaceRig":
        points = inset_lip_edges(points_px)
        frame = FaceFrame.of(points)
        region = region_of(points, photo.shape[1], photo.shape[0])
        fine_points = points * FINE
        fine_frame = FaceFrame.of(fine_points)
        fine_photo = Region(0, 0, (photo.shape[1] - 1) * FINE + 1, (photo.shape[0] - 1) * FINE + 1)
        eyes = (Eye.of(side, fine_points, fine_frame, fine_photo) for side in (0, 1))
        return FaceRig(
            points,
            frame,
            build_fields(points, region),
            paint_inside(photo, points, frame),
            tuple(eye for eye in eyes if eye),
            Mouth.of(frame.to_local(points)).openness > SHOWS_TEETH_ABOVE,
            speaks,
        )

    def reach(self, xs: Array, ys: Array) -> Array:
        """Distance from the middle of the face, 1 on its outline."""
        oval = self.points_px[OVAL, :2]
        centre, radius = (oval.min(0) + oval.max(0)) / 2, (oval.max(0) - oval.min(0)) / 2
        return np.hypot((xs - centre[0]) / radius[0], (ys - centre[1]) / radius[1])


def finer(photo: Picture) -> Picture:
    """The photo FINE times as large: its own pixels at multiples of FINE, cubic interpolation between them.

    Sampled linearly it looks like cubic sampling of the photo, at a quarter of the cost.
    """
    height, width = photo.shape[:2]
    xs = np.arange((width - 1) * FINE + 1, dtype=np.float32) / FINE
    ys = np.arange((height - 1) * FINE + 1, dtype=np.float32) / FINE
    return cv2.remap(photo, *np.meshgrid(xs, ys), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


class Animator:
    """Draws frames of one photo. ``rigs`` may hold None for people who stay still."""

    def __init__(self, image: Image, rigs: Sequence[FaceRig | None]) -> None:
        self.photo = image.rgb
        self.rigs = list(rigs)
        self._fine = finer(self.photo)
        self._source = self._fine.copy()  # with the eyes of the current frame
        height, width = self.photo.shape[:2]
        xs, ys = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        self._identity = [axis * FINE for axis in np.meshgrid(xs, ys)]
        self._shares = [self._share_of(rig) for rig in self.rigs]

    def _share_of(self, rig: FaceRig | None) -> Array | None:
        """Per grid cell of a rig: how far it belongs to that face rather than to the people beside it, times FINE."""
        if rig is None:
            return None
        xs, ys = rig.fields.cell_centres
        own, share = rig.reach(xs, ys), np.ones(xs.shape)
        for other in self.rigs:
            if other is not None and other is not rig:
                share = np.minimum(share, smoothstep((other.reach(xs, ys) - own + 0.1) / 0.5))
        return (FINE * share[..., None]).astype(np.float32)

    def frame(self, performances: Sequence[Performance], frame_index: int) -> Picture:
        """Frame ``frame_index`` as (height, width, 3) uint8."""
        self._paint_eyes(performances, frame_index)
        map_x, map_y = (axis.copy() for axis in self._identity)
        weights: dict[int, Array] = {}
        for index, rig in enumerate(self.rigs):
            share = self._shares[index]
            if rig is None or share is None:
                continue
            weights[index] = expression_weights(performances[index], frame_index, rig.speaks)
            backward = invert(blend(rig.fields.upper, weights[index]), rig.fields.cell) * share
            back_x, back_y = cv2.split(enlarge(backward, rig.fields.region))
            area = rig.fields.region.slices
            map_x[area] -= back_x
            map_y[area] -= back_y
        picture = self.photo.copy()
        for rig in filter(None, self.rigs):
            area = rig.fields.region.slices
            picture[area] = self._sample(map_x[area], map_y[area])
        for index, rig in enumerate(self.rigs):
            if rig is not None and rig.speaks:
                tongue = float(performances[index].tongue[frame_index])
                self._draw_mouth(picture, rig, weights[index], tongue)
        return picture

    def _sample(self, map_x: Array, map_y: Array) -> Array:
        return cv2.remap(self._source, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _paint_eyes(self, performances: Sequence[Performance], frame_index: int) -> None:
        for rig, performance in zip(self.rigs, performances, strict=True):
            if rig is None:
                continue
            blink, gaze = float(performance.blink[frame_index]), performance.gaze[frame_index]
            for eye in rig.eyes:
                eye.paint(self._source, self._fine, blink, (float(gaze[0]), float(gaze[1])))

    def _draw_mouth(self, picture: Picture, rig: FaceRig, weights: Array, tongue: float) -> None:
        moved = rig.points_px[:, :2] + blend(rig.fields.points, weights)
        scale = rig.frame.scale_px
        patch = patch_of(moved, scale, rig.fields.region)
        if patch.size[0] < 3 or patch.size[1] < 3:
            return
        line = LipLine.of(moved)
        opening = fill(line.opening, patch)
        at = dict(zip(EXPRESSIONS, weights.tolist(), strict=True))
        result = picture[patch.slices].astype(np.float32)
        if opening.max() > 0:
            turns = {axis: at[axis] for axis in ("yaw", "pitch", "roll")}
            placed = InsidePlacement.of(rig.inside, rig.frame, turns, (at["jaw"], tongue))
            inside = draw_inside(rig.inside, placed, patch) * shade_under_lips(opening, scale)
            result += (inside - result) * opening[..., None]
        cover = lower_lip_cover(moved, line, scale, patch)[..., None]
        result += (self._lower_layer(rig, weights, patch) - result) * cover
        if rig.shows_teeth:
            result *= 1 - SEAM_DARKNESS * _seam(line, scale, patch)[..., None]
        picture[patch.slices] = np.clip(result + 0.5, 0, 255).astype(np.uint8)

    def _lower_layer(self, rig: FaceRig, weights: Array, patch: Region) -> Array:
        fields = rig.fields
        backward = invert(blend(fields.lower, weights), fields.cell)
        xs, ys = (axis[patch.slices] for axis in self._identity)
        cell_x, cell_y = fields.cell
        grid_x = ((xs / FINE - fields.region.x0 + 0.5) / cell_x - 0.5).astype(np.float32)
        grid_y = ((ys / FINE - fields.region.y0 + 0.5) / cell_y - 0.5).astype(np.float32)
        moved = FINE * cv2.remap(backward, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return self._sample(xs - moved[..., 0], ys - moved[..., 1]).astype(np.float32)


def _seam(line: LipLine, scale_px: float, patch: Region) -> Array:
    """A soft dark line where the lips meet, 0…1; it fades as they part."""
    middle = (line.upper + line.lower) / 2
    half = max(0.5, 0.0045 * scale_px)
    band = np.concatenate([middle + [0, -half], (middle + [0, half])[::-1]])
    together = np.exp(-((np.linalg.norm(line.lower - line.upper, axis=1).max() / (0.02 * scale_px)) ** 2))
    return cv2.GaussianBlur(fill(band, patch), (0, 0), max(0.5, 0.005 * scale_px)) * float(together)
