"""From the published names of an AnyTalker checkpoint to ours, and from its tensors' shapes to a configuration.

The Wan part of our names is that of diffusers' WanTransformer3DModel (spec A.9).
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import UnusableCheckpoint

Shapes = Mapping[str, tuple[int, ...]]

OUTSIDE_BLOCKS = {
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "img_emb.proj.0": "condition_embedder.image_embedder.norm1",
    "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
    "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2",
    "img_emb.proj.4": "condition_embedder.image_embedder.norm2",
    "head.head": "proj_out",
    "head.modulation": "scale_shift_table",
    "audio_ref_emb.proj.0": "face_embedder.norm1",
    "audio_ref_emb.proj.1": "face_embedder.ff.net.0.proj",
    "audio_ref_emb.proj.3": "face_embedder.ff.net.2",
    "audio_ref_emb.proj.4": "face_embedder.norm2",
    "audio_proj.proj1_vf": "audio_embedder.proj1_late",
    "audio_proj": "audio_embedder",
    "audio_emb": "audio_embedder",
}

INSIDE_BLOCKS = {
    "modulation": "scale_shift_table",
    "norm3": "norm2",
    "norm_x": "norm_audio",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
    "self_attn.q": "attn1.to_q",
    "self_attn.k": "attn1.to_k",
    "self_attn.v": "attn1.to_v",
    "self_attn.o": "attn1.to_out.0",
    "self_attn": "attn1",
    "cross_attn.q": "attn2.to_q",
    "cross_attn.k": "attn2.to_k",
    "cross_attn.v": "attn2.to_v",
    "cross_attn.o": "attn2.to_out.0",
    "cross_attn.k_img": "attn2.add_k_proj",
    "cross_attn.v_img": "attn2.add_v_proj",
    "cross_attn.norm_k_img": "attn2.norm_added_k",
    "cross_attn.k_audio": "attn2.to_k_audio",
    "cross_attn.v_audio": "attn2.to_v_audio",
    "cross_attn.k_face": "attn2.to_k_face",
    "cross_attn.v_face": "attn2.to_v_face",
    "cross_attn": "attn2",
    "audio_cross_attn.q_linear": "audio_attn.to_q",
    "audio_cross_attn.kv_linear": "audio_attn.to_kv_audio",
    "audio_cross_attn.k_face": "audio_attn.to_k_face",
    "audio_cross_attn.v_face": "audio_attn.to_v_face",
    "audio_cross_attn.proj": "audio_attn.to_out",
}

CHECK_FILE = "Check that the file is the AnyTalker checkpoint that `python launch.py models` names."


def original_to_ours(name: str) -> str:
    """Our name of a published tensor; a name that is already ours (or unknown) is given back."""
    parts = name.split(".")
    if parts[0] == "blocks" and len(parts) > 2:
        return ".".join(parts[:2] + [_renamed(parts[2:], INSIDE_BLOCKS)])
    return _renamed(parts, OUTSIDE_BLOCKS)


def _renamed(parts: list[str], table: Mapping[str, str]) -> str:
    for length in range(len(parts), 0, -1):
        ours = table.get(".".join(parts[:length]))
        if ours is not None:
            return ".".join([ours, *parts[length:]])
    return ".".join(parts)


def original_config(shapes: Shapes, head_dim: int = 128) -> dict[str, Any]:
    """The configuration of the network whose tensors have these ``shapes``, by published names or ours.

    Heads cannot be told from the tensors: they are ``head_dim`` wide. Raises UnusableCheckpoint for another network.
    """
    ours = {original_to_ours(name): tuple(shape) for name, shape in shapes.items()}
    form = _audio_form(ours)
    dim, in_channels, *patch = _shape(ours, "patch_embedding.weight", 5)
    if dim % head_dim:
        raise UnusableCheckpoint(
            f"The network is {dim} wide, which is no multiple of {head_dim} (the width of a head).", CHECK_FILE
        )
    return {
        "patch_size": tuple(patch),
        "num_attention_heads": dim // head_dim,
        "attention_head_dim": head_dim,
        "in_channels": in_channels,
        "out_channels": _shape(ours, "proj_out.weight", 2)[0] // max(1, math.prod(patch)),
        "text_dim": _shape(ours, "condition_embedder.text_embedder.linear_1.weight", 2)[1],
        "freq_dim": _shape(ours, "condition_embedder.time_embedder.linear_1.weight", 2)[1],
        "ffn_dim": _shape(ours, "blocks.0.ffn.net.0.proj.weight", 2)[0],
        "image_dim": _shape(ours, "condition_embedder.image_embedder.norm1.weight", 1)[0],
        "num_layers": _num_layers(ours),
        **_audio_config(ours, form),
    }


def _audio_form(ours: Shapes) -> str:
    if "patch_embedding.weight" not in ours or "blocks.0.attn1.to_q.weight" not in ours:
        raise UnusableCheckpoint(
            f"This is no AnyTalker checkpoint: it holds {_some(ours)}, and nothing that a Wan transformer has.",
            CHECK_FILE,
        )
    if "blocks.0.attn2.to_k_audio.weight" in ours:
        return "afca"
    if "blocks.0.audio_attn.to_q.weight" in ours:
        return "legacy"
    inputs = ours["patch_embedding.weight"][1:2]
    raise UnusableCheckpoint(
        f"This is a Wan transformer without audio-face attention ({inputs[0] if inputs else '?'} input channels): it "
        "cannot make anybody talk.",
        CHECK_FILE,
    )


def _audio_config(ours: Shapes, form: str) -> dict[str, Any]:
    hidden_dim, window_dim = _shape(ours, "audio_embedder.proj1.weight", 2)
    tokens_dim = _shape(ours, "audio_embedder.proj3.weight", 2)[0]
    if form == "legacy":
        token_dim = _shape(ours, "blocks.0.audio_attn.to_kv_audio.weight", 2)[1]
    else:
        token_dim = _shape(ours, "blocks.0.attn2.to_k_audio.weight", 2)[1]
    return {
        "audio_form": form,
        "audio_window_dim": window_dim,
        "audio_hidden_dim": hidden_dim,
        "num_audio_tokens": tokens_dim // max(1, token_dim),
        "audio_token_dim": token_dim if form == "legacy" else None,
        "audio_norm": "audio_embedder.norm.weight" in ours,
    }


def _num_layers(ours: Shapes) -> int:
    numbers = {int(name.split(".")[1]) for name in ours if name.startswith("blocks.") and name.split(".")[1].isdigit()}
    absent = sorted(set(range(len(numbers))) - numbers)
    if absent:
        raise UnusableCheckpoint(
            f"Blocks 0 to {len(numbers) - 1} should be there; block {absent[0]} is missing.", CHECK_FILE
        )
    return len(numbers)


def _shape(ours: Shapes, name: str, ndim: int) -> tuple[int, ...]:
    shape = ours.get(name)
    if shape is None or len(shape) != ndim or 0 in shape:
        found = "it is missing" if shape is None else f"its shape is {shape}"
        raise UnusableCheckpoint(f"{name} should have {ndim} dimensions; {found}.", CHECK_FILE)
    return shape


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
