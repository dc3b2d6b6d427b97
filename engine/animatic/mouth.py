"""The mouth: the lower lip as a layer of its own, and what is seen between the lips.

The picture is cut along the lip line. Between the cut edges lies the inside of the mouth: a dark cavity, the tongue
and the lower teeth that move with the jaw, and the upper teeth that move with the head: the photo's own where it shows
them.
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.animatic.field import Region
from engine.animatic.mesh import JAW_GAPE, LOWER_LIP, UPPER_LIP, ExpressionMoves, FaceFrame, Mouth, smoothstep

Array = NDArray[Any]
Picture = NDArray[Any]  # (height, width, 3) RGB 0…255
Layer = NDArray[Any]  # (height, width, 4): RGB and alpha 0…1

SHOWS_TEETH_ABOVE = 0.06  # opening over width in the photo
MARGIN = 1.3  # half width of the drawn inside, in half widths of the mouth
TOP, BOTTOM = -0.10, 0.27  # its top and bottom against the lip line, in face heights
CAVITY_RGB = np.array([38, 12, 13], np.float32)
TONGUE_RGB = np.array([176, 84, 84], np.float32)
TOOTH_RGB = np.array([238, 229, 214], np.float32)
NUM_TEETH = 8  # seen from canine to canine and one more on each side
TOOTH_WIDTH = 0.043  # face heights: a central incisor of 8 mm on a face of 185 mm
FINER = 4
SUB = 4  # fractional bits of cv2's polygon coordinates


@dataclass(frozen=True)
class MouthInside:
    """Layers in the mouth's own frame, with the map from it to local face coordinates.

    ``upper``, ``lower``, ``tongue``: (rows, columns, 4); texture pixel (x, y) is at local right = left + x·unit, down =
    top + y·unit.
    """

    upper: Layer
    lower: Layer
    tongue: Layer
    left: float
    top: float
    unit: float
    depth: float
    light: Array

    @property
    def corners(self) -> Array:
        """Three texture corners in local coordinates: top left, top right, bottom left."""
        rows, columns = self.upper.shape[:2]
        right, bottom = self.left + columns * self.unit, self.top + rows * self.unit
        return np.array(
            [[self.left, self.top, self.depth], [right, self.top, self.depth], [self.left, bottom, self.depth]]
        )


def light_on(photo: Array, points_px: Array) -> Array:
    """Colour of the light on this face, RGB 0…1: the brightest tenth of its skin, half way to grey."""
    box = points_px[:468, :2]
    (x0, y0), (x1, y1) = box.min(0).astype(int).clip(0), box.max(0).astype(int)
    face = photo[y0 : y1 + 1, x0 : x1 + 1].reshape(-1, 3).astype(np.float32)
    if not len(face):
        return np.ones(3, np.float32)
    luminance = face @ np.array([0.299, 0.587, 0.114], np.float32)
    bright = face[luminance >= np.percentile(luminance, 90)].mean(0)
    level = float(np.clip(bright.max() / 235, 0.3, 1.0))
    tint = bright / max(float(bright.max()), 1.0)  # a face may lie in full shadow
    return (level * (0.55 + 0.45 * tint)).astype(np.float32)


def paint_inside(photo: Array, points_px: Array, frame: FaceFrame) -> MouthInside:
    """Prepare the inside of one mouth. ``points_px`` (478, 3) with the lip edges already inset."""
    local = frame.to_local(points_px)
    mouth = Mouth.of(local)
    half = mouth.half_width * MARGIN
    columns = int(np.clip(2 * half * frame.scale_px, 64, 640))
    unit = 2 * half / columns
    rows = int((BOTTOM - TOP) / unit)
    line = mouth.centre[1] - mouth.gap.max() / 2 + 0.3 * mouth.gap.max()  # where closed lips meet
    right = (np.arange(columns) + 0.5) * unit - half
    down = (np.arange(rows) + 0.5) * unit + TOP
    light = light_on(photo, points_px)
    inside = MouthInside(
        upper=_upper_teeth(right, down, mouth) * np.append(light, 1.0).astype(np.float32),
        lower=_lower_teeth(right, down) * np.append(light, 1.0).astype(np.float32),
        tongue=_tongue(right, down) * np.append(light, 1.0).astype(np.float32),
        left=mouth.centre[0] - half,
        top=line + TOP,
        unit=unit,
        depth=float(mouth.centre[2]) + 0.03,
        light=light,
    )
    if mouth.openness < SHOWS_TEETH_ABOVE:
        return inside
    return _with_photo_teeth(inside, photo, points_px, frame)


def _layer(rgb: Picture, alpha: Array) -> Layer:
    return np.dstack([rgb, np.clip(alpha, 0, 1)]).astype(np.float32)


def _teeth(right: Array, width: float) -> tuple[Array, Array]:
    """Per column: position inside its tooth (−1…1) and the tooth's number from the middle."""
    number = np.floor(np.abs(right) / width)
    return (np.abs(right) / width - number) * 2 - 1, number


def _upper_teeth(right: Array, down: Array, mouth: Mouth) -> Layer:
    bend = right / (mouth.half_width * 1.15)
    arch = np.sign(right) * np.arcsin(np.clip(np.abs(bend), 0, 1)) * mouth.half_width * 1.15  # teeth turn away sideways
    inside_tooth, number = _teeth(arch, TOOTH_WIDTH)
    longer = np.where(number == 1, -0.004, 0.0) - 0.004 * (number > 2)
    edge = 0.026 + longer - 0.010 * bend**2 - 0.004 * np.abs(inside_tooth) ** 4
    below = edge[None] - down[:, None]
    alpha = smoothstep(below / 0.006) * smoothstep((1.02 - np.abs(bend)) / 0.12)[None]
    gaps = 1 - 0.22 * np.abs(inside_tooth) ** 10
    round_off = np.sqrt(np.clip(1 - 0.75 * bend**2, 0.05, 1))
    fade_up = 0.62 + 0.38 * smoothstep((down[:, None] + 0.012) / 0.03)  # the upper lip's shadow
    shade = 0.86 * fade_up * (gaps * round_off)[None]
    return _layer(TOOTH_RGB * shade[..., None], alpha)


def _tongue(right: Array, down: Array) -> Layer:
    """As at jaw shut, lying a little under the lip line."""
    x, y = right[None] / 0.105, (down[:, None] - 0.055) / 0.06
    mound = np.clip(1 - x**2 - np.where(y < 0, y**2, 0), 0, 1)
    groove = 1 - 0.15 * np.exp(-((right[None] / 0.010) ** 2))
    lit = np.exp(-(((down[:, None] - 0.03) / 0.035) ** 2))
    rgb = TONGUE_RGB * ((0.40 + 0.16 * np.sqrt(mound) + 0.14 * lit) * groove)[..., None]
    return _layer(rgb, smoothstep(mound / 0.35))


def _lower_teeth(right: Array, down: Array) -> Layer:
    """As at jaw shut: their edge lies just under the lip line."""
    inside_tooth, _ = _teeth(right, TOOTH_WIDTH * 0.62)
    edge = 0.007 + 0.9 * right**2 + 0.002 * np.abs(inside_tooth) ** 4
    alpha = smoothstep((down[:, None] - edge[None]) / 0.006) * smoothstep((0.105 - np.abs(right)) / 0.02)[None]
    shade = 0.62 * (1 - 0.25 * np.abs(inside_tooth) ** 8) * np.sqrt(np.clip(1 - (right / 0.13) ** 2, 0.05, 1))
    return _layer(np.broadcast_to(TOOTH_RGB * shade[None, :, None], (len(down), len(right), 3)), alpha)


def _with_photo_teeth(inside: MouthInside, photo: Array, points_px: Array, frame: FaceFrame) -> MouthInside:
    """Put what the photo shows between the lips over the drawn upper teeth, fading out towards the lower lip."""
    rows, columns = inside.upper.shape[:2]
    source = cv2.getAffineTransform(
        np.array([[-0.5, -0.5], [columns - 0.5, -0.5], [-0.5, rows - 0.5]], np.float32),
        frame.to_px(inside.corners).astype(np.float32),
    )
    size = (columns, rows)
    seen = cv2.warpAffine(photo, source, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP).astype(np.float32)
    to_texture = cv2.invertAffineTransform(source)
    edges = [cv2.transform(points_px[lip[3], :2][None], to_texture)[0] for lip in (UPPER_LIP, LOWER_LIP)]
    x = np.arange(columns)
    upper, lower = (np.interp(x, *_increasing(edge)) for edge in edges)
    share = (np.arange(rows)[:, None] - upper) / np.maximum(lower - upper, 1e-3)
    gap_px = max(1.0, float((lower - upper).max()))
    sideways = smoothstep((lower - upper - 0.15 * gap_px) / (0.2 * gap_px))[None]
    alpha = smoothstep((share + 0.06) / 0.08) * smoothstep((0.92 - share) / 0.35) * sideways
    mixed = inside.upper.copy()
    covered = np.maximum(mixed[..., 3], alpha)
    blend = alpha[..., None].astype(np.float32)
    mixed[..., :3] = mixed[..., :3] * (1 - blend) + seen * blend
    mixed[..., 3] = np.where(share > 0.3, alpha, covered)
    return replace(inside, upper=mixed)


def _increasing(points: Array) -> tuple[Array, Array]:
    order = np.argsort(points[:, 0])
    return points[order, 0], points[order, 1]


@dataclass(frozen=True)
class LipLine:
    """The cut between the lips in a frame: inner edges (11, 2) px of the upper and the lower lip, left to right."""

    upper: Array
    lower: Array

    @staticmethod
    def of(points_px: Array) -> "LipLine":
        upper, lower = points_px[UPPER_LIP[3]], points_px[LOWER_LIP[3]].copy()
        crossed = lower[:, 1] < upper[:, 1]  # lips cannot pass through each other
        meeting = (upper + lower) / 2
        upper = np.where(crossed[:, None], meeting, upper)
        return LipLine(upper, np.where(crossed[:, None], meeting, lower))

    @property
    def opening(self) -> Array:
        """The outline of what is seen between the lips, a smooth closed curve."""
        return np.concatenate([_smooth(self.upper), _smooth(self.lower)[::-1]])


def patch_of(points_px: Array, scale_px: float, limits: Region) -> Region:
    """The part of the region that holds the lips of this frame and the skin under them."""
    lips = points_px[np.concatenate([UPPER_LIP.ravel(), LOWER_LIP.ravel()])]
    low = np.floor(lips.min(0) - 0.06 * scale_px).astype(int)
    high = np.ceil(lips.max(0) + 0.12 * scale_px).astype(int)
    return Region(
        max(limits.x0, low[0]), max(limits.y0, low[1]), min(limits.x1, high[0] + 1), min(limits.y1, high[1] + 1)
    )


def fill(outline: Array, patch: Region) -> Array:
    """Coverage 0…1 of a polygon in picture coordinates. Drawn finer and averaged: cv2's own anti-aliasing is coarse."""
    width, height = patch.size
    mask = np.zeros((height * FINER, width * FINER), np.uint8)
    corners = np.round(((outline - [patch.x0, patch.y0] + 0.5) * FINER - 0.5) * 2**SUB).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_8, SUB)
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _smooth(edge: Array) -> Array:
    """Eleven points to a smooth curve (Catmull-Rom, 4 steps each)."""
    padded = np.concatenate([2 * edge[:1] - edge[1:2], edge, 2 * edge[-1:] - edge[-2:-1]])
    t = (np.arange(4) / 4)[:, None, None]
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 2), edge[-1:]])


def lower_lip_cover(points_px: Array, line: LipLine, scale_px: float, patch: Region) -> Array:
    """Where the lower layer covers: sharp along the lip line, fading out under the lip where both layers agree."""
    edge = _smooth(line.lower)
    outer = points_px[LOWER_LIP[0]]
    middle = edge.mean(0)
    bottom = middle + (outer - middle) * 1.0 + np.array([0.0, 0.30 * scale_px])
    body = fill(np.concatenate([edge, bottom[::-1]]), patch)
    under = np.concatenate([_smooth(line.lower), (outer + np.array([0, 0.03 * scale_px]))[::-1]])
    reach = cv2.GaussianBlur(fill(under, patch), (0, 0), max(0.8, 0.022 * scale_px))
    return body * np.clip(reach * 2.2, 0, 1)


def draw_inside(inside: MouthInside, placed: "InsidePlacement", patch: Region) -> Picture:
    """The inside of the mouth over the whole patch: cavity, tongue, lower teeth, upper teeth, from back to front."""
    width, height = patch.size
    rows, columns = inside.upper.shape[:2]
    corners = np.array([[-0.5, -0.5], [columns - 0.5, -0.5], [-0.5, rows - 0.5]], np.float32)
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = CAVITY_RGB * inside.light
    offset = np.array([patch.x0, patch.y0], np.float32)
    for layer, where in ((inside.tongue, placed.tongue), (inside.lower, placed.lower), (inside.upper, placed.upper)):
        affine = cv2.getAffineTransform(corners, where.astype(np.float32) - offset)
        drawn = cv2.warpAffine(layer, affine, (width, height), flags=cv2.INTER_LINEAR)
        alpha = drawn[..., 3:]
        picture = picture * (1 - alpha) + drawn[..., :3] * alpha
    return picture


@dataclass(frozen=True)
class InsidePlacement:
    """Where the three texture corners of each layer fall in this frame, px."""

    upper: Array
    lower: Array
    tongue: Array

    @staticmethod
    def of(
        inside: MouthInside, frame: FaceFrame, turns: dict[str, float], jaw: tuple[float, float]
    ) -> "InsidePlacement":
        """``turns`` in radians; ``jaw`` = (jaw_open, tongue): the tongue lifts towards the upper teeth."""
        corners = inside.corners
        moved = corners + sum(ExpressionMoves.turn(corners, axis) * angle for axis, angle in turns.items())
        gape, tongue = jaw
        down = np.array([0.0, JAW_GAPE * gape, 0.0])
        lifted = np.array([0.0, -0.035 * tongue, 0.0])
        return InsidePlacement(*(frame.to_px(moved + offset) for offset in (0.0, 0.86 * down, 0.55 * down + lifted)))


def shade_under_lips(opening: Array, scale_px: float) -> Picture:
    """Darkening of the inside near the lips, more under the upper one: a factor 0…1 per channel, warm like skin."""
    sigma = max(0.6, 0.018 * scale_px)
    soft = cv2.GaussianBlur(opening, (0, 0), sigma)
    lower = np.roll(soft, max(1, round(sigma * 0.7)), axis=0)
    shade = np.clip(0.36 + 0.72 * np.minimum(soft, lower), 0.3, 1.0)
    return shade[..., None] ** np.array([0.8, 1.15, 1.3], np.float32)
