"""The small network's video codec, trained from nothing on animated faces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.dit.shapes import TIME_STRIDE
from engine.dit.tiny import TinyVae, groups_of
from engine.training.made_data import Box, Cut

FACE_WEIGHT, MOUTH_WEIGHT = 2.0, 8.0
_FIRST_SHARE, _GREY_SHARE = 0.15, 0.03
_NOISE = 0.03  # of the latents' spread, so that near latents mean near pictures
_PULL = 1e-4
_LEARNING_RATE = 1.5e-3


@dataclass(frozen=True)
class CodecStep:
    step: int
    error: float
    """Mean absolute error in 0..255, weighted."""


def train_codec(cuts: Sequence[Cut], steps: int, batch_size: int, seed: int) -> Iterator[CodecStep | TinyVae]:
    """A CodecStep for each step, then the codec with its latents' mean and spread measured."""
    torch.manual_seed(seed)
    chance = np.random.default_rng(seed)
    vae = TinyVae()
    optimiser = torch.optim.AdamW(vae.parameters(), _LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, steps, pct_start=min(0.1, 10 / steps))
    for step in range(steps):
        groups, weight = _batch(cuts, batch_size, chance)
        latents = vae.encode_groups(groups)
        spread = latents.detach().std()
        decoded = vae.decode_groups(latents + _NOISE * spread * torch.randn_like(latents))
        error = _error(decoded, groups, weight)
        optimiser.zero_grad()
        (error + _PULL * latents.square().mean()).backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        yield CodecStep(step + 1, float(error.detach()) * 127.5)
    _measure(vae, cuts, chance)
    yield vae


def _error(decoded: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Absolute, of the pixels and of the steps between neighbours: those keep lips sharp."""
    difference = decoded - wanted
    edges = (difference[..., 1:] - difference[..., :-1]).abs() * weight[..., 1:]
    rows = (difference[..., 1:, :] - difference[..., :-1, :]).abs() * weight[..., 1:, :]
    return (difference.abs() * weight).mean() + 0.5 * (edges.mean() + rows.mean())


def _batch(cuts: Sequence[Cut], batch_size: int, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(B, 12, h, w) groups of four frames in -1..1, and (B, 1, h, w) how much each pixel counts."""
    groups, weights = [], []
    for _ in range(batch_size):
        cut = cuts[int(chance.integers(len(cuts)))]
        at = 0 if chance.random() < _FIRST_SHARE else int(chance.integers(1, len(cut.whole) - TIME_STRIDE + 1))
        frames = cut.whole[at : at + (TIME_STRIDE if at else 1)]
        group = groups_of(_as_video(frames))[0] if not at else _as_video(frames).flatten(0, 1)
        groups.append(torch.zeros_like(group) if chance.random() < _GREY_SHARE else group)
        weights.append(_weights(cut.boxes_px, frames.shape[1:3]))
    return torch.stack(groups), torch.stack(weights)


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
    vae.mean.copy_(latents.mean((0, 2, 3)))  # type: ignore[operator]
    vae.std.copy_(latents.std((0, 2, 3)))  # type: ignore[operator]


def reconstruction_error(vae_error: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> float:
    """Peak signal to noise in dB."""
    mse = float(np.mean((vae_error.astype(np.float64) - wanted.astype(np.float64)) ** 2))
    return float(10 * np.log10(255**2 / max(mse, 1e-9)))
