"""Sizes of a video in pixels, latents and tokens, and the only arithmetic between them.

The Wan VAE halves time twice (the first frame stays alone) and each side three times; the transformer takes 2 x 2
latents as one token.
"""

import math
from dataclasses import dataclass

TIME_STRIDE, SPACE_STRIDE, PATCH = 4, 8, 2
LATENT_CHANNELS, MASK_CHANNELS = 16, 4
TOKEN_PX = SPACE_STRIDE * PATCH  # side of the square of pixels behind one token
MAX_LATENT_FRAMES = 1024  # the rotary table of the transformer ends there


@dataclass(frozen=True)
class LatentShape:
    """(frames, height, width) of the latents; the transformer's tokens run frame by frame, row by row."""

    num_frames: int
    height: int
    width: int

    @property
    def token_grid(self) -> tuple[int, int, int]:
        return self.num_frames, self.height // PATCH, self.width // PATCH

    @property
    def tokens_per_frame(self) -> int:
        return (self.height // PATCH) * (self.width // PATCH)

    @property
    def num_tokens(self) -> int:
        return self.num_frames * self.tokens_per_frame


@dataclass(frozen=True)
class VideoShape:
    """A window as the network sees it: ``num_frames`` = 4n+1, sides in px that are multiples of 16.

    Raises ValueError for anything else.
    """

    num_frames: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.num_frames < 1 or (self.num_frames - 1) % TIME_STRIDE:
            raise ValueError(f"a window has 4n+1 frames, not {self.num_frames}")
        if min(self.height, self.width) < TOKEN_PX or self.height % TOKEN_PX or self.width % TOKEN_PX:
            raise ValueError(f"sides are multiples of {TOKEN_PX} px, not {self.width} x {self.height}")
        if self.latent.num_frames > MAX_LATENT_FRAMES:
            raise ValueError(f"at most {TIME_STRIDE * (MAX_LATENT_FRAMES - 1) + 1} frames, not {self.num_frames}")

    @property
    def latent(self) -> LatentShape:
        return LatentShape(
            latent_frames(self.num_frames), self.height // SPACE_STRIDE, self.width // SPACE_STRIDE
        )  # fmt: skip


def latent_frames(num_frames: int) -> int:
    """Latent frames that hold ``num_frames`` video frames (4n+1)."""
    return (num_frames - 1) // TIME_STRIDE + 1


def whole_windows_frames(num_frames: int) -> int:
    """The least 4n+1 that holds ``num_frames``: nothing of the talk is cut off (the reference rounds down)."""
    return TIME_STRIDE * math.ceil(max(num_frames - 1, 0) / TIME_STRIDE) + 1


def nearest_size(width: int, height: int, max_area: int | None = None) -> tuple[int, int]:
    """(width, height) in multiples of 16 px nearest to a picture's, shrunk to ``max_area`` px² where that is given."""
    scale = min(1.0, math.sqrt(max_area / (width * height))) if max_area else 1.0
    return tuple(max(TOKEN_PX, round(side * scale / TOKEN_PX) * TOKEN_PX) for side in (width, height))  # type: ignore[return-value]
