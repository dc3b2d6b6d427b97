"""Low-rank adapters on the transformer: step-distilled ones let it render in four to eight steps.

Made for Wan, they fit every layer that AnyTalker has from Wan. diffusers turns the published key styles into its own,
and peft puts the adapters beside the layers, also beside quantized ones.
"""

from collections.abc import Mapping
from pathlib import Path

from diffusers.loaders.lora_conversion_utils import (
    _convert_musubi_wan_lora_to_diffusers,
    _convert_non_diffusers_wan_lora_to_diffusers,
)
from torch import Tensor, nn

from engine.dit.quantization import FP8
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.dit.weight_files import read_weights
from engine.errors import UnusableCheckpoint

PREFIX = "transformer."
DOWN, UP = ".lora_A.weight", ".lora_B.weight"
ANY_INPUT = "patch_embedding"  # the one layer whose input is wider here than in a text-to-video Wan

_ANOTHER = "Use one made for the same size of Wan 2.1: `python launch.py models` lists those that fit."


def add_lora(
    model: AnyTalkerTransformer3DModel, path: Path, strength: float = 1.0, name: str = "distilled"
) -> tuple[str, ...]:
    """Put the LoRA of a .safetensors or .pth file onto ``model`` as its active adapter ``name``. Gives the layers that
    it changes.

    Key styles: ComfyUI and lightx2v (``diffusion_model.``), musubi (``lora_unet_``), diffusers, peft.
    Raises ModelMissing, or UnusableCheckpoint: not a LoRA, or for a network of another size or kind (told where).
    """
    adapters = _converted(read_weights(path), path)
    layers = _fitting(model, adapters, path)
    chosen = {key: tensor for key, tensor in adapters.items() if _layer(key) in layers}
    model.load_lora_adapter(
        {f"{PREFIX}{key}": tensor.contiguous() for key, tensor in chosen.items()}, adapter_name=name
    )
    _out_of_fp8(model, chosen, name)
    model.set_adapters([name], [strength])
    model.requires_grad_(False).eval()
    return layers


def _converted(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """By our names of the layers, each with ``lora_A.weight``, ``lora_B.weight`` and perhaps ``lora_B.bias``."""
    plain = {name.removeprefix("base_model.model."): tensor for name, tensor in weights.items()}
    try:
        if any(name.startswith("diffusion_model.") for name in plain):
            plain = _convert_non_diffusers_wan_lora_to_diffusers(plain)
        elif any(name.startswith("lora_unet_") for name in plain):
            plain = _convert_musubi_wan_lora_to_diffusers(plain)
    except (KeyError, ValueError, IndexError, RuntimeError, UnboundLocalError) as error:
        raise UnusableCheckpoint(f"{path.name} is no LoRA for Wan: {error}", _ANOTHER) from error
    adapters = {name.removeprefix(PREFIX): tensor for name, tensor in plain.items()}
    if not any(name.endswith(UP) for name in adapters) or not all(".lora_" in name for name in adapters):
        raise UnusableCheckpoint(f"{path.name} is no LoRA: it holds {_some(list(adapters))}.", _ANOTHER)
    return adapters


def _fitting(model: nn.Module, adapters: Mapping[str, Tensor], path: Path) -> tuple[str, ...]:
    modules = dict(model.named_modules())
    layers = sorted({_layer(key) for key in adapters})
    problems = [problem for layer in layers if (problem := _misfit(layer, modules.get(layer), adapters))]
    if problems:
        raise UnusableCheckpoint(
            f"{path.name} is for another network: {len(problems)} of its {len(layers)} layers do not fit "
            f"({_some(problems)}).",
            _ANOTHER,
        )
    return tuple(layer for layer in layers if layer != ANY_INPUT or _takes(modules[layer], adapters))


def _misfit(layer: str, module: nn.Module | None, adapters: Mapping[str, Tensor]) -> str:
    down, up = adapters.get(layer + DOWN), adapters.get(layer + UP)
    if module is None:
        return f"{layer} is not here"
    if down is None or up is None:
        return f"{layer} is half there"
    if layer == ANY_INPUT or not isinstance(module, nn.Linear):
        return "" if layer == ANY_INPUT else f"{layer} is no linear layer here"
    found, expected = (down.shape[1], up.shape[0]), (module.in_features, module.out_features)
    return (
        ""
        if found == expected
        else f"{layer} is {found[0]} to {found[1]} wide instead of {expected[0]} to {expected[1]}"
    )


def _takes(module: nn.Module, adapters: Mapping[str, Tensor]) -> bool:
    down = adapters[ANY_INPUT + DOWN]
    return isinstance(module, nn.Conv3d) and down.ndim == 5 and down.shape[1:] == module.weight.shape[1:]


def _out_of_fp8(model: nn.Module, adapters: Mapping[str, Tensor], name: str) -> None:
    """peft makes an adapter in the dtype of the layer below; fp8 would round it away."""
    for owner, module in model.named_modules():
        for leaf in ("weight", "bias"):
            parameter = getattr(module, leaf, None)
            if isinstance(parameter, nn.Parameter) and parameter.dtype == FP8 and owner.endswith(f".{name}"):
                key = f"{owner.removesuffix(f'.{name}')}.{leaf}"
                setattr(module, leaf, nn.Parameter(adapters[key].to(parameter.device), requires_grad=False))


def _layer(key: str) -> str:
    return key.partition(".lora_")[0]


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
