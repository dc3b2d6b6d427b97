"""How well each mouth fits each voice: correlation of opening and loudness, or SyncNet where its network is on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.whose_voice import score_matrix
from engine.media.types import Waveform
from engine.training.prepare.people import Followed

Matrix = NDArray[np.float64]


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
    """Embedded: no network needed."""

    followed: Followed
    voices: Mapping[str, Waveform]
    frame_rate: float
    least: float
    lead: float
    name: str = "correlation of mouth opening and loudness"

    def matrix(self, first: int, last: int, speaker_ids: Sequence[str]) -> Matrix:
        span_s = first / self.frame_rate, last / self.frame_rate
        heard = [self.voices[speaker_id].between(*span_s) for speaker_id in speaker_ids]
        return score_matrix(list(self.followed.between(first, last).opening), heard, self.frame_rate)


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
