"""What the demo shows: a video call of six people who may be shown freely, and a recorded conversation of two.

The portraits lie inside a carrier package and the recording inside pyannote.audio; assets/demo_people.toml says where
each face is. The picture is composed anew each time, so that no pixel of it is in the repository.
"""

import importlib.util
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from engine.carriers import carrier_file
from engine.errors import ModelMissing, UnreadableMedia
from engine.media.types import Image

RECIPE = Path(__file__).resolve().parent.parent / "assets" / "demo_people.toml"
SOFT_EDGE_PX = 12.0  # how gently a portrait ends where its tile is larger
SMOOTHING = 4  # rounded corners and name plates are drawn this much larger, then shrunk


@dataclass(frozen=True)
class DemoPerson:
    """One person of the demo: ``part`` talks / listens / still; ``voice`` counts speakers by first word, from 1."""

    name: str
    portrait: str
    between_eyes_px: tuple[float, float]
    eye_to_mouth_px: float
    part: str
    voice: int | None = None


@dataclass(frozen=True)
class Tile:
    """One person's rectangle in the group picture, in its pixels."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int

    def holds(self, x_px: float, y_px: float) -> bool:
        return 0 <= x_px - self.x_px < self.width_px and 0 <= y_px - self.y_px < self.height_px


def demo_people() -> tuple[DemoPerson, ...]:
    """The people in reading order: along the upper row from the left, then along the lower row."""
    return tuple(
        DemoPerson(**{**entry, "between_eyes_px": tuple(entry["between_eyes_px"])}) for entry in _recipe()["people"]
    )


def demo_tiles() -> tuple[Tile, ...]:
    """Where each of ``demo_people()`` is in the picture, in the same order."""
    picture = _recipe()["picture"]
    columns, gap = picture["columns"], picture["gap_px"]
    rows = -(-len(_recipe()["people"]) // columns)
    width = (picture["width_px"] - gap * (columns + 1)) // columns
    height = (picture["height_px"] - gap * (rows + 1)) // rows
    return tuple(
        Tile(gap + column * (width + gap), gap + row * (height + gap), width, height)
        for row in range(rows)
        for column in range(columns)
    )[: len(_recipe()["people"])]


def compose_group_photo() -> Image:
    """The video call as one picture, 1280 x 720. Raises ModelMissing where launch.py has not fetched the portraits."""
    picture = _recipe()["picture"]
    canvas = np.full((picture["height_px"], picture["width_px"], 3), picture["background_rgb"], np.uint8)
    for person, tile in zip(demo_people(), demo_tiles(), strict=True):
        content = _with_name(_portrait_in(tile, person), person.name)
        inside = _rounded(tile.width_px, tile.height_px, picture["corner_px"])
        place = canvas[tile.y_px : tile.y_px + tile.height_px, tile.x_px : tile.x_px + tile.width_px]
        place[:] = np.rint(content * inside + place * (1 - inside)).astype(np.uint8)
    return Image(canvas)


def demo_dialogue() -> Path:
    """pyannote.audio's own sample: 30 s of two people on the telephone. Raises ModelMissing where it is missing."""
    # Looked up as a file: importing pyannote.audio takes seconds, and nothing of its code is needed for this.
    spec = importlib.util.find_spec("pyannote")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        sample = Path(folder) / "audio" / "sample" / "sample.wav"
        if sample.is_file():
            return sample
    raise ModelMissing(
        "The demo's conversation, a sample inside pyannote.audio, is not here.",
        "Start with `python launch.py demo`: it installs what is missing.",
    )


@cache
def _recipe() -> dict[str, Any]:
    with RECIPE.open("rb") as file:
        return tomllib.load(file)


def _portrait_in(tile: Tile, person: DemoPerson) -> NDArray[np.uint8]:
    """The portrait (height, width, 3) scaled to the common face size, eyes on the common line, edges carried on."""
    picture = _recipe()["picture"]
    scale = picture["eye_to_mouth_px"] / person.eye_to_mouth_px
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LANCZOS4
    portrait = _read_portrait(person.portrait)
    scaled = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=method).astype(np.uint8, copy=False)
    left = round(person.between_eyes_px[0] * scale - tile.width_px / 2)
    top = round(person.between_eyes_px[1] * scale - tile.height_px * picture["eye_line"])
    missing = (
        max(0, -top),
        max(0, top + tile.height_px - scaled.shape[0]),
        max(0, -left),
        max(0, left + tile.width_px - scaled.shape[1]),
    )
    wide = np.pad(scaled, (missing[:2], missing[2:], (0, 0)), mode="edge")
    y, x = top + missing[0], left + missing[2]
    return _blend_edges(wide[y : y + tile.height_px, x : x + tile.width_px], missing)


def _read_portrait(name: str) -> NDArray[np.uint8]:
    path = carrier_file(_recipe()["carrier"], _recipe()["folder"], name)
    try:
        with Picture.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError as error:
        raise UnreadableMedia(
            f"The demo's portrait {name} cannot be read.",
            "Delete the folder .venv/carriers and start again: it is fetched anew.",
        ) from error


def _blend_edges(tile: NDArray[np.uint8], missing_px: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Blurs what lies beyond the portrait (top, bottom, left, right), as if out of focus, with no visible seam."""
    height, width = tile.shape[:2]
    top, bottom, left, right = missing_px
    known = np.zeros((height, width), np.uint8)
    known[top : height - bottom, left : width - right] = 1
    if known.all():
        return tile
    depth = cv2.distanceTransform(known, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    own = np.clip(depth / SOFT_EDGE_PX, 0, 1)[..., None]
    blurred = cv2.GaussianBlur(tile, (0, 0), SOFT_EDGE_PX)
    return np.rint(tile * own + blurred * (1 - own)).astype(np.uint8)


def _rounded(width: int, height: int, radius: int) -> NDArray[np.float32]:
    """(height, width, 1) float32: 1 inside a rectangle with round corners, 0 outside, smooth between."""
    mask = Picture.new("L", (width * SMOOTHING, height * SMOOTHING))
    box = (0, 0, width * SMOOTHING - 1, height * SMOOTHING - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius * SMOOTHING, fill=255)
    return np.asarray(mask.resize((width, height), Picture.Resampling.BOX), np.float32)[..., None] / np.float32(255)


def _with_name(tile: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """The tile with a name plate in its lower left corner, as video calls have it."""
    font = ImageFont.load_default(size=15)
    text_width = int(font.getlength(name))
    width, height = text_width + 22, 26
    plate = Picture.fromarray(tile)
    shade = Picture.fromarray(np.rint(_rounded(width, height, 8)[..., 0] * 150).astype(np.uint8))
    left, top = 12, tile.shape[0] - height - 12
    plate.paste((12, 14, 18), (left, top), shade)
    ImageDraw.Draw(plate).text((left + 11, top + height // 2), name, font=font, fill=(240, 242, 245), anchor="lm")
    return np.asarray(plate)
