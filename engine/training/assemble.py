"""Everything that a run needs beside its config: encoders, data that are made on the spot, what it is checked by."""

import os
import time
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from engine.dit import tiny
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.training.config import TrainingConfig
from engine.training.faces import Portrait, load_portraits
from engine.training.inputs import TrainingEncoders
from engine.training.making import Told, is_made, make
from engine.training.prepare.encoders import TINY_CODEC, TINY_FOLDER, PublishedAudioEncoder
from engine.training.rendered_check import CheckPlan, checked

CHECKED_SCENES = 4
_LOOK_EVERY_S = 2.0


@dataclass(frozen=True)
class Assembled:
    """``codec_name``: by which the shards must have been made; ``coder``: of the small codec only; ``plan``: how what
    the run makes is measured."""

    encoders: TrainingEncoders
    codec_name: str
    coder: tiny.TinyVideoCoder | None = None
    plan: CheckPlan = field(default_factory=CheckPlan)

    def check(self, network: AnyTalkerTransformer3DModel, step: int) -> dict[str, float]:
        """Rendered and measured: a few held-out people, in a few steps."""
        assert self.coder is not None
        return checked(network, self.coder, self._held_out, replace(self.plan, num_scenes=CHECKED_SCENES))

    @cached_property
    def _held_out(self) -> list[Portrait]:
        return load_portraits(held_out=True)


def assembled(config: TrainingConfig, told: Told, first: bool = True) -> Assembled:
    """Make what is to be made and is not there, and load the encoders. Of several processes the ``first`` makes it,
    and the others wait. Raises StudioError."""
    if config.made is not None:
        if first:
            make(config, config.made, told)
        while not is_made(config):
            time.sleep(_LOOK_EVERY_S)
    if config.data.encoders == "tiny":
        return _tiny(config)
    return _published(config)


def _tiny(config: TrainingConfig) -> Assembled:
    folder = config.data.encoder_folder or TINY_FOLDER
    coder = tiny.TinyVideoCoder(tiny.load_vae(folder / TINY_CODEC))
    encoders = TrainingEncoders(
        tiny.TinyPromptEncoder().encode, tiny.TinyImageEncoder(), coder, tiny.TinySpeechEncoder()
    )
    plan = CheckPlan(heard=config.ablation.heard, token_masks=config.ablation.token_masks)
    return Assembled(encoders, tiny.CODEC_NAME, coder, plan)


def _published(config: TrainingConfig) -> Assembled:
    """The text encoder runs where there is room; it is needed for new prompts only, and let go of."""
    from engine.dit.catalogue import MODELS, find_model
    from engine.dit.conditioning import EncoderPlan, load_encoders
    from engine.training.prepare.encoders import PUBLISHED_CODEC

    # Each process has its own GPU; by "cuda" alone all would load on the first, as accelerate starts later.
    device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    files = find_model(next(iter(MODELS)))
    loaded = load_encoders(files, EncoderPlan(device=device), config.run.folder / "prompts")
    image = loaded.image()
    audio = PublishedAudioEncoder(loaded.speech)
    encoders = TrainingEncoders(loaded.prompt.encode, image, loaded.video, audio, prompts_first=True)
    return Assembled(encoders, PUBLISHED_CODEC)
