"""The photo as the page shows it: boxed and numbered, and one small picture per face."""

import base64
import io
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageColor, ImageDraw, ImageFont

from engine.media.read import load_image
from engine.project.document import Face

MAX_WIDTH_PX = 1200
MAX_HEIGHT_PX = 900
THUMB_PX = 112
SMOOTHING = 3  # lines are drawn this much larger, then shrunk

Box = tuple[float, float, float, float]
Mark = tuple[Box, str, int]


def number_of(faces: list[Face], face: Face) -> int:
    """The number in the box: the one in the face's id, so that a drawn face never renumbers the others."""
    last = face.id.rpartition("-")[2]
    return int(last) if last.isdigit() else 1 + next(i for i, other in enumerate(faces) if other.id == face.id)


def boxed_photo(path: Path, sha256: str, faces: list[Face], draft_px: Box | None = None) -> Picture.Image:
    """The photo at display size with a coloured, numbered box per face; ``draft_px``: a box that is being drawn."""
    marks = tuple((face.box_px, face.colour, number_of(faces, face)) for face in faces)
    return _boxed(path, sha256, marks, draft_px)


@lru_cache(maxsize=4)
def _boxed(path: Path, sha256: str, marks: tuple[Mark, ...], draft_px: Box | None) -> Picture.Image:
    small, scale = _display(path, sha256)
    layer = Picture.new("RGBA", (small.width * SMOOTHING, small.height * SMOOTHING), (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    unit = SMOOTHING * max(1.0, small.width / 640)
    for box_px, colour, _ in marks:
        box = [value * scale * SMOOTHING for value in box_px]
        pen.rounded_rectangle(_grown(box, 1.5 * unit), 7 * unit, outline=(255, 255, 255, 190), width=round(4.5 * unit))
        pen.rounded_rectangle(box, 6 * unit, outline=colour, width=round(2.2 * unit))
    for box_px, colour, number in marks:  # after all boxes, so that no line runs through a number
        box = [value * scale * SMOOTHING for value in box_px]
        _badge(pen, layer.size, box, (colour, str(number)), unit)
    if draft_px:
        box = [value * scale * SMOOTHING for value in draft_px]
        pen.rectangle(_grown(box, unit), outline=(0, 0, 0, 255), width=round(unit))
        pen.rectangle(box, outline=(255, 255, 255, 255), width=round(1.5 * unit))
    layer = layer.resize(small.size, Picture.Resampling.LANCZOS)
    return Picture.alpha_composite(small.convert("RGBA"), layer).convert("RGB")


def to_photo_px(path: Path, sha256: str, x: float, y: float) -> tuple[float, float]:
    """A place in the boxed photo, in pixels of the photo itself."""
    scale = _display(path, sha256)[1]
    return x / scale, y / scale


def thumbnail(path: Path, sha256: str, face: Face) -> str:
    """The face with some air around it, square, as a data URI."""
    return _thumbnail(path, sha256, face.box_px)


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on a "#rrggbb" colour (WCAG's relative luminance)."""
    channels = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in _unit_rgb(colour)]
    luminance = 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
    return "#1d1c1b" if luminance > 0.3 else "#ffffff"


def data_uri(rgb: NDArray[np.uint8], quality: int = 80) -> str:
    """(height, width, 3) uint8 as a jpeg inside a data URI."""
    buffer = io.BytesIO()
    Picture.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


@lru_cache(maxsize=1)
def _photo(path: Path, sha256: str) -> Picture.Image:
    return Picture.fromarray(load_image(path).rgb)


@lru_cache(maxsize=2)
def _display(path: Path, sha256: str) -> tuple[Picture.Image, float]:
    photo = _photo(path, sha256)
    scale = min(MAX_WIDTH_PX / photo.width, MAX_HEIGHT_PX / photo.height)
    scale = min(scale, max(1.0, 640 / photo.width))  # never larger than it is, but for a tiny one
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    return photo.resize(size, Picture.Resampling.LANCZOS), size[0] / photo.width


@lru_cache(maxsize=256)
def _thumbnail(path: Path, sha256: str, box_px: Box) -> str:
    x0, y0, x1, y1 = box_px
    half = 0.68 * max(x1 - x0, y1 - y0)
    centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
    square = (centre_x - half, centre_y - half, centre_x + half, centre_y + half)
    size = (THUMB_PX, THUMB_PX)
    crop = _photo(path, sha256).transform(size, Picture.Transform.EXTENT, square, Picture.Resampling.BILINEAR)
    if 2 * half > 2 * THUMB_PX:  # far larger than the thumbnail: average the pixels instead of skipping them
        whole = _photo(path, sha256).crop(square)
        crop = whole.resize(size, Picture.Resampling.LANCZOS)
    return data_uri(np.asarray(crop), 88)


def _unit_rgb(colour: str) -> list[float]:
    return [value / 255 for value in ImageColor.getrgb(colour)[:3]]


def _grown(box: list[float], by: float) -> list[float]:
    return [box[0] - by, box[1] - by, box[2] + by, box[3] + by]


def _badge(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], box: list[float], look: tuple[str, str], unit: float
) -> None:
    """The face's number on a disc at the box's upper left corner, kept inside the picture."""
    colour, number = look
    radius = 15 * unit
    x = min(max(box[0], radius + 2 * unit), size[0] - radius - 2 * unit)
    y = min(max(box[1], radius + 2 * unit), size[1] - radius - 2 * unit)
    disc = [x - radius, y - radius, x + radius, y + radius]
    pen.ellipse(disc, fill=colour, outline="white", width=round(2 * unit))
    font = ImageFont.load_default(size=round(18 * unit))
    ink = ink_on(colour)
    pen.text((x, y), number, font=font, fill=ink, stroke_width=round(0.6 * unit), stroke_fill=ink, anchor="mm")
