"""From videos of single people to pictures of several: the concatenation trick (paper 3.3; specification, D.2).

Per batch a fair coin: all videos as they are, or each joined with its neighbour in the batch. Beyond the paper: silent
partners, so that listeners are learnt (the reference's code has them), and rows of three and four.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.training.examples import Example, Part, cut_frames, joined, side, silent, whole
from engine.training.samples import Clip

TALK_PROMPTS = (
    "Two people are talking to each other.",
    "Two people sit side by side and talk.",
    "A conversation between two people, both facing the camera.",
    "Two people are having a conversation in one picture.",
)
SILENT_LEFT_PROMPTS = (
    "Two people: the one on the right is talking, the one on the left listens.",
    "The person on the right speaks while the person on the left is silent.",
)
SILENT_RIGHT_PROMPTS = (
    "Two people: the one on the left is talking, the one on the right listens.",
    "The person on the left speaks while the person on the right is silent.",
)
GROUP_PROMPTS = ("Several people are talking to each other.", "A group of people talk, side by side.")


@dataclass(frozen=True)
class Pairing:
    """``share`` of the batches are joined (the paper: half); ``people``: how many, drawn evenly from these;
    ``silent_share`` of the joined pictures have one silent person; ``max_frames``: longer videos are cut;
    ``whole_share`` of the people come with their whole picture instead of the window around the face, so that wider
    pictures are learnt."""

    share: float = 0.5
    people: tuple[int, ...] = (2,)
    silent_share: float = 0.1
    max_frames: int = 81
    whole_share: float = 0.0

    def examples(self, clips: Sequence[Clip], chance: np.random.Generator) -> list[Example]:
        """One example for each of the batch's ``clips``: the batch stays as large as it is."""
        if chance.random() >= self.share:
            return [whole(clip, self.max_frames) for clip in clips]
        num_people = int(chance.choice(self.people))
        return [self._joined(clips, first, num_people, chance) for first in range(len(clips))]

    def _joined(self, clips: Sequence[Clip], first: int, num_people: int, chance: np.random.Generator) -> Example:
        """Sample k with k+1 and so on, around the end of the batch."""
        row = [clips[(first + offset) % len(clips)] for offset in range(num_people)]
        sides = [self._part(clip, chance) for clip in row]
        quiet = int(chance.integers(num_people)) if chance.random() < self.silent_share else None
        if quiet is not None:
            sides[quiet] = silent(sides[quiet])
        num_frames = cut_frames(min(clip.num_frames for clip in row), self.max_frames)
        return joined(sides, str(chance.choice(_prompts(sides))), num_frames)

    def _part(self, clip: Clip, chance: np.random.Generator) -> Part:
        if self.whole_share and chance.random() < self.whole_share:
            return whole(clip, self.max_frames).parts[0]
        return side(clip, int(chance.integers(len(clip.halves))))


def _prompts(sides: Sequence[Part]) -> tuple[str, ...]:
    if len(sides) > 2:
        return GROUP_PROMPTS
    if sides[0].voices[0] is None:
        return SILENT_LEFT_PROMPTS
    return SILENT_RIGHT_PROMPTS if sides[1].voices[0] is None else TALK_PROMPTS


def generic_prompts() -> tuple[str, ...]:
    """Every prompt that joined pictures can have."""
    return TALK_PROMPTS + SILENT_LEFT_PROMPTS + SILENT_RIGHT_PROMPTS + GROUP_PROMPTS
