"""Speech cut into pieces of one voice each, and the short windows that are embedded."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.analysis.backends.segmentation import FRAME_STEP_S
from engine.analysis.voices.activity import Activity

SPEECH_THRESHOLD = 0.5
SHORTEST_PAUSE_S = 0.15
SHORTEST_SPEECH_S = 0.12
CHANGE_VOTES = 0.5
EMBED_WINDOW_S = 1.5
EMBED_HOP_S = 0.5


@dataclass(frozen=True)
class Stretch:
    """Frames ``start`` up to, not including, ``end``."""

    start: int
    end: int

    @property
    def duration_s(self) -> float:
        return (self.end - self.start) * FRAME_STEP_S


def stretches(mask: NDArray[np.bool_]) -> list[Stretch]:
    """The runs of True in ``mask``."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    pairs = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    return [Stretch(int(start), int(end)) for start, end in pairs]


def speech_mask(activity: Activity) -> NDArray[np.bool_]:
    """(T,) True where somebody speaks; very short pauses are bridged, very short sounds dropped."""
    mask = activity.speech > SPEECH_THRESHOLD
    for pause in stretches(~mask):
        if pause.start > 0 and pause.end < len(mask) and pause.duration_s < SHORTEST_PAUSE_S:
            mask[pause.start : pause.end] = True
    for speech in stretches(mask):
        if speech.duration_s < SHORTEST_SPEECH_S:
            mask[speech.start : speech.end] = False
    return mask


def _change_points(activity: Activity) -> list[int]:
    """Frames where most windows that see them hear the voice change, at least 0.2 s apart."""
    near = np.convolve(activity.changes, np.ones(15), "same")
    points: list[int] = []
    for frame in np.flatnonzero(near >= CHANGE_VOTES):
        peak = near[max(0, frame - 10) : frame + 11].max()
        seen = activity.changes[max(0, frame - 3) : frame + 4].any()
        if near[frame] == peak and seen and (not points or frame - points[-1] > 12):
            points.append(int(frame))
    return points


def speech_pieces(activity: Activity, mask: NDArray[np.bool_]) -> list[Stretch]:
    """Stretches of speech, cut where the voice seems to change."""
    points = np.array(_change_points(activity), int)
    pieces: list[Stretch] = []
    for speech in stretches(mask):
        inside = points[(points > speech.start + 6) & (points < speech.end - 6)]
        bounds = [speech.start, *inside.tolist(), speech.end]
        pieces += [Stretch(start, end) for start, end in pairwise(bounds)]
    return pieces


def embedding_windows(pieces: list[Stretch]) -> list[Stretch]:
    """Windows of about 1.5 s every 0.5 s inside each piece; a shorter piece is one window."""
    windows: list[Stretch] = []
    for piece in pieces:
        if piece.duration_s <= 1.3 * EMBED_WINDOW_S:
            windows.append(piece)
            continue
        length = round(EMBED_WINDOW_S / FRAME_STEP_S)
        count = int(np.ceil((piece.duration_s - EMBED_WINDOW_S) / EMBED_HOP_S)) + 1
        starts = np.linspace(piece.start, piece.end - length, count).astype(int)
        windows += [Stretch(int(start), int(start) + length) for start in starts]
    return windows
