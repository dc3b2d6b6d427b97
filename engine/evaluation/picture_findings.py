"""Findings about faces and the picture: seen, still the same person, not frozen; colours, seams, what moves outside."""

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

from engine.evaluation.lip_sync import Curve, Mask
from engine.evaluation.report import Finding, Verdict
from engine.evaluation.thresholds import Thresholds
from engine.evaluation.watching import PersonCurves, Watched

_STEP_FRAMES = 8
_AROUND_FRAMES = 12
_LEAST_CHANGE = 0.3  # grey levels: below this, a change between frames is the codec's


def face_lost(person: PersonCurves, limits: Thresholds, frame_rate: float) -> Finding:
    share = float(1 - person.seen.mean()) if len(person.seen) else 1.0
    verdict = _above(share, limits.lost_look, limits.lost_redo)
    start, end = _longest(~person.seen)
    sentence = (
        f"{person.name}'s face is seen throughout."
        if verdict == "good"
        else f"{person.name}'s face is lost in {share:.0%} of the video."
    )
    times = _times(start, end, frame_rate) if end > start else {}
    return Finding(
        kind="face-lost", verdict=verdict, value=round(share, 4), threshold=limits.lost_look, sentence=sentence, **times
    )


def identity(person: PersonCurves, limits: Thresholds, frame_rate: float) -> Finding:
    """The distance to the wanted face, over a second and a half: one look at a turned head may be wrong."""
    known = np.isfinite(person.identity)
    if not known.any() or not np.isfinite(person.same_person):
        sentence = f"Whether {person.name} still is the same person could not be judged: the face is never seen well."
        return Finding(kind="identity", verdict="unknown", sentence=sentence)
    distances, at = person.identity[known] / person.same_person, person.identity_at[known]
    steady = median_filter(distances, size=min(3, len(distances)), mode="nearest")
    worst = int(steady.argmax())
    verdict = _above(float(steady[worst]), limits.identity_look, limits.identity_redo)
    sentence = {
        "good": f"{person.name} stays the same person.",
        "look": f"{person.name}'s face drifts away from the photo.",
        "redo": f"{person.name} becomes somebody else.",
    }[verdict]
    far = steady >= limits.identity_look
    first, last = (at[far][0], at[far][-1]) if far.any() else (at[worst], at[worst])
    return Finding(
        kind="identity",
        verdict=verdict,
        value=round(float(steady[worst] * person.same_person), 3),
        threshold=round(limits.identity_look * person.same_person, 3),
        sentence=sentence,
        **_times(int(first), int(last) + 1, frame_rate),
    )


def freeze(person: PersonCurves, limits: Thresholds, frame_rate: float) -> Finding:
    """A face that stands still like a photo."""
    still = (person.change < limits.frozen_levels) & (np.arange(len(person.change)) > 0)
    start, end = _longest(_bridged(still))
    length_s = (end - start) / frame_rate
    verdict = _above(length_s, limits.frozen_look_s, limits.frozen_redo_s)
    sentence = (
        f"{person.name} stays alive."
        if verdict == "good"
        else f"{person.name}'s face stands still for {length_s:.1f} s."
    )
    return Finding(
        kind="freeze",
        verdict=verdict,
        value=round(length_s, 2),
        threshold=limits.frozen_look_s,
        sentence=sentence,
        **(_times(start, end, frame_rate) if end > start else {}),
    )


def colour(watched: Watched, limits: Thresholds) -> Finding:
    """How far the picture's colours go from those of its beginning, and whether they do so at once."""
    lab = watched.colour
    smooth = uniform_filter1d(lab, min(5, len(lab)), axis=0, mode="nearest")
    away = np.linalg.norm(smooth - np.median(smooth[: max(1, len(lab) // 20)], axis=0), axis=1)
    step, step_at = _largest_step(lab)
    drift = float(away.max())
    verdict: Verdict = _above(drift, limits.colour_look, limits.colour_redo)
    if step >= limits.colour_step_look and verdict == "good":
        verdict = "look"
    if verdict == "good":
        sentence = "The colours stay as they are at the beginning."
    elif step >= limits.colour_step_look:
        sentence = f"The colours change at once, at {step_at / watched.frame_rate:.1f} s of the video."
    else:
        sentence = "The colours drift away from those of the beginning."
    far = away >= min(limits.colour_look, max(drift * 0.7, 1e-9))
    first, last = np.flatnonzero(far)[[0, -1]] if far.any() else (0, 0)
    return Finding(
        kind="colour",
        verdict=verdict,
        value=round(max(drift, step), 2),
        threshold=limits.colour_look if drift >= step else limits.colour_step_look,
        sentence=sentence,
        **_times(int(first), int(last) + 1, watched.frame_rate),
    )


def _largest_step(lab: Curve) -> tuple[float, int]:
    """Between the means of the 8 frames before and after a frame: what stays, not what flickers."""
    size = _STEP_FRAMES
    if len(lab) <= 2 * size:
        return 0.0, 0
    summed = np.cumsum(np.vstack([np.zeros(3), lab]), axis=0)
    means = (summed[size:] - summed[:-size]) / size
    steps = np.linalg.norm(means[size:] - means[:-size], axis=1)
    best = int(steps.argmax())
    return float(steps[best]), best + size


def seam(watched: Watched, limits: Thresholds) -> Finding:
    """One frame that differs from the one before far more than its neighbours do."""
    change = watched.change.copy()
    if len(change) < 8:
        return Finding(kind="seam", verdict="unknown", sentence="The video is too short to look for seams.")
    change[0] = change[1]
    ordinary = median_filter(change, size=2 * _AROUND_FRAMES + 1, mode="nearest")
    ratio = change / (ordinary + _LEAST_CHANGE)
    worst = int(ratio.argmax())
    verdict: Verdict = "look" if ratio[worst] >= limits.seam_look else "good"
    sentence = (
        "No seam is seen."
        if verdict == "good"
        else f"The picture jumps at {worst / watched.frame_rate:.1f} s of the video."
    )
    return Finding(
        kind="seam",
        verdict=verdict,
        value=round(float(ratio[worst]), 2),
        threshold=limits.seam_look,
        sentence=sentence,
        **_times(worst, worst + 1, watched.frame_rate),
    )


def outside(watched: Watched, limits: Thresholds, only_faces_move: bool) -> Finding:
    """The share of pixels outside all regions that do not stay as in the first frame."""
    known = watched.outside[np.isfinite(watched.outside)]
    if not len(known):
        sentence = "The faces fill the picture: what moves outside them could not be judged."
        return Finding(kind="outside", verdict="unknown", sentence=sentence)
    share = float(known.max())
    if not only_faces_move:
        sentence = f"Up to {share:.0%} of the picture outside the faces moves (bodies and hands may)."
        return Finding(kind="outside", verdict="good", value=round(share, 4), sentence=sentence)
    verdict: Verdict = "look" if share >= limits.outside_look else "good"
    sentence = "Nothing moves outside the faces." if verdict == "good" else "Something moves outside the faces."
    at = int(np.nanargmax(watched.outside))
    return Finding(
        kind="outside",
        verdict=verdict,
        value=round(share, 4),
        threshold=limits.outside_look,
        sentence=sentence,
        **_times(at, at + 1, watched.frame_rate),
    )


def _bridged(still: Mask) -> Mask:
    """Single frames that move within a still stretch are a codec's key frames."""
    bridged = still.copy()
    bridged[1:-1] |= still[:-2] & still[2:]
    return bridged


def _longest(mask: Mask) -> tuple[int, int]:
    """First and past-last index of the longest run of True; (0, 0) for none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    best = int((ends - starts).argmax())
    return int(starts[best]), int(ends[best])


def _times(first: int, last: int, frame_rate: float) -> dict[str, float]:
    return {"start_s": round(first / frame_rate, 3), "end_s": round(last / frame_rate, 3)}


def _above(value: float, look: float, redo: float) -> Verdict:
    return "redo" if value >= redo else "look" if value >= look else "good"
