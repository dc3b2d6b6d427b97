"""The small network's video codec, trained from nothing on animated faces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.dit.shapes import SPACE_STRIDE, TIME_STRIDE
from engine.dit.tiny import WIDTHS, TinyVae, groups_of
from engine.training.made_data import Box, Cut

FACE_WEIGHT, MOUTH_WEIGHT = 2.0, 8.0
_FIRST_SHARE, _GREY_SHARE = 0.15, 0.03
_NOISE = 0.03  # of the latents' spread, so that near latents mean near pictures
_PULL = 1e-4
_EDGES, _MOTION = 0.5, 0.3
_LEARNING_RATE = 1.5e-3
_SIDE_PX, _SCATTER_PX = 64, 12.0  # of the squares that are cut out, and how far beside a mouth
_ANYWHERE_SHARE = 0.2


@dataclass(frozen=True)
class CodecStep:
    """``error``: mean absolute error in 0..255, weighted; ``motion_lost``: squared error of what moves within four
    frames, as a share of it."""

    step: int
    error: float
    motion_lost: float


def train_codec(
    cuts: Sequence[Cut], steps: int, batch_size: int, seed: int, widths: tuple[int, int, int] = WIDTHS
) -> Iterator[CodecStep | TinyVae]:
    """A CodecStep for each step, then the codec with its latents' mean and spread measured."""
    torch.manual_seed(seed)
    chance = np.random.default_rng(seed)
    vae = TinyVae(widths)
    optimiser = torch.optim.AdamW(vae.parameters(), _LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, steps, pct_start=min(0.1, 10 / steps))
    for step in range(steps):
        groups, weight = _batch(cuts, batch_size, chance)
        latents = vae.encode_groups(groups)
        spread = latents.detach().std()
        decoded = vae.decode_groups(latents + _NOISE * spread * torch.randn_like(latents))
        difference = decoded - groups
        error = (difference.abs() * weight).mean()
        motion_lost = _moving(difference, weight) / _moving(groups, weight).clamp(min=1e-6)
        loss = error + _EDGES * _edges(difference, weight) + _MOTION * motion_lost + _PULL * latents.square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        yield CodecStep(step + 1, float(error.detach()) * 127.5, float(motion_lost.detach()))
    _measure(vae, cuts, chance)
    yield vae


def _edges(difference: Tensor, weight: Tensor) -> Tensor:
    """Absolute, of the steps between neighbours: those keep lips sharp."""
    columns = (difference[..., 1:] - difference[..., :-1]).abs() * weight[..., 1:]
    rows = (difference[..., 1:, :] - difference[..., :-1, :]).abs() * weight[..., 1:, :]
    return columns.mean() + rows.mean()


def _moving(groups: Tensor, weight: Tensor) -> Tensor:
    """Mean square, weighted, of how far four frames go from their mean. Set against the same of the original it counts
    however little there is: among absolute errors of all pixels it would drown, and mouths would be levelled."""
    frames = groups.unflatten(1, (3, TIME_STRIDE))
    return ((frames - frames.mean(2, keepdim=True)).square() * weight[:, :, None]).mean()


def _batch(cuts: Sequence[Cut], batch_size: int, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(B, 12, side, side) groups of four frames in -1..1, most of them around mouths, and (B, 1, side, side) how much
    each pixel counts."""
    groups, weights = [], []
    for _ in range(batch_size):
        cut = cuts[int(chance.integers(len(cuts)))]
        at = 0 if chance.random() < _FIRST_SHARE else int(chance.integers(1, len(cut.whole) - TIME_STRIDE + 1))
        frames = _as_video(cut.whole[at : at + (TIME_STRIDE if at else 1)])
        group = frames.flatten(0, 1) if at else groups_of(frames)[0]
        square = _square(cut, chance)
        part = group[:, *square]
        groups.append(torch.zeros_like(part) if chance.random() < _GREY_SHARE else part)
        weights.append(_weights(cut.boxes_px, cut.whole.shape[1:3])[:, *square])
    return torch.stack(groups), torch.stack(weights)


def _square(cut: Cut, chance: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns, on the latents' grid."""
    height, width = cut.whole.shape[1:3]
    x0, y0, x1, y1 = cut.boxes_px[0]
    middle = np.array([y0 + 0.65 * (y1 - y0), (x0 + x1) / 2]) + chance.normal(0, _SCATTER_PX, 2)
    spare = np.array([height, width]) - _SIDE_PX
    wanted = chance.uniform(0, spare) if chance.random() < _ANYWHERE_SHARE else middle - _SIDE_PX / 2
    top, left = (int(corner) // SPACE_STRIDE * SPACE_STRIDE for corner in np.clip(wanted, 0, spare))
    return slice(top, top + _SIDE_PX), slice(left, left + _SIDE_PX)


def _as_video(frames: NDArray[np.uint8]) -> Tensor:
    """(3, F, h, w) in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2).float() / 127.5 - 1


def _weights(boxes: Sequence[Box], sides: tuple[int, ...]) -> Tensor:
    """(1, h, w) of mean 1: faces count more than what is around them, the lower middle of a face most."""
    weight = torch.ones(sides[0], sides[1])
    for x0, y0, x1, y1 in boxes:
        width, height = x1 - x0, y1 - y0
        weight[_span(y0, y1), _span(x0, x1)] = FACE_WEIGHT
        mouth = _span(y0 + 0.62 * height, y1 + 0.04 * height), _span(x0 + 0.22 * width, x1 - 0.22 * width)
        weight[mouth] = MOUTH_WEIGHT
    return (weight / weight.mean())[None]


def _span(start: float, stop: float) -> slice:
    return slice(max(0, round(start)), max(0, round(stop)))


@torch.no_grad()
def _measure(vae: TinyVae, cuts: Sequence[Cut], chance: np.random.Generator) -> None:
    groups = torch.cat([_batch(cuts, 16, chance)[0] for _ in range(8)])
    latents = vae.encode_groups(groups)
    vae.mean.copy_(latents.mean((0, 2, 3)))
    vae.std.copy_(latents.std((0, 2, 3)))
