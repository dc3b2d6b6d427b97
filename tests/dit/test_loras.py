"""Adapters in the published key styles: the same change of the network, on plain and on quantized layers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_checkpoints import window
from tiny_models import FEED_FORWARD, WIDTH, transformer_tensors
from torch import Tensor

from engine.dit.checkpoints import load_transformer, original_to_ours
from engine.dit.loras import add_lora
from engine.dit.quantization import dequantized, is_quantized_layer
from engine.errors import UnusableCheckpoint

RANK, ALPHA, NUM_LAYERS = 4, 2.0, 2
SIZES = {
    **{f"self_attn.{part}": (WIDTH, WIDTH) for part in "qkvo"},
    **{f"cross_attn.{part}": (WIDTH, WIDTH) for part in ("q", "k", "v", "o", "k_img", "v_img")},
    "ffn.0": (WIDTH, FEED_FORWARD),
    "ffn.2": (FEED_FORWARD, WIDTH),
}


def pairs(sizes: dict[str, tuple[int, int]] = SIZES, num_layers: int = NUM_LAYERS) -> dict[str, tuple[Tensor, Tensor]]:
    """(down, up) by the published name of a layer."""
    draw = torch.Generator().manual_seed(9)
    return {
        f"blocks.{block}.{name}": (
            torch.randn(RANK, wide, generator=draw) / wide**0.5,
            torch.randn(out, RANK, generator=draw) / RANK**0.5,
        )
        for block in range(num_layers)
        for name, (wide, out) in sizes.items()
    }


def comfy(named: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    return _written(named, "diffusion_model.{}.lora_down.weight", "diffusion_model.{}.lora_up.weight")


def _written(named: dict[str, tuple[Tensor, Tensor]], down: str, up: str) -> dict[str, Tensor]:
    return {
        key: tensor.contiguous()
        for name, (low, high) in named.items()
        for key, tensor in ((down.format(name), low), (up.format(name), high))
    }


def styles() -> dict[str, dict[str, Tensor]]:
    """The same adapter four times. With alpha, the published product is scaled by alpha / rank."""
    named = pairs()
    scale = RANK / ALPHA
    grown = {name: (down * scale, up) for name, (down, up) in named.items()}
    flat = {name.replace(".", "_"): pair for name, pair in grown.items()}
    musubi = _written(flat, "lora_unet_{}.lora_down.weight", "lora_unet_{}.lora_up.weight")
    musubi |= {f"lora_unet_{name}.alpha": torch.tensor(ALPHA) for name in flat}
    lightx2v = _written(named, "diffusion_model.{}.lora_A.weight", "diffusion_model.{}.lora_B.weight")
    lightx2v |= {"diffusion_model.blocks.0.norm3.diff": torch.zeros(WIDTH)}
    ours = {original_layer(name): pair for name, pair in named.items()}
    diffusers = _written(ours, "transformer.{}.lora_A.weight", "transformer.{}.lora_B.weight")
    return {"comfy": comfy(named), "musubi": musubi, "lightx2v": lightx2v, "diffusers": diffusers}


def original_layer(name: str) -> str:
    return original_to_ours(f"{name}.weight").removesuffix(".weight")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.pth"
    torch.save(transformer_tensors(num_layers=NUM_LAYERS), path)
    return path


def merged(path: Path) -> Path:
    """The network with the adapters added to its weights by hand."""
    tensors = transformer_tensors(num_layers=NUM_LAYERS)
    for name, (down, up) in pairs().items():
        tensors[f"{name}.weight"] = tensors[f"{name}.weight"] + up @ down
    torch.save(tensors, path)
    return path


@pytest.mark.parametrize("style", ["comfy", "musubi", "lightx2v", "diffusers"])
def test_every_key_style_is_the_same_change_of_the_weights(tmp_path, network, style):
    save_file(styles()[style], tmp_path / "lora.safetensors")
    model = load_transformer(network, torch.float32, head_dim=32)
    plain = window(model)
    layers = add_lora(model, tmp_path / "lora.safetensors")
    expected = window(load_transformer(merged(tmp_path / "merged.pth"), torch.float32, head_dim=32))
    assert len(layers) == NUM_LAYERS * len(SIZES)
    assert torch.allclose(window(model), expected, atol=1e-4)
    assert (expected - plain).norm() > 0.01 * plain.norm()


def test_strength_zero_changes_nothing(tmp_path, network):
    save_file(comfy(pairs()), tmp_path / "lora.safetensors")
    model = load_transformer(network, torch.float32, head_dim=32)
    plain = window(model)
    add_lora(model, tmp_path / "lora.safetensors", strength=0.0)
    assert torch.allclose(window(model), plain, atol=1e-6)


@pytest.mark.parametrize(("quantization", "tolerance"), [("nf4", 1e-4), ("fp8", 1e-4), ("int8", 5e-2)])
def test_on_a_quantized_network_it_adds_the_same(tmp_path, network, quantization, tolerance):
    """Both ways to the sum: the adapter on quantized layers, and on layers with their dequantized weights."""
    save_file(comfy(pairs()), tmp_path / "lora.safetensors")
    model = load_transformer(network, torch.float32, quantization=quantization, head_dim=32)
    twin = load_transformer(network, torch.float32, head_dim=32)
    layers = dict(model.named_modules())
    for name, module in twin.named_modules():
        if isinstance(module, torch.nn.Linear) and is_quantized_layer(name):
            module.weight.data, module.bias.data = dequantized(layers[name]), layers[name].bias.data.float()
    for each in (model, twin):
        add_lora(each, tmp_path / "lora.safetensors")
    expected = window(twin)
    assert (window(model) - expected).norm() <= tolerance * expected.norm()


def test_a_text_to_video_lora_leaves_out_the_narrower_input(tmp_path, network):
    tensors = comfy(pairs())
    tensors["diffusion_model.patch_embedding.diff_b"] = torch.zeros(WIDTH)
    save_file(tensors, tmp_path / "lora.safetensors")
    model = load_transformer(network, torch.float32, head_dim=32)
    assert "patch_embedding" not in add_lora(model, tmp_path / "lora.safetensors")


def refused(network: Path, tensors: dict[str, Tensor], *words: str) -> None:
    path = network.with_name("other.safetensors")
    save_file(tensors, path)
    model = load_transformer(network, torch.float32, head_dim=32)
    with pytest.raises(UnusableCheckpoint) as caught:
        add_lora(model, path)
    for word in words:
        assert word in caught.value.message
    assert caught.value.remedy
    assert not getattr(model, "peft_config", {})


def test_a_lora_for_another_size_says_what_does_not_fit(network):
    wide = {name: (2 * wide, 2 * out) for name, (wide, out) in SIZES.items()}
    refused(network, comfy(pairs(wide)), "another network", "192 to 192 wide instead of 96 to 96")
    refused(network, comfy(pairs(num_layers=3)), "blocks.2", "is not here", "12 of its 36")


def test_what_is_no_lora_for_wan_is_refused(network):
    refused(network, transformer_tensors(), "no LoRA")
    refused(network, {"lora_unet_down_blocks_0_attn.lora_down.weight": torch.zeros(2, 2)}, "no LoRA for Wan")
    half = {key: tensor for key, tensor in comfy(pairs()).items() if "blocks.0.ffn.0.lora_up" not in key}
    refused(network, half, "half there")
