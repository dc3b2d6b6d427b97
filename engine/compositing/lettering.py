"""Letters on pictures: one font for all marks and captions, drawn once and blended many times."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont
Rgb: TypeAlias = tuple[int, int, int]
Line: TypeAlias = tuple[tuple[str, Rgb], ...]
"""Words of one line, each piece with its colour."""

_PANEL_OPACITY = 150


class Label:
    """A drawn text, from (height, width, 4) uint8 RGBA; ready to be blended into many frames."""

    def __init__(self, rgba: NDArray[np.uint8]) -> None:
        self.height, self.width = int(rgba.shape[0]), int(rgba.shape[1])
        alpha = rgba[..., 3:].astype(np.uint16)
        self._weighted = rgba[..., :3] * alpha + 127
        self._rest = 255 - alpha

    def blended(self, rgb: NDArray[np.uint8], left: int, top: int) -> NDArray[np.uint8]:
        """A copy of the frame (height, width, 3) uint8 with the label's upper left corner at left, top (clipped)."""
        out = rgb.copy()
        left, top = max(0, left), max(0, top)
        under = out[top : top + self.height, left : left + self.width]
        rows, columns = under.shape[:2]
        under[:] = (under * self._rest[:rows, :columns] + self._weighted[:rows, :columns]) // 255
        return out


@cache
def font(size_px: int) -> Font:
    """A font with Latin, Greek and Cyrillic letters where matplotlib is installed; Pillow's own otherwise."""
    package = importlib.util.find_spec("matplotlib")
    if package is not None and package.origin:
        path = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(str(path), size_px)
    return ImageFont.load_default(size_px)


def draw_lines(lines: tuple[Line, ...], size_px: int, max_width_px: int) -> Label:
    """Centred lines on a dim rounded panel, letters ``size_px`` high, made smaller where they would be too wide."""
    while size_px > 8 and _width(lines, size_px) + size_px > max_width_px:
        size_px -= 1
    width, step = min(_width(lines, size_px) + size_px, max_width_px), round(size_px * 1.3)
    panel = PillowImage.new("RGBA", (width, step * len(lines) + size_px // 2), (0, 0, 0, 0))
    pen = ImageDraw.Draw(panel)
    corner = (panel.width - 1, panel.height - 1)
    pen.rounded_rectangle(((0, 0), corner), radius=size_px // 3, fill=(0, 0, 0, _PANEL_OPACITY))
    for index, line in enumerate(lines):
        x = (width - _width((line,), size_px)) / 2
        for text, colour in line:
            pen.text((x, size_px // 4 + index * step), text, font=font(size_px), fill=(*colour, 255))
            x += font(size_px).getlength(text)
    return Label(np.asarray(panel))


def readable(colour: str) -> Rgb:
    """A "#rrggbb" colour, lightened until it reads well on the dim panel; white when it is no colour."""
    try:
        rgb = np.array([int(colour[index : index + 2], 16) for index in (1, 3, 5)], np.float64)
    except ValueError:
        return (255, 255, 255)
    luminance = float(rgb @ (0.2126, 0.7152, 0.0722))
    mix = 0.0 if luminance >= 150 else (150 - luminance) / (255 - luminance)
    red, green, blue = (int(value) for value in rgb + (255 - rgb) * mix)
    return red, green, blue


def _width(lines: tuple[Line, ...], size_px: int) -> int:
    return max(round(sum(font(size_px).getlength(text) for text, _ in line)) for line in lines)
