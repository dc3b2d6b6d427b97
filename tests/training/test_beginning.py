"""What a network can before it has learnt anything: let the noise through, and look at its own place."""

import pytest
import torch
from small_runs import small_config

from engine.dit.shapes import LatentShape
from engine.dit.streams import Streams
from engine.errors import StudioError
from engine.training.network import new_network


def network(tmp_path, **settings):
    config = small_config(tmp_path, tmp_path, network={"num_attention_heads": 4, "attention_head_dim": 40, **settings})
    return new_network(config.network.settings(), None, 0).eval(), config.network


@torch.no_grad()
def test_noise_comes_out_as_it_came_in(tmp_path):
    begun, sizes = network(tmp_path)
    noise = torch.randn(16, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    seen = torch.cat([noise, torch.zeros(20, 3, 4, 6)])[None]
    text = torch.zeros(sizes.text_len, sizes.text_dim)
    streams = Streams(text, torch.zeros(1, 16, sizes.image_dim), [], LatentShape(3, 4, 6))
    predicted = begun(seen, torch.tensor([1000.0]), streams, return_dict=False)[0][0]
    together = torch.corrcoef(torch.stack([predicted.flatten(), noise.flatten()]))
    assert together[0, 1] > 0.9


@torch.no_grad()
def test_half_of_the_heads_look_at_their_own_place_in_all_frames(tmp_path):
    begun, _ = network(tmp_path)
    frames, rows, columns = 3, 4, 6
    attention, rope = begun.blocks[0].attn1, begun.rope(torch.zeros(1, 36, frames, 2 * rows, 2 * columns))
    states = torch.randn(1, frames * rows * columns, 160, generator=torch.Generator().manual_seed(0))

    def turned(linear, norm):
        heads = norm(linear(states)).unflatten(2, (4, 40))
        even, odd = heads[..., 0::2], heads[..., 1::2]
        cos, sin = rope[0][..., 0::2], rope[1][..., 1::2]
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)

    query, key = turned(attention.to_q, attention.norm_q), turned(attention.to_k, attention.norm_k)
    looks = torch.einsum("bshd,bthd->bhst", query, key).div(40**0.5).softmax(-1)[0]
    place = torch.arange(rows * columns).repeat(frames)
    own = (looks * (place[:, None] == place)).sum(-1).mean(1)
    assert own[:2].min() > 0.35
    assert own[2:].max() < 0.1


def test_narrow_networks_begin_too(tmp_path):
    assert new_network({**network(tmp_path)[1].settings(), "attention_head_dim": 6}, None, 0).proj_out.weight.any()


def test_a_base_may_lie_in_shards(tmp_path):
    """As the 14B's does. What Wan does not have is drawn anew, the rest is the base's, whichever file it is in."""
    begun, sizes = network(tmp_path)
    base = tmp_path / "base"
    begun.save_pretrained(base, max_shard_size="1MB")
    index = next(base.glob("*.index.json"))
    assert len(list(base.glob("*.safetensors"))) > 1
    wanted = begun.state_dict()
    for place in (base, index):
        taken = new_network(sizes.settings(), place, 1).state_dict()
        assert all(torch.equal(taken[name], tensor) for name, tensor in wanted.items())
    next(base.glob("*-00001-of-*")).unlink()
    with pytest.raises(StudioError, match="00001"):
        new_network(sizes.settings(), base, 1)
