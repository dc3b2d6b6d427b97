"""What a render needs of its encoders: the published ones and the small network's alike.

Letters: C channels · F video frames · T latent frames · H W latent sides · h w sides in px · K layers · D width
· L tokens of a prompt · n tokens of a picture.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.media.types import Waveform


class PromptReader(Protocol):
    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """One (L, D) for each prompt."""
        ...


class PictureReader(Protocol):
    def __call__(self, rgb: NDArray[np.uint8]) -> Tensor:
        """(1, n, D) float32 on the CPU of a picture (h, w, 3)."""
        ...


class VoiceReader(Protocol):
    def features(self, voice: Waveform, frame_rate: float, first: int, num_frames: int) -> Tensor:
        """(F, 5, K, D) float32 of video frames ``first``.., each with its two neighbours on either side."""
        ...


class VideoEncoder(Protocol):
    def encode(self, video_CFhw: Tensor) -> Tensor:
        """(C, T, H, W) float32 on the CPU, normalised per channel, of (3, F, h, w) in -1..1; F = 4n+1."""
        ...


class VideoCodec(VideoEncoder, Protocol):
    def decode(self, latents_CTHW: Tensor) -> NDArray[np.uint8]:
        """(F, h, w, 3) of normalised latents."""
        ...

    def with_tiling(self, tiling: bool) -> Self:
        """The same codec, coding large pictures in tiles or not; this one must not be used any more."""
        ...

    def moved_to(self, device: torch.device | str) -> AbstractContextManager[None]:
        """Its weights elsewhere for the time of the block."""
        ...


@dataclass(frozen=True)
class Encoders:
    """``image`` loads the picture encoder, which is needed once per take and let go of then."""

    prompt: PromptReader
    image: Callable[[], PictureReader]
    speech: VoiceReader
    video: VideoCodec


@contextmanager
def moved(weights: nn.Module, device: torch.device | str, home: torch.device) -> Iterator[None]:
    """``weights`` on ``device`` for the time of the block, then at ``home`` again."""
    weights.to(device)
    try:
        yield
    finally:
        weights.to(home)
