"""Bytes that a network's weights take, by how they are stored: the arithmetic of quantization.py, without torch."""

from collections.abc import Mapping
from functools import cache
from math import ceil, prod

from engine.dit.network_size import NetworkSize, Shape

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

QUANTIZED_PARTS = frozenset({"attn1", "attn2", "audio_attn", "ffn"})
"""Parts of a block whose Linears are stored small; they hold 97 % (1.3B) and 99 % (14B) of the weights."""

KEPT_IN_FLOAT32 = frozenset(
    {"rope", "time_embedder", "time_proj", "scale_shift_table", "norm1", "norm2", "norm3", "norm_audio"}
)
"""What stays float32 whatever the others are: AnyTalkerTransformer3DModel._keep_in_fp32_modules."""

NF4_BLOCK, NF4_STATISTICS_BLOCK = 64, 256
NF4_TABLES_BYTES = 4 * (16 + 256 + 1)  # two code books and the mean of the statistics, float32, per layer
LORA_RANK = 64  # what the step-distilled LoRAs for Wan have


def network_bytes(size: NetworkSize, quantization: str, dtype: str) -> int:
    """Bytes of all weights of ``size``: those of every block, and of what stands outside them."""
    return outer_bytes(size, dtype) + size.num_layers * block_bytes(size, quantization, dtype)


@cache
def block_bytes(size: NetworkSize, quantization: str, dtype: str) -> int:
    """Bytes of one block's weights."""
    return stored_bytes({f"blocks.0.{name}": shape for name, shape in size.block_tensors.items()}, quantization, dtype)


@cache
def outer_bytes(size: NetworkSize, dtype: str) -> int:
    """Bytes of the weights outside the blocks, which are never stored small."""
    return stored_bytes(size.outer_tensors, "none", dtype)


@cache
def statistics_bytes(size: NetworkSize, quantization: str) -> int:
    """Of one block: what stands beside the packed weights of nf4 and int8, and does not move with them."""
    small = [(name, shape) for name, shape in size.block_tensors.items() if len(shape) == 2]
    whole = (_tensor_bytes(f"blocks.0.{name}", shape, quantization, 2) for name, shape in small)
    packed = {"nf4": 0.5, "int8": 1.0}.get(quantization)
    return round(sum(whole) - packed * sum(prod(shape) for _, shape in small)) if packed else 0


@cache
def lora_bytes(size: NetworkSize, dtype: str, rank: int = LORA_RANK) -> int:
    """Bytes of a LoRA on every Linear of the blocks, kept beside them."""
    sides = sum(sum(shape) for name, shape in size.block_tensors.items() if len(shape) == 2 and _is_linear(name))
    return size.num_layers * rank * sides * DTYPE_BYTES[dtype]


@cache
def pinned_bytes(size: NetworkSize, quantization: str, dtype: str) -> int:
    """Bytes of all weights in page-locked memory, where torch gives every tensor the next power of two."""
    blocks = {f"blocks.0.{name}": shape for name, shape in size.block_tensors.items()}
    block = sum(_power_of_two(_tensor_bytes(*each, quantization, DTYPE_BYTES[dtype])) for each in blocks.items())
    outer = (_power_of_two(_tensor_bytes(*each, "none", DTYPE_BYTES[dtype])) for each in size.outer_tensors.items())
    return sum(outer) + size.num_layers * block


def stored_bytes(shapes: Mapping[str, Shape], quantization: str, dtype: str) -> int:
    """Bytes of tensors by name and shape, as ``load_transformer`` stores them."""
    return sum(_tensor_bytes(name, shape, quantization, DTYPE_BYTES[dtype]) for name, shape in shapes.items())


def _tensor_bytes(name: str, shape: Shape, quantization: str, itemsize: int) -> int:
    count = prod(shape)
    if not KEPT_IN_FLOAT32.isdisjoint(name.split(".")):
        return 4 * count
    if quantization == "none" or not _is_small(name, shape):
        return itemsize * count
    if quantization == "fp8":
        return count
    if len(shape) == 1:  # a bias keeps its precision beside int8 and nf4
        return itemsize * count
    return count + 4 * shape[0] if quantization == "int8" else _nf4_bytes(count)


def _is_small(name: str, shape: Shape) -> bool:
    parts = name.split(".")
    return parts[0] == "blocks" and len(parts) > 3 and parts[2] in QUANTIZED_PARTS and _is_linear(name)


def _is_linear(name: str) -> bool:
    # Norms inside an attention are one-dimensional and named so.
    return "norm" not in name.rpartition(".")[0]


def _power_of_two(num_bytes: int) -> int:
    return 1 << (num_bytes - 1).bit_length()


def _nf4_bytes(count: int) -> int:
    blocks = ceil(count / NF4_BLOCK)
    return ceil(count / 2) + blocks + 4 * ceil(blocks / NF4_STATISTICS_BLOCK) + NF4_TABLES_BYTES
