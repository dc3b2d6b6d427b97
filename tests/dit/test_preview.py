"""Rough pictures from latents: any linear coder is undone, and what is no picture does not blow up."""

import numpy as np
import torch
from skimage.data import astronaut

from engine.dit.preview import LatentPreview


class LinearCoder:
    """Latents that are a fixed linear function of the mean colour of each 8 x 8 px, as a VAE's nearly are."""

    def __init__(self, seed: int) -> None:
        made = torch.Generator().manual_seed(seed)
        self.weights, self.offset = torch.randn(16, 3, generator=made), torch.randn(16, generator=made)

    def encode(self, video_CFhw: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool2d(video_CFhw.transpose(0, 1), 8).transpose(0, 1)
        return torch.einsum("ck,kfhw->cfhw", self.weights, small) + self.offset[:, None, None, None]


def coded(coder: LinearCoder, picture: np.ndarray) -> torch.Tensor:
    return coder.encode(torch.from_numpy(picture).permute(2, 0, 1)[:, None].float() / 127.5 - 1)


def test_colours_come_back_for_another_picture_too():
    photo = np.ascontiguousarray(astronaut()[:256, :384])
    other = np.ascontiguousarray(astronaut()[200:456, 100:484])
    for seed in range(3):
        coder = LinearCoder(seed)
        rough = LatentPreview.of(coder, photo)(coded(coder, other).expand(-1, 5, -1, -1))
        means = other.reshape(32, 8, 48, 8, 3).mean(axis=(1, 3))
        assert rough.shape == (32, 48, 3)
        assert np.abs(rough - means).mean() < 1.5
        assert np.abs(rough - means).max() < 12


def test_a_flat_picture_gives_a_preview_that_stays_in_bounds():
    coder = LinearCoder(7)
    preview = LatentPreview.of(coder, np.full((64, 64, 3), 120, np.uint8))
    noise = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert np.abs(preview(coded(coder, np.full((64, 64, 3), 120, np.uint8))).astype(int) - 120).max() <= 2
    assert preview(noise).std() < 60
