"""The recipe for one window, and the networks that it needs where the memory plan wants them."""

import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.dit.catalogue import NetworkFiles
from engine.dit.checkpoints import load_transformer
from engine.dit.coders import VideoCodec
from engine.dit.conditioning import EncoderPlan
from engine.dit.crew import Crew, Share
from engine.dit.events import StepDone
from engine.dit.loras import add_lora
from engine.dit.machine import this_machine
from engine.dit.memory import MemoryPlan
from engine.dit.sampling import Preview, Sampling, denoise
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.dit.types import Conditioning
from engine.dit.windows import WindowSpan
from engine.errors import OutOfMemory, StudioError

CPU = torch.device("cpu")
TEXT_ENCODER_BYTES = 13 * 2**30  # its weights, and room to compute


@dataclass(frozen=True)
class Engine:
    """The transformer where ``plan`` wants it, and the video decoder. ``crew``: the other GPUs' processes, if any."""

    transformer: AnyTalkerTransformer3DModel
    video: VideoCodec
    plan: MemoryPlan
    crew: Crew | None = None

    def close(self) -> None:
        """End the other processes; the engine must not be used any more."""
        if self.crew:
            self.crew.close()


def encoder_plan(plan: MemoryPlan) -> EncoderPlan:
    """Where the encoders run beside ``plan``. The prompt's encoder runs alone, before the transformer is loaded: on the
    GPU where its 11 GB fit as they are, else in the computer's memory, and only where they do not fit there as nf4."""
    device = torch.device(plan.device)
    text = {"text_device": plan.device, "text_quantization": "none"}
    if device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < TEXT_ENCODER_BYTES:
        fits = this_machine().ram_available_bytes > TEXT_ENCODER_BYTES
        text = {"text_device": "cpu"} if fits else {"text_device": plan.device, "text_quantization": "nf4"}
    return EncoderPlan(device=plan.device, tiling=plan.vae_tiling, **text)


def load_engine(files: NetworkFiles, video: VideoCodec, plan: MemoryPlan, lora: Path | None = None) -> Engine:
    """Raises ModelMissing, UnusableCheckpoint, and OutOfMemory where not even the weights fit."""
    device = torch.device(plan.device)
    with told_out_of_memory():
        transformer = load_transformer(
            files.transformer,
            dtype=getattr(torch, plan.dtype),
            device=device if plan.offload == "none" else CPU,
            quantization=plan.quantization,
        )
        if lora:
            add_lora(transformer, lora)
        if plan.offload == "group":
            # Streams copy the next block while one computes; there are none without a GPU.
            transformer.enable_group_offload(
                onload_device=device,
                offload_device=CPU,
                offload_type="block_level",
                num_blocks_per_group=1,
                use_stream=device.type == "cuda",
                low_cpu_mem_usage=not plan.pinned,
            )
    return Engine(transformer, video, plan)


def load_shared_engine(share: Share, video: VideoCodec) -> Engine:
    """The same over several GPUs; ``close`` it. Raises what ``load_engine`` and ``Crew`` raise."""
    crew = Crew(share)
    try:
        with told_out_of_memory():
            return Engine(crew.transformer(), video, share.plan, crew)
    except BaseException:
        crew.close()
        raise


def run(
    engine: Engine, conditioning: Conditioning, sampling: Sampling, span: WindowSpan, preview: Preview | None = None
) -> Generator[StepDone, None, NDArray[np.uint8]]:
    """Frames (F, height, width, 3) uint8 of window ``span``, after a StepDone for each step.

    Raises OutOfMemory; closing the generator stops between two steps.
    """
    with told_out_of_memory():
        with _together(engine, conditioning, sampling, span), _on_device(engine):
            latents = yield from denoise(engine.transformer, conditioning, sampling, span, preview)
        return engine.video.decode(latents)


def free_memory() -> None:
    """Give back to the GPU what no tensor holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def told_out_of_memory() -> Iterator[None]:
    """torch's own word for a full GPU or computer, said so that a creator knows what to do."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(
            "The memory ran out while rendering.",
            "Close other programs that use the GPU, choose a smaller height, or render with the preset low_memory.",
        ) from error


@contextmanager
def _together(engine: Engine, conditioning: Conditioning, sampling: Sampling, span: WindowSpan) -> Iterator[None]:
    """With the other GPUs' processes, if any, at work on the same window."""
    if engine.crew is None:
        yield
        return
    try:
        engine.crew.hand_out(conditioning, sampling, span)
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # each of torch's ways of sharing has its own words for a partner that is gone
        if engine.crew.is_whole:
            raise
        raise StudioError(
            "One of the processes that render together has ended.",
            "Render again; finished windows are kept. If it happens again, leave --gpus out.",
        ) from error


@contextmanager
def _on_device(engine: Engine) -> Iterator[None]:
    """The transformer on its device for the time of the block, and the decoder out of its way, where they alternate."""
    if engine.plan.offload == "none":
        yield
        return
    by_turns = engine.plan.offload == "model"
    transformer: torch.nn.Module = engine.transformer
    with engine.video.moved_to(CPU):
        free_memory()
        if by_turns:
            transformer.to(engine.plan.device)
        try:
            yield
        finally:
            if by_turns:
                transformer.to(CPU)
            free_memory()
