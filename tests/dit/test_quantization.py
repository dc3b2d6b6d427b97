"""Small weights, held against their own dequantized values: relations, no frozen numbers."""

import copy

import pytest
import torch
from torch import nn

from engine.dit.quantization import (
    QUANTIZATIONS,
    Int8Linear,
    Nf4Linear,
    dequantized,
    is_quantized_layer,
    quantize_,
    weights_bytes,
)
from engine.dit.stored_bytes import stored_bytes

SMALL = [name for name in QUANTIZATIONS if name != "none"]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(96, 160)
        self.norm_q = nn.RMSNorm(160)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn1 = Attention()
        self.ffn = nn.Sequential(nn.Linear(160, 224), nn.GELU(), nn.Linear(224, 96))
        self.norm2 = nn.LayerNorm(96)


class Network(nn.Module):
    """The names that decide what is stored small, on layers whose sizes are no multiples of a quantization block."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.proj_out = nn.Linear(96, 40)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block.norm2(block.ffn(block.attn1.norm_q(block.attn1.to_q(x))))
        return self.proj_out(x)


def network() -> Network:
    torch.manual_seed(5)
    return Network().eval().requires_grad_(False)


def quantized(quantization: str, dtype: torch.dtype = torch.float32) -> Network:
    model = network().to(dtype)
    model.blocks.apply(lambda module: module.float() if isinstance(module, nn.LayerNorm) else module)
    quantize_(model, quantization, dtype, chosen=is_quantized_layer)
    return model


def twin(model: nn.Module) -> Network:
    """The same network in float32, with the weights that the small layers really multiply by."""
    plain = network()
    layers = dict(model.named_modules())
    for name, module in plain.named_modules():
        if isinstance(module, nn.Linear):
            module.weight.data = dequantized(layers[name])
            module.bias.data = layers[name].bias.data.float()
    return plain


@pytest.mark.parametrize("quantization", SMALL)
def test_only_block_linears_become_small(quantization):
    model = quantized(quantization)
    assert type(model.proj_out) is nn.Linear
    assert model.proj_out.weight.dtype == model.blocks[0].norm2.weight.dtype == torch.float32
    assert model.blocks[1].attn1.to_q.weight.dtype != torch.float32


@pytest.mark.parametrize(("quantization", "tolerance"), [("nf4", 1e-5), ("fp8", 1e-6), ("int8", 2e-2)])
def test_a_quantized_network_equals_its_own_dequantized_twin(quantization, tolerance):
    """int8 rounds the activations too, hence its wider tolerance."""
    model = quantized(quantization)
    x = torch.randn(7, 96)
    expected = twin(model)(x)
    assert (model(x) - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize(("quantization", "tolerance"), [("int8", 0.02), ("fp8", 0.06), ("nf4", 0.15)])
def test_weights_stay_near_what_they_were(quantization, tolerance):
    model, plain = quantized(quantization), network()
    for name in ("blocks.0.attn1.to_q", "blocks.1.ffn.2"):
        weight = plain.get_submodule(name).weight
        error = (dequantized(model.get_submodule(name)) - weight).norm() / weight.norm()
        assert 0 < error < tolerance


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_predicted_bytes_are_the_real_ones(quantization, dtype):
    shapes = {name: tuple(parameter.shape) for name, parameter in network().named_parameters()}
    predicted = stored_bytes(shapes, quantization, str(dtype).removeprefix("torch."))
    assert predicted == weights_bytes(quantized(quantization, dtype))


def test_nf4_is_the_same_on_every_processor(monkeypatch):
    """Some processors make bitsandbytes repack weights, and refuse sizes that are no multiples of 32."""
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: True)
    model = nn.Sequential(nn.Linear(64, 20)).eval().requires_grad_(False)
    quantize_(model, "nf4", torch.float32)
    x = torch.randn(3, 64)
    expected = nn.functional.linear(x, dequantized(model[0]), model[0].bias)
    with torch.no_grad():
        assert (model(x) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("rows", [(160, 160), (40, 96), (96, 224), (20, 64)])
def test_blocks_of_nf4_run_on_from_row_to_row(rows):
    """Wrong by a fifth otherwise, on processors with AVX512."""
    torch.manual_seed(2)
    linear = nn.Linear(rows[1], rows[0], bias=False).requires_grad_(False)
    before = linear.weight.clone()
    model = nn.Sequential(linear).eval()
    quantize_(model, "nf4", torch.float32)
    assert (dequantized(model[0]) - before).norm() < 0.11 * before.norm()
    assert (model(torch.eye(rows[1])).T - before).norm() < 0.11 * before.norm()


@pytest.mark.parametrize("quantization", SMALL)
def test_bytes_do_not_grow_by_using_the_network(quantization):
    model = quantized(quantization)
    before = weights_bytes(model)
    model(torch.randn(3, 96))
    assert weights_bytes(model) == before


@pytest.mark.parametrize("quantization", SMALL)
def test_a_moved_or_copied_network_gives_the_same_numbers(quantization):
    model = quantized(quantization)
    x = torch.randn(4, 96)
    first = model(x)
    moved = copy.deepcopy(model).to("cpu") if quantization != "fp8" else model.to("cpu")
    assert torch.equal(moved(x), first)


@pytest.mark.parametrize(("quantization", "kind"), [("nf4", Nf4Linear), ("int8", Int8Linear)])
def test_a_layer_reads_its_weight_where_it_was_put(quantization, kind):
    """Group offloading and parent modules move a weight by giving it new data: no stale reference may be used."""
    model = quantized(quantization)
    layer = model.blocks[0].attn1.to_q
    assert isinstance(layer, kind)
    x = torch.randn(4, 96)
    layer(x)
    layer.weight.data = torch.zeros_like(layer.weight.data) + (0x77 if quantization == "nf4" else 0)
    assert torch.allclose(layer(x), layer.bias.expand(4, -1), atol=1e-6)


def test_an_unknown_quantization_is_refused():
    with pytest.raises(ValueError, match="int4"):
        quantize_(network(), "int4")


@pytest.mark.parametrize("quantization", SMALL)
def test_the_text_encoder_is_stored_small_by_the_same_function(quantization):
    from transformers import UMT5Config, UMT5EncoderModel

    sizes = {"vocab_size": 64, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}
    torch.manual_seed(0)
    config = UMT5Config(**sizes, feed_forward_proj="gated-gelu", dropout_rate=0.0)
    model = UMT5EncoderModel(config).eval().requires_grad_(False)
    tokens = torch.arange(12)[None]
    expected, full = model(tokens).last_hidden_state, weights_bytes(model)
    quantize_(model, quantization, torch.float32, keep=("wo",))
    found = model(tokens).last_hidden_state
    assert type(model.encoder.block[0].layer[1].DenseReluDense.wo) is nn.Linear
    assert weights_bytes(model) < full
    assert 0 < (found - expected).norm() / expected.norm() < 0.3
