"""A long conversation as overlapping windows: each starts from the last frames of the one before."""

from dataclasses import dataclass

from engine.dit.shapes import TIME_STRIDE, whole_windows_frames

LEAST_FRAMES = 33
"""A last window shorter than this reaches beyond the take's end: the network never saw windows much shorter."""


@dataclass(frozen=True)
class WindowSpan:
    """Window ``index`` of ``num_windows``: frames ``first``..``first + num_frames`` of the take, of which the first
    ``num_known`` (0 or 4n+1) are the last ones of the window before. The last window may reach beyond the take's end.
    """

    index: int
    num_windows: int
    first: int
    num_frames: int
    num_known: int


def plan_windows(num_frames: int, window: int, overlap: int) -> list[WindowSpan]:
    """Windows over ``num_frames`` frames: ``window`` frames each (cut to 4n+1), the last one as short as it may be.

    A window after the first takes over the last ``overlap`` frames (cut to 4n+1, at most half a window) of the one
    before. Raises ValueError where ``num_frames`` < 1 or ``window`` < 5.
    """
    if num_frames < 1 or window < TIME_STRIDE + 1:
        raise ValueError(f"no windows of {window} frames over {num_frames} frames")
    length = _cut(window)
    known = _cut(min(overlap, length // 2))
    starts = [0]
    while starts[-1] + length < num_frames:
        starts.append(starts[-1] + length - known)
    last = whole_windows_frames(max(num_frames - starts[-1], min(length, LEAST_FRAMES)))
    return [
        WindowSpan(index, len(starts), first, last if index == len(starts) - 1 else length, known if index else 0)
        for index, first in enumerate(starts)
    ]


def _cut(num_frames: int) -> int:
    """The greatest 4n+1 that is not above ``num_frames``."""
    return TIME_STRIDE * ((max(num_frames, 1) - 1) // TIME_STRIDE) + 1
