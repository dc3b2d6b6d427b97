"""Prepared videos in the order of a run: the same for the same seed, from any step on, with few shards in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import StudioError
from engine.training.samples import Clip
from engine.training.shards import ShardIndex, check_made_with, read_index, read_shard

_EPOCH, _POOL = 1, 2


class ClipOrder:
    """Endless: position n is a clip for every n >= 0, each clip once per epoch. Shards are shuffled, read
    ``pool_shards`` at a time, and shuffled together.

    Raises StudioError for folders without clips, or of another stage.
    """

    def __init__(self, folders: Sequence[Path], stage: int, pool_shards: int, seed: int) -> None:
        self._seed, self._pool_shards = seed, pool_shards
        self._indices = [read_index(folder) for folder in folders]
        for folder, index in zip(folders, self._indices, strict=True):
            _check_stage(folder, index, stage)
        self._shards = [
            (folder / shard.name, shard.num_clips)
            for folder, index in zip(folders, self._indices, strict=True)
            for shard in index.shards
        ]
        self.num_clips = sum(count for _, count in self._shards)
        if not self.num_clips:
            raise StudioError(f"There are no prepared videos in {folders[0]}.", "Run `python launch.py data prepare`.")
        self._pool: tuple[tuple[int, int], list[Clip]] | None = None

    def check_made_with(self, codec_name: str, audio_name: str) -> None:
        """Raises StudioError where the shards were made by others."""
        for index in self._indices:
            check_made_with(index, codec_name, audio_name)

    def prompts(self) -> Iterator[str]:
        """Of every clip: reads all shards once."""
        for path, _ in self._shards:
            yield from (clip.prompt for clip in read_shard(path))

    def __getitem__(self, position: int) -> Clip:
        epoch, inside = divmod(position, self.num_clips)
        order = self._chance(_EPOCH, epoch).permutation(len(self._shards))
        for first in range(0, len(order), self._pool_shards):
            chosen = order[first : first + self._pool_shards]
            count = sum(self._shards[shard][1] for shard in chosen)
            if inside < count:
                return self._in_pool(epoch, first, chosen)[inside]
            inside -= count
        raise AssertionError("an epoch has all clips")

    def _in_pool(self, epoch: int, first: int, chosen: NDArray[np.int64]) -> list[Clip]:
        if self._pool is None or self._pool[0] != (epoch, first):
            self._pool = None  # let go of the old one before the new one is read
            clips = [clip for shard in chosen for clip in read_shard(self._shards[shard][0])]
            order = self._chance(_POOL, epoch, first).permutation(len(clips))
            self._pool = ((epoch, first), [clips[index] for index in order])
        return self._pool[1]

    def _chance(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *what])


def _check_stage(folder: Path, index: ShardIndex, stage: int) -> None:
    if index.stage != stage:
        raise StudioError(
            f"{folder} holds videos of stage {index.stage}; the training config says data.stage = {stage}.",
            "Choose the folder of that stage, or change data.stage.",
        )
