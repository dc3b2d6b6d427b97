"""The real sizes of AnyTalker: a random checkpoint with the published names and shapes is written, loaded small, and
run for one step. Peak memory is that of a process of its own.

1.3B: the whole network, loaded as for a GPU (bfloat16 beside the small weights), then as for a CPU (float32) and run.
14B: names, shapes and bytes of the whole network without its weights, and a real network of the same widths with
one block.
"""

import math
import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {}  # the constructor's own defaults
LARGE: dict[str, Any] = {
    "num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40, "audio_form": "legacy", "audio_token_dim": 768,
}  # fmt: skip
SIDE_PX, NUM_FRAMES, PROMPT_TOKENS = 256, 9, 40
QUANTIZATIONS = ("none", "int8", "nf4", "fp8")


@dataclass(frozen=True)
class Form:
    """What the weights that are not stored small become, and whether the network is run."""

    dtype: str
    runs: bool


ON_GPU, ON_CPU = Form("bfloat16", False), Form("float32", True)


@dataclass(frozen=True)
class CheckpointRun:
    """Bytes and seconds of one load and one step. ``start_bytes``: the process before it loaded anything;
    ``load_peak_bytes``, ``peak_bytes``: its highest memory until the weights were there, and altogether."""

    tensors: int
    parameters: int
    file_bytes: int
    weights_bytes: int
    predicted_bytes: int
    start_bytes: int
    load_peak_bytes: int
    peak_bytes: int
    load_s: float
    step_s: float
    finite: bool


def bench_checkpoint(folder: Path | None = None, quantization: str = "nf4") -> None:
    """Prints both sizes. Needs about 4 GB of disk in ``folder`` (else the system's place for temporary files)."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "checkpoint.pth"
        for title, config in (("1.3B, whole", SMALL), ("14B, one block", LARGE | {"num_layers": 1})):
            in_child(write_checkpoint, path, config)
            for form in (ON_GPU, ON_CPU):
                run = in_child(load_and_run, path, config, quantization, form)
                print(f"{title}, {quantization} beside {form.dtype}: {describe(run)}", flush=True)
            path.unlink()
    print(f"14B, whole, without weights: {describe_large()}")


def describe(run: CheckpointRun) -> str:
    exact = "as foretold" if run.weights_bytes == run.predicted_bytes else f"NOT the {run.predicted_bytes} foretold"
    parts = [
        f"{run.tensors} tensors, {run.parameters:,} parameters, file {run.file_bytes / 1e9:.2f} GB",
        f"weights {run.weights_bytes:,} bytes ({exact})",
        f"process {run.start_bytes / 1e9:.2f} GB at first, at most {run.load_peak_bytes / 1e9:.2f} GB while loading "
        f"({run.load_s:.0f} s)",
    ]
    if run.step_s:
        finite = "finite" if run.finite else "NOT FINITE"
        parts.append(f"at most {run.peak_bytes / 1e9:.2f} GB in one step ({run.step_s:.0f} s), {finite}")
    return "; ".join(parts)


def describe_large() -> str:
    from engine.dit.checkpoints import network_shapes
    from engine.dit.stored_bytes import stored_bytes

    shapes = network_shapes(**LARGE)
    stored = ", ".join(f"{each} {stored_bytes(shapes, each, 'bfloat16') / 1e9:.2f} GB" for each in QUANTIZATIONS)
    return (
        f"{len(shapes)} tensors, {sum(math.prod(shape) for shape in shapes.values()):,} parameters; weights: {stored}"
    )


def write_checkpoint(path: Path, config: dict[str, Any]) -> None:
    """A .pth like the published ones: a dict with key ``model``, bfloat16, random, by published names."""
    import torch

    from engine.dit.checkpoints import network_shapes

    torch.manual_seed(0)
    tensors = {}
    for name, shape in network_shapes(**config).items():
        tensor = torch.empty(shape, dtype=torch.bfloat16)
        is_norm_weight = "norm" in name and name.endswith("weight")
        tensors[published(name, config.get("audio_form", "afca"))] = (
            tensor.fill_(1) if is_norm_weight else tensor.normal_(std=0.02)
        )
    torch.save({"model": tensors}, path)


def published(name: str, form: str) -> str:
    """The published name of one of our parameters."""
    from engine.dit.checkpoint_names import INSIDE_BLOCKS, OUTSIDE_BLOCKS

    other = "audio_emb" if form == "legacy" else "audio_proj"
    inside = name.startswith("blocks.")
    start, rest = (name.split(".", 2)[:2], name.split(".", 2)[2]) if inside else ([], name)
    table = INSIDE_BLOCKS if inside else {theirs: ours for theirs, ours in OUTSIDE_BLOCKS.items() if theirs != other}
    for theirs, ours in sorted(table.items(), key=lambda pair: -len(pair[1])):
        if rest == ours or rest.startswith(f"{ours}."):
            return ".".join([*start, theirs + rest[len(ours) :]])
    return name


def load_and_run(path: Path, config: dict[str, Any], quantization: str, form: Form) -> CheckpointRun:
    """Load the checkpoint at ``path`` and perhaps run one unguided step with two people; in this process."""
    import torch

    from engine.dit.checkpoints import load_transformer, network_shapes
    from engine.dit.quantization import weights_bytes
    from engine.dit.stored_bytes import stored_bytes

    dtype = getattr(torch, form.dtype)
    start_bytes, started = peak_bytes(), time.perf_counter()
    model = load_transformer(path, dtype, quantization=quantization, **_told(config))
    load_s, load_peak = time.perf_counter() - started, peak_bytes()
    real_bytes = weights_bytes(model)
    started = time.perf_counter()
    finite = _step(model) if form.runs else True
    step_s = time.perf_counter() - started if form.runs else 0.0
    shapes = network_shapes(**config)
    return CheckpointRun(
        tensors=len(shapes),
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        file_bytes=path.stat().st_size,
        weights_bytes=real_bytes,
        predicted_bytes=stored_bytes(shapes, quantization, form.dtype),
        start_bytes=start_bytes,
        load_peak_bytes=load_peak,
        peak_bytes=peak_bytes(),
        load_s=load_s,
        step_s=step_s,
        finite=finite,
    )


def _told(config: dict[str, Any]) -> dict[str, Any]:
    """What the loader cannot read off the tensors."""
    return {name: config[name] for name in ("attention_head_dim", "text_len") if name in config}


def _step(model: Any) -> bool:
    """One forward pass at 256 x 256, 9 frames, a person in each half; whether all of the velocity is finite."""
    import torch

    from engine.dit.shapes import VideoShape
    from engine.dit.streams import Streams
    from engine.dit.types import Person

    latent, config = VideoShape(NUM_FRAMES, SIDE_PX, SIDE_PX).latent, model.config
    frames, height, width = latent.num_frames, latent.height, latent.width
    left_S = (torch.arange(latent.num_tokens) % (width // 2) < width // 4).float()
    voice = (NUM_FRAMES, 5, 12, config.audio_window_dim // 60)
    people = [
        Person(torch.randn(voice), torch.randn(1, 257, config.image_dim), mask_S) for mask_S in (left_S, 1 - left_S)
    ]
    prompt, picture = torch.randn(PROMPT_TOKENS, config.text_dim), torch.randn(1, 257, config.image_dim)
    streams = Streams(prompt, picture, people, latent)
    with torch.inference_mode():
        noisy = torch.randn(1, config.in_channels, frames, height, width)
        velocity = model(noisy, torch.tensor([999]), streams).sample
    return bool(velocity.isfinite().all())


def peak_bytes() -> int:
    """The highest memory of this process so far, memory-mapped files that were read included."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_child(function: Any, *arguments: Any) -> Any:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
