"""Weights stored small: int8 and nf4 by bitsandbytes, fp8 by diffusers' layerwise casting.

Only the large Linears of the transformer's blocks are stored small; embedders, norms, modulation and the output
projection keep their precision. diffusers' own bitsandbytes loader wants a GPU, so the layers are swapped here, and
the same code runs on every device.
"""

import copy
import logging
from collections.abc import Callable, Collection, Iterator
from typing import Any

import bitsandbytes as bnb
import torch
from bitsandbytes.nn import Int8Params, Params4bit
from diffusers.hooks import apply_layerwise_casting_hook
from torch import Tensor, nn

from engine.dit.stored_bytes import QUANTIZED_PARTS
from engine.dit.transformer import AnyTalkerTransformer3DModel

QUANTIZATIONS = ("none", "int8", "nf4", "fp8")
FP8 = torch.float8_e4m3fn
logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
"""It tells of the same rounding at every layer of every step on a processor, where all is float32."""
OUTLIER_THRESHOLD = 6.0  # LLM.int8(): activation columns beyond it are multiplied in half precision

KEPT_IN_FLOAT32: tuple[str, ...] = tuple(AnyTalkerTransformer3DModel._keep_in_fp32_modules)
"""Modules and parameters (by one part of their name) that stay float32 whatever the others are."""


class Nf4Linear(bnb.nn.Linear4bit):
    """A Linear4bit whose statistics follow the input: group offloading moves nothing but the packed weight.

    On processors with AVX512-BF16 bitsandbytes would pack the weight anew at first use: for sizes of whole 32s only,
    for products rounded to bfloat16, and with statistics that no longer fit the stored weight. It stays as it is.
    """

    weight: Any

    def __init__(self, *size: Any, **options: Any) -> None:
        super().__init__(*size, **options)
        self.support_avx512bf16_for_cpu = False

    def forward(self, x: Tensor) -> Tensor:
        state = self.weight.quant_state
        if state is not None and state.absmax.device != x.device:
            state.to(x.device)
        if state is not None and x.device.type == "cpu" and self.in_features % state.blocksize:
            dtype = self.compute_dtype or x.dtype
            bias = None if self.bias is None else self.bias.to(dtype)
            return nn.functional.linear(x.to(dtype), self.dequantized().to(dtype), bias).to(x.dtype)
        return super().forward(x)

    @torch.no_grad()
    def dequantized(self) -> Tensor:
        """(out, in). The statistics' blocks run on from row to row, which bitsandbytes' AVX512 code forgets where rows
        are no whole blocks: to it, all is one row."""
        state = copy.copy(self.weight.quant_state)
        state.shape = torch.Size([self.out_features * self.in_features])
        flat: Tensor = bnb.functional.dequantize_4bit(self.weight.data, state)
        return flat.view(self.out_features, self.in_features)


class Int8Linear(bnb.nn.Linear8bitLt):
    """A Linear8bitLt that reads its weight where it is now: bitsandbytes keeps a second reference to the first one,
    which goes stale when a parent module or group offloading moves the weight."""

    weight: Any
    state: Any

    def forward(self, x: Tensor) -> Tensor:
        self.adopt_statistics()
        self.state.CB, self.state.SCB = self.weight.data, self.state.SCB.to(x.device)
        output = super().forward(x)
        self.state.CB = None
        return output

    def adopt_statistics(self) -> None:
        """Keep the row scales in one place, and no other reference to the weight."""
        if self.weight.SCB is not None:
            self.state.SCB = self.weight.SCB
        self.weight.CB = self.weight.SCB = None


def is_quantized_layer(name: str) -> bool:
    """Whether the Linear of this name in the transformer is stored small."""
    parts = name.split(".")
    return len(parts) > 2 and parts[0] == "blocks" and parts[2] in QUANTIZED_PARTS


def is_kept_in_float32(name: str, kept: Collection[str] = KEPT_IN_FLOAT32) -> bool:
    return not set(name.split(".")).isdisjoint(kept)


def swap_linears_(model: nn.Module, quantization: str, dtype: torch.dtype, chosen: Callable[[str], bool]) -> None:
    """Put an empty layer of the wanted kind (on the meta device) in the place of every Linear that is ``chosen`` by
    name; ``store_`` fills it. ``dtype`` is what the layer computes in."""
    for name, linear in _linears(model, chosen):
        layer = _empty_layer(linear, quantization, dtype)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, layer)


def store_(layer: nn.Module, leaf: str, tensor: Tensor, dtype: torch.dtype, device: torch.device | str) -> None:
    """Make ``tensor`` the parameter ``leaf`` of ``layer`` on ``device``: packed where the layer is a small one, else
    in ``dtype``. Never keeps a reference to ``tensor``'s memory."""
    value = tensor.to(device=device, dtype=dtype, copy=True)
    if isinstance(layer, Nf4Linear) and leaf == "weight":
        packed: Any = Params4bit(value, requires_grad=False, quant_type="nf4", module=layer)
        layer.weight = packed.to(value.device)
    elif isinstance(layer, Int8Linear) and leaf == "weight":
        layer.weight = _int8_parameter(value)
        layer.adopt_statistics()
    else:
        stored = FP8 if hasattr(layer, "_stored_as_fp8") else dtype
        setattr(layer, leaf, nn.Parameter(value.to(stored), requires_grad=False))


def cast_on_use_(model: nn.Module, dtype: torch.dtype) -> None:
    """Hook every layer stored as fp8, so that it is ``dtype`` while it computes; once all of them are filled."""
    for layer in model.modules():
        if hasattr(layer, "_stored_as_fp8"):
            apply_layerwise_casting_hook(layer, FP8, dtype, non_blocking=True)


def mark_(model: nn.Module, quantization: str) -> None:
    """Tell peft which of its layers belong on this model."""
    model.is_loaded_in_4bit = quantization == "nf4"  # type: ignore[assignment]
    model.is_loaded_in_8bit = quantization == "int8"  # type: ignore[assignment]


def quantize_(
    model: nn.Module,
    quantization: str,
    dtype: torch.dtype = torch.bfloat16,
    keep: Collection[str] = (),
    chosen: Callable[[str], bool] | None = None,
) -> None:
    """Store the Linears of a loaded model small, in place and on their device, layer by layer.

    ``chosen`` picks them by name (all, if None); a name with one of ``keep`` among its parts is left alone. umT5 needs
    ``keep=("wo",)``: it casts its input to the dtype of that weight.
    """
    if quantization == "none":
        return

    def wanted(name: str) -> bool:
        return not is_kept_in_float32(name, keep) and (chosen is None or chosen(name))

    for name, linear in _linears(model, wanted):
        layer = _empty_layer(linear, quantization, dtype)
        for leaf, parameter in linear.named_parameters():
            store_(layer, leaf, parameter.data, dtype, parameter.device)
        layer.train(linear.training)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, layer)
    cast_on_use_(model, dtype)
    mark_(model, quantization)


def dequantized(layer: nn.Module, dtype: torch.dtype = torch.float32) -> Tensor:
    """(out, in): the weight that a small layer really multiplies by."""
    weight: Any = layer.weight
    if isinstance(layer, Nf4Linear):
        return layer.dequantized().to(dtype)
    if isinstance(layer, Int8Linear):
        layer.adopt_statistics()
        return (weight.data.float() * layer.state.SCB.to(weight.device)[:, None] / 127).to(dtype)
    return weight.data.to(dtype)


def weights_bytes(model: nn.Module) -> int:
    """Bytes that the parameters of ``model`` really take, statistics of small layers included."""
    storages = {}
    for tensor in _stored_tensors(model):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def _linears(model: nn.Module, chosen: Callable[[str], bool]) -> list[tuple[str, nn.Linear]]:
    return [(name, module) for name, module in model.named_modules() if type(module) is nn.Linear and chosen(name)]


def _empty_layer(linear: nn.Linear, quantization: str, dtype: torch.dtype) -> nn.Module:
    size = (linear.in_features, linear.out_features, linear.bias is not None)
    if quantization == "nf4":
        return Nf4Linear(*size, compute_dtype=dtype, quant_type="nf4", device="meta").eval()
    if quantization == "int8":
        return Int8Linear(*size, has_fp16_weights=False, threshold=OUTLIER_THRESHOLD, device="meta").eval()
    if quantization == "fp8":
        layer = nn.Linear(*size, device="meta").eval()
        layer._stored_as_fp8 = True  # type: ignore[assignment]
        return layer
    raise ValueError(f"{quantization!r} is none of {', '.join(QUANTIZATIONS)}")


def _int8_parameter(value: Tensor) -> Int8Params:
    packed, scales, _ = bnb.functional.int8_vectorwise_quant(value.to(torch.float16))
    return Int8Params(packed, requires_grad=False, has_fp16_weights=False, CB=packed, SCB=scales)


def _stored_tensors(model: nn.Module) -> Iterator[Tensor]:
    for module in model.modules():
        if isinstance(module, Int8Linear):
            module.adopt_statistics()
            yield module.state.SCB
        for parameter in module.parameters(recurse=False):
            yield parameter.data
            state: Any = getattr(parameter, "quant_state", None)
            if state is not None:
                yield from (state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code)
