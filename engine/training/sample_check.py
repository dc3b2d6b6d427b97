"""Samples in the middle of a run: a few people rendered in a few steps, kept to be looked at, and measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from engine.dit.coders import Encoders
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.training.faces import load_portraits
from engine.training.made_data import Scene
from engine.training.rendered_check import CheckPlan, Renderer, figures, held_out_scenes, write_sheet, write_video

CHECKED_SCENES = 4


@dataclass(frozen=True)
class SampleCheck:
    """``scenes`` of one's own, or held-out made ones, rendered by ``plan`` on ``device`` (``half``: in bfloat16 there)
    into ``folder``: a sheet of frames, and videos of one's own."""

    encoders: Encoders
    plan: CheckPlan
    folder: Path
    scenes: Sequence[Scene] = ()
    device: str = "cpu"
    half: bool = False

    def __call__(self, network: AnyTalkerTransformer3DModel, step: int) -> dict[str, float]:
        """What a run notes. Raises WriteFailed."""
        module: torch.nn.Module = network
        module.to(self.device)
        renderer = Renderer(network, self.encoders, self.plan, self.device)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.half and self.device.startswith("cuda")):
            rendered = [renderer(scene) for scene in self.scenes or self._held_out]
        self.folder.mkdir(parents=True, exist_ok=True)
        write_sheet(rendered, self.folder / f"step-{step:08}.png")
        for number, each in enumerate(rendered if self.scenes else (), start=1):
            write_video(each, self.folder / f"step-{step:08}-{number}.mp4")
        found = figures(rendered, self.plan.measure)
        return {"own_r": found.own_r, "other_r": found.other_r, "swing": found.swing}

    @cached_property
    def _held_out(self) -> list[Scene]:
        return held_out_scenes(load_portraits(held_out=True), replace(self.plan, num_scenes=CHECKED_SCENES))
