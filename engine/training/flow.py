"""Flow matching: what is asked of the network at which noise level, and how much it counts.

The network predicts the velocity, noise minus clean, of (1 - sigma) * clean + sigma * noise. Noise levels are drawn
evenly from a table of 1000 shifted ones; the weight of each is a bell about the middle (specification, D.3: what the
reference's training left behind).

Letters: C channels · T latent frames · H W latent sides.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TABLE_LENGTH = 1000
Weighting = Literal["bell", "even"]


@dataclass(frozen=True)
class NoiseLevel:
    """``timestep`` = 1000 * ``sigma``, as the network is told; ``weight`` of the loss there."""

    sigma: float
    weight: float

    @property
    def timestep(self) -> float:
        return self.sigma * TABLE_LENGTH


class NoiseLevels:
    """The table of noise levels of a ``shift``, weighted by a ``weighting`` whose mean is 1."""

    def __init__(self, shift: float, weighting: Weighting = "bell") -> None:
        grid = np.linspace(1.0, 0.0, TABLE_LENGTH + 1)[:-1]
        self.sigmas: NDArray[np.float64] = shift * grid / (1 + (shift - 1) * grid)
        self.weights: NDArray[np.float64] = _bell(self.sigmas) if weighting == "bell" else np.ones(TABLE_LENGTH)

    def drawn(self, chance: np.random.Generator) -> NoiseLevel:
        index = int(chance.integers(TABLE_LENGTH))
        return NoiseLevel(float(self.sigmas[index]), float(self.weights[index]))


def _bell(sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    bell = np.exp(-2 * (sigmas - 0.5) ** 2)
    raised = bell - bell.min()
    return raised * (len(raised) / raised.sum())


def noised(clean_CTHW: Tensor, noise_CTHW: Tensor, sigma: float) -> Tensor:
    return (1 - sigma) * clean_CTHW + sigma * noise_CTHW


def velocity(clean_CTHW: Tensor, noise_CTHW: Tensor) -> Tensor:
    return noise_CTHW - clean_CTHW


def loss(predicted_CTHW: Tensor, wanted_CTHW: Tensor, weight: float, emphasis_THW: Tensor | None = None) -> Tensor:
    """Mean squared error, in float32. ``emphasis_THW``, or (H, W): how much more each place counts (None = alike
    everywhere); it is brought to mean 1, so that losses can be compared."""
    error = (predicted_CTHW.float() - wanted_CTHW.float()).square()
    if emphasis_THW is not None:
        error = error * (emphasis_THW / emphasis_THW.mean()).to(error)
    return weight * error.mean()


def motion(clean_CTHW: Tensor) -> Tensor:
    """(T, H, W): how far each place goes from what it mostly is, of mean 1; zeros where nothing moves."""
    away = (clean_CTHW - clean_CTHW.mean(1, keepdim=True)).square().mean(0)
    mean = away.mean()
    return away / mean if mean > 1e-6 else torch.zeros_like(away)


def noise_like(clean_CTHW: Tensor, seed: int) -> Tensor:
    """Standard normal, the same on every machine for a ``seed``."""
    generator = torch.Generator("cpu").manual_seed(seed % 2**63)
    return torch.randn(clean_CTHW.shape, generator=generator).to(clean_CTHW.device)
