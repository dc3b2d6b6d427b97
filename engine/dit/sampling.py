"""The denoising of one window: solver tables as published, joint guidance, and what must stay as it is.

Flow matching (spec B.1): the network predicts the velocity, noise minus clean; latents at sigma are
(1 - sigma) * clean + sigma * noise.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler
from diffusers.hooks import FirstBlockCacheConfig
from numpy.typing import NDArray
from torch import Tensor

from engine.dit.events import StepDone
from engine.dit.shapes import LATENT_CHANNELS, LatentShape
from engine.dit.streams import Streams
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.dit.types import Conditioning
from engine.dit.windows import WindowSpan
from engine.project.document import RenderSettings

SIGMA_MAX = 0.9997997879981995
"""Where the published UniPC table starts before the shift: its solver was built with shift 5 over 1000 steps."""

Solver = Literal["unipc", "dpm++"]
Scheduler = Any  # diffusers does not type its schedulers
Preview = Callable[[Tensor], NDArray[np.uint8]]
"""Clean latents (16, T, H, W) as far as they are known → a rough picture (h, w, 3) uint8."""


@dataclass(frozen=True)
class Sampling:
    """How a window is denoised. ``guidance_range``: the part of the steps, 0..1, that is guided; outside it the
    conditional pass alone decides. ``step_cache``: how alike two steps must be for the second to reuse the first's
    blocks (diffusers' FirstBlockCache); 0 = every step is computed. ``keep_keys``: see Streams."""

    num_inference_steps: int
    guidance_scale: float
    shift: float
    seed: int
    guidance_range: tuple[float, float] = (0.0, 1.0)
    step_cache: float = 0.0
    keep_keys: bool = True
    solver: Solver = "unipc"

    @classmethod
    def of(cls, settings: RenderSettings, keep_keys: bool = True) -> "Sampling":
        return cls(
            settings.num_inference_steps,
            settings.guidance_scale,
            settings.shift,
            settings.seed,
            settings.guidance_range,
            settings.step_cache,
            keep_keys,
        )

    def is_guided(self, step: int) -> bool:
        """Whether step ``step`` (from 0) takes the unconditional pass too."""
        first, last = self.guidance_range
        middle = (step + 0.5) / self.num_inference_steps
        return self.guidance_scale != 1.0 and first <= middle <= last


def make_scheduler(solver: Solver, num_inference_steps: int, shift: float) -> Scheduler:
    """diffusers' solver on the published table of sigmas (spec B.1, H10); its own table differs by up to 4e-3."""
    kind: Any = UniPCMultistepScheduler if solver == "unipc" else DPMSolverMultistepScheduler
    scheduler: Scheduler = kind(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    grid = np.linspace(SIGMA_MAX if solver == "unipc" else 1.0, 0.0, num_inference_steps + 1)[:-1]
    if solver == "unipc":
        scheduler.set_timesteps(sigmas=grid)
    else:  # takes no table of sigmas
        scheduler.set_timesteps(num_inference_steps)
        sigmas = shift * grid / (1 + (shift - 1) * grid)
        scheduler.sigmas = torch.tensor([*sigmas, 0.0], dtype=torch.float32)
        scheduler.timesteps = torch.tensor(sigmas * 1000).to(torch.int64)
    return scheduler


def window_noise(latent: LatentShape, seed: int, window: int) -> Tensor:
    """(16, T, H, W) standard normal float32: the same on every machine, another one for each window.

    Window 0 of a seed is the published program's own noise for that seed.
    """
    # A prime far above any number of windows, so that the windows of neighbouring seeds never share their noise.
    generator = torch.Generator("cpu").manual_seed((seed + window * 6_700_417_637) % 2**63)
    return torch.randn(
        (LATENT_CHANNELS, latent.num_frames, latent.height, latent.width), generator=generator, dtype=torch.float32
    )


@torch.no_grad()
def denoise(
    transformer: AnyTalkerTransformer3DModel,
    conditioning: Conditioning,
    sampling: Sampling,
    span: WindowSpan,
    preview: Preview | None = None,
) -> Generator[StepDone, None, Tensor]:
    """Latents (16, T, H, W) float32 on the CPU, after one StepDone for each step.

    Two passes a step where guided: v = v_null + g (v_cond - v_null), one scale for text and sound (spec B.2); the
    null pass has the negative prompt and zero audio features, all else is kept. Known frames and pinned regions
    follow their own noised latents exactly. Closing the generator stops between two steps.
    """
    device = transformer.device
    noise = window_noise(conditioning.shape.latent, sampling.seed, span.index).to(device)
    scheduler = make_scheduler(sampling.solver, sampling.num_inference_steps, sampling.shift)
    velocity = _Velocity(transformer, conditioning, sampling)
    held = _Held.of(conditioning, noise)
    latents = noise
    with step_cache(transformer, sampling.step_cache):
        for step, timestep in enumerate(scheduler.timesteps):
            predicted = held.velocity(velocity(latents, timestep, step))
            clean = latents - scheduler.sigmas[step].to(device) * predicted
            latents = scheduler.step(predicted[None], timestep, latents[None], return_dict=False)[0][0]
            yield StepDone(
                span, step + 1, sampling.num_inference_steps, preview(clean.float().cpu()) if preview else None
            )
    return held.latents(latents).float().cpu()


@contextmanager
def step_cache(transformer: AnyTalkerTransformer3DModel, threshold: float) -> Iterator[None]:
    """diffusers' first-block cache within the block, emptied before and after: a window shares it with no other."""
    if not threshold:
        yield
        return
    transformer.enable_cache(FirstBlockCacheConfig(threshold=threshold))
    try:
        yield
    finally:
        transformer.disable_cache()


class _Velocity:
    """The guided velocity: both passes of the network, with what each keeps between steps."""

    def __init__(
        self, transformer: AnyTalkerTransformer3DModel, conditioning: Conditioning, sampling: Sampling
    ) -> None:
        self._transformer, self._sampling = transformer, sampling
        self._condition = conditioning.condition_CTHW.to(transformer.device)
        self._dtype = transformer.patch_embedding.weight.dtype  # never quantized, never cast for storage
        rest = conditioning.image_embeds, conditioning.people, conditioning.shape.latent, sampling.keep_keys
        self._conditional = Streams(conditioning.prompt_embeds_LD, *rest)
        silenced = tuple(person.silenced() for person in conditioning.people)
        self._null = Streams(conditioning.negative_prompt_embeds_LD, rest[0], silenced, *rest[2:])

    def __call__(self, latents: Tensor, timestep: Tensor, step: int) -> Tensor:
        conditional = self._predicted(latents, timestep, self._conditional, "conditional")
        if not self._sampling.is_guided(step):
            return conditional
        null = self._predicted(latents, timestep, self._null, "null")
        return null + self._sampling.guidance_scale * (conditional - null)

    def _predicted(self, latents: Tensor, timestep: Tensor, streams: Streams, name: str) -> Tensor:
        seen = torch.cat([latents, self._condition]).to(self._dtype)[None]
        with self._transformer.cache_context(name):
            sample = self._transformer(seen, timestep[None].to(latents.device), streams, return_dict=False)[0]
        return sample[0].float()


@dataclass(frozen=True)
class _Held:
    """What follows its own latents: ``weight`` (1, T, H, W) 0..1 of ``clean`` (16, T, H, W) against the network."""

    weight: Tensor
    clean: Tensor
    noise: Tensor

    @classmethod
    def of(cls, conditioning: Conditioning, noise: Tensor) -> "_Held":
        weight, clean = torch.zeros_like(noise[:1]), torch.zeros_like(noise)
        if conditioning.pinned:
            weight = weight + conditioning.pinned.mask_HW.to(noise)
            clean = conditioning.pinned.latents_CTHW.to(noise).clone()
        if conditioning.known_CTHW is not None:
            num_known = conditioning.known_CTHW.shape[1]
            weight[:, :num_known] = 1.0
            clean[:, :num_known] = conditioning.known_CTHW.to(noise)
        return cls(weight, clean, noise)

    def velocity(self, predicted: Tensor) -> Tensor:
        """With this velocity every solver keeps held latents on (1 - sigma) clean + sigma noise, whatever its order."""
        return torch.lerp(predicted, self.noise - self.clean, self.weight)

    def latents(self, denoised: Tensor) -> Tensor:
        """Exactly what is known where nothing but that counts: no rounding of the solver stays in it."""
        return torch.where(self.weight == 1, self.clean, denoised)
