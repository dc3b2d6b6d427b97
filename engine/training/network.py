"""The network that a run starts from, and which of its weights learn."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig
from torch import Tensor, nn

from engine.dit.checkpoints import checkpoint_files, original_to_ours
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.dit.weight_files import read_weights
from engine.errors import UnusableCheckpoint

Learning = Literal["all", "audio_face", "lora"]
AUDIO_FACE = ("audio_embedder.", "face_embedder.", "_audio", "_face", "audio_attn.", "norm_audio")
LORA_LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2")
LORA_NAME = "trained"
_PASSED = 0.75  # of the last layer's normalised states: about the noise as it came in
_QUICK_PAIRS = 2  # of a rotary embedding's, that turn furthest from one place to the next
_OWN_PLACE = 6.0  # of query and key: outweighs what the states say
_SHARPNESS = 1.5  # of their norms: own place and next neighbours get nearly all attention


def is_audio_face(name: str) -> bool:
    """Whether a parameter is one that AnyTalker adds to Wan."""
    return any(part in name for part in AUDIO_FACE)


def new_network(settings: Mapping[str, Any], base: Path | None, seed: int) -> AnyTalkerTransformer3DModel:
    """The network of ``settings`` with the weights of ``base`` (a file, or a folder or index of shards), by published
    names or ours; what Wan does not have is drawn anew (specification, D.3). Without a base everything is.

    Raises ModelMissing or UnusableCheckpoint.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AnyTalkerTransformer3DModel(**settings)
        _draw(network)
    if base is None:
        _let_noise_through(network)
        _look_at_own_place(network)
    else:
        _take_over(network, base)
    return network


def _draw(network: nn.Module) -> None:
    """Xavier-uniform matrices, ones for norms, zeros for biases; the tables of shifts and scales stay as drawn."""
    for name, parameter in network.named_parameters():
        if name.endswith("scale_shift_table"):
            continue
        if parameter.ndim >= 2:
            nn.init.xavier_uniform_(parameter.view(len(parameter), -1))
        elif name.endswith("weight"):
            nn.init.ones_(parameter)
        else:
            nn.init.zeros_(parameter)


@torch.no_grad()
def _let_noise_through(network: Any) -> None:
    """What is asked for, noise minus clean, is mostly the noise that comes in: it passes from the first layer to the
    last, and the rest is learnt. A narrow network would otherwise spend most of its training on this passage."""
    patch, proj = network.patch_embedding.weight, network.proj_out.weight
    nn.init.eye_(patch.view(len(patch), -1))
    nn.init.zeros_(proj)
    places, channels = patch[0, 0].numel(), network.config.out_channels
    for channel in range(channels):
        for place in range(places):
            source = channel * places + place
            if source < proj.shape[1]:
                proj[place * channels + channel, source] = _PASSED


@torch.no_grad()
def _look_at_own_place(network: Any) -> None:
    """Half of the heads of every self-attention begin by looking at their own place in all frames. The first frame
    is the photo, and to copy from it is what a video mostly is; found by chance that takes a small network longer than
    everything else. Equal biases of query and key do it: turned by their places they agree where the places do.
    """
    heads, width = network.config.num_attention_heads, network.config.attention_head_dim
    rope = network.rope
    pairs = range(min(_QUICK_PAIRS, rope.h_dim // 2))
    turning = [start + 2 * pair for start in (rope.t_dim, rope.t_dim + rope.h_dim) for pair in pairs]
    for block in network.blocks:
        for linear, norm in ((block.attn1.to_q, block.attn1.norm_q), (block.attn1.to_k, block.attn1.norm_k)):
            bias = linear.bias.view(heads, width)
            bias[: heads // 2, turning] = _OWN_PLACE
            norm.weight.fill_(_SHARPNESS)


@torch.no_grad()
def _take_over(network: nn.Module, base: Path) -> None:
    files = checkpoint_files(base)
    weights = {original_to_ours(name): tensor for file in files for name, tensor in read_weights(file).items()}
    parameters = dict(network.named_parameters())
    missing = [name for name in parameters if name not in weights and not is_audio_face(name)]
    unexpected = [name for name in weights if name not in parameters]
    shapes = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(parameter.shape)}"
        for name, parameter in parameters.items()
        if name in weights and weights[name].shape != parameter.shape
    ]
    _refuse(base, {"missing": missing, "unexpected": unexpected, "of another shape": shapes})
    for name, parameter in parameters.items():
        if name in weights:
            parameter.copy_(weights[name])


def _refuse(base: Path, problems: Mapping[str, list[str]]) -> None:
    if any(problems.values()):
        told = "; ".join(f"{len(names)} {what} ({', '.join(names[:3])})" for what, names in problems.items() if names)
        raise UnusableCheckpoint(
            f"{base.name} does not fit the network of this training config: {told}.",
            "Set [network] to the sizes of that checkpoint, or choose another base.",
        )


def let_learn(network: AnyTalkerTransformer3DModel, learning: Learning, lora_rank: int) -> list[nn.Parameter]:
    """Everything, what AnyTalker adds to Wan, or low-rank adapters beside the rest."""
    network.requires_grad_(learning == "all")
    if learning == "audio_face":
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(is_audio_face(name))
    if learning == "lora":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network.add_adapter(_lora(network, lora_rank), adapter_name=LORA_NAME)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def freeze_audio_face(network: nn.Module) -> list[nn.Parameter]:
    """For the ablation in which nobody is heard: what is never used must not be waited for."""
    for name, parameter in network.named_parameters():
        if is_audio_face(name):
            parameter.requires_grad_(False)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _lora(network: nn.Module, rank: int) -> LoraConfig:
    chosen = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("blocks.") and _takes_lora(name)
    ]
    return LoraConfig(r=rank, lora_alpha=rank, target_modules=chosen)


def _takes_lora(name: str) -> bool:
    return name.endswith(LORA_LAYERS) or is_audio_face(name)


def plain_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every parameter by our names, on the CPU, without adapters."""
    return {
        name.replace(".base_layer.", "."): tensor.detach().cpu().contiguous()
        for name, tensor in state.items()
        if ".lora_" not in name
    }
