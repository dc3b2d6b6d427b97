"""Small networks of both forms and what they take: from the golden files, from a formula, or at random."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import golden_vectors
import torch
from torch import Tensor

from engine.dit.checkpoints import load_transformer
from engine.dit.shapes import LatentShape
from engine.dit.streams import Streams
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.dit.types import Person

WEIGHTS = {"afca": "afca_weights", "legacy": "legacy_14b_weights"}
MID_MODULES = {
    "audio_emb": "audio_embedder", "audio_proj": "audio_embedder", "audio_ref_emb": "face_embedder",
    "img_emb": "condition_embedder.image_embedder", "text_embedding": "condition_embedder.text_embedder",
    "time_embedding": "condition_embedder.time_embedder", "time_projection": "condition_embedder.time_proj",
    "audio_cross_attn": "audio_attn", "self_attn": "attn1", "cross_attn": "attn2",
}  # fmt: skip
"""What the golden files call the parts whose outputs they keep, and what we call them."""


def tiny_network(form: str = "afca", seed: int = 0, **config: Any) -> AnyTalkerTransformer3DModel:
    """Two blocks of width 128 with four heads, filled at random; everything about it may be changed."""
    torch.manual_seed(seed)
    settings = {
        "num_attention_heads": 4, "attention_head_dim": 32, "ffn_dim": 160, "num_layers": 2, "freq_dim": 32,
        "text_dim": 24, "text_len": 16, "image_dim": 40, "audio_form": form, "audio_window_dim": 5 * 3 * 8,
        "audio_hidden_dim": 16, "num_audio_tokens": 4, "audio_token_dim": None if form == "afca" else 48,
    }  # fmt: skip
    network = AnyTalkerTransformer3DModel(**(settings | config)).eval()
    for name, parameter in network.named_parameters():
        if "scale_shift_table" not in name and parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=1 / math.sqrt(parameter[0].numel()))
    return network


def random_person(latent: LatentShape, seed: int, mask_S: Tensor | None = None, gain_T: Tensor | None = None) -> Person:
    """A voice and a face for :func:`tiny_network`."""
    made = torch.Generator().manual_seed(seed)
    frames = 4 * (latent.num_frames - 1) + 1
    return Person(
        torch.randn(frames, 5, 3, 8, generator=made), torch.randn(1, 6, 40, generator=made), mask_S, gain_T
    )  # fmt: skip


def box_mask(latent: LatentShape, rows: slice, columns: slice, value: float = 1.0) -> Tensor:
    """A token mask of ``value`` in a box of tokens, the same in every latent frame."""
    grid = torch.zeros(latent.token_grid)
    grid[:, rows, columns] = value
    return grid.flatten()


def random_streams(people: Sequence[Person], latent: LatentShape, seed: int = 7, keep_keys: bool = True) -> Streams:
    made = torch.Generator().manual_seed(seed)
    prompt, image = torch.randn(5, 24, generator=made), torch.randn(1, 9, 40, generator=made)
    return Streams(prompt, image, people, latent, keep_keys)


def latents(latent: LatentShape, seed: int = 3) -> Tensor:
    made = torch.Generator().manual_seed(seed)
    return torch.randn(1, 36, latent.num_frames, latent.height, latent.width, generator=made)


def velocity(network: AnyTalkerTransformer3DModel, streams: Streams, timestep: float = 437, seed: int = 3) -> Tensor:
    """The network's answer on :func:`latents`, without gradients."""
    with torch.no_grad():
        return network(latents(streams.latent, seed), torch.tensor([timestep]), streams).sample


def golden_network(form: str) -> AnyTalkerTransformer3DModel:
    """The published network on the golden files' small weights, loaded by their published names."""
    described = golden_vectors.read(WEIGHTS[form])[1]["config"]
    files = [golden_vectors.GOLDEN / f"{name}.safetensors" for name in (WEIGHTS[form], "embedder_weights")]
    head_dim = described["dim"] // described["num_heads"]
    return load_transformer(files, torch.float32, head_dim=head_dim, text_len=described["text_len"])


def golden_people(case: Mapping[str, Tensor], described: Mapping[str, Any]) -> list[Person]:
    """The people of a golden case: leading frames and tokens of the shared voices and faces."""
    shared = golden_vectors.read("shared_inputs")[0]
    people = []
    for index, ((voice, frames), (face, tokens)) in enumerate(zip(described["audio"], described["face"], strict=False)):
        mask = case[f"in.face_mask.{index}"].flatten() if described["use_token_mask"] else None
        people.append(Person(shared[f"audio.{voice}"][:frames], shared[f"face.{face}"][:, :tokens], mask))
    return people[: described["n_masks"]]


def golden_velocity(
    network: AnyTalkerTransformer3DModel, case: Mapping[str, Tensor], people: Sequence[Person], **streams: Any
) -> Tensor:
    """(16, T, H, W): the network's answer to a golden case's inputs."""
    latent = LatentShape(*case["in.x"].shape[1:])
    clip = golden_vectors.read("shared_inputs")[0]["clip_fea"]
    noisy = torch.cat([case["in.x"], case["in.y"]])[None]
    with torch.no_grad():
        return network(noisy, case["in.t"], Streams(case["in.context"], clip, people, latent, **streams)).sample[0]


def outputs_of(network: AnyTalkerTransformer3DModel, names: Mapping[str, str], run: Any) -> dict[str, list[Tensor]]:
    """What the modules ``names`` (any key to module name) gave while ``run`` ran, call by call."""
    caught: dict[str, list[Tensor]] = {name: [] for name in names}
    hooks = [
        network.get_submodule(module).register_forward_hook(lambda *seen, name=name: caught[name].append(seen[-1]))
        for name, module in names.items()
    ]
    run()
    for hook in hooks:
        hook.remove()
    return caught
