import math
import pickle

import numpy as np
import pytest
import torch
from golden_vectors import below, read
from tiny_models import IMAGE_WIDTH, image_encoder_tensors, save_pth
from torch.nn import functional

from engine.dit import encoders
from engine.dit.encoders import VideoCoder, clip_pixels, load_image_encoder, load_vae
from engine.errors import ModelMissing, UnusableCheckpoint

TOLERANCE = 5e-5


@pytest.fixture(scope="module")
def golden_vae():
    return read("vae_tiny")[0]


@pytest.fixture(scope="module")
def vae_file(golden_vae, tmp_path_factory):
    return save_pth(tmp_path_factory.mktemp("vae") / "Wan2.1_VAE.pth", below(golden_vae, "sd."))


@pytest.fixture(scope="module")
def coder(vae_file) -> VideoCoder:
    return VideoCoder(load_vae(vae_file))


@pytest.mark.parametrize("frames", [1, 9])
def test_the_vae_gives_the_references_numbers(coder, golden_vae, frames):
    latents = coder.encode(golden_vae[f"in.video{frames}"])
    assert (latents - golden_vae[f"out.latent{frames}"]).abs().max() < TOLERANCE
    for given, wanted in (("in.z", "decoded_of_z"), ("out.latent", "decoded_of_latent")):
        video = coder.decode(golden_vae[f"{given}{frames}"])
        levels = (golden_vae[f"out.{wanted}{frames}"].permute(1, 2, 3, 0).numpy() + 1) * 127.5
        assert video.dtype == np.uint8
        assert np.abs(video - levels).max() <= 0.5 + 255 * TOLERANCE


def test_latents_are_normalised_by_the_published_mean_and_deviation(coder, golden_vae):
    assert torch.allclose(coder._mean.flatten(), golden_vae["mean"])
    assert torch.allclose(1 / coder._scale.flatten(), golden_vae["std"])


def test_later_frames_do_not_change_earlier_latents(coder, golden_vae):
    """Known frames of a later window can therefore be encoded with anything behind them."""
    video = golden_vae["in.video9"].clone()
    whole = coder.encode(video)
    video[:, 5:] = 0
    assert (coder.encode(video)[:, :2] - whole[:, :2]).abs().max() < 1e-6
    assert (coder.encode(video)[:, 2] - whole[:, 2]).abs().max() > 1e-3


def test_tiles_give_nearly_the_same_picture_and_small_pictures_are_not_cut(vae_file, coder):
    tiled = VideoCoder(load_vae(vae_file), tiling=True)
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(3, 1, 64, 64, generator=generator) * 2 - 1
    assert torch.equal(tiled.encode(small), coder.encode(small))
    large = functional.interpolate(torch.rand(1, 3, 8, 11, generator=generator), size=(256, 352), mode="bicubic")
    large = large.clamp(0, 1).permute(1, 0, 2, 3) * 2 - 1
    whole, pieces = coder.encode(large), tiled.encode(large)
    assert whole.shape == pieces.shape == (16, 1, 32, 44)
    assert not torch.equal(whole, pieces)
    assert (whole - pieces).abs().mean() < 0.1 * whole.std()
    assert tiled.decode(whole).shape == (1, 256, 352, 3)


def test_a_vae_of_another_kind_is_refused(golden_vae, tmp_path):
    weights = below(golden_vae, "sd.")
    for change, told in (
        ({"conv2.weight": torch.zeros(48, 48, 1, 1, 1)}, "48 channels"),
        ({"encoder.conv1.weight": torch.zeros(5, 3, 3, 3, 3)}, "another shape"),
        ({"decoder.head.0.gamma": None}, "decoder.head.0.gamma"),
        ({"decoder.extra.weight": torch.zeros(1)}, "unexpected"),
    ):
        changed = {name: tensor for name, tensor in (weights | change).items() if tensor is not None}
        with pytest.raises(UnusableCheckpoint, match=told) as refused:
            load_vae(save_pth(tmp_path / "vae.pth", changed))
        assert refused.value.remedy


CLIP = image_encoder_tensors()


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    return save_pth(tmp_path_factory.mktemp("clip") / "clip.pth", CLIP)


def _photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _published_forward(weights: dict[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """The published tower in plain operations on the published tensors, up to its last block; heads of 80."""

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-5)

    patches = functional.conv2d(pixels, weights["patch_embedding.weight"], stride=14).flatten(2).transpose(1, 2)
    x = norm(torch.cat([weights["cls_embedding"], patches], dim=1) + weights["pos_embedding"], "pre_norm")
    for layer in (0, 1):
        name = f"transformer.{layer}"
        packed = linear(norm(x, f"{name}.norm1"), f"{name}.attn.to_qkv")[0]
        query, key, value = packed.reshape(257, 3, -1, 80).permute(1, 2, 0, 3)
        seen = (query @ key.transpose(1, 2) / math.sqrt(80)).softmax(dim=-1) @ value
        x = x + linear(seen.permute(1, 0, 2).reshape(1, 257, -1), f"{name}.attn.proj")
        hidden = linear(norm(x, f"{name}.norm2"), f"{name}.mlp.0")
        x = x + linear(0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2))), f"{name}.mlp.2")
    return x


@pytest.mark.parametrize("width", [80, 160])
def test_the_picture_tower_is_the_published_one_up_to_its_last_block(tmp_path, width):
    published, photo = image_encoder_tensors(width=width), _photo(300, 200)
    features = load_image_encoder(save_pth(tmp_path / "clip.pth", published))(photo)
    assert features.shape == (1, 257, width)
    assert (features - _published_forward(below(published, "visual."), clip_pixels(photo))).abs().max() < 1e-4


def test_pictures_are_squeezed_from_their_full_size_without_antialiasing():
    """At a whole scale each output pixel sees only its 4 x 4 nearest; a pattern between them does not show."""
    photo = np.zeros((224 * 8, 224 * 4, 3), np.uint8)
    photo[0::8] = 255  # rows that no output pixel's neighbourhood (rows 8i+2 .. 8i+5) touches
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    assert torch.allclose(clip_pixels(photo)[0], (-mean / std).view(3, 1, 1).expand(3, 224, 224), atol=1e-5)
    grey = np.full((50, 70, 3), 128, np.uint8)
    assert torch.allclose(clip_pixels(grey)[0, :, 100, 100], (128 / 255 - mean) / std, atol=1e-5)


def test_only_what_is_needed_of_a_clip_file_is_loaded(clip_file):
    model = load_image_encoder(clip_file)._model
    assert model.config.num_hidden_layers == 2  # of three: the last one's output is never used
    assert not [name for name, _ in model.named_parameters() if "text" in name]


def test_the_published_tower_is_inferred_from_its_tensors(tmp_path, monkeypatch):
    """Names and shapes of the real file, without its 5 GB; how many parameters it has is known (spec. A.1)."""
    published = image_encoder_tensors(num_layers=1, width=1280)
    shapes = {name: tuple(tensor.shape) for name, tensor in published.items() if name.startswith("visual.")}
    shapes["visual.head"] = (1280, 1024)
    for part in ("attn.to_qkv", "attn.proj", "mlp.0", "mlp.2", "norm1", "norm2"):
        for leaf in ("weight", "bias"):
            one = shapes[f"visual.transformer.0.{part}.{leaf}"]
            wide = tuple(5120 if side == 2560 else side for side in one)
            shapes |= {f"visual.transformer.{layer}.{part}.{leaf}": wide for layer in range(32)}
    weights = {name: torch.empty(shape, dtype=torch.float16, device="meta") for name, shape in shapes.items()}
    assert sum(tensor.numel() for tensor in weights.values()) == 632_076_800
    monkeypatch.setattr(encoders, "read_weights", lambda path: weights)
    config = load_image_encoder(tmp_path / "clip.pth", device="meta", dtype=torch.float16)._model.config
    assert (config.num_hidden_layers, config.num_attention_heads, config.patch_size) == (31, 16, 14)
    assert config.intermediate_size == 5120


def test_a_clip_file_of_another_kind_is_refused(tmp_path):
    for changed, told in (
        ({name: tensor for name, tensor in CLIP.items() if not name.startswith("visual.")}, "patch_embedding"),
        (CLIP | {"visual.patch_embedding.weight": torch.zeros(IMAGE_WIDTH, 3, 16, 16)}, "patches of 16 px"),
        ({name: tensor for name, tensor in CLIP.items() if "1.mlp.2" not in name}, "missing"),
        (CLIP | {"visual.pos_embedding": CLIP["visual.pos_embedding"][..., :72]}, "another shape"),
        (CLIP | {"visual.transformer.0.attn.gate.weight": torch.zeros(2)}, "unexpected"),
    ):
        with pytest.raises(UnusableCheckpoint, match=told):
            load_image_encoder(save_pth(tmp_path / "clip.pth", changed))


class _Code:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize("load", [load_vae, load_image_encoder])
def test_damaged_files_and_code_are_refused_before_anything_runs(load, clip_file, tmp_path, capsys):
    path = tmp_path / "weights.pth"
    whole = clip_file.read_bytes()
    for content in (whole[:-1000], whole[: len(whole) // 2], b"", b"no weights at all", pickle.dumps([1, 2])):
        path.write_bytes(content)
        with pytest.raises(UnusableCheckpoint) as refused:
            load(path)
        assert refused.value.remedy
    with pytest.raises(UnusableCheckpoint, match="more than numbers"):
        load(save_pth(path, {"encoder.conv1.weight": _Code()}))
    assert "ran" not in capsys.readouterr().out
    with pytest.raises(ModelMissing, match="nowhere"):
        load(tmp_path / "nowhere.pth")
