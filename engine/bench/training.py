"""Training: examples per second, memory, and where the time goes, on random data of the small network's size."""

import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

WARM_UP = 2


def bench_training(steps: int, config: str = "tiny", threads: int = 0) -> None:
    """``config``: a training config with data.encoders = "tiny", or the name of one; its data are not needed."""
    from engine.dit.tiny import (
        CODEC_NAME,
        TinyImageEncoder,
        TinyPromptEncoder,
        TinySpeechEncoder,
        TinyVae,
        TinyVideoCoder,
    )
    from engine.training.config import read_config
    from engine.training.inputs import TrainingEncoders
    from engine.training.loop import train
    from engine.training.train_commands import config_path

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_random(folder / "shards")
        settings = read_config(config_path(config)).model_dump(exclude={"made"})
        settings["data"] |= {"folders": (folder / "shards",), "encoder_folder": None, "stage": 1}
        settings["network"]["base"] = None
        settings["optimiser"] |= {"warmup_steps": 0}
        settings["run"] |= {"folder": folder / "run", "steps": WARM_UP + steps, "check_every": 0, "threads": threads}
        settings["run"]["save_every"] = WARM_UP + steps
        run = type(read_config(config_path(config))).model_validate(settings)
        encoders = TrainingEncoders(
            TinyPromptEncoder().encode, TinyImageEncoder(), TinyVideoCoder(TinyVae()), TinySpeechEncoder()
        )
        measured = [done.seconds for done in train(run, encoders, CODEC_NAME)][WARM_UP:]
        for line in _lines(measured, run.run.batch_size):
            print(line)


def _lines(measured: list[dict[str, float]], batch_size: int) -> Iterator[str]:
    total = sum(sum(seconds.values()) for seconds in measured)
    yield f"{batch_size * len(measured) / total:.2f} examples a second, batches of {batch_size}"
    # Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    yield f"{peak / 2**20:.0f} MB at most"
    for what in measured[0]:
        share = sum(seconds[what] for seconds in measured) / total
        yield f"{what:<10} {share:6.1%}"


def _write_random(folder: Path, count: int = 32) -> None:
    """Prepared videos of the small network's size, of random numbers."""
    import numpy as np

    from engine.dit.tiny import AUDIO_NAME, BANDS, CODEC_NAME, SLICES
    from engine.training.made_data import FRAME_RATE, FRAMES, STORED
    from engine.training.samples import Clip, Half, Person
    from engine.training.shards import ShardFacts, write_clips

    chance = np.random.default_rng(0)
    width, height = STORED
    latent_frames = (FRAMES - 1) // 4 + 1

    def side(wide: int) -> Half:
        latents = chance.normal(size=(16, latent_frames, height // 8, wide // 8)).astype(np.float16)
        picture = chance.integers(0, 256, (height, wide, 3), np.uint8)
        return Half(latents, picture, np.array([8, 12, 56, 84]))

    def clip(index: int) -> Clip:
        box = np.array([40, 12, 88, 84])
        voice = chance.uniform(-1, 1, (FRAMES, SLICES, BANDS)).astype(np.float16)
        person = Person(box, np.tile(box, (FRAMES, 1)), voice, 9.0)
        whole = side(width)
        halves = (side(width // 2), side(width // 2))
        return Clip(
            f"random-{index}", FRAME_RATE, FRAMES, height, width, "A person is talking.", (person,), whole.latents,
            whole.first_frame, halves,
        )  # fmt: skip

    facts = ShardFacts(1, CODEC_NAME, AUDIO_NAME, height, width, FRAME_RATE)
    write_clips((clip(index) for index in range(count)), folder, facts)
