"""Which voice each frame of speech belongs to: Viterbi over the likenesses of the windows around it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.analysis.voices.embedding import Vectors, WindowSet
from engine.analysis.voices.pieces import Stretch


@dataclass(frozen=True)
class DecodingRules:
    """Costs of changing the voice at the edge of a piece and inside one, on a scale where a frame's likeness counts
    ``likeness_weight``."""

    likeness_weight: float = 2.025
    edge_cost: float = 3.0
    inside_cost: float = 25.0


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


def decode(speech: Speech, window_set: WindowSet, voices: Vectors, rules: DecodingRules) -> NDArray[np.intp]:
    """(T,) voice of each frame, -1 where nobody speaks."""
    frames = speech.frames
    likeness = _frame_likeness(len(speech.mask), window_set, voices)[frames]
    cheap = np.isin(frames, [piece.start for piece in speech.pieces]) | (np.diff(frames, prepend=-2) > 1)
    costs = np.where(cheap, rules.edge_cost, rules.inside_cost).astype(np.float32)
    owner = np.full(len(speech.mask), -1, np.intp)
    owner[frames] = best_path(likeness * rules.likeness_weight, costs)
    return owner
