"""One window's tokens in two processes: the answer is that of one process.

Here the processes have no accelerator and talk through gloo. The library's ring attention wants a backend that tells
the softmax's normaliser, and has none for a processor: it refuses, which is shown too. Parts of different lengths are
the library's to gather, which gloo refuses (NCCL does not).
"""

import engine  # noqa: F401 - before diffusers: it lets torchaudio be imported without CUDA

# isort: split
import pytest
import torch
import torch.distributed as dist
from diffusers import ContextParallelConfig
from tiny_networks import box_mask, random_person, random_streams, tiny_network, velocity

from engine.dit.parallel import share_tokens, tokens_here
from engine.dit.shapes import LatentShape

EVEN = LatentShape(3, 12, 16)  # 144 tokens
CASES = [("afca", EVEN, 4), ("legacy", EVEN, 4), ("afca", EVEN, 3)]  # three heads do not divide: one is filled up


def streams(latent: LatentShape):
    rows, columns = latent.token_grid[1:]
    left = box_mask(latent, slice(0, rows), slice(0, columns // 2), 0.7)
    overlapping = box_mask(latent, slice(1, 2), slice(1, columns))
    return random_streams([random_person(latent, 1, left), random_person(latent, 2, overlapping)], latent)


def network_of(form: str, heads: int):
    return tiny_network(form, num_attention_heads=heads)


def answers(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    given = {}
    for case, (form, latent, heads) in enumerate(CASES):
        network = network_of(form, heads)
        share_tokens(network, 2, latent.num_tokens)
        given[case] = velocity(network, streams(latent))
        here = tokens_here(network._parallel_config, latent.num_tokens)
        given[f"tokens {case}"] = torch.tensor([here.start, here.stop])
    network = network_of("afca", 4)
    network.enable_parallelism(config=ContextParallelConfig(ring_degree=2))
    with pytest.raises(ValueError, match="return_lse"):
        velocity(network, streams(EVEN))
    torch.save(given, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_answer_of_one(tmp_path):
    torch.multiprocessing.spawn(answers, (str(tmp_path),), nprocs=2)
    given = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for case, (form, latent, heads) in enumerate(CASES):
        expected = velocity(network_of(form, heads), streams(latent))
        for each in given:
            torch.testing.assert_close(each[case], expected, atol=1e-5, rtol=0)
        bounds = torch.cat([each[f"tokens {case}"] for each in given]).tolist()
        middle = latent.num_tokens // 2
        assert bounds == [0, middle, middle, latent.num_tokens]


def test_one_process_holds_all_tokens():
    assert tokens_here(None, 144) == slice(0, 144)


def test_sharing_wants_a_process_group():
    with pytest.raises(RuntimeError, match="init_process_group"):
        share_tokens(network_of("afca", 4), 2, 144)
