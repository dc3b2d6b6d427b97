"""The embedded diarizer: segmentation-3.0 and CAM++ joined by the steps of this folder."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.analysis.backends.campplus import VoiceEmbedder, load_embedder
from engine.analysis.backends.segmentation import FRAME_STEP_S, SAMPLE_RATE, SegmentationModel, load_segmentation
from engine.analysis.resampling import levelled
from engine.analysis.voice_protocols import Progress, SpokenSpan
from engine.analysis.voices.activity import frame_time_s, measure_activity
from engine.analysis.voices.assignment import assign_frames
from engine.analysis.voices.clusters import ClusterRules, Recording, find_voices
from engine.analysis.voices.decoding import Speech
from engine.analysis.voices.embedding import FrameEmbedder, WindowSet
from engine.analysis.voices.pieces import (
    SHORTEST_PAUSE_S,
    Stretch,
    embedding_windows,
    speech_mask,
    speech_pieces,
    stretches,
)

SHORTEST_TURN_S = 0.08
ENOUGH_ALONE_S = 0.3


def _quiet(done: int, total: int, text: str) -> None:
    pass


@dataclass(frozen=True)
class EmbeddedDiarizer:
    """Who speaks when, with weights that arrive inside a package; 0.1 s of computing per second on two cores."""

    segmentation: SegmentationModel = field(default_factory=load_segmentation)
    embedder: VoiceEmbedder = field(default_factory=load_embedder)
    rules: ClusterRules = field(default_factory=ClusterRules)

    def __call__(
        self, sound: NDArray[np.float32], num_speakers: int | None = None, on_progress: Progress | None = None
    ) -> list[SpokenSpan]:
        """Spans of ``sound``, (num_samples,) mono 16 kHz, sorted by start; empty where nobody speaks."""
        tell = on_progress or _quiet
        heard = levelled(sound)
        activity = measure_activity(heard, self.segmentation, lambda done, of: tell(done, 2 * of, "Listening"))
        mask = speech_mask(activity)
        if not mask.any():
            return []
        pieces = speech_pieces(activity, mask)
        frame_embedder = FrameEmbedder(heard, self.embedder)
        windows = embedding_windows(pieces)
        frame_sets = [_frames_alone(window, activity.alone) for window in windows]
        compare = lambda done, of: tell(of + done, 2 * of, "Telling the voices apart")  # noqa: E731
        window_set = WindowSet(windows, frame_embedder.embed_all(frame_sets, compare))
        recording = Recording(activity, Speech(mask, pieces), window_set, frame_embedder)
        voices = find_voices(recording, num_speakers, self.rules)
        active = assign_frames(recording, voices)
        return spans_of(active, len(sound) / SAMPLE_RATE)


def _frames_alone(window: Stretch, alone: NDArray[np.bool_]) -> NDArray[np.intp]:
    frames = np.arange(window.start, window.end)
    kept = frames[alone[window.start : window.end]]
    return kept if len(kept) * FRAME_STEP_S > ENOUGH_ALONE_S else frames


def spans_of(active: NDArray[np.bool_], duration_s: float) -> list[SpokenSpan]:
    """(T, K) activity as spans; one voice's spans are joined over a short pause in which nobody else speaks."""
    spans: list[SpokenSpan] = []
    for voice in range(active.shape[1]):
        own: list[Stretch] = []
        for stretch in stretches(active[:, voice]):
            pause_s = (stretch.start - own[-1].end) * FRAME_STEP_S if own else np.inf
            if pause_s < SHORTEST_PAUSE_S and not active[own[-1].end : stretch.start].any():
                own[-1] = Stretch(own[-1].start, stretch.end)
            else:
                own.append(stretch)
        spans += [SpokenSpan(frame_time_s(s.start), min(duration_s, frame_time_s(s.end)), voice) for s in own]
    long_enough = [span for span in spans if span.end_s - span.start_s >= SHORTEST_TURN_S]
    return sorted(long_enough, key=lambda span: (span.start_s, span.voice))
