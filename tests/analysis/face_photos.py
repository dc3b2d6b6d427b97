"""Photos for the face tests, read from the packages that bring them."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import PIL.Image

from engine.media.types import Image


def photo(path: Path) -> Image:
    return Image(np.asarray(PIL.Image.open(path).convert("RGB")))


def package_photo(package: str, *parts: str) -> Image:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return photo(Path(spec.origin).parent.joinpath("data", *parts))


def group_of_six() -> Image:
    return package_photo("insightface", "images", "t1.jpg")


def astronaut() -> Image:
    return package_photo("skimage", "astronaut.png")


def on_canvas(image: Image, width: int, height: int, at: tuple[int, int] = (0, 0)) -> Image:
    """The photo's pixels laid on grey, cut where they leave the canvas; ``at`` is x, y of its corner."""
    canvas = np.full((height, width, 3), 128, np.uint8)
    x, y = at
    seen = image.rgb[max(0, -y) : height - y, max(0, -x) : width - x]
    canvas[max(0, y) : max(0, y) + seen.shape[0], max(0, x) : max(0, x) + seen.shape[1]] = seen
    return Image(canvas)
