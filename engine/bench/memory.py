"""Whether the memory plan tells the truth on this machine: a forward foretold and measured. And the plans for GPUs of
every size. Figures are printed, never asserted."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from engine.dit import footprint
from engine.dit.footprint import Storage
from engine.dit.machine import Machine, this_machine
from engine.dit.memory import plan_memory
from engine.dit.network_size import ANYTALKER_1_3B, FACE_TOKENS, IMAGE_TOKENS, NETWORKS, NetworkSize
from engine.dit.shapes import VideoShape
from engine.errors import OutOfMemory
from engine.project.document import RenderSettings, TakeKind

if TYPE_CHECKING:
    from engine.dit.streams import Streams

CARDS_GB = (4, 6, 8, 12, 16, 24, 32, 48, 80)
FINAL = RenderSettings(kind=TakeKind.FINAL, num_inference_steps=40)
WINDOW = VideoShape(81, 480, 832)
MIB = 2**20


def bench_memory(num_people: int = 2) -> None:
    """Print the plans for GPUs of every size, then peak and time of a forward: the whole 1.3B on a GPU, four of its
    blocks on a small picture without one."""
    here = this_machine()
    print(*here.described(), sep="\n")
    for name, size in NETWORKS.items():
        print(f"\n{name}, {WINDOW.width} x {WINDOW.height}, {WINDOW.num_frames} frames, {num_people} people")
        for gigabytes in CARDS_GB:
            print(f"{gigabytes:>4} GB: {_told(size, here.with_vram(gigabytes), num_people)}")
    _print_forward(here, num_people)


def _told(size: NetworkSize, machine: Machine, num_people: int) -> str:
    try:
        plan = plan_memory(size, WINDOW, num_people, machine, FINAL)
    except OutOfMemory as error:
        return error.message
    savings = [f"weights {plan.quantization}", f"offload {plan.offload}{' pinned' if plan.pinned else ''}"]
    savings += ["tiles"] * plan.vae_tiling + ["keys kept"] * plan.keep_keys
    peak, ram = plan.peak_bytes / MIB, plan.ram_bytes / MIB
    return f"window {plan.window:>2}, GPU {peak:>6.0f} MiB, computer {ram:>6.0f} MiB; {', '.join(savings)}"


def _print_forward(machine: Machine, num_people: int) -> None:
    on_gpu = machine.gpu is not None
    size = ANYTALKER_1_3B if on_gpu else replace(ANYTALKER_1_3B, num_layers=4)
    shape = WINDOW if on_gpu else VideoShape(9, 256, 256)
    storage = Storage(dtype="bfloat16" if on_gpu else "float32")
    forward = _forward(size, shape, num_people, storage.dtype, machine.device)
    forward()  # makes the keys, and what libraries prepare once
    foretold = footprint.forward_bytes(size, shape, num_people, storage, keep_keys=True)
    seconds = size.forward_flops(shape, num_people) / machine.flops
    print(
        f"\nOne forward on {machine.device}: {size.num_layers} blocks, {shape.width} x {shape.height}, "
        f"{shape.num_frames} frames, {num_people} people, {storage.dtype}\n{'':>9} {'foretold':>9} {'measured':>9}\n"
        f"{'peak MiB':>9} {foretold / MIB:>9.0f} {_peak_bytes(forward, on_gpu) / MIB:>9.0f}\n"
        f"{'seconds':>9} {seconds:>9.2f} {_seconds(forward, on_gpu):>9.2f}"
    )


def _forward(size: NetworkSize, shape: VideoShape, num_people: int, dtype: str, device: str) -> Callable[[], None]:
    """One forward of a random network, on random streams."""
    import torch

    from engine.dit.transformer import AnyTalkerTransformer3DModel

    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            network = AnyTalkerTransformer3DModel(num_layers=size.num_layers).eval()
            latent = shape.latent
            noisy = torch.randn(1, size.in_channels, latent.num_frames, latent.height, latent.width)
            timestep = torch.tensor([500.0])
    finally:
        torch.set_default_dtype(before)
    streams = _streams(size, shape, num_people)

    @torch.no_grad()
    def run() -> None:
        network(noisy, timestep, streams)

    return run


def _streams(size: NetworkSize, shape: VideoShape, num_people: int) -> "Streams":
    """Each person's face takes a twentieth of the picture."""
    import torch

    from engine.dit.streams import Streams
    from engine.dit.types import Person

    per_frame, latent = shape.latent.tokens_per_frame, shape.latent
    face = torch.arange(latent.num_tokens) % per_frame * 20 // per_frame
    people = [
        Person(
            torch.randn(shape.num_frames, 5, 12, 768),
            torch.randn(1, FACE_TOKENS, size.image_dim),
            (face == index).float(),
        )
        for index in range(num_people)
    ]
    return Streams(torch.randn(100, size.text_dim), torch.randn(1, IMAGE_TOKENS, size.image_dim), people, latent)


def _peak_bytes(forward: Callable[[], None], on_gpu: bool) -> int:
    """What ``forward`` takes at most, beside what was there before."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        forward()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        forward()
    results: Any = recorded.profiler
    changes = [event for event in results.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(event.nbytes() for event in sorted(changes, key=lambda event: event.start_ns())))


def _seconds(forward: Callable[[], None], on_gpu: bool) -> float:
    import torch

    started = time.perf_counter()
    forward()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - started
