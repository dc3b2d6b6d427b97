"""Everything that a run needs beside its config: encoders, data that are made on the spot, what it is checked by."""

import os
import time
from dataclasses import dataclass, replace

import torch

from engine.dit import tiny
from engine.project.document import RenderSettings
from engine.training.config import TrainingConfig
from engine.training.inputs import TrainingEncoders
from engine.training.made_data import FRAME_RATE
from engine.training.making import Told, is_made, make
from engine.training.own_scenes import own_scenes
from engine.training.prepare.encoders import TINY_CODEC, TINY_FOLDER, PublishedAudioEncoder
from engine.training.rendered_check import CheckPlan
from engine.training.sample_check import SampleCheck

PUBLISHED_STEPS = 20  # of a sample; a preview's
_LOOK_EVERY_S = 2.0


@dataclass(frozen=True)
class Assembled:
    """``codec_name``: by which the shards must have been made; ``check``: of what the run makes."""

    encoders: TrainingEncoders
    codec_name: str
    check: SampleCheck | None = None


def assembled(config: TrainingConfig, told: Told, first: bool = True) -> Assembled:
    """Make what is to be made and is not there, and load the encoders. Of several processes the ``first`` makes it,
    and the others wait. Raises StudioError."""
    if config.made is not None:
        if first:
            make(config, config.made, told)
        while not is_made(config):
            time.sleep(_LOOK_EVERY_S)
    encoders, codec_name, check = _tiny(config) if config.data.encoders == "tiny" else _published(config)
    if first and config.run.check_every and config.run.check_folder:
        scenes = own_scenes(config.run.check_folder, check.plan.num_frames / FRAME_RATE)
        check = replace(check, scenes=scenes, plan=replace(check.plan, measure="mesh"))
    return Assembled(encoders, codec_name, check)


def _tiny(config: TrainingConfig) -> tuple[TrainingEncoders, str, SampleCheck]:
    loaded = tiny.load_tiny_encoders((config.data.encoder_folder or TINY_FOLDER) / TINY_CODEC)
    encoders = TrainingEncoders(loaded.prompt.encode, loaded.image(), loaded.video, tiny.TinySpeechEncoder())
    return encoders, tiny.CODEC_NAME, SampleCheck(loaded, _plan(config), config.run.folder / "samples")


def _published(config: TrainingConfig) -> tuple[TrainingEncoders, str, SampleCheck]:
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
    published = RenderSettings()
    plan = replace(
        _plan(config), height=config.run.check_height, num_frames=config.data.max_frames, shift=config.loss.shift,
        num_inference_steps=PUBLISHED_STEPS, guidance_scale=published.guidance_scale,
        guidance_range=published.guidance_range,
    )  # fmt: skip
    check = SampleCheck(
        replace(loaded, image=lambda: image), plan, config.run.folder / "samples", device=device,
        half=config.run.precision == "bf16",
    )  # fmt: skip
    return encoders, PUBLISHED_CODEC, check


def _plan(config: TrainingConfig) -> CheckPlan:
    return CheckPlan(heard=config.ablation.heard, token_masks=config.ablation.token_masks)
