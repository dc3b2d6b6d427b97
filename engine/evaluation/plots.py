"""Curves as pictures inside a page: plain SVG text, no script, nothing fetched."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from engine.evaluation.lip_sync import Curve

WIDTH, MAX_POINTS = 960, 1200
LEFT, RIGHT = 8, 8


@dataclass(frozen=True)
class Scale:
    """Seconds → x and a value → y of a plot ``height`` high that shows values 0..``top`` over ``length_s`` seconds."""

    length_s: float
    height: float
    top: float
    base: float = 0.0

    def x(self, at_s: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at_s / max(self.length_s, 1e-6)

    def y(self, value: float) -> float:
        return self.base + self.height * (1 - min(max(value / max(self.top, 1e-9), 0.0), 1.0))


def line(curve: Curve, at_s: Curve, scale: Scale, kind: str) -> str:
    """A curve; broken where it is NaN. ``kind`` is its class in the page's style."""
    drawn = []
    for part in _parts(*_thinned(curve, at_s)):
        points = " ".join(f"{scale.x(t):.1f},{scale.y(v):.1f}" for v, t in part)
        drawn.append(f'<polyline class="{kind}" points="{points}"/>')
    return "".join(drawn)


def area(curve: Curve, at_s: Curve, scale: Scale, kind: str) -> str:
    """The same, filled and mirrored about its middle, as a waveform is drawn."""
    values, times = _thinned(np.nan_to_num(curve), at_s)
    middle, half = scale.base + scale.height / 2, scale.height / 2
    size = [half * min(max(float(v) / max(scale.top, 1e-9), 0.0), 1.0) for v in values]
    above = [f"{scale.x(t):.1f},{middle - s:.1f}" for s, t in zip(size, times, strict=True)]
    below = [f"{scale.x(t):.1f},{middle + s:.1f}" for s, t in zip(size, times, strict=True)]
    return f'<polygon class="{kind}" points="{" ".join(above + below[::-1])}"/>'


def bars(spans: Sequence[tuple[float, float, str, str]], scale: Scale) -> str:
    """Stretches (start_s, end_s, class, what it says when pointed at) over the whole height."""
    return "".join(
        f'<rect class="{kind}" x="{scale.x(start):.1f}" y="{scale.base:.1f}" '
        f'width="{max(1.0, scale.x(end) - scale.x(start)):.1f}" height="{scale.height:.1f}">'
        f"<title>{escape(words)}</title></rect>"
        for start, end, kind, words in spans
    )


def seconds(scale: Scale, y: float) -> str:
    """Marks of the time below a plot."""
    step = next((s for s in (1, 2, 5, 10, 30, 60, 300, 600) if scale.length_s / s <= 14), 1200)
    marks = np.arange(0, scale.length_s + 1e-6, step)
    return "".join(f'<text class="tick" x="{scale.x(t):.1f}" y="{y:.1f}">{t:g} s</text>' for t in marks)


def words(x: float, y: float, text: str, kind: str = "label") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def svg(height: float, *parts: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img">{"".join(parts)}</svg>'


def _thinned(curve: Curve, at_s: Curve) -> tuple[Curve, Curve]:
    """At most MAX_POINTS points: the highest of each stretch, so that no peak is lost."""
    step = -(-len(curve) // MAX_POINTS)
    if step <= 1:
        return curve, at_s
    whole = len(curve) // step * step
    rows = curve[:whole].reshape(-1, step)
    highest = np.where(np.isfinite(rows), rows, -np.inf).max(axis=1)
    return np.where(np.isfinite(highest), highest, np.nan), at_s[:whole:step]


def _parts(curve: Curve, at_s: Curve) -> list[list[tuple[float, float]]]:
    parts: list[list[tuple[float, float]]] = [[]]
    for value, time_s in zip(curve, at_s, strict=True):
        if np.isfinite(value):
            parts[-1].append((float(value), float(time_s)))
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]
