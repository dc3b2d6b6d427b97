"""The dense face mesh: its topology, a frame of reference on the face, and how each expression moves each point.

Point numbers are those of MediaPipe's 478-point face mesh. Local coordinates are right, down and depth (away from the
viewer) on the face, in face heights (forehead point 10 to chin point 152), from the point between the eyes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FOREHEAD, CHIN, NOSE_TIP = 10, 152, 1
EYE_OUTER_LEFT, EYE_OUTER_RIGHT = 33, 263  # left and right in the picture
OVAL = np.array([
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
])  # fmt: skip
# Rows: from the outer edge of the lip to the inner one; columns: from the left corner of the picture to the right one.
UPPER_LIP = np.array([
    [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291],
    [76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306],
    [62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292],
    [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308],
])  # fmt: skip
LOWER_LIP = np.array([
    [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291],
    [76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306],
    [62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292],
    [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308],
])  # fmt: skip
UPPER_EYELIDS = np.array([[33, 246, 161, 160, 159, 158, 157, 173, 133], [362, 398, 384, 385, 386, 387, 388, 466, 263]])
LOWER_EYELIDS = np.array([[33, 7, 163, 144, 145, 153, 154, 155, 133], [362, 382, 381, 380, 374, 373, 390, 249, 263]])
BROWS = np.array([[70, 63, 105, 66, 107, 46, 53, 52, 65, 55], [300, 293, 334, 296, 336, 276, 283, 282, 295, 285]])
IRISES = np.array([[468, 469, 470, 471, 472], [473, 474, 475, 476, 477]])

JAW_GAPE = 0.155  # opening between the lips at jaw_open = 1, in face heights
CORNER_DROP = 0.30  # how far the mouth corners follow the jaw
UPPER_LIP_SHARE = 0.30  # of a smile's opening that the upper lip closes; the jaw does the rest
LIP_FALLOFF = np.array([0.35, 0.6, 0.85, 1.0])[:, None]  # outer edge … inner edge

EXPRESSIONS = ("close", "jaw", "spread", "narrow", "round", "press", "tuck", "smile", "brow", "yaw", "pitch", "roll")


@dataclass(frozen=True)
class FaceFrame:
    """A right-handed frame on the face: ``axes`` (3, 3) rows right, down, depth; one local unit is ``scale_px``."""

    origin_px: Array
    axes: Array
    scale_px: float

    @staticmethod
    def of(points_px: Array) -> "FaceFrame":
        right = points_px[EYE_OUTER_RIGHT] - points_px[EYE_OUTER_LEFT]
        right = right / np.linalg.norm(right)
        height = points_px[CHIN] - points_px[FOREHEAD]
        down = height - (height @ right) * right
        down = down / np.linalg.norm(down)
        origin = (points_px[EYE_OUTER_LEFT] + points_px[EYE_OUTER_RIGHT]) / 2
        return FaceFrame(origin, np.stack([right, down, np.cross(right, down)]), float(np.linalg.norm(height)))

    def to_local(self, points_px: Array) -> Array:
        return (points_px - self.origin_px) @ self.axes.T / self.scale_px

    def to_px(self, local: Array) -> Array:
        """(…, 3) local positions to (…, 2) pixels (orthographic)."""
        return (local @ self.axes * self.scale_px + self.origin_px)[..., :2]

    def vectors_px(self, local: Array) -> Array:
        """(…, 3) local displacements to (…, 2) pixel displacements."""
        return (local @ self.axes * self.scale_px)[..., :2]


def inset_lip_edges(points_px: Array) -> Array:
    """Points with the inner lip edges moved a little into the lips, so that no rim of teeth sticks to a lip."""
    points = np.array(points_px, np.float64)
    width = np.linalg.norm(points[UPPER_LIP[0, -1], :2] - points[UPPER_LIP[0, 0], :2])
    gap = np.linalg.norm(points[UPPER_LIP[3, 5], :2] - points[LOWER_LIP[3, 5], :2])
    openness = np.clip(gap / (width + 1e-6) / 0.12, 0, 1)  # only an open mouth has a rim of teeth
    inner = slice(1, -1)
    for lip, inset in ((UPPER_LIP, 0.75), (LOWER_LIP, 0.9)):
        points[lip[3, inner]] += inset * openness * (points[lip[2, inner]] - points[lip[3, inner]])
    return points


def smoothstep(x: Array) -> Array:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


@dataclass(frozen=True)
class Mouth:
    """Where the mouth is on the face, in local units; ``gap`` (11,) is the opening in the photo, per column."""

    centre: Array
    half_width: float
    gap: Array
    across: Array  # (11,) −1 left corner … +1 right corner

    @staticmethod
    def of(local: Array) -> "Mouth":
        left, right = local[UPPER_LIP[0, 0]], local[UPPER_LIP[0, -1]]
        upper, lower = local[UPPER_LIP[3]], local[LOWER_LIP[3]]
        centre = (upper[5] + lower[5]) / 2
        middle = (left[0] + right[0]) / 2
        half_width = float((right[0] - left[0]) / 2)
        across = np.clip(((upper + lower)[:, 0] / 2 - middle) / half_width, -1, 1)
        return Mouth(centre, half_width, np.maximum(0.0, (lower - upper)[:, 1]), across)

    @property
    def lens(self) -> Array:
        """(11,) how far each column opens when the middle opens by 1: nothing at the corners."""
        position = np.linspace(-1, 1, 11)
        return (1 - position**2) ** 0.75

    @property
    def openness(self) -> float:
        """Opening in the photo over the width of the mouth."""
        return float(self.gap.max() / (2 * self.half_width))


class ExpressionMoves:
    """Displacement of each of the 478 points, in local units, at 1.0 of each expression."""

    def __init__(self, points_px: Array, frame: FaceFrame) -> None:
        self.local = local = frame.to_local(points_px)
        self.mouth = Mouth.of(local)
        self.below = local[:, 1] - self.mouth.centre[1]  # > 0 under the mouth line
        self.beside = (local[:, 0] - self.mouth.centre[0]) / 0.42
        seen = points_px[:, :2] / frame.scale_px
        self.to_outline = np.linalg.norm(seen[:, None] - seen[None, OVAL], axis=-1).min(1)
        self.within_outline = smoothstep(
            self.to_outline / 0.10
        )  # 0 on the outline of the face: hair must not be pulled
        self.chin_depth = max(0.1, float(local[CHIN, 1] - self.mouth.centre[1]))

    def all(self) -> dict[str, Array]:
        """Name → (478, 3) for every one of EXPRESSIONS; the head turns are per radian."""
        moves = {name: getattr(self, f"_{name}")() for name in EXPRESSIONS[:9]}
        return moves | {axis: self.turn(self.rounded, axis) for axis in ("yaw", "pitch", "roll")}

    @property
    def rounded(self) -> Array:
        """The face as a smooth head: near the outline its depth is that of a fitted paraboloid.

        On the far side of a turned head the mesh's points lie one behind the other; their own depths would ripple.
        """
        across, down = self.local[:468, 0], self.local[:468, 1]
        terms = np.stack([np.ones_like(across), across, down, across**2, across * down, down**2], 1)
        fitted = terms @ np.linalg.lstsq(terms, self.local[:468, 2], rcond=None)[0]
        own = smoothstep(self.to_outline[:468] / 0.25)
        rounded = self.local.copy()
        rounded[:468, 2] = own * rounded[:468, 2] + (1 - own) * fitted
        return rounded

    @staticmethod
    def turn(local: Array, axis: str) -> Array:
        """Small rotation of the head about the top of the neck, per radian (linear in the angle)."""
        right, down, depth = (local - np.array([0.0, 0.95, 0.42])).T
        zero = np.zeros_like(right)
        if axis == "yaw":  # the near side of the head goes to the right of the picture
            return np.stack([-depth, zero, right], 1)
        if axis == "pitch":  # the near side goes down
            return np.stack([zero, -depth, down], 1)
        return np.stack([-down, right, zero], 1)

    def _still(self) -> Array:
        return np.zeros_like(self.local)

    def _jaw_follow(self) -> Array:
        """(478,) how much the skin follows the jaw: all of it at the chin, less to the sides, none above the nose."""
        sideways = np.exp(-(self.beside**2))
        under = CORNER_DROP + (1 - CORNER_DROP) * smoothstep(self.below / (0.45 * self.chin_depth))
        above = CORNER_DROP * (1 - smoothstep(-self.below / 0.17))
        return sideways * np.where(self.below > 0, under, above)

    def _close(self) -> Array:
        """From the photo's mouth to gently closed lips; a broad smile also becomes narrower."""
        moves, mouth = self._still(), self.mouth
        gap = mouth.gap
        rise = (1 - UPPER_LIP_SHARE) * gap
        moves[:, 1] = -self._jaw_follow() * rise.max() * 0.65
        moves[UPPER_LIP, 1] = LIP_FALLOFF * UPPER_LIP_SHARE * gap
        lower_falloff = np.array([0.8, 0.87, 0.94, 1.0])[:, None]
        moves[LOWER_LIP, 1] = -lower_falloff * rise
        apart = self.local[LOWER_LIP[3]] - self.local[UPPER_LIP[3]]
        for axis in (0, 2):  # the edges meet point by point, else a sliver stays open between the curves
            moves[UPPER_LIP, axis] += LIP_FALLOFF * apart[:, axis] / 2
            moves[LOWER_LIP, axis] -= LIP_FALLOFF * apart[:, axis] / 2
        breadth = np.clip((mouth.openness - 0.05) / 0.25, 0, 1)
        moves += breadth * 0.8 * self._corners(-0.13, 0.0)
        return moves

    def _jaw(self) -> Array:
        moves, lens = self._still(), self.mouth.lens
        drop = 1 - 0.08
        moves[:, 1] = drop * self._jaw_follow()
        corner = drop * CORNER_DROP * (1 - lens)
        moves[LOWER_LIP, 1] = np.broadcast_to(drop * lens + corner, LOWER_LIP.shape)
        moves[UPPER_LIP, 1] = LIP_FALLOFF * (-0.08 * lens) + corner
        return JAW_GAPE * moves + self._corners(-0.07, 0.0)

    def _corners(self, outwards: float, up: float) -> Array:
        """Pull the corners ``outwards`` (share of the half width) and ``up`` (local units), fading into the cheeks."""
        moves, mouth = self._still(), self.mouth
        right = (self.local[:, 0] - mouth.centre[0]) / mouth.half_width
        near = np.exp(-((self.below / 0.13) ** 2) - (np.maximum(0.0, np.abs(right) - 1) / 0.55) ** 2)
        near *= self.within_outline
        pull = np.clip(right, -1.0, 1.0)
        moves[:, 0] = outwards * mouth.half_width * pull * near
        moves[:, 1] = -up * pull**2 * near
        # In a three-quarter view the far corner lies near the outline of the face: it stays, the near one moves.
        far_left, far_right = self.within_outline[UPPER_LIP[0, [0, -1]]]
        across = mouth.across * np.where(mouth.across < 0, far_left, far_right)
        for lip in (UPPER_LIP, LOWER_LIP):
            moves[lip, 0] = outwards * mouth.half_width * across
            moves[lip, 1] = -up * across**2
        return moves

    def _spread(self) -> Array:
        return self._corners(0.13, 0.004)

    def _narrow(self) -> Array:
        return self._corners(-0.28, 0.0)

    def _lips_vertical(self, upper: tuple[float, float], lower: tuple[float, float]) -> Array:
        """Move the (outer, inner) edges of each lip down by the given local units, as a lens over the width."""
        moves, lens = self._still(), self.mouth.lens
        ring = np.linspace(0, 1, 4)[:, None]
        moves[UPPER_LIP, 1] = (upper[0] + (upper[1] - upper[0]) * ring) * lens
        moves[LOWER_LIP, 1] = (lower[0] + (lower[1] - lower[0]) * ring) * lens
        return moves

    def _round(self) -> Array:
        return self._lips_vertical((-0.014, -0.006), (0.016, 0.006))

    def _press(self) -> Array:
        moves = self._lips_vertical((0.012, 0.0), (-0.014, 0.0))
        chin = np.exp(-(self.beside**2)) * smoothstep(self.below / 0.12)
        moves[:, 1] += np.where(moves[:, 1] == 0, -0.006 * chin, 0)
        return moves

    def _tuck(self) -> Array:
        return self._lips_vertical((-0.008, -0.030), (-0.016, -0.012))

    def _smile(self) -> Array:
        moves = self._corners(0.16, 0.030)
        cheeks = np.exp(-(((self.local[:, 1] - 0.26) / 0.12) ** 2)) * np.clip(np.abs(self.local[:, 0]) / 0.2, 0, 1)
        moves[:, 1] -= 0.014 * cheeks
        return moves

    def _brow(self) -> Array:
        moves, local = self._still(), self.local
        above = local[:, 1] - local[BROWS.ravel(), 1].mean()
        lift = np.where(above < 0, np.exp(-((above / 0.16) ** 2)), np.exp(-((above / 0.038) ** 2)))
        moves[:, 1] = -0.045 * lift * np.exp(-((np.abs(local[:, 0]) / 0.42) ** 4))
        return moves
