"""How well each mouth fits each voice: correlation of opening and loudness, or SyncNet where its network is on disk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.scene import Voice
from engine.evaluation.syncnet import LipDistances, LipNetwork, lip_distances
from engine.evaluation.video import VideoFacts
from engine.evaluation.watching import PersonCurves, Watched
from engine.evaluation.whose_voice import score_matrix
from engine.media.types import Waveform
from engine.training.prepare.people import Followed

Matrix = NDArray[np.float64]
MOUTH_SCORES, SYNCNET_SCORES = "correlation of mouth and voice", "SyncNet's confidence"


class LipScores(Protocol):
    """Scores of one shot. ``least``: what a mouth must reach with its own voice; ``lead``: over the other mouth, where
    only one voice is heard."""

    @property
    def name(self) -> str: ...

    @property
    def least(self) -> float: ...

    @property
    def lead(self) -> float: ...

    def matrix(self, first: int, last: int, speaker_ids: Sequence[str]) -> Matrix:
        """(speakers, people) over frames ``first`` to ``last`` (not included) of the video."""
        ...


@dataclass(frozen=True)
class MouthScores:
    """Embedded: no network needed.

    Over windows of 4 s of AnyTalker's own published output, 0.3 keeps all with the own voice and 30 % of those with
    another conversation's, whose pauses fit by chance (0.4: 90 and 18 %; 0.2: 100 and 45 %).
    """

    followed: Followed
    voices: Mapping[str, Waveform]
    frame_rate: float
    least: float
    lead: float
    name: str = MOUTH_SCORES

    def matrix(self, first: int, last: int, speaker_ids: Sequence[str]) -> Matrix:
        span_s = first / self.frame_rate, last / self.frame_rate
        heard = [self.voices[speaker_id].between(*span_s) for speaker_id in speaker_ids]
        return score_matrix(list(self.followed.between(first, last).opening), heard, self.frame_rate)


@dataclass(frozen=True)
class SyncNetScores:
    """SyncNet's confidence, where its network is on disk. ``distances``: of every speaker with every person."""

    distances: Mapping[tuple[str, int], LipDistances]
    num_people: int
    frame_rate: float
    least: float
    lead: float
    name: str = SYNCNET_SCORES

    def matrix(self, first: int, last: int, speaker_ids: Sequence[str]) -> Matrix:
        span_s = first / self.frame_rate, last / self.frame_rate
        scores = np.zeros((len(speaker_ids), self.num_people))
        for row, speaker_id in enumerate(speaker_ids):
            for person in range(self.num_people):
                found = self.distances[speaker_id, person].within([span_s])
                scores[row, person] = found.confidence if found else 0.0
        return scores


def syncnet_distances(
    facts: VideoFacts, followed: Sequence[Followed], voices: Mapping[str, Waveform], network: LipNetwork
) -> Iterator[int | list[dict[tuple[str, int], LipDistances]]]:
    """The number of frames looked at, after each one; at last, for each shot, every speaker with every person."""
    people = [_person(shot, index, one) for shot, one in enumerate(followed) for index in range(len(one.opening))]
    num_frames = max((one.last for one in followed), default=0)
    people = [_as_long(person, num_frames) for person in people]
    flat = np.zeros(num_frames)
    watched = Watched(facts.frame_rate, people, np.zeros((num_frames, 3)), flat, flat)
    pairs = [
        Voice(speaker_id, "", person.face_id, voice, ()) for person in people for speaker_id, voice in voices.items()
    ]
    for step in lip_distances(facts, watched, pairs, network, whole=True):
        if isinstance(step, int):
            yield step
            continue
        by_face = {(pair.face_id, pair.speaker_id): pair for pair in step}
        yield [
            {
                (speaker_id, index): by_face[_face_id(shot, index), speaker_id]
                for index in range(len(one.opening))
                for speaker_id in voices
            }
            for shot, one in enumerate(followed)
        ]


def _face_id(shot: int, person: int) -> str:
    return f"{shot}-{person}"


def _person(shot: int, index: int, one: Followed) -> PersonCurves:
    """A followed person on the whole video's clock: not seen before the shot."""
    before = np.full(one.first, np.nan)
    opening = np.concatenate([before, one.opening[index]])
    boxes = np.concatenate([np.full((one.first, 4), np.nan, np.float32), one.boxes_px[index]])
    none = np.zeros(0)
    points = np.zeros((len(opening), 0, 2), np.float32)
    return PersonCurves(
        _face_id(shot, index), "", opening, opening, opening, points, boxes, none.astype(np.int64), none, 1.0
    )  # fmt: skip


def _as_long(person: PersonCurves, num_frames: int) -> PersonCurves:
    missing = num_frames - len(person.opening)
    opening = np.pad(person.opening, (0, missing), constant_values=np.nan)
    boxes = np.pad(person.boxes, ((0, missing), (0, 0)), constant_values=np.nan)
    return replace(person, opening=opening, boxes=boxes)


def paired(scores: Matrix, lead: float) -> list[int | None] | None:
    """For each person, left to right, which voice is theirs (None = they are silent); None where that is not clear.

    Two voices: the two largest of the four scores must pair each voice with a face of its own ("on the diagonal").
    One voice: its face must be ahead of the other by ``lead``.
    """
    num_voices, num_people = scores.shape
    if num_people == 1:
        return [0] if num_voices == 1 else None
    if num_voices == 1:
        best = int(scores[0].argmax())
        return [0 if p == best else None for p in range(2)] if abs(scores[0, 0] - scores[0, 1]) >= lead else None
    if num_voices != 2 or num_people != 2:
        return None
    straight = min(scores[0, 0], scores[1, 1]) > max(scores[0, 1], scores[1, 0])
    crossed = min(scores[0, 1], scores[1, 0]) > max(scores[0, 0], scores[1, 1])
    if not straight and not crossed:
        return None
    return [0, 1] if straight else [1, 0]


def told(scores: Matrix) -> str:
    """The matrix in words, voice by voice."""
    return "; ".join(" ".join(f"{score:+.2f}" for score in row) for row in scores) + " (voices; faces)."
