"""Boxes of faces as what the network takes: crops, token masks, the mask channels, what is pinned.

Boxes are (x0, y0, x1, y1) floats in the px of the picture; sizes are (width, height) in px. The geometry is the
published network's (specification, A.6 and C.2): it was trained on masks of just this form.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from engine.dit.shapes import MASK_CHANNELS, PATCH, SPACE_STRIDE, LatentShape

Box = tuple[float, float, float, float]
Pixels = tuple[int, int, int, int]  # x0 y0 x1 y1
Size = tuple[int, int]

GROWN = (1.2, 1.1)  # how much wider and higher than the square around a face its mask is
_PINNED_FADE = 0.25  # share of a pinned region's side over which it fades out, around it
_REFERENCE_MULTIPLE_PX = 32


def square_box(box: Box, size: Size) -> Box:
    """The square of the box's longer side about its centre, moved (and where it is too large, cut) into the picture."""
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0)
    left, right = _inside((x0 + x1 - side) / 2, side, size[0])
    top, bottom = _inside((y0 + y1 - side) / 2, side, size[1])
    return left, top, right, bottom


def crop_px(box: Box, size: Size) -> Pixels:
    """The whole pixels of ``square_box`` (ends exclusive, at least one): what CLIP sees of a face."""
    x0, y0, x1, y1 = (int(edge) for edge in square_box(box, size))
    x0, y0 = min(x0, size[0] - 1), min(y0, size[1] - 1)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def grown_px(box: Box, size: Size) -> Pixels:
    """The pixels (ends inclusive) that belong to a face: its crop, GROWN about the centre, inside the picture."""
    x0, y0, x1, y1 = crop_px(box, size)
    left, right = _grown(x0, x1 - 1, GROWN[0], size[0])
    top, bottom = _grown(y0, y1 - 1, GROWN[1], size[1])
    return left, top, right, bottom


def region_mask(box: Box, size: Size, grid: tuple[int, int]) -> Tensor:
    """Where a face is on a ``grid`` of (rows, columns): (rows, columns) float 0..1, bilinear, without antialiasing.

    A rectangle's mask is the product of its two sides', so that no mask of the picture's own size is made.
    """
    x0, y0, x1, y1 = grown_px(box, size)
    return _side(y0, y1, size[1], grid[0])[:, None] * _side(x0, x1, size[0], grid[1])[None]


def token_mask(box: Box, size: Size, latent: LatentShape) -> Tensor:
    """(S,) float 0..1: a face's tokens, the same in every latent frame of a window (specification, A.6).

    Unlike in the reference a face too small to fill a token keeps the one at its centre: it would not move at all.
    """
    rows, columns = latent.height // PATCH, latent.width // PATCH
    mask = region_mask(box, size, (rows, columns))
    if mask.max() < 1:
        x0, y0, x1, y1 = grown_px(box, size)
        row = (y0 + y1 + 1) * rows // (2 * size[1])
        column = (x0 + x1 + 1) * columns // (2 * size[0])
        mask[row, column] = 1
    return mask.repeat(latent.num_frames, 1, 1).flatten()


def union_mask(boxes: Sequence[Box], size: Size, latent: LatentShape, limit: float = 1.0) -> Tensor:
    """(H, W) float: everybody who may move, on the latent grid; nobody = zeros.

    The reference adds the masks up, to 2 where two faces overlap; the network has never met more than 1 in training
    (specification, G.1), so the sum ends at ``limit``.
    """
    grid = (latent.height, latent.width)
    total = torch.zeros(grid)
    for box in boxes:
        total += region_mask(box, size, grid)
    return total.clamp(max=limit)


def mask_channels(union_HW: Tensor, latent: LatentShape, num_known: int) -> Tensor:
    """(4, T, H, W): ones in the ``num_known`` latent frames that are given, elsewhere where the picture may move."""
    channels = union_HW.expand(MASK_CHANNELS, latent.num_frames, latent.height, latent.width).clone()
    channels[:, :num_known] = 1
    return channels


def pinned_mask(still: Sequence[Box], moving: Sequence[Box], size: Size, latent: LatentShape) -> Tensor:
    """(H, W) float 0..1: the ``still`` faces' regions, fading out around them; those who move come first where the two
    meet, or half of a speaking face would stand still."""
    grid = (latent.height, latent.width)
    pinned = torch.zeros(grid)
    for box in still:
        x0, y0, x1, y1 = grown_px(box, size)
        fading = _fading(y0, y1, size[1], grid[0])[:, None] * _fading(x0, x1, size[0], grid[1])[None]
        pinned = torch.maximum(pinned, fading)
    return pinned * (1 - union_mask(moving, size, latent))


def reference_size(width: int, height: int, max_area: int) -> Size:
    """(width, height) that the reference gives a picture's video (specification, B.4), for numbers held against it.

    The product uses ``shapes.nearest_size``, which stretches less and keeps 832 x 480 as it is.
    """
    aspect = height / width
    rough = [math.sqrt(area) // SPACE_STRIDE // 2 * 2 * SPACE_STRIDE for area in (max_area / aspect, max_area * aspect)]
    wide = _down(rough[0])
    high = _down(rough[1])
    candidates = [(wide, _down(wide * aspect)), (_down(high / aspect), high)]
    return min(candidates, key=lambda sides: abs(sides[0] - rough[0]) + abs(sides[1] - rough[1]))


def _down(side: float) -> int:
    return int(side) // _REFERENCE_MULTIPLE_PX * _REFERENCE_MULTIPLE_PX


def _inside(start: float, side: float, limit: int) -> tuple[float, float]:
    start = max(0.0, min(start, limit - side))
    return start, min(start + side, float(limit))


def _grown(low: int, high: int, factor: float, limit: int) -> tuple[int, int]:
    half = int((high - low + 1) * factor) / 2
    centre = (low + high) / 2
    return max(0, int(centre - half)), min(limit - 1, int(centre + half))


def _side(first: int, last: int, length: int, cells: int) -> Tensor:
    inside = torch.zeros(1, 1, length)
    inside[..., first : last + 1] = 1
    return functional.interpolate(inside, size=cells, mode="linear", align_corners=False)[0, 0]


def _fading(first: int, last: int, length: int, cells: int) -> Tensor:
    """1 on the cells between ``first`` and ``last`` px, falling to 0 over the fade around them (at least two cells)."""
    cell = length / cells
    centres = (torch.arange(cells) + 0.5) * cell
    fade = max(_PINNED_FADE * (last + 1 - first), 2 * cell)
    outside = torch.maximum(first - centres, centres - (last + 1)).clamp(min=0)
    return (1 - outside / fade).clamp(min=0)
