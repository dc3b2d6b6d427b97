"""What each step of a run learns from: decided by seed and step alone, so that a run can go on from any step, and any
number of processes together do what one would.
"""

from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from engine.training.config import TrainingConfig
from engine.training.dropout import Dropout, Left
from engine.training.examples import Example
from engine.training.flow import NoiseLevel, NoiseLevels
from engine.training.pairing import Pairing
from engine.training.source import ClipOrder

_PAIRING, _EXAMPLE, _NOISE = 3, 4, 5


@dataclass(frozen=True, eq=False)
class Task:
    """One example with what is left out of it and the noise that is put on it."""

    example: Example
    left: Left
    level: NoiseLevel
    noise_seed: int


@dataclass(frozen=True)
class Place:
    """This process among those that train together."""

    rank: int = 0
    num_processes: int = 1


class Steps(Dataset[list[Task]]):
    """Item i: this process's share of step ``first`` + i."""

    def __init__(self, config: TrainingConfig, order: ClipOrder, first: int, place: Place) -> None:
        self._config, self._order, self._first, self._place = config, order, first, place
        pairing = config.pairing
        self._pairing = Pairing(
            pairing.share, pairing.people, pairing.silent_share, config.data.max_frames, pairing.whole_share
        )
        self._dropout = Dropout(config.dropout.text, config.dropout.audio, config.dropout.both)
        self._levels = NoiseLevels(config.loss.shift, config.loss.weighting)

    def __len__(self) -> int:
        return max(0, self._config.run.steps - self._first)

    def __getitem__(self, index: int) -> list[Task]:
        if index >= len(self):
            raise IndexError(index)
        step, count = self._first + index, self._config.run.batch_size
        clips = [self._order[step * count + place] for place in range(count)]
        examples = self._pairing.examples(clips, self._chance(_PAIRING, step))
        share = count // self._place.num_processes
        own = range(self._place.rank * share, (self._place.rank + 1) * share)
        return [self._task(examples[place], step, place) for place in own]

    def _task(self, example: Example, step: int, place: int) -> Task:
        chance = self._chance(_EXAMPLE, step, place)
        noise_seed = int(self._chance(_NOISE, step, place).integers(2**63))
        return Task(example, self._dropout.drawn(chance), self._levels.drawn(chance), noise_seed)

    def _chance(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self._config.run.seed, *what])
