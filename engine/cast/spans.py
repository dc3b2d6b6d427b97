"""Arithmetic on stretches of time: sorted, separate (start, end) pairs in seconds."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import islice

Span = tuple[float, float]


def union(spans: Iterable[Span]) -> list[Span]:
    """The time that any of ``spans`` covers."""
    joined: list[Span] = []
    for start_s, end_s in sorted(spans):
        if joined and start_s <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end_s))
        elif end_s > start_s:
            joined.append((start_s, end_s))
    return joined


def minus(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """The time that ``spans`` cover and ``taken`` do not."""
    free, holes = list[Span](), union(taken)
    ends_s = [end_s for _, end_s in holes]
    for start_s, end_s in union(spans):
        at = start_s
        for hole_start_s, hole_end_s in islice(holes, bisect_right(ends_s, start_s), None):
            if hole_start_s >= end_s:
                break
            if hole_start_s > at:
                free.append((at, hole_start_s))
            at = max(at, hole_end_s)
        if at < end_s:
            free.append((at, end_s))
    return free


def common(a: Iterable[Span], b: Iterable[Span]) -> list[Span]:
    """The time that both cover."""
    whole = union(a)
    return minus(whole, minus(whole, b))


def seconds(spans: Iterable[Span]) -> float:
    return sum(end_s - start_s for start_s, end_s in spans)
