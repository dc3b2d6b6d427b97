"""Loads the transformer from published weights of any size, tensor by tensor into the form it will run in.

Files are memory maps that are opened anew now and then, so that the pages read so far are let go: loading takes the
memory of the finished model and some 400 MB.
"""

import ctypes
import hashlib
import inspect
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers.models.modeling_utils import no_init_weights
from torch import Tensor

from engine.dit.checkpoint_names import CHECK_FILE, original_config, original_to_ours
from engine.dit.quantization import cast_on_use_, is_kept_in_float32, is_quantized_layer, mark_, store_, swap_linears_
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.dit.weight_files import read_weights
from engine.errors import UnusableCheckpoint

__all__ = [
    "checkpoint_files",
    "empty_transformer",
    "fingerprint",
    "load_transformer",
    "network_shapes",
    "original_config",
    "original_to_ours",
    "transformer_config",
]

OPEN_ANEW_BYTES = 2**27
FINGERPRINT_VALUES = 256
HALF = (torch.bfloat16, torch.float16)
ENDINGS = (".safetensors", ".pth", ".pt")


def load_transformer(
    path: Path | str | Sequence[Path | str],
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str = "cpu",
    quantization: str = "none",
    head_dim: int = 128,
    **config: Any,
) -> AnyTalkerTransformer3DModel:
    """The network in evaluation mode on ``device``, from weights by their published names or ours.

    ``path``: a .pth, .pt or .safetensors file, a folder or index of shards, what ``save_pretrained`` wrote, or several
    of these. Everything that the tensors tell is read off them; ``config`` overrides it. What the network keeps in
    float32 stays so; the large Linears of the blocks become int8, nf4 or fp8 by ``quantization``.

    Raises ModelMissing, or UnusableCheckpoint: cut short, holding code, of another network, with tensors that are
    missing, unexpected or of another shape (all told).
    """
    files = checkpoint_files(path)
    shapes = _shapes(files)
    model = empty_transformer(**_config(files, shapes, head_dim, config))
    _check_fit(model, shapes, files)
    if quantization != "none":
        swap_linears_(model, quantization, dtype, is_quantized_layer)
    for name, tensor in _tensors(files):
        _place(model, original_to_ours(name), tensor, dtype, device)
    _move_buffers(model, device)
    cast_on_use_(model, dtype)
    mark_(model, quantization)
    return_freed_memory()
    return model.eval()


def fingerprint(path: Path | str | Sequence[Path | str]) -> str:
    """A sha256 that tells one network's weights from another's: of every tensor's name (ours), shape and first values,
    read in a moment whatever the size. The same weights in another kind of file have the same one."""
    digest = hashlib.sha256()
    weights = {
        original_to_ours(name): each for file in checkpoint_files(path) for name, each in read_weights(file).items()
    }
    for name in sorted(weights):
        first = weights[name].reshape(-1)[:FINGERPRINT_VALUES].float()
        digest.update(f"{name} {tuple(weights[name].shape)}".encode())
        digest.update(first.numpy().tobytes())
    return digest.hexdigest()


def empty_transformer(**config: Any) -> AnyTalkerTransformer3DModel:
    """The network without weights: parameters on the meta device, real buffers."""
    with no_init_weights(), init_empty_weights(include_buffers=False):
        return AnyTalkerTransformer3DModel(**config).requires_grad_(False)


def transformer_config(path: Path | str | Sequence[Path | str], head_dim: int = 128) -> dict[str, Any]:
    """The configuration that ``load_transformer`` would give a network from ``path``; raises what it raises."""
    files = checkpoint_files(path)
    return _config(files, _shapes(files), head_dim, {})


def network_shapes(**config: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of all parameters by our names, of a network that need not be there."""
    return {name: tuple(each.shape) for name, each in empty_transformer(**config).named_parameters()}


def _place(
    model: AnyTalkerTransformer3DModel, name: str, tensor: Tensor, dtype: torch.dtype, device: torch.device | str
) -> None:
    owner, _, leaf = name.rpartition(".")
    kept = dtype in HALF and is_kept_in_float32(name, model._keep_in_fp32_modules or ())
    store_(model.get_submodule(owner), leaf, tensor, torch.float32 if kept else dtype, device)


def _shapes(files: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for file in files for name, tensor in read_weights(file).items()}


def _config(
    files: Sequence[Path], shapes: Mapping[str, tuple[int, ...]], head_dim: int, wanted: Mapping[str, Any]
) -> dict[str, Any]:
    saved = _saved_config(files[0].parent)
    head_dim = wanted.get("attention_head_dim", saved.get("attention_head_dim", head_dim))
    return original_config(shapes, head_dim) | saved | dict(wanted)


def _move_buffers(model: torch.nn.Module, device: torch.device | str) -> None:
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to(device)


def checkpoint_files(path: Path | str | Sequence[Path | str]) -> list[Path]:
    """The weight files of ``path``, which is any of what ``load_transformer`` takes. Raises UnusableCheckpoint."""
    if not isinstance(path, Path | str):
        return [file for each in path for file in checkpoint_files(each)]
    path = Path(path)
    if path.is_dir():
        indices = sorted(path.glob("*.index.json"))
        found = _indexed(indices[0]) if indices else _weights_in(path)
        if not found:
            raise UnusableCheckpoint(f"The folder {path.name} holds no weights ({', '.join(ENDINGS)}).", CHECK_FILE)
        return found
    if path.name.endswith(".index.json"):
        return _indexed(path)
    if path.exists() and path.suffix not in ENDINGS:
        raise UnusableCheckpoint(f"{path.name} is no weights file ({', '.join(ENDINGS)}).", CHECK_FILE)
    return [path]


def _weights_in(folder: Path) -> list[Path]:
    for ending in ENDINGS:
        if found := sorted(folder.glob(f"*{ending}")):
            return found
    return []


def _indexed(index: Path) -> list[Path]:
    weight_map = _json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise UnusableCheckpoint(f"{index.name} does not say which file holds which tensor.", CHECK_FILE)
    # Only the last part of each name: an index of strangers does not choose files elsewhere on the disk.
    return [index.parent / name for name in sorted({Path(name).name for name in weight_map.values()})]


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnusableCheckpoint(f"{path.name} cannot be read: {error}", CHECK_FILE) from error
    return content if isinstance(content, dict) else {}


def _saved_config(folder: Path) -> dict[str, Any]:
    """What ``save_pretrained`` noted beside the weights; the reference's own config.json is not it."""
    path = folder / "config.json"
    content = _json(path) if path.is_file() else {}
    if content.get("_class_name") != AnyTalkerTransformer3DModel.__name__:
        return {}
    known = inspect.signature(AnyTalkerTransformer3DModel.__init__).parameters
    return {name: value for name, value in content.items() if name in known}


def _tensors(files: Iterable[Path]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of ``files``; valid until the next is asked for."""
    for file in files:
        weights = read_weights(file)
        read_bytes = 0
        for name in list(weights):
            if read_bytes > OPEN_ANEW_BYTES:
                del weights
                return_freed_memory()
                weights, read_bytes = read_weights(file), 0
            read_bytes += weights[name].nbytes
            yield name, weights[name]


def return_freed_memory() -> None:
    """glibc keeps what was freed between small allocations that stay: packing leaves gaps as large as the model."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _check_fit(
    model: AnyTalkerTransformer3DModel, shapes: Mapping[str, tuple[int, ...]], files: Sequence[Path]
) -> None:
    expected = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    found = {original_to_ours(name): (name, shape) for name, shape in shapes.items()}
    problems = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for ours, (name, _) in found.items() if ours not in expected],
        "of another shape": [
            f"{found[ours][0]} {found[ours][1]} instead of {shape}"
            for ours, shape in expected.items()
            if ours in found and found[ours][1] != shape
        ],
    }
    if any(problems.values()):
        told = "; ".join(f"{len(names)} {what} ({_some(names)})" for what, names in problems.items() if names)
        count = sum(math.prod(shape) for shape in expected.values())
        raise UnusableCheckpoint(
            f"{', '.join(file.name for file in files)} does not fit the network of {len(expected)} tensors and "
            f"{count / 1e9:.1f} billion parameters that it should hold: {told}.",
            CHECK_FILE,
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
