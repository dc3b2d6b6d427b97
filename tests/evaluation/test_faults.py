"""One seeded case of each fault in a real animatic; `bench check` runs forty of each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.bench.check import FAULTS, Bench, published, sound_animatic

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench(shared_media: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Bench:
    media = shared_media("photos", "pair_news.png").parents[1]
    shared_media("dialogues", "talk_2_left.flac")
    made = Bench(media, tmp_path_factory.mktemp("faults"))
    made.prepare([2], ["pair_news"])
    return made


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(bench: Bench, name: str) -> None:
    _, case = FAULTS[name]
    assert case(bench, np.random.default_rng([0, 1])).found


def test_sound_videos_raise_nothing(bench: Bench) -> None:
    for number in range(4):
        assert sound_animatic(bench, np.random.default_rng([1, number])).raised == []
    assert published(bench, np.random.default_rng([2, 0])).raised == []
