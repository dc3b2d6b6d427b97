"""Voices without the music and noise around them, where the network for it is on disk: Kim_Vocal_2, an MDX-Net in ONNX.

Network: Kim et al., "KUIELab-MDX-Net", 2021: spectrograms of stereo at 44.1 kHz in, those of the voices out. As in the
paper's own preparation the sound comes at 16 kHz, so the upper half of the spectrograms is empty.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.resampling import room_for
from engine.analysis.voice_protocols import VOICE_RATE
from engine.carriers import models_dir
from engine.errors import UnusableCheckpoint
from engine.media.types import Waveform

FILE = ("training", "Kim_Vocal_2.onnx")
NAME = "Kim_Vocal_2"
RATE = 44_100
N_FFT, HOP = 7680, 1024
BINS, FRAMES = 3072, 256
_SHAPE = [4, BINS, FRAMES]  # real and imaginary part, left and right
_LOWEST = 3  # bins below it are not heard
_COMPENSATION = 1.009  # by so much the network's voices are too quiet
_CHUNK = HOP * (FRAMES - 1)
_UP, _DOWN = RATE // gcd(RATE, VOICE_RATE), VOICE_RATE // gcd(RATE, VOICE_RATE)
_STEP = 560 * _DOWN  # 5.6 s at 16 kHz; with its margins a little more than a chunk
_MARGIN = 20 * _DOWN


@dataclass(frozen=True)
class VoiceIsolator:
    """Mono 16 kHz sound as its voices alone, as long and in time."""

    session: Any

    def __call__(self, sound: Waveform) -> Iterator[float | Waveform]:
        """How much is done, 0..1, after every 5.6 s of sound; the voices come last."""
        from scipy.signal import resample_poly

        num_samples = len(sound.samples)
        voices = room_for(num_samples, sound.duration_s)
        for start in range(0, num_samples, _STEP):
            part = _padded(sound.samples, start - _MARGIN, start + _STEP + _MARGIN)
            wide = resample_poly(part, _UP, _DOWN).astype(np.float32)
            before = (len(wide) - _CHUNK) // 2
            heard = np.zeros_like(wide)
            heard[before : before + _CHUNK] = self._voices(wide[before : before + _CHUNK])
            back = resample_poly(heard, _DOWN, _UP)[_MARGIN : _MARGIN + _STEP]
            voices[start : start + _STEP] = back[: num_samples - start]
            sound.let_go()
            yield min(1.0, (start + _STEP) / num_samples)
        yield Waveform(voices, sound.sample_rate)

    def _voices(self, chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        """(chunk,) of (chunk,) at 44.1 kHz."""
        import torch

        window = torch.hann_window(N_FFT)
        stereo = torch.from_numpy(chunk).expand(2, -1)
        spectra = torch.view_as_real(torch.stft(stereo, N_FFT, HOP, window=window, return_complex=True))
        planes = spectra.permute(0, 3, 1, 2).flatten(0, 1)[None, :, :BINS].clone()
        planes[:, :, :_LOWEST] = 0
        found = self.session.run(None, {self.session.get_inputs()[0].name: planes.numpy()})[0]
        parts = torch.from_numpy(found[0]).unflatten(0, (2, 2)).permute(0, 2, 3, 1)
        parts = torch.nn.functional.pad(parts, (0, 0, 0, 0, 0, N_FFT // 2 + 1 - BINS))
        voices = torch.istft(torch.view_as_complex(parts.contiguous()), N_FFT, HOP, window=window, length=len(chunk))
        return (voices.mean(0) * _COMPENSATION).numpy()


def _padded(samples: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
    inside = np.asarray(samples[max(0, start) : stop], np.float32)
    return np.pad(inside, (max(0, -start), stop - max(0, start) - len(inside)))


def isolator_path() -> Path | None:
    """None where the network is not on disk."""
    path = models_dir().joinpath(*FILE)
    return path if path.is_file() else None


def load_isolator(path: Path) -> VoiceIsolator:
    """Raises UnusableCheckpoint."""
    import onnxruntime

    remedy = f"Replace or remove {path}."
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises kinds of its own
        raise UnusableCheckpoint(f"The network {path.name} cannot be read.", remedy) from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or list(inputs[0].shape[1:]) != _SHAPE:
        found = ", ".join(str(each.shape) for each in inputs)
        raise UnusableCheckpoint(f"{path.name} is another network: it takes {found}, not [1, 4, 3072, 256].", remedy)
    return VoiceIsolator(session)
