"""The paper's benchmark for conversations (InteractiveEyes): its annotations, its published figures, and its means."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import UnreadableMedia

FORMAT = "roundtable-benchmark-1"
SIDES = ("left", "right")
MAX_BYTES, MAX_VIDEOS, MAX_SPANS, MAX_S = 20_000_000, 10_000, 2_000, 3600.0
FRAMES_OF_TIMECODE = 30
REMEDY = 'Write {"interact_1": {"left": [[0.0, 4.16]], "right": [[4.5, 8.0]]}, …}.'

MEASURED = ("interactivity", "sync_c_weighted", "sync_c", "sync_r", "identity")
COLUMNS = (("Interactivity", 13), ("Sync-C*", 8), ("Sync-C", 7), ("sync r*", 8), ("ID", 6), ("FID", 8), ("FVD", 8))
MAX_ROWS = 40  # more videos are found in the JSON

Span = tuple[float, float]

PUBLISHED = (
    # Table 2 of arXiv 2511.23475: Interactivity, Sync-C*, FVD
    ("ground truth", 0.77, 6.01, 0.0),
    ("Bind-Your-Avatar", 0.45, 3.03, 695.58),
    ("MultiTalk", 0.49, 6.88, 500.03),
    ("AnyTalker-1.3B (stages 1+2)", 0.97, 4.56, 467.84),
    ("AnyTalker-14B", 1.01, 6.99, 424.15),
)


@dataclass(frozen=True)
class Annotation:
    """When each side speaks, in seconds."""

    left: tuple[Span, ...]
    right: tuple[Span, ...]

    def of(self, side: str) -> tuple[Span, ...]:
        return self.left if side == "left" else self.right


@dataclass(frozen=True)
class VideoFigures:
    """One video. None = not measurable, ``missing`` says why. ``sync_r``: correlation of mouth and voice, weighted by
    how long each side speaks. SyncNet's confidence: ``sync_c_weighted`` over speech, weighted so too (the paper's
    Sync-C*); ``sync_c`` over each speaker's whole length (Sync-C), mean of those who speak.
    """

    name: str
    interactivity: float | None
    sync_r: float | None
    identity: float | None
    missing: tuple[str, ...] = ()
    sync_c_weighted: float | None = None
    sync_c: float | None = None


@dataclass(frozen=True)
class Figures:
    """A folder. ``failed``: (video, why). ``not_measured``: (figure, what is missing for it)."""

    videos: list[VideoFigures]
    failed: list[tuple[str, str]]
    measured_by: str
    fid: float | None = None
    fvd: float | None = None
    not_measured: list[tuple[str, str]] = field(default_factory=list)

    def mean(self, figure: str) -> float | None:
        values = [value for video in self.videos if (value := getattr(video, figure)) is not None]
        return float(np.mean(values)) if values else None

    def to_json(self) -> dict[str, Any]:
        means = {figure: self.mean(figure) for figure in MEASURED}
        return {**means, **vars(self), "videos": [vars(video) for video in self.videos]}


def read_annotations(path: Path) -> dict[str, Annotation]:
    """Videos' names without ending → who speaks when. The published file's times (seconds.frames at 30) become seconds.

    A file with ``"format": "roundtable-benchmark-1"`` holds decimal seconds. Raises UnreadableMedia.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableMedia(f"{path.name!r} is too large for annotations.", REMEDY)
        stored = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableMedia(f"{path.name!r} cannot be read as JSON.", REMEDY) from error
    ours = isinstance(stored, dict) and stored.get("format") == FORMAT
    entries = stored.get("videos") if ours else stored
    if not isinstance(entries, dict) or not 0 < len(entries) <= MAX_VIDEOS:
        raise UnreadableMedia(f"{path.name!r} names no videos.", REMEDY)
    decimal = ours or not _are_timecodes(entries)
    return {_stem(name): _annotation(name, entry, decimal) for name, entry in entries.items()}


def seconds_of(timecode: float) -> float:
    """Seconds.frames at 30 → seconds: 7.11 is 7 s and 11 frames."""
    whole = math.floor(timecode)
    return whole + round(100 * (timecode - whole)) / FRAMES_OF_TIMECODE


def _stem(name: str) -> str:
    return re.sub(r"\.(mp4|mov|mkv|webm|avi)$", "", name, flags=re.IGNORECASE)


def _are_timecodes(entries: dict[str, Any]) -> bool:
    """Whether no time has more than 29 hundredths: decimal seconds could hardly be so."""
    times = [
        number
        for entry in entries.values()
        if isinstance(entry, dict)
        for spans in entry.values()
        if isinstance(spans, list)
        for span in spans
        if isinstance(span, list)
        for number in span
        if isinstance(number, int | float) and math.isfinite(number)
    ]
    return all(round(100 * (number - math.floor(number)), 3) < 29.5 for number in times)


def _annotation(name: str, entry: Any, decimal: bool) -> Annotation:
    if not isinstance(entry, dict):
        raise UnreadableMedia(f"{name!r} has no speaking times.", REMEDY)
    left, right = (_spans(name, entry.get(side, []), decimal) for side in SIDES)
    return Annotation(left, right)


def _spans(name: str, spans: Any, decimal: bool) -> tuple[Span, ...]:
    try:
        pairs = [(float(start), float(end)) for start, end in spans]
    except (TypeError, ValueError) as error:
        raise UnreadableMedia(f"The times of {name!r} are not pairs of seconds.", REMEDY) from error
    read = [(a, b) if decimal else (seconds_of(a), seconds_of(b)) for a, b in pairs]
    if len(read) > MAX_SPANS or any(not 0 <= a < b <= MAX_S for a, b in read):
        raise UnreadableMedia(f"A time of {name!r} does not go forward.", REMEDY)
    return tuple(read)


def rows_of(figures: Figures) -> list[str]:
    """The table beside the paper's rows, then what could not be measured, and every failed video by its name."""
    total = len(figures.videos) + len(figures.failed)
    rows = [
        f"{len(figures.videos)} of {total} videos measured with {figures.measured_by}.",
        f"{'':<30} " + " ".join(f"{name:>{width}}" for name, width in COLUMNS),
        _row("these videos, mean", *(figures.mean(name) for name in MEASURED), figures.fid, figures.fvd),
    ]
    if len(figures.videos) <= MAX_ROWS:
        rows += [_row(f"  {v.name[:26]}", *(getattr(v, name) for name in MEASURED)) for v in figures.videos]
    rows += [_row(name, a, b, fvd=c) for name, a, b, c in PUBLISHED]
    rows.append("Rows below the first: Table 2 of arXiv 2511.23475, with InsightFace's points and SyncNet.")
    rows += [f"{figure} was not measured: {why}" for figure, why in figures.not_measured]
    for video in figures.videos:
        rows += [f"{video.name}: {why}" for why in video.missing]
    rows += [f"FAILED {name}: {why}" for name, why in figures.failed]
    return rows


def _row(name: str, *values: float | None, fvd: float | None = None) -> str:
    """``values`` in the order of COLUMNS; those that are not given are unknown."""
    given = dict(zip((column for column, _ in COLUMNS), values, strict=False))
    given.setdefault("FVD", fvd)
    cells = [(given.get(column), width) for column, width in COLUMNS]
    return f"{name:<30} " + " ".join(f"{'-':>{width}}" if v is None else f"{v:>{width}.2f}" for v, width in cells)


def weighted(values: Sequence[tuple[float, float]]) -> float | None:
    """Mean of (value, weight); None where nothing weighs anything."""
    total = sum(weight for _, weight in values)
    return sum(value * weight for value, weight in values) / total if total > 0 else None
