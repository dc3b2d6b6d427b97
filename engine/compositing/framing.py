"""Which part of the photo the video shows, with everybody in it, and how frames are brought to that shape."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.project.document import Face

Box = tuple[int, int, int, int]

ASPECTS = {"16:9": 16 / 9, "9:16": 9 / 16, "1:1": 1.0}
MAX_LONG_SIDE_PX = 3840
_CLOSE_ASPECTS = (4 / 3, 3.5)  # networks take pictures up to 4:1, and sides are rounded

# Hair above, chin and neck below, ears beside: as shares of a face box's height and width.
_ROOM_ABOVE, _ROOM_BELOW, _ROOM_BESIDE = 0.5, 0.6, 0.35
_BACKGROUND_BRIGHTNESS = 0.45

EYE_LINE = 0.42
"""Where the middle of the people stands in the picture, from above: a little over its middle, as portraits are."""


@dataclass(frozen=True)
class Framing:
    """``crop_px`` (x0 y0 x1 y1) of the photo is drawn into ``inner_px`` of a frame of ``size`` (width, height).

    Where ``inner_px`` is not the whole frame (people who do not fit its shape), the rest is a dim, blurred
    enlargement of the photo.
    """

    crop_px: Box
    size: tuple[int, int]
    inner_px: Box

    @property
    def fills(self) -> bool:
        return self.inner_px == (0, 0, *self.size)

    def to_frame(self, points_px: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (N, 2 or more) of the photo as points of the frame; columns beyond x and y (depth) scale with x."""
        x0, y0, x1, y1 = self.crop_px
        left, top, right, bottom = self.inner_px
        scale_x, scale_y = (right - left) / (x1 - x0), (bottom - top) / (y1 - y0)
        points = np.array(points_px, np.float64)
        points[:, 0] = (points[:, 0] - x0) * scale_x + left
        points[:, 1] = (points[:, 1] - y0) * scale_y + top
        points[:, 2:] *= scale_x
        return points


def plan_frame(
    image_size: tuple[int, int], faces: Sequence[Face], aspect: str, short_side_px: int, multiple_px: int = 2
) -> Framing:
    """The framing of a photo of ``image_size`` (width, height) for an ``aspect`` of RenderSettings.

    As much of the photo as the shape can hold, placed so that every face is in it; nobody is cut. People too far
    apart for the shape are all shown, smaller, before a blurred ground. Sides are multiples of ``multiple_px``; where
    those are coarse, a narrow strip of the photo is cut off rather than everybody stretched.
    """
    width, height = image_size
    size = _size(ASPECTS.get(aspect, width / height), short_side_px, multiple_px)
    if aspect == "photo" and multiple_px <= 2:
        return Framing((0, 0, width, height), size, (0, 0, *size))
    wanted = size[0] / size[1]
    crop_width, crop_height = min(width, height * wanted), min(height, width / wanted)
    for room in (1.0, 0.25):
        people = people_box(faces, image_size, room)
        if people[2] - people[0] <= crop_width and people[3] - people[1] <= crop_height:
            return Framing(_placed(people, (crop_width, crop_height), image_size), size, (0, 0, *size))
    if aspect == "photo":  # heads up to both edges: a stretch by a hair is the lesser evil
        return Framing((0, 0, width, height), size, (0, 0, *size))
    return _fitted(people_box(faces, image_size, 1.0), image_size, size)


def plan_close_frame(
    image_size: tuple[int, int], faces: Sequence[Face], aspect: str, short_side_px: int, multiple_px: int
) -> Framing:
    """The framing that shows the heads as large as it can; "photo" leaves the shape to the people, from 4:3 to 7:2."""
    people = people_box(faces, image_size, 1.0) if faces else (0.0, 0.0, float(image_size[0]), float(image_size[1]))
    shape = (people[2] - people[0]) / max(1.0, people[3] - people[1])
    wanted = ASPECTS.get(aspect, min(max(shape, _CLOSE_ASPECTS[0]), _CLOSE_ASPECTS[1]))
    return _fitted(people, image_size, _size(wanted, short_side_px, multiple_px))


class Framer:
    """Brings pictures of the photo's size to the video's shape; what lies behind is drawn once, from ``photo``."""

    def __init__(self, framing: Framing, photo: NDArray[np.uint8]) -> None:
        self.framing = framing
        self._background = None if framing.fills else _background(photo, framing.size)

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 of the photo's size → (size[1], size[0], 3) uint8."""
        x0, y0, x1, y1 = self.framing.crop_px
        left, top, right, bottom = self.framing.inner_px
        inner = _resized(rgb[y0:y1, x0:x1], (right - left, bottom - top))
        if self._background is None:
            return inner
        frame = self._background.copy()
        frame[top:bottom, left:right] = inner
        return frame


def _size(aspect: float, short_side_px: int, multiple_px: int) -> tuple[int, int]:
    width, height = (short_side_px * aspect, short_side_px) if aspect >= 1 else (short_side_px, short_side_px / aspect)
    shrink = min(1.0, MAX_LONG_SIDE_PX / max(width, height))
    sides = (max(multiple_px, multiple_px * round(side * shrink / multiple_px)) for side in (width, height))
    return next(sides), next(sides)


def people_box(faces: Sequence[Face], image_size: tuple[int, int], room: float) -> tuple[float, float, float, float]:
    """The smallest box with every head in it, cut to the photo; the photo's middle where there are no faces.

    ``room`` 1 = with hair, ears and neck, 0 = the faces alone.
    """
    width, height = image_size
    if not faces:
        return (width / 2, height / 2, width / 2, height / 2)
    boxes = np.array([face.box_px for face in faces], np.float64)
    face_width, face_height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    x0 = (boxes[:, 0] - room * _ROOM_BESIDE * face_width).min()
    y0 = (boxes[:, 1] - room * _ROOM_ABOVE * face_height).min()
    x1 = (boxes[:, 2] + room * _ROOM_BESIDE * face_width).max()
    y1 = (boxes[:, 3] + room * _ROOM_BELOW * face_height).max()
    x_limits, y_limits = np.clip([x0, x1], 0, width), np.clip([y0, y1], 0, height)
    return float(x_limits[0]), float(y_limits[0]), float(x_limits[1]), float(y_limits[1])


def _placed(people: tuple[float, float, float, float], crop: tuple[float, float], image_size: tuple[int, int]) -> Box:
    """A crop of that size in the photo with the people in its middle (across) and upper half (down)."""
    crop_size = [min(round(side), limit) for side, limit in zip(crop, image_size, strict=True)]
    starts = []
    for axis, eye_line in ((0, 0.5), (1, EYE_LINE)):
        low, high = people[axis], people[axis + 2]
        start = (low + high) / 2 - eye_line * crop_size[axis]
        start = min(max(start, high - crop_size[axis]), low)
        starts.append(round(min(max(start, 0), image_size[axis] - crop_size[axis])))
    return (starts[0], starts[1], starts[0] + crop_size[0], starts[1] + crop_size[1])


def _fitted(people: tuple[float, float, float, float], image_size: tuple[int, int], size: tuple[int, int]) -> Framing:
    """All people at the full width (or height) of the frame, as much of the photo as that leaves room for."""
    width, height = image_size
    wanted = size[0] / size[1]
    x0, y0, x1, y1 = people
    if (x1 - x0) / (y1 - y0) > wanted:
        y0, y1 = _grown(y0, y1, (x1 - x0) / wanted, height)
    else:
        x0, x1 = _grown(x0, x1, (y1 - y0) * wanted, width)
    crop = (int(x0), int(y0), int(np.ceil(x1)), int(np.ceil(y1)))
    crop_width, crop_height = crop[2] - crop[0], crop[3] - crop[1]
    scale = min(size[0] / crop_width, size[1] / crop_height)
    inner_width, inner_height = (min(round(a * scale), b) for a, b in zip((crop_width, crop_height), size, strict=True))
    left, top = (size[0] - inner_width) // 2, (size[1] - inner_height) // 2
    return Framing(crop, size, (left, top, left + inner_width, top + inner_height))


def _grown(low: float, high: float, length: float, limit: int) -> tuple[float, float]:
    length = min(length, limit)
    start = min(max((low + high - length) / 2, 0), limit - length)
    return start, start + length


def _resized(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    if (width, height) == size:
        return np.ascontiguousarray(rgb)
    # Averaging areas is the only one of OpenCV's filters that does not alias when much smaller; up to half size,
    # linear looks the same in a tenth of the time, which counts as this runs for every frame.
    shrink = width / size[0]
    method = cv2.INTER_AREA if shrink > 2 else cv2.INTER_LINEAR if shrink > 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size, interpolation=method), np.uint8)


def _background(photo: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = photo.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    crop_width, crop_height = min(width, round(size[0] / scale)), min(height, round(size[1] / scale))
    x0, y0 = (width - crop_width) // 2, (height - crop_height) // 2
    # Blurred small: the same look as at full size, for a fraction of the time.
    small = cv2.resize(photo[y0 : y0 + crop_height, x0 : x0 + crop_width], (size[0] // 8 or 1, size[1] // 8 or 1))
    soft = cv2.GaussianBlur(small, (0, 0), max(1.0, min(size) / 8 / 20)).astype(np.float32) * _BACKGROUND_BRIGHTNESS
    return np.asarray(cv2.resize(soft, size, interpolation=cv2.INTER_CUBIC).clip(0, 255), np.uint8)
