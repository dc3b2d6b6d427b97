"""The small network's own encoders, with the interfaces of the published ones, so that the whole recipe runs on them.

Only the video codec has weights. Voices are heard as mel bands, pictures seen as a few coarse patches, prompts as
hashed words: enough for faces, voices and who is who, and for nothing else.

Letters: B batch · C channels · F video frames · T latent frames · h w pixels · H W latent sides · K slices of a video
frame · D mel bands · N samples.
"""

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct
from torch import Tensor, nn
from torch.nn import functional

from engine.dit.coders import Encoders, moved
from engine.dit.shapes import LATENT_CHANNELS, TIME_STRIDE
from engine.dit.speech import FRAMES_AROUND
from engine.dit.speech_files import SAMPLE_RATE
from engine.dit.weight_files import read_weights
from engine.errors import UnusableCheckpoint
from engine.media.types import Waveform

Frames = NDArray[np.uint8]

SLICES, BANDS = 2, 32
AUDIO_NAME = "tiny-mel-1"
CODEC_NAME = "tiny-codec-2"
MOTION_CHANNELS = 6
WIDTHS = (32, 56, 96)
_MOTION_GAIN = 4.0
_FFT = 512
_QUIETEST = 4.0  # decades below the voice's level that can still be heard
_SILENT_POWER = 1e-8
_IMAGE_PX, _IMAGE_PATCH_PX = 32, 8
IMAGE_DIM = 3 * _IMAGE_PATCH_PX**2
TEXT_TOKENS, TEXT_DIM = 8, 16


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.silu(self.first(functional.silu(self.norm(x)))))


class TinyVae(nn.Module):
    """Four video frames at a time become one latent frame; the first frame of a video stands for four of itself.

    The four go through a cosine transform over time. Their mean becomes the first channels of a latent, what moves
    within them the last: small as it is in pixels, brought to the spread of the others it weighs as much, so that a
    network learns it. Without that a latent holds the mean of four mouths.

    ``mean``, ``std`` (C,): of the latents, by which they are normalised.
    """

    mean: Tensor
    std: Tensor
    _analysis: Tensor
    _synthesis: Tensor

    def __init__(self, widths: tuple[int, int, int] = WIDTHS) -> None:
        super().__init__()
        fewer = tuple(max(8, width * 3 // 4 // 8 * 8) for width in widths)
        self.appearance = _encoder(3, fewer, LATENT_CHANNELS - MOTION_CHANNELS)
        self.motion = _encoder(3 * (TIME_STRIDE - 1), widths, MOTION_CHANNELS)
        self.decoder = _decoder(LATENT_CHANNELS, widths, 3 * TIME_STRIDE)
        self.register_buffer("mean", torch.zeros(LATENT_CHANNELS))
        self.register_buffer("std", torch.ones(LATENT_CHANNELS))
        cosines = torch.from_numpy(dct(np.eye(TIME_STRIDE), axis=0, norm="ortho")).float()
        gains = torch.tensor([0.5] + [0.5 * _MOTION_GAIN] * (TIME_STRIDE - 1))[:, None]
        self.register_buffer("_analysis", cosines * gains, persistent=False)
        self.register_buffer("_synthesis", (cosines / gains).T.contiguous(), persistent=False)

    def encode_groups(self, groups_B12hw: Tensor) -> Tensor:
        """(B, C, H, W), not normalised."""
        over_time = _mixed(groups_B12hw, self._analysis)
        appearance = self.appearance(over_time[:, :, 0])
        return torch.cat([appearance, self.motion(over_time[:, :, 1:].flatten(1, 2))], dim=1)

    def decode_groups(self, latents_BCHW: Tensor) -> Tensor:
        return _mixed(self.decoder(latents_BCHW), self._synthesis).flatten(1, 2)


def _mixed(groups_B12hw: Tensor, matrix: Tensor) -> Tensor:
    """(B, 3, 4, h, w): a matrix applied over the four frames."""
    return torch.einsum("kt,bcthw->bckhw", matrix, groups_B12hw.unflatten(1, (3, TIME_STRIDE)))


def _encoder(planes: int, widths: tuple[int, ...], channels: int) -> nn.Sequential:
    small, middle, large = widths
    return nn.Sequential(
        nn.PixelUnshuffle(2),
        nn.Conv2d(4 * planes, small, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(small, middle, 4, stride=2, padding=1),
        _Block(middle),
        nn.Conv2d(middle, large, 4, stride=2, padding=1),
        _Block(large),
        nn.Conv2d(large, channels, 3, padding=1),
    )


def _decoder(channels: int, widths: tuple[int, ...], planes: int) -> nn.Sequential:
    small, middle, large = widths
    return nn.Sequential(
        nn.Conv2d(channels, large, 3, padding=1),
        _Block(large),
        _Block(large),
        nn.Conv2d(large, 4 * middle, 3, padding=1),
        nn.PixelShuffle(2),
        _Block(middle),
        nn.Conv2d(middle, 4 * small, 3, padding=1),
        nn.PixelShuffle(2),
        nn.SiLU(),
        nn.Conv2d(small, 4 * planes, 3, padding=1),
        nn.PixelShuffle(2),
    )


def groups_of(video_3Fhw: Tensor) -> Tensor:
    """(T, 12, h, w): the first frame four times, then every four frames."""
    first = video_3Fhw[:, :1].expand(-1, TIME_STRIDE, -1, -1)
    frames = torch.cat([first, video_3Fhw[:, 1:]], dim=1)
    return frames.unflatten(1, (-1, TIME_STRIDE)).permute(1, 0, 2, 3, 4).flatten(1, 2)


class TinyVideoCoder:
    """The small codec as a VideoCodec."""

    def __init__(self, vae: TinyVae, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._vae = vae.eval().requires_grad_(False).to(self.device)
        shape = (1, -1, 1, 1)
        self._mean, self._std = vae.mean.view(shape), vae.std.view(shape)

    def with_tiling(self, tiling: bool) -> Self:
        return self

    def moved_to(self, device: torch.device | str) -> AbstractContextManager[None]:
        return moved(self._vae, device, self.device)

    @torch.no_grad()
    def encode(self, video_3Fhw: Tensor) -> Tensor:
        """(C, T, H, W) float32 on the CPU of (3, F, h, w) in -1..1; F = 4n+1."""
        # Mostly the same grey again and again: what is not known yet.
        groups, of_group = groups_of(video_3Fhw.to(self.device)).unique_consecutive(dim=0, return_inverse=True)
        latents = self._vae.encode_groups(groups)[of_group]
        return ((latents - self._mean) / self._std).transpose(0, 1).cpu()

    @torch.no_grad()
    def decode(self, latents_CTHW: Tensor) -> Frames:
        """(F, h, w, 3) of normalised latents (C, T, H, W)."""
        latents = latents_CTHW.transpose(0, 1).to(self.device, torch.float32) * self._std + self._mean
        groups = self._vae.decode_groups(latents).unflatten(1, (3, TIME_STRIDE)).permute(1, 0, 2, 3, 4)
        video = torch.cat([groups[:, :1].mean(2), groups[:, 1:].flatten(1, 2)], dim=1)
        return ((video + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()


class TinySpeechEncoder:
    """Mel bands of the two halves of every video frame, in decades below the voice's own level, brought to -1..1.

    The interface of ``engine.dit.speech.SpeechEncoder``, and an AudioEncoder for data preparation.
    """

    name, layers, channels = AUDIO_NAME, SLICES, BANDS

    def encode(self, waveform: NDArray[np.float32], frame_rate: float, num_frames: int) -> NDArray[np.float32]:
        """(F, K, D) from the start of ``waveform``."""
        return self._frames(waveform, frame_rate, np.arange(num_frames))

    def features(self, voice: Waveform, frame_rate: float, first: int, num_frames: int) -> Tensor:
        """(F, 5, K, D) of video frames ``first``..; before the first frame: that frame again."""
        around = np.arange(first, first + num_frames)[:, None] + np.arange(-FRAMES_AROUND, FRAMES_AROUND + 1)
        around = np.maximum(around, 0)
        wanted = np.arange(around.min(), around.max() + 1)
        frames = self._frames(np.asarray(voice.samples, np.float32), frame_rate, wanted)
        return torch.from_numpy(frames)[torch.from_numpy(around - wanted[0])]

    def _frames(
        self, samples: NDArray[np.float32], frame_rate: float, wanted: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        level = _level(samples)
        if level == 0:
            return np.full((len(wanted), SLICES, BANDS), -1, np.float32)
        middles_s = (wanted[:, None] + (np.arange(SLICES) + 0.5) / SLICES) / frame_rate
        starts = np.rint(middles_s * SAMPLE_RATE).astype(np.int64) - _FFT // 2
        at = starts[..., None] + np.arange(_FFT)
        inside = (at >= 0) & (at < len(samples))
        pieces = np.where(inside, samples[np.clip(at, 0, len(samples) - 1)], 0) * np.hanning(_FFT)
        power = np.abs(np.fft.rfft(pieces)) ** 2 @ _mel_bands() / _FFT
        decades = np.log10(np.maximum(power / level, 1e-9))
        return (np.clip(decades + _QUIETEST, 0, _QUIETEST + 1) / _QUIETEST * 2 - 1).astype(np.float32)


def _level(samples: NDArray[np.float32]) -> float:
    """Mean square of the louder stretches of a voice; 0 for silence."""
    step = SAMPLE_RATE // 25
    if len(samples) < step:
        return 0.0
    powers = np.square(samples[: len(samples) // step * step], dtype=np.float64).reshape(-1, step).mean(1)
    level = float(np.percentile(powers, 90))
    return level if level > _SILENT_POWER else float(powers.max()) if powers.max() > _SILENT_POWER else 0.0


@lru_cache(maxsize=1)
def _mel_bands() -> NDArray[np.float64]:
    """(bins, D) triangles from 80 Hz to 7.6 kHz, each of area 1."""

    def mel(hertz: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(2595 * np.log10(1 + hertz / 700), np.float64)

    lowest, highest = mel(np.array([80.0, 7600.0]))
    corners = np.linspace(lowest, highest, BANDS + 2)
    bins = mel(np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE))[:, None]
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles / np.maximum(triangles.sum(0), 1e-9)


class TinyImageEncoder:
    """A picture as 16 coarse patches."""

    def __call__(self, rgb: Frames) -> Tensor:
        """(1, 16, 192) float32."""
        picture = torch.tensor(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1
        small = functional.interpolate(picture, (_IMAGE_PX, _IMAGE_PX), mode="bilinear", antialias=True)
        return functional.unfold(small, _IMAGE_PATCH_PX, stride=_IMAGE_PATCH_PX).transpose(1, 2).contiguous()


class TinyPromptEncoder:
    """A prompt as eight tokens: words, hashed, told apart by their place modulo eight."""

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        return [self(prompt) for prompt in prompts]

    def __call__(self, prompt: str) -> Tensor:
        """(8, 16) float32."""
        tokens = torch.zeros(TEXT_TOKENS, TEXT_DIM)
        for place, word in enumerate(prompt.lower().split()):
            digest = hashlib.sha256(word.encode()).digest()[:TEXT_DIM]
            tokens[place % TEXT_TOKENS] += torch.tensor([byte / 127.5 - 1 for byte in digest])
        return tokens / max(1.0, (len(prompt.split()) / TEXT_TOKENS) ** 0.5)


def load_vae(path: Path) -> TinyVae:
    """Raises ModelMissing or UnusableCheckpoint."""
    vae, weights = TinyVae(), read_weights(path)
    try:
        vae.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    except RuntimeError as error:
        raise UnusableCheckpoint(
            f"{path.name} does not hold the small codec.", "Train it with `python launch.py train tiny`."
        ) from error
    return vae


def load_tiny_encoders(codec: Path, device: torch.device | str = "cpu") -> Encoders:
    """Raises ModelMissing or UnusableCheckpoint."""
    video = TinyVideoCoder(load_vae(codec), device)
    return Encoders(TinyPromptEncoder(), TinyImageEncoder, TinySpeechEncoder(), video)
