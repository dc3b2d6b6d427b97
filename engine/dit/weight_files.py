"""Weights files of any origin, read as numbers only and let into a model tensor by tensor.

A .pth is opened as a memory map: a tensor is read from disk when it is copied, so a file larger than the memory can be
loaded into a smaller form of the model (another precision, a quantized one).
"""

import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from zipfile import is_zipfile

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from engine.errors import ModelMissing, UnusableCheckpoint

_FETCH_AGAIN = "Delete the file and fetch it again with `python launch.py models get`."
_INSIDE = ("model", "state_dict")  # where some files keep their tensors


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every tensor of a .safetensors or .pth file by its name, on the CPU, in the file's own precision.

    Raises ModelMissing where there is no such file; UnusableCheckpoint for one that is cut short, holds anything that
    would have to be executed, or holds no tensors.
    """
    if not path.is_file():
        raise ModelMissing(f"{path} is not here.", "`python launch.py models` lists what is missing and how to get it.")
    try:
        content = safetensors.torch.load_file(path) if path.suffix == ".safetensors" else _pickled(path)
    except pickle.UnpicklingError as error:
        raise UnusableCheckpoint(
            f"{path.name} holds more than numbers (or is damaged), and was not opened: {_first_line(error)}",
            "Use the published file; a weights file never needs to run code.",
        ) from error
    except (RuntimeError, EOFError, SafetensorError, ValueError, KeyError, OSError) as error:
        raise UnusableCheckpoint(f"{path.name} is cut short or damaged: {_first_line(error)}", _FETCH_AGAIN) from error
    return _tensors(content, path)


def shape_of(weights: Mapping[str, Tensor], name: str, path: Path, ndim: int) -> tuple[int, ...]:
    """The shape of a tensor that a network is recognised by. Raises UnusableCheckpoint where it is absent or has
    another number of dimensions than ``ndim``."""
    tensor = weights.get(name)
    if tensor is None or tensor.ndim != ndim:
        found = "no such tensor" if tensor is None else f"shape {tuple(tensor.shape)}"
        raise UnusableCheckpoint(
            f"{path.name} is not the network expected here: {name} should have {ndim} dimensions, found {found}.",
            "Check that the file is the one that `python launch.py models` names.",
        )
    return tuple(tensor.shape)


def fill(model: nn.Module, weights: Mapping[str, Tensor], path: Path, dtype: torch.dtype | None = None) -> None:
    """Give every parameter of ``model`` (may be on the meta device) its tensor, one after the other.

    Tensors that have the wanted ``dtype`` (None = their own) are used as they lie in the file, without a copy.
    Raises UnusableCheckpoint, before anything is copied, that names what is missing, unexpected or of another shape.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    _check_names(parameters, weights, path)
    for name in parameters:
        owner, _, leaf = name.rpartition(".")
        value = weights[name].to(dtype or weights[name].dtype)
        setattr(model.get_submodule(owner), leaf, nn.Parameter(value, requires_grad=False))


def _check_names(parameters: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path) -> None:
    wrong = [
        f"{name} is {tuple(weights[name].shape)} instead of {tuple(parameter.shape)}"
        for name, parameter in parameters.items()
        if name in weights and weights[name].shape != parameter.shape
    ]
    problems = {
        "missing": sorted(parameters.keys() - weights.keys()),
        "unexpected": sorted(weights.keys() - parameters.keys()),
        "of another shape": wrong,
    }
    if any(problems.values()):
        told = "; ".join(f"{_some(names)} {what}" for what, names in problems.items() if names)
        raise UnusableCheckpoint(
            f"{path.name} does not fit the network that it should hold: {told}.",
            "Check that the file is the one that `python launch.py models` names, then fetch it again.",
        )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")


def _pickled(path: Path) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))


def _tensors(content: object, path: Path) -> dict[str, Tensor]:
    for key in _INSIDE:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    named = content.items() if isinstance(content, dict) else ()
    tensors = {name: value for name, value in named if isinstance(name, str) and isinstance(value, Tensor)}
    # A few bytes can be declared a tensor of any size (by strides of 0), which would fill the memory when it is copied.
    hollow = [name for name, tensor in tensors.items() if not _is_plain(tensor)]
    if hollow or not tensors:
        found = f"tensors that are not stored in full ({_some(hollow)})" if hollow else "no named tensors"
        raise UnusableCheckpoint(f"{path.name} holds {found}.", _FETCH_AGAIN)
    return tensors


def _is_plain(tensor: Tensor) -> bool:
    dense = tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_complex()
    return dense and tensor.nbytes <= tensor.untyped_storage().nbytes()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
