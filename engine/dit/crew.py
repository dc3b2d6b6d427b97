"""A render over several GPUs: the process that renders leads, the others compute their part of each window's tokens.

Only the transformer is shared (``parallel.share_tokens``). The leader prepares each window and hands it out; everyone
denoises it with the same code from the same noise, and the leader alone decodes and keeps it.
"""

import contextlib
import tempfile
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from engine.dit.catalogue import NetworkFiles
from engine.dit.checkpoints import load_transformer
from engine.dit.loras import add_lora
from engine.dit.memory import MemoryPlan
from engine.dit.parallel import share_tokens
from engine.dit.sampling import Sampling, denoise
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.dit.types import Conditioning
from engine.dit.windows import WindowSpan
from engine.errors import StudioError

SILENCE_S = 600  # a member that does not answer for so long is gone
GRACE_S = 0.5


@dataclass(frozen=True)
class Share:
    """What every member needs to take part. ``tokens_per_frame`` decides whether parts come out even."""

    num_processes: int
    files: NetworkFiles
    plan: MemoryPlan
    lora: Path | None
    tokens_per_frame: int

    def device(self, rank: int) -> torch.device:
        """Each member's own GPU; all members compute on the processor where the plan does."""
        return torch.device("cuda", rank) if self.plan.device.startswith("cuda") else torch.device("cpu")


class Crew:
    """The other members; made by the leader, which joins them as rank 0. ``close`` ends them, in the middle of a window
    too. Raises StudioError for a plan that leaves weights outside of the GPUs."""

    def __init__(self, share: Share) -> None:
        if share.plan.offload != "none":
            raise StudioError(
                "Several GPUs work together only where the whole network fits on each of them.",
                "Leave --gpus out, or choose nf4 weights, a smaller height or a shorter window.",
            )
        self.share = share
        self._meeting = tempfile.TemporaryDirectory()
        address = f"file://{self._meeting.name}/meeting"
        self._others = mp.spawn(_take_part, (address, share), share.num_processes - 1, join=False)
        _join(0, address, share)

    def transformer(self) -> AnyTalkerTransformer3DModel:
        """The leader's own part of the network."""
        return _load(0, self.share)

    def hand_out(self, conditioning: Conditioning, sampling: Sampling, span: WindowSpan) -> None:
        """Tell the others to denoise a window; the leader has to do the same at once."""
        dist.broadcast_object_list([(conditioning, sampling, span)], src=0)

    @property
    def is_whole(self) -> bool:
        """Whether all the others live; one that has just died gets a moment to be missed."""
        for process in self._others.processes:
            process.join(GRACE_S)
        return all(process.is_alive() for process in self._others.processes)

    def close(self) -> None:
        for process in self._others.processes:
            process.terminate()
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()
        self._meeting.cleanup()


def _take_part(index: int, address: str, share: Share) -> None:
    """A member's whole life; the leader ends it."""
    rank = index + 1
    _join(rank, address, share)
    transformer = _load(rank, share)
    while True:
        order: list[Any] = [None]
        dist.broadcast_object_list(order, src=0)
        for _ in denoise(transformer, *order[0]):
            pass


def _join(rank: int, address: str, share: Share) -> None:
    device = share.device(rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=address,
        rank=rank,
        world_size=share.num_processes,
        timeout=timedelta(seconds=SILENCE_S),
    )


def _load(rank: int, share: Share) -> AnyTalkerTransformer3DModel:
    plan = replace(share.plan, device=str(share.device(rank)))
    transformer = load_transformer(
        share.files.transformer,
        dtype=getattr(torch, plan.dtype),
        device=plan.device,
        quantization=plan.quantization,
    )
    if share.lora:
        add_lora(transformer, share.lora)
    share_tokens(transformer, share.num_processes, share.tokens_per_frame)
    return transformer
