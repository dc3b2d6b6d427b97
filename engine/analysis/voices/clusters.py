"""How many voices there are, and what each sounds like: two-step agglomerative clustering of window embeddings.

Short windows group first (scipy's average linkage). Then the sound of each group is pooled and embedded anew, longer
and so surer, and the most alike groups are merged. Beside likeness counts what the segmentation network heard: two
groups that it gives to one local speaker are more probably one voice, and two that it keeps apart are more probably two.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.analysis.backends.segmentation import FRAME_STEP_S, MAX_LOCAL_SPEAKERS
from engine.analysis.voices.activity import Activity
from engine.analysis.voices.embedding import FrameEmbedder
from engine.analysis.voices.pieces import Stretch

Labels = NDArray[np.intp]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class ClusterRules:
    """Thresholds are cosine likenesses. ``apart_weight`` shifts the bar by what the segmentation network heard."""

    group_at: float = 0.38
    merge_at: float = 0.50
    short_allowance: float = 0.10
    apart_weight: float = 0.0
    apart_min_s: float = 0.3
    shortest_voice_s: float = 0.8
    smallest_share: float = 0.03
    shortest_window_s: float = 0.5
    pooled_s: float = 8.0
    most_windows: int = 2500


@dataclass(frozen=True)
class WindowSet:
    """The windows of a recording and their (W, 192) embeddings."""

    windows: list[Stretch]
    vectors: Vectors


@dataclass(frozen=True)
class _Context:
    activity: Activity
    embedder: FrameEmbedder
    rules: ClusterRules
    num_speakers: int | None
    remembered: dict[bytes, Vectors] = field(default_factory=dict)


def group_windows(vectors: Vectors, num_groups: int | None, threshold: float) -> Labels:
    """(W,) group of each vector, 0-based: average linkage on cosine, cut at ``threshold`` or into ``num_groups``."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(vectors) == 1:
        return np.zeros(1, np.intp)
    far = np.clip(1 - vectors @ vectors.T, 0, None)
    tree = linkage(far[np.triu_indices(len(far), 1)], "average")
    labels = fcluster(tree, num_groups, "maxclust") if num_groups else fcluster(tree, 1 - threshold, "distance")
    return np.unique(labels, return_inverse=True)[1]


def _sure_windows(windows: list[Stretch], rules: ClusterRules, num_speakers: int | None) -> Labels:
    durations_s = np.array([window.duration_s for window in windows])
    sure = np.flatnonzero(durations_s >= rules.shortest_window_s)
    needed = num_speakers or 1
    if len(sure) < needed:
        sure = np.sort(np.argsort(-durations_s)[:needed])
    if len(sure) > rules.most_windows:
        sure = sure[np.linspace(0, len(sure) - 1, rules.most_windows).astype(int)]
    return sure


@dataclass(frozen=True)
class _Group:
    """One supposed voice: its frames, seconds of speech and the embedding of its pooled sound."""

    frames: NDArray[np.intp]
    duration_s: float
    vector: Vectors


def _group(context: _Context, windows: list[Stretch]) -> _Group:
    mask = np.zeros(context.activity.num_frames, bool)
    for window in windows:
        mask[window.start : window.end] = True
    alone = mask & context.activity.alone
    frames = np.flatnonzero(alone if alone.sum() >= 30 or not mask.any() else mask)
    pooled = frames[: int(context.rules.pooled_s / FRAME_STEP_S)]
    key = pooled.tobytes()
    if key not in context.remembered:
        context.remembered[key] = context.embedder.embed(pooled)
    return _Group(frames, len(frames) * FRAME_STEP_S, context.remembered[key])


def _heard_together(activity: Activity, groups: list[_Group], min_frames: int) -> NDArray[np.float32]:
    """(G, G) from -1 (other local speakers in every window that holds both) to 1 (the same one); 0 = unknown."""
    owner = np.full(activity.num_frames, -1)
    for index, group in enumerate(groups):
        owner[group.frames] = index
    same, weight = np.zeros((2, len(groups), len(groups)))
    for window in activity.windows:
        here, active = owner[window.frames], window.active & (window.active.sum(1, keepdims=True) == 1)
        counts = np.zeros((len(groups), MAX_LOCAL_SPEAKERS))
        known = here >= 0
        np.add.at(counts, here[known], active[known])
        totals = counts.sum(1)
        shares = counts / np.maximum(totals, 1)[:, None]
        pair = np.minimum.outer(totals, totals)
        pair[pair < min_frames] = 0
        same += pair * (shares @ shares.T)
        weight += pair
    return np.where(weight > 0, 2 * same / np.maximum(weight, 1e-9) - 1, 0).astype(np.float32)


def _merge_scores(context: _Context, groups: list[_Group]) -> NDArray[np.float32]:
    """(G, G) how far each pair is above its bar for being one voice; -inf on and below the diagonal."""
    rules = context.rules
    vectors = np.stack([group.vector for group in groups])
    durations_s = np.array([group.duration_s for group in groups])
    shortness = np.clip(1.5 - np.minimum.outer(durations_s, durations_s), 0, 1)
    scores = vectors @ vectors.T - rules.merge_at + rules.short_allowance * shortness
    if rules.apart_weight:
        together = _heard_together(context.activity, groups, int(rules.apart_min_s / FRAME_STEP_S))
        scores = scores + rules.apart_weight * together
    scores[np.tril_indices(len(groups))] = -np.inf
    return scores


def _merge(context: _Context, windows: list[Stretch], labels: Labels) -> list[_Group]:
    members = [[windows[row] for row in np.flatnonzero(labels == label)] for label in range(labels.max() + 1)]
    groups = [_group(context, own) for own in members]
    while len(groups) > (context.num_speakers or 1):
        scores = _merge_scores(context, groups)
        if context.num_speakers is None and scores.max() < 0:
            break
        first, second = np.unravel_index(scores.argmax(), scores.shape)
        members[first] += members.pop(second)
        groups.pop(second)
        groups[first] = _group(context, members[first])
    return groups


def _large_enough(groups: list[_Group], rules: ClusterRules) -> list[_Group]:
    durations_s = np.array([group.duration_s for group in groups])
    bar_s = min(max(rules.shortest_voice_s, rules.smallest_share * durations_s.sum()), durations_s.max())
    return [group for group in groups if group.duration_s >= bar_s]


def find_voices(
    activity: Activity, window_set: WindowSet, embedder: FrameEmbedder, num_speakers: int | None, rules: ClusterRules
) -> Vectors:
    """(K, 192) one embedding of length 1 per voice; K is ``num_speakers`` where given, as far as the speech allows."""
    context = _Context(activity, embedder, rules, num_speakers)
    sure = _sure_windows(window_set.windows, rules, num_speakers)
    vectors = window_set.vectors[sure]
    labels = group_windows(vectors, None, rules.group_at)
    if num_speakers and labels.max() + 1 < num_speakers:
        labels = group_windows(vectors, num_speakers, rules.group_at)
    groups = _merge(context, [window_set.windows[row] for row in sure], labels)
    if num_speakers is None:
        groups = _large_enough(groups, rules)
    return np.stack([group.vector for group in groups])
