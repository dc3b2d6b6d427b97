"""The network is a diffusers model: what the library offers its own models works on it, on a processor too."""

import engine  # noqa: F401 - before diffusers and peft: it lets torchaudio be imported without CUDA

# isort: split
import copy
import json

import pytest
import torch
from diffusers import FirstBlockCacheConfig, MagCacheConfig, PyramidAttentionBroadcastConfig
from diffusers.hooks import apply_group_offloading
from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend
from peft import LoraConfig, get_peft_model_state_dict
from tiny_networks import box_mask, latents, random_person, random_streams, tiny_network, velocity

from engine.dit.shapes import LatentShape
from engine.dit.streams import Streams
from engine.dit.transformer import AnyTalkerTransformer3DModel

LATENT = LatentShape(3, 12, 16)
OFFLOADS = ({"offload_type": "block_level", "num_blocks_per_group": 1}, {"offload_type": "leaf_level"})
FORMS = pytest.mark.parametrize("form", ["afca", "legacy"])


@pytest.fixture(autouse=True)
def no_backend_is_left_behind():
    """``set_attention_backend`` also sets what every other network of the process falls back to."""
    with attention_backend("native"):
        yield


def streams(**options) -> Streams:
    masks = [box_mask(LATENT, slice(1, 5), columns) for columns in (slice(0, 3), slice(4, 8))]
    return random_streams(
        [random_person(LATENT, 1 + index, mask) for index, mask in enumerate(masks)], LATENT, **options
    )


@FORMS
def test_saves_and_loads(form, tmp_path):
    network = tiny_network(form)
    network.save_pretrained(tmp_path, max_shard_size="200KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    again = AnyTalkerTransformer3DModel.from_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["audio_form"] == form
    assert again.config.num_layers == 2
    assert torch.equal(velocity(again, streams()), velocity(network, streams()))


@FORMS
@pytest.mark.parametrize("backend", ["native", "_native_math", "flex"])
def test_attention_backends_that_a_processor_has(form, backend):
    network = tiny_network(form)
    expected = velocity(network, streams())
    network.set_attention_backend(backend)
    assert {processor._attention_backend for processor in network.attn_processors.values()} == {backend}
    torch.testing.assert_close(velocity(network, streams()), expected, atol=1e-5, rtol=0)


@FORMS
def test_every_attention_asks_the_chosen_backend(form):
    """A backend that a processor cannot run: no call goes past it unnoticed."""
    network = tiny_network(form)
    processors = network.attn_processors
    for name, processor in processors.items():
        processor._attention_backend = AttentionBackendName._NATIVE_EFFICIENT
        with pytest.raises(RuntimeError, match="No viable backend"):
            velocity(network, streams())
        processor._attention_backend = None
        assert name.rsplit(".")[-2] in ("attn1", "attn2", "audio_attn")
    velocity(network, streams())


@FORMS
def test_weights_stored_in_fp8(form):
    network = tiny_network(form)
    expected = velocity(network, streams())
    network.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    stored = {name for name, each in network.named_parameters() if each.dtype == torch.float8_e4m3fn}
    assert {"blocks.0.attn1.to_q.weight", "blocks.1.ffn.net.2.weight", "blocks.0.attn2.add_k_proj.weight"} <= stored
    assert ("blocks.0.attn2.to_k_face.weight" in stored) == (form == "afca")
    assert ("blocks.0.audio_attn.to_kv_audio.weight" in stored) == (form == "legacy")
    assert not [name for name in stored if "embedder" in name or "norm" in name]
    rough = velocity(network, streams())
    assert 0 < (rough - expected).std() < 0.1 * expected.std()


@FORMS
@pytest.mark.parametrize(
    "kind", [{"offload_type": "block_level", "num_blocks_per_group": 1}, {"offload_type": "leaf_level"}]
)
@pytest.mark.parametrize("keep_keys", [True, False])
def test_weights_that_wait_elsewhere(form, kind, keep_keys, tmp_path):
    """Groups of weights wait on the disk and are brought in while the network runs, the embedders' too."""
    network = tiny_network(form)
    expected = velocity(network, streams())
    apply_group_offloading(network, torch.device("cpu"), offload_to_disk_path=str(tmp_path), **kind)
    waiting = network.blocks[1].ffn.net[2].weight
    assert waiting.numel() == 0 or waiting.device.type == "cpu"
    own = streams(keep_keys=keep_keys)
    for _ in range(2):
        torch.testing.assert_close(velocity(network, own), expected, atol=1e-5, rtol=0)


def steps(network, timesteps=(900, 890, 880)) -> dict[str, list[torch.Tensor]]:
    """A few steps of both guidance branches, each with its own streams and cache."""
    branches = {"cond": streams(), "uncond": streams(seed=8)}
    said: dict[str, list[torch.Tensor]] = {name: [] for name in branches}
    for timestep in timesteps:
        for name, own in branches.items():
            with network.cache_context(name):
                said[name].append(velocity(network, own, timestep))
    return said


def calls(network, run) -> list[str]:
    """The blocks that computed while ``run`` ran."""
    seen: list[str] = []
    hooks = [
        block.attn1.to_q.register_forward_hook(lambda *_, index=index: seen.append(str(index)))
        for index, block in enumerate(network.blocks)
    ]
    run()
    for hook in hooks:
        hook.remove()
    return seen


@FORMS
def test_first_block_cache_keeps_the_branches_apart(form):
    network = tiny_network(form, num_layers=3)
    plain = steps(network)
    network.enable_cache(FirstBlockCacheConfig(threshold=0.0))
    exact = steps(network)
    for name in plain:
        for before, after in zip(plain[name], exact[name], strict=True):
            torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    network.disable_cache()
    network.enable_cache(FirstBlockCacheConfig(threshold=1.0))
    skipped = calls(network, lambda: steps(network))
    assert skipped == ["0", "1", "2"] * 2 + ["0", "0"] * 2
    network._reset_stateful_cache()
    lazy = steps(network)
    for name in plain:
        assert torch.equal(lazy[name][0], plain[name][0])
        assert not torch.equal(lazy[name][2], plain[name][2])
        assert (lazy[name][2] - plain[name][2]).std() < 0.2 * plain[name][2].std()
    network.disable_cache()
    assert torch.equal(steps(network)["cond"][2], plain["cond"][2])


@FORMS
def test_mag_cache(form):
    network = tiny_network(form, num_layers=3)
    plain = steps(network)
    network.enable_cache(
        MagCacheConfig(num_inference_steps=3, retention_ratio=0.4, mag_ratios=torch.ones(3), threshold=0.5)
    )  # fmt: skip
    assert calls(network, lambda: steps(network)) == ["0", "1", "2"] * 2
    network._reset_stateful_cache()
    lazy = steps(network)
    for name in plain:
        assert torch.equal(lazy[name][0], plain[name][0])
        assert not torch.equal(lazy[name][2], plain[name][2])


@FORMS
def test_pyramid_attention_broadcast(form):
    """Here every attention module keeps its last output: so the audio-face attention is skipped with the others."""
    network = tiny_network(form)
    plain = velocity(network, streams(), 500)
    network.enable_cache(
        PyramidAttentionBroadcastConfig(
            cross_attention_block_skip_range=2, cross_attention_timestep_skip_range=(100, 800),
            cross_attention_block_identifiers=("blocks",), current_timestep_callback=lambda: 500,
        )
    )  # fmt: skip
    own = streams()
    assert torch.equal(velocity(network, own, 500), plain)
    projected: list[str] = []
    for name, module in network.named_modules():
        if name.endswith(("attn2.to_q", "audio_attn.to_q")):
            module.register_forward_hook(lambda *_, name=name: projected.append(name))
    velocity(network, own, 490)
    assert not projected
    velocity(network, own, 480)
    assert len(projected) == (2 if form == "afca" else 4)


def wan_lora(network, rank: int = 2) -> dict[str, torch.Tensor]:
    """A LoRA as it is published for diffusers' Wan: of attention and feed-forward, without any of our parts."""
    made = torch.Generator().manual_seed(4)
    lora = {}
    for name, module in network.named_modules():
        wan = ("to_q", "to_k", "to_v", "to_out.0", "add_k_proj", "add_v_proj", "ffn.net.0.proj", "ffn.net.2")
        if name.startswith("blocks") and name.endswith(wan) and "audio_attn" not in name:
            out_features, in_features = module.weight.shape
            lora[f"transformer.{name}.lora_A.weight"] = torch.randn(rank, in_features, generator=made) / 8
            lora[f"transformer.{name}.lora_B.weight"] = torch.randn(out_features, rank, generator=made) / 8
    return lora


@FORMS
def test_loads_a_lora_made_for_wan(form):
    network = tiny_network(form)
    plain, lora = velocity(network, streams()), wan_lora(network)
    assert len(lora) == 2 * 2 * 12
    by_hand = copy.deepcopy(network)
    for name, down in lora.items():
        if "lora_A" in name:
            module = by_hand.get_submodule(name.removeprefix("transformer.").removesuffix(".lora_A.weight"))
            module.weight.data += lora[name.replace("lora_A", "lora_B")] @ down
    network.load_lora_adapter(lora, adapter_name="fast")
    with_lora = velocity(network, streams())
    torch.testing.assert_close(with_lora, velocity(by_hand, streams()), atol=1e-4, rtol=0)
    assert (with_lora - plain).abs().max() > 0.01
    network.set_adapters("fast", 0.5)
    assert not torch.equal(velocity(network, streams()), with_lora)
    network.set_adapters("fast", 1.0)
    network.fuse_lora()
    torch.testing.assert_close(velocity(network, streams()), with_lora, atol=1e-4, rtol=0)
    network.unfuse_lora()
    network.unload_lora()
    torch.testing.assert_close(velocity(network, streams()), plain, atol=1e-5, rtol=0)


@FORMS
def test_trains_an_adapter_of_its_own_parts(form):
    network = tiny_network(form)
    parts = ["to_k_face", "to_v_face", "to_v_audio" if form == "afca" else "to_kv_audio"]
    network.add_adapter(LoraConfig(r=2, target_modules=parts, init_lora_weights=False))
    before = velocity(network, streams())
    network.disable_adapters()
    assert not torch.equal(velocity(network, streams()), before)
    network.enable_adapters()
    assert len(get_peft_model_state_dict(network)) == 2 * 2 * 3
    network(latents(LATENT), torch.tensor([437.0]), streams()).sample.square().mean().backward()
    trained = {name for name, each in network.named_parameters() if each.requires_grad}
    assert len(trained) == 2 * 2 * 3
    assert all(each.grad is not None for each in network.parameters() if each.requires_grad)


@pytest.mark.slow
@FORMS
def test_blocks_compile_whole(form):
    """Traced without a break; what code a compiler makes of it is another matter."""
    network = tiny_network(form)
    own = streams()
    expected = velocity(network, own)
    torch._dynamo.reset()
    network.compile_repeated_blocks(backend="eager", fullgraph=True)
    for _ in range(2):
        torch.testing.assert_close(velocity(network, own), expected, atol=1e-5, rtol=0)
