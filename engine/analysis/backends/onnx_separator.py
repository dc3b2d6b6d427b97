"""A two-voice separation model, where one is on disk: any ONNX file that takes (1, num_samples) 16 kHz sound and gives
(1, 2, num_samples).

Such models do not know whose voice comes first: the order is found by comparing each output's embedding with the
speakers' own speech.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.resampling import at_voice_rate
from engine.analysis.voice_protocols import VOICE_RATE, VoiceSeparator
from engine.carriers import models_dir
from engine.errors import ModelMissing
from engine.media.types import Waveform

MODEL = ("separation", "two_voices.onnx")
EMBEDDED_S = 8.0


@dataclass(frozen=True)
class OnnxSeparator:
    session: Any

    def __call__(
        self, mixture: NDArray[np.float32], examples: list[NDArray[np.float32]], sample_rate: int
    ) -> NDArray[np.float32]:
        """Two voices in the order of ``examples``; with more than two speakers the mixture is shared equally."""
        if len(examples) != 2:
            return np.repeat(mixture[None] / len(examples), len(examples), axis=0)
        sound = at_voice_rate(Waveform(mixture, sample_rate))
        outputs = self.session.run(None, {self.session.get_inputs()[0].name: sound[None]})[0][0]
        voices = [at_voice_rate(Waveform(example, sample_rate)) for example in examples]
        if _likeness(outputs, voices) < _likeness(outputs[::-1], voices):
            outputs = outputs[::-1]
        return np.stack([_back(output, sample_rate, len(mixture)) for output in outputs])


def _likeness(outputs: NDArray[np.float32], voices: list[NDArray[np.float32]]) -> float:
    from engine.analysis.backends.campplus import load_embedder

    embed, longest = load_embedder(), round(EMBEDDED_S * VOICE_RATE)
    pairs = zip(outputs, voices, strict=True)
    return float(sum(embed(output[None, :longest])[0] @ embed(voice[None, :longest])[0] for output, voice in pairs))


def _back(sound: NDArray[np.float32], sample_rate: int, num_samples: int) -> NDArray[np.float32]:
    from math import gcd

    from scipy.signal import resample_poly

    divisor = gcd(sample_rate, VOICE_RATE)
    values = resample_poly(sound, sample_rate // divisor, VOICE_RATE // divisor).astype(np.float32)
    return np.pad(values[:num_samples], (0, max(0, num_samples - len(values))))


def load_separator() -> VoiceSeparator | None:
    """The model in models_dir()/separation, None where there is none. Raises ModelMissing when it cannot be read."""
    path = models_dir().joinpath(*MODEL)
    if not path.is_file():
        return None
    import onnxruntime

    try:
        return OnnxSeparator(onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]))
    except Exception as error:  # onnxruntime raises kinds of its own
        raise ModelMissing(f"The separation model {path.name} cannot be read.", f"Remove or replace {path}.") from error
