"""Embeddings of stretches of the recording, batched by length.

The first pass over a new length is slow (kernels are built for it), so sounds are wrapped round to a few fixed lengths.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.analysis.backends.campplus import EMBEDDING_SIZE, VoiceEmbedder
from engine.analysis.backends.segmentation import FRAME_STEP_S, SAMPLE_RATE
from engine.analysis.resampling import LevelledSound
from engine.analysis.voices.activity import Report, frame_time_s
from engine.analysis.voices.pieces import Stretch

AT_ONCE = 16
LENGTH_STEP_S = 0.25
LONG_STEP_S = 1.0

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class WindowSet:
    """The windows of a recording and their (W, 192) embeddings."""

    windows: list[Stretch]
    vectors: Vectors


def rounded_length(num_samples: int) -> int:
    """The next fixed length: steps of 0.25 s up to 2 s, of 1 s above."""
    step_s = LENGTH_STEP_S if num_samples <= 2 * SAMPLE_RATE else LONG_STEP_S
    step = round(step_s * SAMPLE_RATE)
    return step * max(1, -(-num_samples // step))


@dataclass(frozen=True)
class FrameEmbedder:
    """Embeds the sound of given frames of one recording: ``sound`` is mono 16 kHz."""

    sound: LevelledSound
    model: VoiceEmbedder

    def sound_of(self, frames: NDArray[np.intp]) -> NDArray[np.float32]:
        """The sound of ``frames`` put together, wrapped round to a fixed length."""
        gaps = np.flatnonzero(np.diff(frames) > 1) + 1
        parts = [self._between(run[0], run[-1] + 1) for run in np.split(frames, gaps) if len(run)]
        joined = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        if not len(joined):
            return np.zeros(rounded_length(1), np.float32)
        return np.resize(joined, rounded_length(len(joined)))

    def _between(self, first: int, last: int) -> NDArray[np.float32]:
        start, end = (round(frame_time_s(frame) * SAMPLE_RATE) for frame in (first, last))
        return self.sound[max(0, start) : end]

    def embed_all(self, frame_sets: Sequence[NDArray[np.intp]], report: Report | None = None) -> NDArray[np.float32]:
        """(len(frame_sets), 192) vectors of length 1, one per set of frames."""
        by_length = defaultdict(list)
        for index, frames in enumerate(frame_sets):
            by_length[rounded_length(round(len(frames) * FRAME_STEP_S * SAMPLE_RATE))].append(index)
        vectors = np.zeros((len(frame_sets), EMBEDDING_SIZE), np.float32)
        done = 0
        for length in sorted(by_length):
            rows = by_length[length]
            for first in range(0, len(rows), AT_ONCE):
                batch = rows[first : first + AT_ONCE]
                sounds = [np.resize(self.sound_of(frame_sets[row]), length) for row in batch]
                vectors[batch] = self.model(np.stack(sounds))
                done += len(batch)
                if report:
                    report(done, len(frame_sets))
        return vectors

    def embed(self, frames: NDArray[np.intp]) -> NDArray[np.float32]:
        """(192,) vector of the sound of ``frames``."""
        return self.embed_all([frames])[0]
