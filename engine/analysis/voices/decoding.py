"""Which voice each frame belongs to: Viterbi over window likenesses, then a second voice where people overlap."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.analysis.backends.segmentation import FRAME_STEP_S, MAX_LOCAL_SPEAKERS
from engine.analysis.voices.activity import Activity
from engine.analysis.voices.clusters import Vectors, WindowSet
from engine.analysis.voices.embedding import FrameEmbedder
from engine.analysis.voices.pieces import Stretch

OVERLAP_COUNT = 1.5


@dataclass(frozen=True)
class DecodingRules:
    """Costs of changing the voice at the edge of a piece and inside one, on a scale where a frame's likeness counts
    ``likeness_weight``; ``reestimate_s`` of speech let a voice be embedded anew from what it was given."""

    likeness_weight: float = 2.025
    edge_cost: float = 3.0
    inside_cost: float = 25.0
    reestimate_s: float = 1.0
    pooled_s: float = 8.0


@dataclass(frozen=True)
class Speech:
    """Where somebody speaks: (T,) ``mask`` and the pieces it is cut into."""

    mask: NDArray[np.bool_]
    pieces: list[Stretch]

    @property
    def frames(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.mask)


def _frame_likeness(num_frames: int, window_set: WindowSet, voices: Vectors) -> NDArray[np.float32]:
    """(T, K) mean likeness of the windows around a frame; a frame without any takes the nearest one's."""
    total, count = np.zeros((num_frames, len(voices)), np.float32), np.zeros(num_frames, np.float32)
    for window, likeness in zip(window_set.windows, window_set.vectors @ voices.T, strict=True):
        margin = int(0.2 * (window.end - window.start)) if window.duration_s > 0.9 else 0
        total[window.start + margin : window.end - margin] += likeness
        count[window.start + margin : window.end - margin] += 1
    filled = np.flatnonzero(count)
    right = np.clip(np.searchsorted(filled, np.arange(num_frames)), 0, len(filled) - 1)
    left = np.clip(right - 1, 0, None)
    frames = np.arange(num_frames)
    nearest = np.where(np.abs(filled[right] - frames) <= np.abs(filled[left] - frames), filled[right], filled[left])
    return total[nearest] / count[nearest, None]


def best_path(scores: NDArray[np.float32], change_costs: NDArray[np.float32]) -> NDArray[np.intp]:
    """(F,) the path through (F, K) ``scores`` with the highest sum, changing costs ``change_costs[f]`` before f."""
    kept = np.zeros(scores.shape, np.int16)
    total, own = scores[0].astype(np.float64), np.arange(scores.shape[1])
    for frame in range(1, len(scores)):
        best = total.argmax()
        after_change = total[best] - change_costs[frame]
        kept[frame] = np.where(total >= after_change, own, best)
        total = np.maximum(total, after_change) + scores[frame]
    path = np.empty(len(scores), np.intp)
    path[-1] = total.argmax()
    for frame in range(len(scores) - 1, 0, -1):
        path[frame - 1] = kept[frame, path[frame]]
    return path


def _decode(speech: Speech, window_set: WindowSet, voices: Vectors, rules: DecodingRules) -> NDArray[np.intp]:
    """(T,) voice of each frame, -1 where nobody speaks."""
    frames = speech.frames
    likeness = _frame_likeness(len(speech.mask), window_set, voices)[frames]
    cheap = np.isin(frames, [piece.start for piece in speech.pieces]) | (np.diff(frames, prepend=-2) > 1)
    costs = np.where(cheap, rules.edge_cost, rules.inside_cost).astype(np.float32)
    owner = np.full(len(speech.mask), -1, np.intp)
    owner[frames] = best_path(likeness * rules.likeness_weight, costs)
    return owner


def assign_frames(
    activity: Activity, speech: Speech, window_set: WindowSet, voices: Vectors, embedder: FrameEmbedder
) -> NDArray[np.bool_]:
    """(T, K) who speaks in each frame, two where people overlap. Voices are re-estimated once from a first decoding."""
    rules = DecodingRules()
    if len(voices) > 1:
        first = _decode(speech, window_set, voices, rules)
        voices = _reestimated(first, activity, voices, embedder, rules)
    owner = _decode(speech, window_set, voices, rules)
    active = owner[:, None] == np.arange(len(voices))
    if len(voices) > 1:
        _add_overlaps(active, owner, activity)
    return active


def _reestimated(
    owner: NDArray[np.intp], activity: Activity, voices: Vectors, embedder: FrameEmbedder, rules: DecodingRules
) -> Vectors:
    again = voices.copy()
    for voice in range(len(voices)):
        frames = np.flatnonzero((owner == voice) & activity.alone)
        if len(frames) * FRAME_STEP_S > rules.reestimate_s:
            again[voice] = embedder.embed(frames[: int(rules.pooled_s / FRAME_STEP_S)])
    return again


def _add_overlaps(active: NDArray[np.bool_], owner: NDArray[np.intp], activity: Activity) -> None:
    """Where two speak at once, the second voice is the one that the second local speaker is elsewhere in the window."""
    votes = np.zeros(active.shape, np.int16)
    for window in activity.windows:
        here, local = owner[window.frames], window.active
        alone, both = local.sum(1) == 1, local.sum(1) >= 2
        if not both.any():
            continue
        for speaker in range(MAX_LOCAL_SPEAKERS):
            own = here[alone & local[:, speaker]]
            counts = np.bincount(own[own >= 0], minlength=active.shape[1])
            if counts.sum() > 6:
                votes[window.first_frame + np.flatnonzero(both & local[:, speaker]), counts.argmax()] += 1
    for frame in np.flatnonzero((activity.num_speakers >= OVERLAP_COUNT) & (owner >= 0)):
        votes[frame, owner[frame]] = -1
        if votes[frame].max() > 0:
            active[frame, votes[frame].argmax()] = True
