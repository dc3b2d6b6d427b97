"""How large a network is and how much it computes, from its config alone: arithmetic, no torch.

The tensors are those of AnyTalkerTransformer3DModel, by its own names; the counts of the published networks (spec A.1)
follow from them. A multiplication and an addition count as two operations.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Literal

from engine.dit.shapes import LATENT_CHANNELS, PATCH, VideoShape

AudioForm = Literal["afca", "legacy"]
Shape = tuple[int, ...]

FACE_TOKENS = IMAGE_TOKENS = 257  # a CLIP picture: 16 x 16 patches and one for the whole
LAYERS_OF_SPEECH, SPEECH_DIM, FRAMES_PER_WINDOW = 12, 768, 5
GROUPED_FRAMES = 8  # what the second of the legacy form's two audio inputs sees (spec A.8)
FRAMES_SEEN = 4  # video frames whose sound one latent frame after the first attends to
IMAGE_DIM = 1280

TEXT_ENCODER_PARAMETERS = 5_680_910_336
"""umT5-xxl, the encoder alone."""
IMAGE_ENCODER_PARAMETERS = 632_076_800
"""CLIP ViT-H/14, the visual tower alone."""
VAE_PARAMETERS = 126_892_531
SPEECH_ENCODER_PARAMETERS = 94_371_712
"""wav2vec2-base, without a head."""

TYPICAL_FACE = 0.055
"""Share of the picture that an enlarged face box takes in a picture of two people (spec H6: 81 and 90 of 1560)."""


@dataclass(frozen=True)
class NetworkSize:
    """The transformer's measures; field names and meaning as in its config.

    ``audio_token_dim`` None = the width of the transformer (the AFCA form); ``codec_work``: of its video codec for
    each pixel, in that of Wan's VAE.
    """

    num_layers: int
    num_attention_heads: int
    ffn_dim: int
    audio_form: AudioForm = "afca"
    attention_head_dim: int = 128
    in_channels: int = 36
    out_channels: int = LATENT_CHANNELS
    text_dim: int = 4096
    text_len: int = 512
    freq_dim: int = 256
    image_dim: int = IMAGE_DIM
    audio_window_dim: int = FRAMES_PER_WINDOW * LAYERS_OF_SPEECH * SPEECH_DIM
    audio_hidden_dim: int = 512
    num_audio_tokens: int = 32
    audio_token_dim: int | None = None
    audio_norm: bool = True
    codec_work: float = 1.0

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> "NetworkSize":
        """From the config of a transformer (its other entries do not change its size)."""
        known = {name: config[name] for name in cls.__dataclass_fields__ if name in config}
        return cls(**known)

    @property
    def dim(self) -> int:
        """Width of the transformer."""
        return self.num_attention_heads * self.attention_head_dim

    @property
    def is_legacy(self) -> bool:
        return self.audio_form == "legacy"

    @property
    def audio_dim(self) -> int:
        """Width of an audio token."""
        return self.audio_token_dim or (SPEECH_DIM if self.is_legacy else self.dim)

    @property
    def late_audio_dim(self) -> int:
        """Features that the legacy form projects for every latent frame after the first."""
        return self.audio_window_dim // FRAMES_PER_WINDOW * GROUPED_FRAMES

    @property
    def prompt_keys(self) -> int:
        """Keys that the text branch attends to: the legacy form puts the picture's before the prompt's (spec A.8)."""
        return self.text_len + (IMAGE_TOKENS if self.is_legacy else 0)

    @cached_property
    def block_tensors(self) -> dict[str, Shape]:
        """Tensors of one block, by their names within it."""
        return dict(_block(self))

    @cached_property
    def outer_tensors(self) -> dict[str, Shape]:
        """Tensors that stand outside the blocks."""
        return dict(_outside_blocks(self))

    @property
    def tensors(self) -> dict[str, Shape]:
        """Every tensor of the network: name → shape."""
        blocks = {
            f"blocks.{index}.{name}": shape
            for index in range(self.num_layers)
            for name, shape in self.block_tensors.items()
        }
        return {**self.outer_tensors, **blocks}

    @property
    def num_block_parameters(self) -> int:
        return sum(map(prod, self.block_tensors.values()))

    @property
    def num_outer_parameters(self) -> int:
        return sum(map(prod, self.outer_tensors.values()))

    @property
    def num_parameters(self) -> int:
        return self.num_outer_parameters + self.num_layers * self.num_block_parameters

    def audio_keys(self, num_frames: int) -> int:
        """Audio tokens that one person brings into a window of ``num_frames`` frames."""
        groups = (num_frames - 1) // FRAMES_SEEN + 1 if self.is_legacy else num_frames
        return groups * self.num_audio_tokens

    def person_keys(self, num_frames: int) -> int:
        """Keys of one person in a window: face, then audio."""
        return FACE_TOKENS + self.audio_keys(num_frames)

    def kept_keys(self, num_frames: int, num_people: int) -> int:
        """Numbers that keys and values of text, picture and people hold over all blocks, for one guidance branch."""
        keys = self.prompt_keys + IMAGE_TOKENS + num_people * self.person_keys(num_frames)
        return 2 * keys * self.dim * self.num_layers

    def forward_flops(self, shape: VideoShape, num_people: int, face_share: float = TYPICAL_FACE) -> float:
        """Operations of one forward with keys kept, audio-face attention only where faces are (spec A.7 and F.5).

        ``face_share``: the part of the picture that one person's token mask covers.
        """
        return self._picture_flops(shape) + num_people * self._person_flops(shape, min(face_share, 1.0))

    def dense_forward_flops(self, shape: VideoShape, num_people: int) -> float:
        """Operations of one forward as the reference does it: keys anew, every token attends to every key."""
        num_tokens, frames = shape.latent.num_tokens, shape.num_frames
        keys_seen = FACE_TOKENS + self.num_audio_tokens if self.is_legacy else self.person_keys(frames)
        person = 4.0 * num_tokens * keys_seen * self.dim * self.num_layers
        if self.is_legacy:  # its attention has a query and an output of its own, once for everybody
            person += 4 * num_tokens * self.dim**2 * self.num_layers / max(num_people, 1)
        return self._picture_flops(shape) + num_people * person + self.keys_flops(frames, num_people)

    def keys_flops(self, num_frames: int, num_people: int) -> float:
        """Operations that make keys and values of text, picture and people: once per window, or at each forward."""
        shared = 4 * (self.prompt_keys + IMAGE_TOKENS) * self.dim**2
        person = 4 * self.dim * (FACE_TOKENS * self.dim + self.audio_keys(num_frames) * self.audio_dim)
        return (shared + num_people * person) * self.num_layers

    def _picture_flops(self, shape: VideoShape) -> float:
        num_tokens = shape.latent.num_tokens
        linear = 2 * num_tokens * (6 * self.dim**2 + 2 * self.dim * self.ffn_dim)
        attention = 4 * num_tokens * self.dim * (num_tokens + self.prompt_keys + IMAGE_TOKENS)
        return (linear + attention) * self.num_layers

    def _person_flops(self, shape: VideoShape, face_share: float) -> float:
        per_frame = face_share * shape.latent.tokens_per_frame
        later = (shape.latent.num_frames - 1) * per_frame
        if self.is_legacy:
            seen = (per_frame + later) * (FACE_TOKENS + self.num_audio_tokens)
        else:
            seen = per_frame * self.person_keys(shape.num_frames)
            seen += later * (FACE_TOKENS + FRAMES_SEEN * self.num_audio_tokens)
        projections = 4 * (per_frame + later) * self.dim**2 if self.is_legacy else 0
        return (4 * seen * self.dim + projections) * self.num_layers


ANYTALKER_1_3B = NetworkSize(num_layers=30, num_attention_heads=12, ffn_dim=8960)
ANYTALKER_14B = NetworkSize(num_layers=40, num_attention_heads=40, ffn_dim=13824, audio_form="legacy")
TINY = NetworkSize(
    num_layers=6,
    num_attention_heads=4,
    ffn_dim=480,
    attention_head_dim=40,
    text_dim=16,
    text_len=8,
    freq_dim=64,
    image_dim=192,
    audio_window_dim=320,
    audio_hidden_dim=128,
    num_audio_tokens=4,
    codec_work=0.0012,
)
NETWORKS = {"anytalker-1.3b": ANYTALKER_1_3B, "anytalker-14b": ANYTALKER_14B, "tiny": TINY}


def _linear(name: str, out_dim: int, in_dim: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (out_dim, in_dim)
    yield f"{name}.bias", (out_dim,)


def _layer_norm(name: str, dim: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (dim,)
    yield f"{name}.bias", (dim,)


def _block(size: NetworkSize) -> Iterator[tuple[str, Shape]]:
    dim = size.dim
    yield "scale_shift_table", (1, 6, dim)
    yield from _layer_norm("norm2", dim)
    for attention in ("attn1", "attn2"):
        for part in ("to_q", "to_k", "to_v", "to_out.0"):
            yield from _linear(f"{attention}.{part}", dim, dim)
        yield f"{attention}.norm_q.weight", (dim,)
        yield f"{attention}.norm_k.weight", (dim,)
    yield from _linear("attn2.add_k_proj", dim, dim)
    yield from _linear("attn2.add_v_proj", dim, dim)
    yield "attn2.norm_added_k.weight", (dim,)
    yield from _linear("ffn.net.0.proj", size.ffn_dim, dim)
    yield from _linear("ffn.net.2", dim, size.ffn_dim)
    yield from _legacy_audio_attention(size) if size.is_legacy else _audio_face_attention(size)


def _audio_face_attention(size: NetworkSize) -> Iterator[tuple[str, Shape]]:
    for whose, width in (("audio", size.audio_dim), ("face", size.dim)):
        yield from _linear(f"attn2.to_k_{whose}", size.dim, width)
        yield from _linear(f"attn2.to_v_{whose}", size.dim, width)
        yield f"attn2.norm_k_{whose}.weight", (size.dim,)


def _legacy_audio_attention(size: NetworkSize) -> Iterator[tuple[str, Shape]]:
    yield from _layer_norm("norm_audio", size.dim)
    yield from _linear("audio_attn.to_kv_audio", 2 * size.dim, size.audio_dim)
    for part in ("to_q", "to_k_face", "to_v_face", "to_out"):
        yield from _linear(f"audio_attn.{part}", size.dim, size.dim)


def _outside_blocks(size: NetworkSize) -> Iterator[tuple[str, Shape]]:
    dim, per_token = size.dim, PATCH * PATCH
    yield "patch_embedding.weight", (dim, size.in_channels, 1, PATCH, PATCH)
    yield "patch_embedding.bias", (dim,)
    yield from _linear("condition_embedder.time_embedder.linear_1", dim, size.freq_dim)
    yield from _linear("condition_embedder.time_embedder.linear_2", dim, dim)
    yield from _linear("condition_embedder.time_proj", 6 * dim, dim)
    yield from _linear("condition_embedder.text_embedder.linear_1", dim, size.text_dim)
    yield from _linear("condition_embedder.text_embedder.linear_2", dim, dim)
    for embedder in ("condition_embedder.image_embedder", "face_embedder"):
        yield from _layer_norm(f"{embedder}.norm1", size.image_dim)
        yield from _linear(f"{embedder}.ff.net.0.proj", size.image_dim, size.image_dim)
        yield from _linear(f"{embedder}.ff.net.2", dim, size.image_dim)
        yield from _layer_norm(f"{embedder}.norm2", dim)
    yield from _audio_embedder(size)
    yield "scale_shift_table", (1, 2, dim)
    yield from _linear("proj_out", size.out_channels * per_token, dim)


def _audio_embedder(size: NetworkSize) -> Iterator[tuple[str, Shape]]:
    hidden = size.audio_hidden_dim
    yield from _linear("audio_embedder.proj1", hidden, size.audio_window_dim)
    if size.is_legacy:
        yield from _linear("audio_embedder.proj1_late", hidden, size.late_audio_dim)
    yield from _linear("audio_embedder.proj2", hidden, hidden)
    yield from _linear("audio_embedder.proj3", size.num_audio_tokens * size.audio_dim, hidden)
    if size.audio_norm:
        yield from _layer_norm("audio_embedder.norm", size.audio_dim)
