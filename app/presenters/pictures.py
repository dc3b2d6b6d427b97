"""The photo as the page shows it, and one small picture per face."""

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageColor

from engine.media.read import load_image
from engine.project.document import Face

MAX_WIDTH_PX = 1600
MAX_HEIGHT_PX = 1200
THUMB_PX = 112

Box = tuple[float, float, float, float]


def number_of(faces: list[Face], face: Face) -> int:
    """The number in the box: the one in the face's id, so that a drawn face never renumbers the others."""
    last = face.id.rpartition("-")[2]
    return int(last) if last.isdigit() else 1 + next(i for i, other in enumerate(faces) if other.id == face.id)


def display_jpeg(path: Path, sha256: str) -> bytes:
    """The upright photo at the size in which the page shows it. Raises UnreadableMedia."""
    return _display(path, sha256)


def thumbnail(path: Path, sha256: str, face: Face) -> bytes:
    """The face with some air around it, square, as a jpeg."""
    return _thumbnail(path, sha256, face.box_px)


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on a "#rrggbb" colour (WCAG's relative luminance)."""
    channels = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in _unit_rgb(colour)]
    luminance = 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
    return "#1d1c1b" if luminance > 0.3 else "#ffffff"


def jpeg(rgb: NDArray[np.uint8], quality: int = 80) -> bytes:
    """(height, width, 3) uint8 as a jpeg."""
    buffer = io.BytesIO()
    Picture.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _photo(path: Path, sha256: str) -> Picture.Image:
    return Picture.fromarray(load_image(path).rgb)


@lru_cache(maxsize=4)
def _display(path: Path, sha256: str) -> bytes:
    photo = _photo(path, sha256)
    scale = min(1.0, MAX_WIDTH_PX / photo.width, MAX_HEIGHT_PX / photo.height)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    return jpeg(np.asarray(photo.resize(size, Picture.Resampling.LANCZOS)), 88)


@lru_cache(maxsize=256)
def _thumbnail(path: Path, sha256: str, box_px: Box) -> bytes:
    x0, y0, x1, y1 = box_px
    half = 0.68 * max(x1 - x0, y1 - y0)
    centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
    square = (centre_x - half, centre_y - half, centre_x + half, centre_y + half)
    size = (THUMB_PX, THUMB_PX)
    crop = _photo(path, sha256).transform(size, Picture.Transform.EXTENT, square, Picture.Resampling.BILINEAR)
    if 2 * half > 2 * THUMB_PX:  # far larger than the thumbnail: average the pixels instead of skipping them
        whole = _photo(path, sha256).crop(square)
        crop = whole.resize(size, Picture.Resampling.LANCZOS)
    return jpeg(np.asarray(crop), 88)


def _unit_rgb(colour: str) -> list[float]:
    return [value / 255 for value in ImageColor.getrgb(colour)[:3]]
