"""Everything that a run needs beside its config: encoders, data that are made on the spot, what it is checked by."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from engine.dit import tiny
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.project.atomic import whole_file
from engine.training import made_data
from engine.training.codec_training import CodecStep, train_codec
from engine.training.config import Made, TrainingConfig
from engine.training.faces import Portrait, load_portraits
from engine.training.inputs import TrainingEncoders
from engine.training.made_data import FRAME_RATE, STORED, Cut
from engine.training.prepare.encoders import TINY_CODEC, TINY_FOLDER, FrameCodec, PublishedAudioEncoder
from engine.training.rendered_check import CheckPlan, checked
from engine.training.samples import Clip, Half, Person
from engine.training.shards import INDEX_NAME, ShardFacts, write_clips

Told = Callable[[str], None]
CHECKED_SCENES = 4
_SYNC = 10.0  # of a mouth that was drawn to its voice
_TELL_EVERY_S, _LOOK_EVERY_S = 20.0, 2.0


@dataclass(frozen=True)
class Assembled:
    """``codec_name``, ``audio_name``: by which the shards must have been made; ``coder``: of the small codec only."""

    encoders: TrainingEncoders
    codec_name: str
    coder: tiny.TinyVideoCoder | None = None

    def check(self, network: AnyTalkerTransformer3DModel, step: int) -> dict[str, float]:
        """Rendered and measured: a few held-out people, in a few steps."""
        assert self.coder is not None
        return checked(network, self.coder, self._held_out, CheckPlan(num_scenes=CHECKED_SCENES))

    @cached_property
    def _held_out(self) -> list[Portrait]:
        return load_portraits(held_out=True)


def assembled(config: TrainingConfig, told: Told, first: bool = True) -> Assembled:
    """Make what is to be made and is not there, and load the encoders. Of several processes the ``first`` makes it,
    and the others wait. Raises StudioError."""
    if config.made is not None:
        if first:
            make(config, config.made, told)
        while not _is_made(config):
            time.sleep(_LOOK_EVERY_S)
    if config.data.encoders == "tiny":
        return _tiny(config.data.encoder_folder or TINY_FOLDER)
    return _published(config)


def _tiny(folder: Path) -> Assembled:
    coder = tiny.TinyVideoCoder(tiny.load_vae(folder / TINY_CODEC))
    encoders = TrainingEncoders(
        tiny.TinyPromptEncoder().encode, tiny.TinyImageEncoder(), coder, tiny.TinySpeechEncoder()
    )
    return Assembled(encoders, tiny.CODEC_NAME, coder)


def _published(config: TrainingConfig) -> Assembled:
    """The text encoder runs where there is room; it is needed for new prompts only, and let go of."""
    from engine.dit.catalogue import MODELS, find_model
    from engine.dit.conditioning import EncoderPlan, load_encoders
    from engine.training.prepare.encoders import PUBLISHED_CODEC

    device = "cuda" if torch.cuda.is_available() else "cpu"
    files = find_model(next(iter(MODELS)))
    loaded = load_encoders(files, EncoderPlan(device=device), config.run.folder / "prompts")
    image = loaded.image()
    audio = PublishedAudioEncoder(loaded.speech)
    encoders = TrainingEncoders(loaded.prompt.encode, image, loaded.video, audio, prompts_first=True)
    return Assembled(encoders, PUBLISHED_CODEC)


def _is_made(config: TrainingConfig) -> bool:
    folder = config.data.encoder_folder or TINY_FOLDER
    return (folder / TINY_CODEC).is_file() and (config.data.folders[0] / INDEX_NAME).is_file()


def make(config: TrainingConfig, made: Made, told: Told) -> None:
    """The codec, then the data encoded with it. What is there already, whole, is kept."""
    folder, encoder_folder = config.data.folders[0], config.data.encoder_folder
    assert encoder_folder is not None
    codec_path = encoder_folder / TINY_CODEC
    if _is_made(config):
        return
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    told("Finding the faces of the portraits")
    portraits = load_portraits(held_out=False)
    people = config.data.stage
    if not codec_path.is_file():
        cuts = [cut for take in made_data.takes(portraits, made.codec_takes, made.seed) for cut in cuts_of(take)]
        told(f"{len(cuts)} videos for the codec are made")
        encoder_folder.mkdir(parents=True, exist_ok=True)
        with whole_file(codec_path) as part:
            save_file(_codec(cuts, made, told), part)
    codec = FrameCodec(tiny.CODEC_NAME, tiny.TinyVideoCoder(tiny.load_vae(codec_path)))
    cuts_made = (cut for take in made_data.takes(portraits, made.takes, made.seed + 1, people) for cut in cuts_of(take))
    facts = ShardFacts(config.data.stage, codec.name, tiny.AUDIO_NAME, STORED[1], STORED[0], FRAME_RATE)
    write_clips(_told_of((as_clip(cut, codec) for cut in cuts_made), told), folder, facts)


def cuts_of(take: made_data.Take) -> Iterator[Cut]:
    number = int(take.name.rsplit("-", 1)[1])
    return made_data.cuts(take, np.random.default_rng([7, number]))


def _codec(cuts: list[Cut], made: Made, told: Told) -> dict[str, torch.Tensor]:
    said = time.monotonic()
    for each in train_codec(cuts, made.codec_steps, made.codec_batch_size, made.seed):
        if isinstance(each, CodecStep):
            if time.monotonic() - said > _TELL_EVERY_S:
                told(f"codec: step {each.step} of {made.codec_steps}, error {each.error:.1f}")
                said = time.monotonic()
        else:
            return {name: tensor.detach().half().contiguous() for name, tensor in each.state_dict().items()}
    raise AssertionError("a codec comes last")


def _told_of(clips: Iterator[Clip], told: Told) -> Iterator[Clip]:
    for number, clip in enumerate(chain(clips), start=1):
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
