"""pyannote.audio's own diarization pipeline, where its weights are on disk or may be fetched.

Imported lazily: pyannote.audio alone takes 17 s to import on two cores.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.voice_protocols import VOICE_RATE, Progress, SpokenSpan
from engine.carriers import models_dir
from engine.errors import ModelMissing

CHECKPOINTS = ("speaker-diarization-community-1", "speaker-diarization-3.1")
TOKEN_REMEDY = (
    "Accept the conditions of pyannote/{name} on Hugging Face, make a read token there, and give it as HF_TOKEN; "
    "or put the downloaded folder into {folder}. Without it the embedded diarizer is used."
)


def local_weights() -> str | Path | None:
    """The best pipeline that loads without the network: a folder in models_dir(), or what the hub's cache holds."""
    for name in CHECKPOINTS:
        folder = models_dir() / name
        if (folder / "config.yaml").is_file():
            return folder
    return next((f"pyannote/{name}" for name in CHECKPOINTS if _cached(f"pyannote/{name}")), None)


def _cached(repository: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, "config.yaml"), str)


@dataclass(frozen=True)
class PyannotePipeline:
    """``pipeline`` is a pyannote.audio SpeakerDiarization, already instantiated."""

    pipeline: Any

    def __call__(
        self, sound: NDArray[np.float32], num_speakers: int | None = None, on_progress: Progress | None = None
    ) -> list[SpokenSpan]:
        """Spans of ``sound``, (num_samples,) mono 16 kHz; in memory, so no audio decoder is needed."""
        import torch

        waveform = torch.from_numpy(np.array(sound, np.float32))[None]
        hook = _hook(on_progress) if on_progress else None
        recording = {"waveform": waveform, "sample_rate": VOICE_RATE}
        output = self.pipeline(recording, num_speakers=num_speakers, hook=hook)
        annotation = getattr(output, "speaker_diarization", output)
        voices = {label: number for number, label in enumerate(annotation.labels())}
        turns = annotation.itertracks(yield_label=True)
        return [SpokenSpan(turn.start, turn.end, voices[label]) for turn, _, label in turns]


def _hook(on_progress: Progress) -> Any:
    steps = {"segmentation": (0, "Listening"), "embeddings": (1, "Telling the voices apart")}

    def tell(step: str, _artifact: Any, completed: int = 0, total: int = 0, **_: Any) -> None:
        if step in steps and total:
            half, text = steps[step]
            on_progress(half * total + completed, 2 * total, text)

    return tell


def load_pipeline(token: str | None = None) -> PyannotePipeline:
    """The pipeline on disk, else the newest one fetched with ``token`` or HF_TOKEN. Raises ModelMissing."""
    token = token or os.environ.get("HF_TOKEN")
    source = local_weights()
    if source is None and not token:
        raise _missing("is not on this computer")
    source = source or f"pyannote/{CHECKPOINTS[0]}"
    from pyannote.audio import Pipeline

    try:
        pipeline = Pipeline.from_pretrained(source, token=token)
    except Exception as error:  # the hub, the file system and pickles each raise kinds of their own
        raise _missing(f"could not be loaded ({type(error).__name__}: {str(error)[:200]})") from error
    if pipeline is None:
        raise _missing("could not be fetched: the token has no access to it")
    return PyannotePipeline(pipeline)


def _missing(what: str) -> ModelMissing:
    remedy = TOKEN_REMEDY.format(name=CHECKPOINTS[0], folder=models_dir())
    return ModelMissing(f"pyannote's diarization pipeline {what}.", remedy)
