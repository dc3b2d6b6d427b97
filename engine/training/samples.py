"""What data preparation hands to training: prepared videos of one or two people, encoded once.

Letters: F video frames · T latent frames · C channels · K layers of the audio encoder · D their width · H W pixels of
the stored frames · h w sides of the latents. Boxes are x0 y0 x1 y1 in pixels of the picture that they belong to.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Person:
    """One talking person. ``box_px`` (4,) int: the whole video's box, around all of ``boxes_px`` (F, 4) int;
    ``audio_features`` (F, K, D) float16: what the audio encoder gives for every video frame, before windowing."""

    box_px: NDArray[np.int64]
    boxes_px: NDArray[np.int64]
    audio_features: NDArray[np.float16]
    sync_confidence: float


@dataclass(frozen=True, eq=False)
class Half:
    """The least window around a single person that has half the frame's width, at random enlarged, brought to
    (H, W / 2): what pairing sets side by side. ``latents`` (C, T, h, w / 2) float16; ``first_frame`` (H, W / 2, 3);
    ``box_px`` (4,) int: the whole video's face box in this window."""

    latents: NDArray[np.float16]
    first_frame: Frames
    box_px: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Clip:
    """One prepared video of 4n+1 frames. ``people``: one in stage 1, two in stage 2, left to right; ``latents``
    (C, T, h, w) float16 of the whole frames, normalised as the network takes them; ``first_frame`` (H, W, 3);
    ``halves``: several windows around the person, in stage 1 only."""

    name: str
    frame_rate: float
    num_frames: int
    height: int
    width: int
    prompt: str
    people: tuple[Person, ...]
    latents: NDArray[np.float16]
    first_frame: Frames
    halves: tuple[Half, ...] = ()


class Codec(Protocol):
    """Video to latents and back. ``stride``: video frames, rows and columns behind one latent (the first frame stays
    alone); latents are normalised per channel."""

    name: str
    stride: tuple[int, int, int]
    channels: int

    def encode(self, frames: Frames) -> NDArray[np.float32]:
        """(C, T, h, w) of (F, H, W, 3), F = 4n+1."""
        ...

    def decode(self, latents: NDArray[np.float32]) -> Frames:
        """(F, H, W, 3) of (C, T, h, w)."""
        ...


class AudioEncoder(Protocol):
    """A voice as features on the video's clock. ``layers`` K and ``channels`` D of what it gives."""

    name: str
    layers: int
    channels: int

    def encode(self, waveform: NDArray[np.float32], frame_rate: float, num_frames: int) -> NDArray[np.float32]:
        """(num_frames, K, D) of a mono voice at 16 kHz; past its end: silence."""
        ...
