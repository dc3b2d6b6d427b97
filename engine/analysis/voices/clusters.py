"""How many voices there are, and what each sounds like: agglomerative clustering in two steps.

Short windows group first (scipy's average linkage). Windows that reach over a change of voice make groups impure, and
impure groups look alike; so the groups are decoded into frames, and only frames away from another group's are kept.
Then the sound of each group is pooled and embedded anew, longer and so surer, and the most alike groups are merged.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.analysis.backends.segmentation import FRAME_STEP_S
from engine.analysis.voices.activity import Activity
from engine.analysis.voices.decoding import DecodingRules, Speech, decode
from engine.analysis.voices.embedding import FrameEmbedder, Vectors, WindowSet
from engine.analysis.voices.pieces import Stretch

Labels = NDArray[np.intp]
Frames = NDArray[np.intp]


@dataclass(frozen=True)
class ClusterRules:
    """Thresholds are cosine likenesses; a group shorter than 1.5 s gets a laxer bar, its embedding is noisy."""

    group_at: float = 0.38
    merge_at: float = 0.50
    short_allowance: float = 0.10
    shortest_voice_s: float = 0.8
    smallest_share: float = 0.03
    shortest_window_s: float = 0.5
    pooled_s: float = 8.0
    most_windows: int = 2500
    border_s: float = 0.4
    kept_s: float = 1.0


@dataclass(frozen=True)
class Recording:
    """All that is known of a recording before its voices are."""

    activity: Activity
    speech: Speech
    window_set: WindowSet
    embedder: FrameEmbedder


@dataclass(frozen=True)
class _Group:
    """One supposed voice: its frames and the embedding of their sound."""

    frames: Frames
    vector: Vectors

    @property
    def duration_s(self) -> float:
        return len(self.frames) * FRAME_STEP_S


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
class _Search:
    recording: Recording
    rules: ClusterRules
    num_speakers: int | None
    remembered: dict[bytes, Vectors] = field(default_factory=dict)

    def group(self, frames: Frames) -> _Group:
        """The group of ``frames``, those where one voice is alone if there are enough."""
        alone = frames[self.recording.activity.alone[frames]]
        frames = alone if len(alone) >= 30 else frames
        pooled = frames[: int(self.rules.pooled_s / FRAME_STEP_S)]
        key = pooled.tobytes()
        if key not in self.remembered:
            self.remembered[key] = self.recording.embedder.embed(pooled)
        return _Group(frames, self.remembered[key])

    def first_groups(self) -> list[_Group]:
        windows, rules = self.recording.window_set.windows, self.rules
        sure = _sure_windows(windows, rules, self.num_speakers)
        vectors = self.recording.window_set.vectors[sure]
        labels = group_windows(vectors, None, rules.group_at)
        if self.num_speakers and labels.max() + 1 < self.num_speakers:
            labels = group_windows(vectors, self.num_speakers, rules.group_at)
        members = [[windows[row] for row in sure[labels == label]] for label in range(labels.max() + 1)]
        return [self.group(_frames_of(own, self.recording.activity.num_frames)) for own in members]

    def purified(self, groups: list[_Group]) -> list[_Group]:
        """The groups with the frames that decoding gives them, less those close to another group's."""
        voices = np.stack([group.vector for group in groups])
        owner = decode(self.recording.speech, self.recording.window_set, voices, DecodingRules())
        border = round(self.rules.border_s / FRAME_STEP_S)
        kept = []
        for index in range(len(groups)):
            own = np.flatnonzero(owner == index)
            inner = own[~_near_other(owner, index, border)[own]]
            frames = inner if len(inner) * FRAME_STEP_S >= self.rules.kept_s else own
            if len(frames):
                kept.append(self.group(frames))
        return kept

    def merged(self, groups: list[_Group]) -> list[_Group]:
        """Groups alike enough are merged; where the number of voices is known, also those that lose least by it."""
        groups = list(groups)
        while len(groups) > (self.num_speakers or 1):
            scores = _merge_scores(groups, self.rules)
            if scores.max() < 0:
                if self.num_speakers is None:
                    break
                scores = np.where(np.isfinite(scores), -_merge_losses(groups), -np.inf)
            first, second = np.unravel_index(scores.argmax(), scores.shape)
            frames = np.union1d(groups[first].frames, groups.pop(second).frames)
            groups[first] = self.group(frames)
        return groups


def _frames_of(windows: list[Stretch], num_frames: int) -> Frames:
    mask = np.zeros(num_frames, bool)
    for window in windows:
        mask[window.start : window.end] = True
    return np.flatnonzero(mask)


def _near_other(owner: NDArray[np.intp], index: int, border: int) -> NDArray[np.bool_]:
    """(T,) True within ``border`` frames of a frame of another group."""
    other = ((owner >= 0) & (owner != index)).astype(np.int32)
    summed = np.concatenate([[0], np.cumsum(other)])
    frames = np.arange(len(owner))
    return summed[np.minimum(frames + border + 1, len(owner))] > summed[np.maximum(frames - border, 0)]


def _merge_scores(groups: list[_Group], rules: ClusterRules) -> NDArray[np.float32]:
    """(G, G) how far each pair is above its bar for being one voice; -inf on and below the diagonal."""
    vectors = np.stack([group.vector for group in groups])
    durations_s = np.array([group.duration_s for group in groups])
    shortness = np.clip(1.5 - np.minimum.outer(durations_s, durations_s), 0, 1)
    scores = vectors @ vectors.T - rules.merge_at + rules.short_allowance * shortness
    scores[np.tril_indices(len(groups))] = -np.inf
    return scores


def _merge_losses(groups: list[_Group]) -> NDArray[np.float32]:
    """(G, G) what a merge loses: unlikeness times a weight that grows with both, so small odd groups go first.

    The weight is the square root of Ward's: a voice heard shortly is still a voice.
    """
    vectors = np.stack([group.vector for group in groups])
    durations_s = np.array([group.duration_s for group in groups])
    together = np.multiply.outer(durations_s, durations_s) / np.add.outer(durations_s, durations_s)
    return np.sqrt(together) * (1 - vectors @ vectors.T)


def _large_enough(groups: list[_Group], rules: ClusterRules) -> list[_Group]:
    durations_s = np.array([group.duration_s for group in groups])
    bar_s = min(max(rules.shortest_voice_s, rules.smallest_share * durations_s.sum()), durations_s.max())
    return [group for group in groups if group.duration_s >= bar_s]


def find_voices(recording: Recording, num_speakers: int | None, rules: ClusterRules) -> Vectors:
    """(K, 192) one embedding of length 1 per voice; K is ``num_speakers`` where given, as far as the speech allows."""
    search = _Search(recording, rules, num_speakers)
    groups = search.first_groups()
    if len(groups) > (num_speakers or 1):
        groups = search.purified(groups)
    groups = search.merged(groups)
    if num_speakers is None:
        groups = _large_enough(groups, rules)
    return np.stack([group.vector for group in groups])
