"""A rough picture straight from latents, without the video decoder."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.dit.coders import VideoEncoder
from engine.dit.shapes import SPACE_STRIDE


@dataclass(frozen=True)
class LatentPreview:
    """Colours as a linear function of the latents at each place: ``weights`` (17, 3), the last row a constant.

    The function is fitted to the scene's own picture, so that it suits any VAE and needs no table of its own.
    """

    weights: Tensor

    @classmethod
    def of(cls, video: VideoEncoder, picture: NDArray[np.uint8]) -> "LatentPreview":
        """Fitted to ``picture`` (height, width, 3), sides in multiples of 8, as ``video`` encodes it."""
        frame_Chw = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float() / 127.5 - 1
        return cls.fit(video.encode(frame_Chw[:, None])[:, 0], picture)

    @classmethod
    def fit(cls, latents_CHW: Tensor, picture: NDArray[np.uint8]) -> "LatentPreview":
        """``latents_CHW`` (16, H, W) of ``picture`` (8 H, 8 W, 3) uint8."""
        channels, height, width = latents_CHW.shape
        small = torch.from_numpy(np.ascontiguousarray(picture)).float()
        small = small.reshape(height, SPACE_STRIDE, width, SPACE_STRIDE, 3).mean(dim=(1, 3)).reshape(-1, 3)
        known = torch.cat([latents_CHW.reshape(channels, -1).T.float(), torch.ones(height * width, 1)], dim=1)
        # Ridge: a flat picture says nothing about most directions, and those must not blow up later.
        ridge = 1e-2 * height * width * torch.eye(channels + 1)
        return cls(torch.linalg.solve(known.T @ known + ridge, known.T @ small))

    def __call__(self, latents_CTHW: Tensor) -> NDArray[np.uint8]:
        """The middle latent frame of (16, T, H, W) as (H, W, 3) uint8."""
        frame = latents_CTHW[:, latents_CTHW.shape[1] // 2].float()
        colours = torch.einsum("chw,ck->hwk", frame, self.weights[:-1]) + self.weights[-1]
        return colours.clamp(0, 255).round().to(torch.uint8).numpy()
