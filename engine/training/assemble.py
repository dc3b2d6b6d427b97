"""Everything that a run needs beside its config: encoders, data that are made on the spot, what it is checked by."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch

from engine.dit import tiny
from engine.dit.coders import Encoders
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.project.document import RenderSettings
from engine.training.config import TrainingConfig
from engine.training.faces import load_portraits
from engine.training.inputs import TrainingEncoders
from engine.training.made_data import FRAME_RATE, Scene
from engine.training.making import Told, is_made, make
from engine.training.own_scenes import own_scenes
from engine.training.prepare.encoders import TINY_CODEC, TINY_FOLDER, PublishedAudioEncoder
from engine.training.rendered_check import CheckPlan, Renderer, figures, held_out_scenes, write_sheet, write_video

CHECKED_SCENES = 4
PUBLISHED_STEPS = 20  # of a sample; a preview's
_LOOK_EVERY_S = 2.0


@dataclass(frozen=True)
class Assembled:
    """``codec_name``: by which the shards must have been made; ``rendering``: the same encoders as a render takes them;
    ``plan``: how what the run makes is measured, in ``scenes`` of one's own or in held-out made ones, on ``device``
    (``half``: in bfloat16 there); ``samples``: the folder for what was rendered."""

    encoders: TrainingEncoders
    codec_name: str
    rendering: Encoders | None = None
    plan: CheckPlan = field(default_factory=CheckPlan)
    scenes: Sequence[Scene] = ()
    samples: Path | None = None
    device: str = "cpu"
    half: bool = False

    def check(self, network: AnyTalkerTransformer3DModel, step: int) -> dict[str, float]:
        """A few people, rendered in a few steps: kept to be looked at, and measured."""
        assert self.rendering is not None
        scenes = self.scenes or self._held_out
        on_gpu = self.device.startswith("cuda")
        module: torch.nn.Module = network
        module.to(self.device)
        renderer = Renderer(network, self.rendering, self.plan, self.device)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.half and on_gpu):
            rendered = [renderer(scene) for scene in scenes]
        if self.samples is not None:
            self.samples.mkdir(parents=True, exist_ok=True)
            write_sheet(rendered, self.samples / f"step-{step:08}.png")
            for number, each in enumerate(rendered if self.scenes else (), start=1):
                write_video(each, self.samples / f"step-{step:08}-{number}.mp4")
        found = figures(rendered, self.plan.measure)
        return {"own_r": found.own_r, "other_r": found.other_r, "swing": found.swing}

    @cached_property
    def _held_out(self) -> list[Scene]:
        return held_out_scenes(load_portraits(held_out=True), replace(self.plan, num_scenes=CHECKED_SCENES))


def assembled(config: TrainingConfig, told: Told, first: bool = True) -> Assembled:
    """Make what is to be made and is not there, and load the encoders. Of several processes the ``first`` makes it,
    and the others wait. Raises StudioError."""
    if config.made is not None:
        if first:
            make(config, config.made, told)
        while not is_made(config):
            time.sleep(_LOOK_EVERY_S)
    made = _tiny(config) if config.data.encoders == "tiny" else _published(config)
    if first and config.run.check_every and config.run.check_folder:
        scenes = own_scenes(config.run.check_folder, made.plan.num_frames / FRAME_RATE)
        return replace(made, scenes=scenes, plan=replace(made.plan, measure="mesh"))
    return made


def _tiny(config: TrainingConfig) -> Assembled:
    loaded = tiny.load_tiny_encoders((config.data.encoder_folder or TINY_FOLDER) / TINY_CODEC)
    encoders = TrainingEncoders(loaded.prompt.encode, loaded.image(), loaded.video, tiny.TinySpeechEncoder())
    return Assembled(encoders, tiny.CODEC_NAME, loaded, _plan(config), samples=config.run.folder / "samples")


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
    published = RenderSettings()
    plan = replace(
        _plan(config), height=config.run.check_height, num_frames=config.data.max_frames, shift=config.loss.shift,
        num_inference_steps=PUBLISHED_STEPS, guidance_scale=published.guidance_scale,
        guidance_range=published.guidance_range,
    )  # fmt: skip
    return Assembled(
        encoders, PUBLISHED_CODEC, replace(loaded, image=lambda: image), plan, samples=config.run.folder / "samples",
        device=device, half=config.run.precision == "bf16",
    )  # fmt: skip


def _plan(config: TrainingConfig) -> CheckPlan:
    return CheckPlan(heard=config.ablation.heard, token_masks=config.ablation.token_masks)
