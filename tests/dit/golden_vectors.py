"""Reads tests/golden/dit: numbers of the published network, run in float32 on small random weights.

Tensors that are stored as float8 or float16 hold exactly the values the network was run on.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "dit"
STORED_SMALL = {torch.float8_e4m3fn, torch.float16}


def read(name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors in float32 or their integer type, metadata) of ``name``.safetensors."""
    tensors = {}
    with safe_open(str(GOLDEN / f"{name}.safetensors"), framework="pt") as file:
        described = {key: _decoded(value) for key, value in (file.metadata() or {}).items()}
        for key in file.keys():  # noqa: SIM118 - not a dict
            tensor = file.get_tensor(key)
            tensors[key] = tensor.float() if tensor.dtype in STORED_SMALL else tensor
    return tensors, described


def _decoded(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with ``prefix``, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def arrays(name: str) -> dict[str, np.ndarray]:
    """Every array of ``name``.npz."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def weight_files(described: dict[str, Any]) -> list[Path]:
    """The files that hold a case's weights under their original names."""
    return [GOLDEN / name for name in described["weights"]]
