"""From a video's pictures to the stored frames: the whole frame around all faces, and windows of half its width around
a single face. Windows are whole pixels (x0, y0, x1, y1) of the video as it is read; boxes go with them."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Window = tuple[int, int, int, int]
Boxes = NDArray[np.float64]

HALF_ROOM = 1.6  # a half is at least so many times as high and wide as the face
LEAST_ROOM = 1.1  # where the video is too small for that


@dataclass(frozen=True)
class Framed:
    """``window`` of the video becomes ``size`` (width, height)."""

    window: Window
    size: tuple[int, int]

    def picture(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        x0, y0, x1, y1 = self.window
        method = cv2.INTER_AREA if x1 - x0 > self.size[0] else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(rgb[y0:y1, x0:x1], self.size, interpolation=method), np.uint8)

    def boxes(self, boxes_px: Boxes) -> NDArray[np.int64]:
        """(…, 4) in px of the stored frame, outwards to whole pixels, inside it."""
        x0, y0, x1, y1 = self.window
        scale = np.array([self.size[0] / (x1 - x0), self.size[1] / (y1 - y0)] * 2)
        moved = (np.asarray(boxes_px, np.float64) - [x0, y0, x0, y0]) * scale
        outwards = np.concatenate([np.floor(moved[..., :2]), np.ceil(moved[..., 2:])], axis=-1)
        return np.clip(outwards, 0, [*self.size, *self.size]).astype(np.int64)


def union_of(boxes_px: Boxes) -> Boxes:
    """(…, 4) → (4,): around all of them."""
    flat = np.asarray(boxes_px, np.float64).reshape(-1, 4)
    return np.concatenate([flat[:, :2].min(0), flat[:, 2:].max(0)])


def whole_frame(video_size: tuple[int, int], face_px: Boxes, size: tuple[int, int]) -> Framed | None:
    """The largest window of the wanted shape, with ``face_px`` (around all faces) in its middle as far as the picture
    goes; None where a face does not fit in."""
    width, height = _largest(video_size, size)
    window = _around(video_size, face_px, width, height)
    return Framed(window, size) if _holds(window, face_px) else None


def fits_half(video_size: tuple[int, int], face_px: Boxes, size: tuple[int, int]) -> bool:
    """Whether a window of the wanted shape can hold the face at all."""
    return _width_of(face_px, size) * LEAST_ROOM <= _largest(video_size, size)[0]


def half_frame(
    video_size: tuple[int, int], face_px: Boxes, size: tuple[int, int], rng: np.random.Generator
) -> Framed:  # fmt: skip
    """The least window of the wanted shape around a face, enlarged at random inside the picture. The least one is not
    enlarged in pixels, where the picture allows."""
    widest = _largest(video_size, size)[0]
    least = min(max(_width_of(face_px, size) * HALF_ROOM, size[0]), widest)
    width = float(rng.uniform(least, widest))
    return Framed(_around(video_size, face_px, round(width), round(width * size[1] / size[0])), size)


def _width_of(face_px: Boxes, size: tuple[int, int]) -> float:
    """Of the narrowest window of that shape that holds the face."""
    return float(max(face_px[2] - face_px[0], (face_px[3] - face_px[1]) * size[0] / size[1]))


def _largest(video_size: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    scale = min(video_size[0] / size[0], video_size[1] / size[1])
    return int(size[0] * scale), int(size[1] * scale)


def _around(video_size: tuple[int, int], face_px: Boxes, width: int, height: int) -> Window:
    width, height = max(2, min(width, video_size[0])), max(2, min(height, video_size[1]))
    x0 = int(np.clip((face_px[0] + face_px[2] - width) / 2, 0, video_size[0] - width))
    y0 = int(np.clip((face_px[1] + face_px[3] - height) / 2, 0, video_size[1] - height))
    return x0, y0, x0 + width, y0 + height


def _holds(window: Window, face_px: Boxes) -> bool:
    """Whether the face is inside, but for a hair's breadth."""
    room = 0.05 * max(face_px[2] - face_px[0], face_px[3] - face_px[1])
    inside = window[0] - room <= face_px[0] and window[1] - room <= face_px[1]
    return bool(inside and face_px[2] <= window[2] + room and face_px[3] <= window[3] + room)
