"""The codec and the audio encoder that clips are encoded with: the published network's, or the small one's."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from engine.dit import catalogue
from engine.dit.shapes import LATENT_CHANNELS, SPACE_STRIDE, TIME_STRIDE
from engine.media.types import Waveform
from engine.messages import ROOT
from engine.training.samples import AudioEncoder, Codec, Frames

if TYPE_CHECKING:  # they bring diffusers and transformers, which take seconds to load
    from engine.dit.coders import VideoCodec, VoiceReader

PUBLISHED_CODEC, PUBLISHED_AUDIO = "wan2.1-vae", "wav2vec2-base-960h"
TINY_FOLDER, TINY_CODEC = ROOT / "assets" / "tiny", catalogue.TINY_CODEC.name
_LAYERS, _WIDTH = 12, 768
_RATE = 16_000


class FrameCodec:
    """A render's video codec as data preparation asks for it: over arrays, and with a name that shards remember."""

    channels, stride = LATENT_CHANNELS, (TIME_STRIDE, SPACE_STRIDE, SPACE_STRIDE)

    def __init__(self, name: str, coder: "VideoCodec") -> None:
        self.name, self._coder = name, coder

    def encode(self, frames: Frames) -> NDArray[np.float32]:
        video = torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2).float() / 127.5 - 1
        return self._coder.encode(video).numpy()

    def decode(self, latents: NDArray[np.float32]) -> Frames:
        return self._coder.decode(torch.from_numpy(latents))


class PublishedAudioEncoder:
    """wav2vec2's twelve layers, as a render hears them; each frame's own, not yet its window."""

    name, layers, channels = PUBLISHED_AUDIO, _LAYERS, _WIDTH

    def __init__(self, encoder: "VoiceReader") -> None:
        self._encoder = encoder

    def encode(self, waveform: NDArray[np.float32], frame_rate: float, num_frames: int) -> NDArray[np.float32]:
        from engine.dit.speech import FRAMES_AROUND

        windows = self._encoder.features(Waveform(waveform, _RATE), frame_rate, 0, num_frames)
        return windows[:, FRAMES_AROUND].numpy()


def published_missing() -> list[catalogue.MissingFile]:
    """What of the published encoders is not on this disk."""
    _, encoders, speech = catalogue.MODELS[_model()]
    wanted = ((encoders, catalogue.VAE), (speech, catalogue.WAV2VEC2))
    return [catalogue.MissingFile(part, file) for part, file in wanted if catalogue.locate(part, file) is None]


def _model() -> str:
    return next(iter(catalogue.MODELS))


def load_encoders(
    kind: Literal["published", "tiny"], folder: Path | None = None, device: str = "cpu"
) -> tuple[Codec, AudioEncoder]:
    """``folder``: of the small codec; None = the one in assets. Raises ModelMissing, UnusableCheckpoint."""
    if kind == "tiny":
        return _tiny(folder)
    missing = published_missing()
    if missing:
        raise catalogue.missing_error(_model(), missing)
    from engine.dit.encoders import VideoCoder, load_vae
    from engine.dit.speech import load_speech_encoder

    _, encoders, speech = catalogue.MODELS[_model()]
    vae = catalogue.locate(encoders, catalogue.VAE)
    wav2vec2 = catalogue.locate(speech, catalogue.WAV2VEC2)
    assert vae is not None
    assert wav2vec2 is not None
    codec = FrameCodec(PUBLISHED_CODEC, VideoCoder(load_vae(vae), device))
    return codec, PublishedAudioEncoder(load_speech_encoder(wav2vec2.parent, device))


def _tiny(folder: Path | None) -> tuple[Codec, AudioEncoder]:
    from engine.dit import tiny

    vae = tiny.load_vae((folder or TINY_FOLDER) / TINY_CODEC)
    return FrameCodec(tiny.CODEC_NAME, tiny.TinyVideoCoder(vae)), tiny.TinySpeechEncoder()
