"""What one window takes of a device's memory, part by part: arithmetic, no torch.

The coefficients were read off the real network and the real VAE with torch's profiler; tests/dit/test_memory.py
measures the network again. D: width of the transformer; S: tokens of the window; b: bytes of a number.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

from engine.dit.network_size import (
    FACE_TOKENS,
    FRAMES_SEEN,
    IMAGE_TOKENS,
    SPEECH_ENCODER_PARAMETERS,
    VAE_PARAMETERS,
    NetworkSize,
)
from engine.dit.shapes import VideoShape
from engine.dit.stored_bytes import (
    DTYPE_BYTES,
    block_bytes,
    lora_bytes,
    network_bytes,
    outer_bytes,
    pinned_bytes,
    statistics_bytes,
)

Offload = Literal["none", "model", "group"]
"""What stays on the GPU: everything; one network at a time (transformer, video decoder); one block at a time."""

BLOCKS_ON_GPU = 3  # with group offloading: the one that computes, the next on its way in, the last on its way out
CONTEXT_BYTES = 600_000_000  # CUDA itself, and the work space of its libraries
PROCESS_BYTES = 1_500_000_000  # Python with torch, pictures, sound and face analysis
ALLOCATOR_SLACK = 1.08  # of what comes and goes: torch's allocator leaves gaps

VAE_BYTES = 4 * VAE_PARAMETERS  # float32, as in the reference
SPEECH_ENCODER_BYTES = 4 * SPEECH_ENCODER_PARAMETERS  # float32; serves every window, so it stays
_DECODE_BYTES_PER_PX = 21_000  # a latent frame becomes four frames at a time, with what the causal layers remember
_DECODED_BYTES_PER_PX_AND_FRAME = 24  # finished frames, and the next longer row of them
_TILED_BYTES_PER_PX_AND_FRAME = 48  # finished tiles that overlap, rows of them, and the picture they make
TILE_PX = 256 * 256
_ATTENTION_BYTES = {4: 28, 2: 20.5}  # per S * D, by b: queries, keys, values, and rotating them in float32
_ROW_KEYS = 2**14  # keys that a batch of audio-face rows copies at most
_STATE_BYTES_PER_TOKEN = 4 * 4 * 180  # latents, condition, noise, solver history: float32 channels of 2 x 2 latents


@dataclass(frozen=True)
class Storage:
    """How the weights are held: names as in RenderSettings and MemoryPlan; ``lora``: one lies beside the blocks;
    ``pinned``: what is offloaded waits in page-locked memory."""

    quantization: str = "none"
    dtype: str = "bfloat16"
    offload: Offload = "none"
    lora: bool = False
    pinned: bool = False

    @property
    def itemsize(self) -> int:
        return DTYPE_BYTES[self.dtype]


def weights_bytes(size: NetworkSize, storage: Storage) -> int:
    """All weights of the transformer, wherever they are."""
    beside = lora_bytes(size, storage.dtype) if storage.lora else 0
    return network_bytes(size, storage.quantization, storage.dtype) + beside


def weights_in_ram_bytes(size: NetworkSize, storage: Storage) -> int:
    """What the transformer takes of the computer's memory beside a GPU."""
    if storage.offload == "none":
        return 0
    if not storage.pinned:
        return weights_bytes(size, storage)
    beside = lora_bytes(size, storage.dtype) if storage.lora else 0
    return pinned_bytes(size, storage.quantization, storage.dtype) + beside


def weights_on_device_bytes(size: NetworkSize, storage: Storage) -> int:
    """What of the transformer's weights is on the device while it computes."""
    if storage.offload != "group" or size.num_layers <= BLOCKS_ON_GPU:
        return weights_bytes(size, storage)
    block = block_bytes(size, storage.quantization, storage.dtype)
    if storage.lora:
        block += lora_bytes(size, storage.dtype) // size.num_layers
    # Statistics stay on the device once they were used there.
    staying = (size.num_layers - BLOCKS_ON_GPU) * statistics_bytes(size, storage.quantization)
    return outer_bytes(size, storage.dtype) + BLOCKS_ON_GPU * block + staying


def kept_bytes(size: NetworkSize, shape: VideoShape, num_people: int, itemsize: int, keep_keys: bool) -> int:
    """What one guidance branch keeps between steps: embedded tokens, and on request keys and values of all blocks."""
    kept = _all_keys(size, shape, num_people) * size.dim * itemsize
    return kept + (size.kept_keys(shape.num_frames, num_people) * itemsize if keep_keys else 0)


def forward_bytes(size: NetworkSize, shape: VideoShape, num_people: int, storage: Storage, keep_keys: bool) -> int:
    """The peak of one forward beside weights and what is kept: residual stream, rotary table, the largest moment of a
    block (self-attention, feed-forward, or making keys anew), a layer's weight on its way from storage to use."""
    num_tokens, width = shape.latent.num_tokens, size.dim * storage.itemsize
    states = num_tokens * width
    moments = [num_tokens * size.dim * _ATTENTION_BYTES[storage.itemsize], _feed_forward_bytes(size, shape, storage)]
    made_anew = 0 if keep_keys else 3 * _all_keys(size, shape, num_people) * width
    rows = 2 * min(_ROW_KEYS, _row_keys(size, shape, num_people)) * width
    # Prompt, picture and people share a query and a sum; the legacy form's people have their own, of few tokens.
    moments += [5 * states + made_anew, (2 if size.is_legacy else 5) * states + rows + made_anew]
    rotary = 2 * 4 * num_tokens * size.attention_head_dim
    largest = max(prod(tensor) for tensor in size.block_tensors.values())
    unpacked = largest * storage.itemsize if storage.quantization in ("nf4", "fp8") else 0
    return round(states + rotary + unpacked + max(moments))


def state_bytes(size: NetworkSize, shape: VideoShape, itemsize: int, step_cache: bool) -> int:
    """What sampling holds besides: latents and solver, and with a step cache two pictures of the residual stream for
    each branch."""
    num_tokens = shape.latent.num_tokens
    return num_tokens * (_STATE_BYTES_PER_TOKEN + (4 * size.dim * itemsize if step_cache else 0))


def decode_bytes(shape: VideoShape, tiling: bool) -> int:
    """The peak of decoding a window beside the VAE's weights; coding a window takes less."""
    picture = shape.height * shape.width
    if tiling:
        at_once = min(picture, TILE_PX) * _DECODE_BYTES_PER_PX
        return at_once + picture * shape.num_frames * _TILED_BYTES_PER_PX_AND_FRAME
    return picture * (_DECODE_BYTES_PER_PX + shape.num_frames * _DECODED_BYTES_PER_PX_AND_FRAME)


def _all_keys(size: NetworkSize, shape: VideoShape, num_people: int) -> int:
    return size.prompt_keys + IMAGE_TOKENS + num_people * size.person_keys(shape.num_frames)


def _row_keys(size: NetworkSize, shape: VideoShape, num_people: int) -> int:
    """Keys in the largest group of like audio-face rows: those of first frames, or those of all later ones."""
    tokens = 1 if size.is_legacy else FRAMES_SEEN
    later = shape.latent.num_frames * (FACE_TOKENS + tokens * size.num_audio_tokens)
    return num_people * max(later, 0 if size.is_legacy else size.person_keys(shape.num_frames))


def _feed_forward_bytes(size: NetworkSize, shape: VideoShape, storage: Storage) -> float:
    """Input, its normalised form and what came before stand beside the hidden layer before and after its GELU. int8
    multiplies into int32 and rounds its input, which is one and a half hidden layers more."""
    hidden = (3.25 if storage.quantization == "int8" else 2) * size.ffn_dim
    return shape.latent.num_tokens * storage.itemsize * (3 * size.dim + hidden)
