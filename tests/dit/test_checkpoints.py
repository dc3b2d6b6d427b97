"""Published names and shapes in, our network out; and what is said about files that do not fit."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from golden_vectors import GOLDEN
from safetensors.torch import load_file, save_file
from tiny_models import transformer_tensors
from torch import Tensor

from engine.dit import checkpoints
from engine.dit.checkpoints import empty_transformer, fingerprint, load_transformer, original_config, original_to_ours
from engine.dit.quantization import (
    KEPT_IN_FLOAT32,
    dequantized,
    is_quantized_layer,
    weights_bytes,
)
from engine.dit.shapes import LatentShape
from engine.dit.stored_bytes import stored_bytes
from engine.dit.streams import Streams
from engine.dit.types import Person
from engine.errors import ModelMissing, UnusableCheckpoint

AFCA = [GOLDEN / "afca_weights.safetensors", GOLDEN / "embedder_weights.safetensors"]
LEGACY = [GOLDEN / "legacy_14b_weights.safetensors", GOLDEN / "embedder_weights.safetensors"]
TINY = {"head_dim": 32, "text_len": 16}
FORMS = ("afca", "legacy")


def shapes_of(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@pytest.fixture
def pth(tmp_path: Path) -> Path:
    path = tmp_path / "1_3B-tiny.pth"
    torch.save({"model": transformer_tensors("afca")}, path)
    return path


def window(model: torch.nn.Module) -> Tensor:
    """One forward pass with two people, on the smallest latents that have several frames."""
    latent = LatentShape(3, 4, 8)
    torch.manual_seed(3)
    config = model.config
    features = torch.randn(2, 9, 5, 12, config.audio_window_dim // 60)
    faces = torch.randn(2, 1, 257, config.image_dim)
    mask_S = (torch.arange(latent.num_tokens) % 4 < 2).float()
    people = [Person(features[0], faces[0], mask_S), Person(features[1], faces[1], 1 - mask_S)]
    streams = Streams(torch.randn(7, config.text_dim), torch.randn(1, 257, config.image_dim), people, latent)
    with torch.no_grad():
        return model(torch.randn(1, 36, 3, 4, 8), torch.tensor([437]), streams).sample.float()


@pytest.mark.parametrize("files", [AFCA, LEGACY], ids=FORMS)
def test_every_tensor_of_the_golden_files_arrives_unchanged(files):
    model = load_transformer(files, torch.float32, **TINY)
    parameters = dict(model.named_parameters())
    names = set()
    for file in files:
        for name, tensor in load_file(file).items():
            assert torch.equal(parameters[original_to_ours(name)], tensor.float())
            names.add(original_to_ours(name))
    assert names == set(parameters)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in parameters.values())


def test_the_configuration_is_read_off_the_tensors():
    afca, legacy = (load_transformer(files, torch.float32, **TINY).config for files in (AFCA, LEGACY))
    assert (afca.audio_form, afca.num_attention_heads, afca.num_layers, afca.ffn_dim) == ("afca", 3, 2, 128)
    assert (afca.in_channels, afca.out_channels, afca.freq_dim, afca.text_dim) == (36, 16, 32, 64)
    assert (afca.audio_window_dim, afca.audio_hidden_dim, afca.num_audio_tokens) == (46080, 8, 32)
    assert (legacy.audio_form, legacy.audio_token_dim, legacy.audio_norm) == ("legacy", 64, True)


def test_heads_are_128_wide_unless_told():
    wide = {name: tuple(4 * side if side == 96 else side for side in each) for name, each in _golden_shapes().items()}
    assert original_config(wide)["num_attention_heads"] == 3
    assert original_config(wide, head_dim=96)["num_attention_heads"] == 4
    with pytest.raises(UnusableCheckpoint, match="384 wide"):
        original_config(wide, head_dim=100)


def _golden_shapes() -> dict[str, tuple[int, ...]]:
    return {name: shape for file in AFCA for name, shape in shapes_of(load_file(file)).items()}


def test_the_legacy_form_goes_without_its_closing_norm(tmp_path):
    tensors = {name: each for name, each in transformer_tensors("legacy").items() if "audio_proj.norm" not in name}
    save_file(tensors, tmp_path / "14B.safetensors")
    model = load_transformer(tmp_path / "14B.safetensors", torch.float32, head_dim=32)
    assert model.config.audio_norm is False
    assert window(model).isfinite().all()


def test_pth_safetensors_and_shards_give_the_same_network(tmp_path):
    tensors = transformer_tensors()
    torch.save({"model": tensors}, tmp_path / "dict.pth")
    torch.save(tensors, tmp_path / "bare.pt")
    save_file(tensors, tmp_path / "one.safetensors")
    shards = tmp_path / "shards"
    shards.mkdir()
    names = sorted(tensors)
    for index, part in enumerate((names[::2], names[1::2])):
        save_file({name: tensors[name] for name in part}, shards / f"part-{index}.safetensors")
    weight_map = {name: f"part-{index % 2}.safetensors" for index, name in enumerate(names)}
    (shards / "all.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    expected = load_transformer(tmp_path / "dict.pth", torch.float32, head_dim=32).state_dict()
    for source in ("bare.pt", "one.safetensors", "shards", "shards/all.safetensors.index.json"):
        found = load_transformer(tmp_path / source, torch.float32, head_dim=32).state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items()), source


def test_a_fingerprint_knows_the_weights_and_not_the_file(tmp_path, pth):
    tensors = transformer_tensors()
    save_file(tensors, tmp_path / "same.safetensors")
    tensors["blocks.1.ffn.2.bias"][0] += 1e-3
    save_file(tensors, tmp_path / "other.safetensors")
    first = fingerprint(pth)
    assert fingerprint(tmp_path / "same.safetensors") == first
    assert fingerprint(tmp_path / "other.safetensors") != first


@pytest.mark.parametrize("form", FORMS)
def test_what_save_pretrained_wrote_is_loaded_by_us_and_by_diffusers(tmp_path, form):
    torch.save(transformer_tensors(form), tmp_path / "tiny.pth")
    first = load_transformer(tmp_path / "tiny.pth", torch.float32, head_dim=32)
    first.save_pretrained(tmp_path / "ours")
    ours = load_transformer(tmp_path / "ours", torch.float32)  # the heads are in the saved configuration
    theirs = type(first).from_pretrained(tmp_path / "ours")
    expected = window(first)
    for model in (ours, theirs):
        assert torch.allclose(window(model), expected, atol=1e-5)


def test_opening_the_file_anew_all_the_time_changes_nothing(pth, monkeypatch):
    expected = window(load_transformer(pth, torch.float32, head_dim=32))
    monkeypatch.setattr(checkpoints, "OPEN_ANEW_BYTES", 0)
    assert torch.equal(window(load_transformer(pth, torch.float32, head_dim=32)), expected)


def test_half_precision_keeps_what_must_be_float32(pth):
    model = load_transformer(pth, torch.bfloat16, head_dim=32)
    assert tuple(model._keep_in_fp32_modules) == KEPT_IN_FLOAT32
    kept = {name for name, each in model.named_parameters() if each.dtype == torch.float32}
    assert {"scale_shift_table", "blocks.0.norm2.weight", "condition_embedder.time_embedder.linear_1.weight"} <= kept
    assert all(set(name.split(".")) & set(KEPT_IN_FLOAT32) for name in kept)
    assert model.proj_out.weight.dtype == torch.bfloat16
    full = window(load_transformer(pth, torch.float32, head_dim=32))
    assert (window(model) - full).norm() < 0.05 * full.norm()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("quantization", "tolerance"), [("nf4", 1e-4), ("fp8", 1e-4), ("int8", 2e-2)])
def test_a_quantized_network_equals_its_dequantized_twin(tmp_path, form, quantization, tolerance):
    torch.save(transformer_tensors(form), tmp_path / "tiny.pth")
    model = load_transformer(tmp_path / "tiny.pth", torch.float32, quantization=quantization, head_dim=32)
    twin = load_transformer(tmp_path / "tiny.pth", torch.float32, head_dim=32)
    plain = window(twin)
    layers = dict(model.named_modules())
    for name, module in twin.named_modules():
        if isinstance(module, torch.nn.Linear) and is_quantized_layer(name):
            module.weight.data, module.bias.data = dequantized(layers[name]), layers[name].bias.data.float()
    expected, found = window(twin), window(model)
    assert (found - expected).norm() <= tolerance * expected.norm()
    assert (expected - plain).norm() > tolerance * expected.norm() / 10  # the twin is not the unquantized network


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("quantization", ["none", "int8", "nf4", "fp8"])
def test_bytes_of_a_loaded_network_are_foretold(tmp_path, form, dtype, quantization):
    tensors = transformer_tensors(form)
    torch.save(tensors, tmp_path / "tiny.pth")
    model = load_transformer(tmp_path / "tiny.pth", dtype, quantization=quantization, head_dim=32)
    shapes = checkpoints.network_shapes(**original_config(shapes_of(tensors), 32))
    assert weights_bytes(model) == stored_bytes(shapes, quantization, str(dtype).removeprefix("torch."))


def test_published_sizes_are_exact():
    """Specification H9: names, shapes and parameters of the 1.3B and the 14B, from their constructors' arguments."""
    small = empty_transformer()
    large = empty_transformer(
        num_attention_heads=40, ffn_dim=13824, num_layers=40, audio_form="legacy", audio_token_dim=768
    )
    for model, parameters, tensors in ((small, 1_900_507_712, 1299), (large, 20_987_819_584, 1801)):
        assert sum(each.numel() for each in model.parameters()) == parameters
        assert len(dict(model.named_parameters())) == tensors
        assert all(each.is_meta for each in model.parameters())


# ---- files that cannot be used


def refused(path: Path, *words: str, **config: object) -> UnusableCheckpoint:
    with pytest.raises(UnusableCheckpoint) as caught:
        load_transformer(path, torch.float32, **({"head_dim": 32} | config))
    assert caught.value.remedy
    for word in words:
        assert word in caught.value.message
    return caught.value


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_file_is_refused(tmp_path, share):
    save_file(transformer_tensors(), tmp_path / "a.safetensors")
    torch.save(transformer_tensors(), tmp_path / "a.pth")
    for name in ("a.safetensors", "a.pth"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
        refused(tmp_path / name, name)


class Harmful:
    """Pickled as a call that leaves a file behind."""

    marker: Path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.marker,)


def test_code_in_a_file_is_not_run(tmp_path):
    Harmful.marker = tmp_path / "run"
    torch.save({"model": transformer_tensors(), "extra": Harmful()}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Harmful()))
    refused(tmp_path / "b.pth", "b.pth")
    assert not Harmful.marker.exists()


def test_another_network_is_named_as_such(tmp_path):
    torch.save({"layer.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    refused(tmp_path / "other.pth", "no AnyTalker checkpoint", "layer.weight")
    text_to_video = {
        name: tensor for name, tensor in transformer_tensors().items() if "audio" not in name and "face" not in name
    }
    text_to_video["patch_embedding.weight"] = torch.zeros(96, 16, 1, 2, 2)
    torch.save(text_to_video, tmp_path / "t2v.pth")
    refused(tmp_path / "t2v.pth", "without audio-face attention", "16 input channels")


def test_missing_unexpected_and_misshapen_tensors_are_told_together(tmp_path):
    tensors = transformer_tensors()
    for name in ("blocks.1.cross_attn.k_face.weight", "blocks.1.cross_attn.k_face.bias", "head.head.bias"):
        del tensors[name]
    tensors["blocks.0.ffn.0.bias"] = torch.zeros(7)
    tensors["blocks.0.lora"] = torch.zeros(1)
    torch.save(tensors, tmp_path / "a.pth")
    refused(
        tmp_path / "a.pth",
        "3 missing",
        "k_face",
        "1 unexpected (blocks.0.lora)",
        "1 of another shape",
        "(7,) instead of",
    )


def test_a_block_that_is_missing_is_named(tmp_path):
    tensors = {name: each for name, each in transformer_tensors(num_layers=3).items() if ".1." not in name[:9]}
    torch.save(tensors, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "block 1 is missing")


def test_what_is_no_weights_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.index.json").write_text("{]")
    refused(tmp_path / "notes.txt", "notes.txt")
    refused(tmp_path / "empty", "empty")
    refused(tmp_path / "bad.index.json", "bad.index.json")
    with pytest.raises(ModelMissing):
        load_transformer(tmp_path / "absent.pth")


def test_an_index_cannot_point_outside_its_folder(tmp_path):
    save_file(transformer_tensors(), tmp_path / "outside.safetensors")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.index.json").write_text(json.dumps({"weight_map": {"x": "../outside.safetensors"}}))
    with pytest.raises(ModelMissing):
        load_transformer(inside, head_dim=32)
