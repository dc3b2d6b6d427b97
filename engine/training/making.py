"""The small network's data and codec, made on the spot: videos of animated people, and what encodes them."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from engine.dit import tiny
from engine.project.atomic import whole_file
from engine.training import made_data
from engine.training.codec_training import CodecStep, train_codec
from engine.training.config import Made, TrainingConfig
from engine.training.faces import Portrait, load_portraits
from engine.training.made_data import FRAME_RATE, STORED, Cut
from engine.training.prepare.encoders import TINY_CODEC, TINY_FOLDER, FrameCodec
from engine.training.samples import Clip, Half, Person
from engine.training.shards import INDEX_NAME, ShardFacts, write_clips

Told = Callable[[str], None]
_SYNC = 10.0  # of a mouth that was drawn to its voice
_TELL_EVERY_S = 20.0


def is_made(config: TrainingConfig) -> bool:
    folder = config.data.encoder_folder or TINY_FOLDER
    return (folder / TINY_CODEC).is_file() and (config.data.folders[0] / INDEX_NAME).is_file()


def make(config: TrainingConfig, made: Made, told: Told) -> None:
    """The codec, then the data encoded with it, by ``config.run.processes``. What is there already, whole, is kept."""
    folder, encoder_folder = config.data.folders[0], config.data.encoder_folder
    assert encoder_folder is not None
    if is_made(config):
        return
    told("Finding the faces of the portraits")
    portraits = load_portraits(held_out=False)
    with _workers(config.run.processes) as workers:
        codec_path = encoder_folder / TINY_CODEC
        if not codec_path.is_file():
            cuts_made = workers.map(partial(_cuts, portraits, made.seed, 1, 1.0), range(made.codec_takes))
            cuts = [cut for some in cuts_made for cut in some]
            told(f"{len(cuts)} videos for the codec are made")
            encoder_folder.mkdir(parents=True, exist_ok=True)
            with whole_file(codec_path) as part, _threads(config.run.threads or config.run.processes):
                save_file(_codec(cuts, made, told), part)
        as_clips = partial(_clips, portraits, made.seed + 1, config.data.stage, made.gestures, codec_path)
        clips = (clip for some in workers.map(as_clips, range(made.takes)) for clip in some)
        facts = ShardFacts(config.data.stage, tiny.CODEC_NAME, tiny.AUDIO_NAME, STORED[1], STORED[0], FRAME_RATE)
        write_clips(_told_of(clips, told), folder, facts)


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    # Not forked: torch and the face mesh have threads, which would be missing in a fork.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for torch: while the codec learns, the run's other processes wait and their cores are free."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cuts(portraits: Sequence[Portrait], seed: int, num_people: int, gestures: float, index: int) -> list[Cut]:
    take = made_data.take(portraits, seed, index, num_people, gestures)
    return list(made_data.cuts(take, np.random.default_rng([7, index])))


def _clips(
    portraits: Sequence[Portrait], seed: int, num_people: int, gestures: float, codec_path: Path, index: int
) -> list[Clip]:
    codec = _loaded_codec(codec_path)
    return [as_clip(cut, codec) for cut in _cuts(portraits, seed, num_people, gestures, index)]


@lru_cache(maxsize=1)
def _loaded_codec(path: Path) -> FrameCodec:
    return FrameCodec(tiny.CODEC_NAME, tiny.TinyVideoCoder(tiny.load_vae(path)))


def _codec(cuts: list[Cut], made: Made, told: Told) -> dict[str, torch.Tensor]:
    said = time.monotonic()
    for each in train_codec(cuts, made.codec_steps, made.codec_batch_size, made.seed):
        if isinstance(each, CodecStep):
            if time.monotonic() - said > _TELL_EVERY_S:
                at = f"codec: step {each.step} of {made.codec_steps}"
                told(f"{at}, error {each.error:.1f}, motion lost {each.motion_lost:.2f}")
                said = time.monotonic()
        else:
            return {name: tensor.detach().half().contiguous() for name, tensor in each.state_dict().items()}
    raise AssertionError("a codec comes last")


def _told_of(clips: Iterator[Clip], told: Told) -> Iterator[Clip]:
    for number, clip in enumerate(clips, start=1):
        if number % 100 == 0:
            told(f"{number} videos are made")
        yield clip


def as_clip(cut: Cut, codec: FrameCodec) -> Clip:
    """A made video as data preparation would have it."""
    audio = tiny.TinySpeechEncoder()
    num_frames, height, width = cut.whole.shape[:3]
    people = tuple(
        Person(
            np.rint(box).astype(np.int64),
            np.tile(np.rint(box).astype(np.int64), (num_frames, 1)),
            audio.encode(voice, FRAME_RATE, num_frames).astype(np.float16),
            _SYNC,
        )
        for box, voice in zip(cut.boxes_px, cut.voices, strict=True)
    )
    halves = tuple(
        Half(codec.encode(frames).astype(np.float16), frames[0].copy(), np.rint(box).astype(np.int64))
        for frames, box in cut.halves
    )
    prompt = "A person is talking." if len(people) == 1 else "Two people are talking to each other."
    return Clip(
        cut.name, FRAME_RATE, num_frames, height, width, prompt, people, codec.encode(cut.whole).astype(np.float16),
        cut.whole[0].copy(), halves,
    )  # fmt: skip
