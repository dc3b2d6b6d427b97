"""One window's tokens over several processes (and GPUs), by diffusers' own context parallelism.

Every process runs the same take from the same seed and holds an equal part of the tokens. Self attention exchanges
them (Ulysses: all tokens of some heads); everything else, the audio-face attention too, looks at the tokens here only.
"""

import torch
import torch.distributed as dist
from diffusers.models._modeling_parallel import ContextParallelConfig, ParallelConfig, TensorParallelConfig
from diffusers.models.modeling_utils import ModelMixin
from torch.distributed.device_mesh import init_device_mesh


def share_tokens(network: ModelMixin, num_processes: int, num_tokens: int) -> None:
    """From now on ``network`` works on ``num_tokens`` tokens together with the same network in the other processes of
    the default process group. Every process gets the whole output.

    Call it once the attention backend is set. Counts that do not divide are padded by the library's "anything" mode.
    Raises ValueError where the attention backend cannot be shared, RuntimeError without a process group.
    """
    uneven = bool(num_tokens % num_processes or network.config.num_attention_heads % num_processes)
    config = ContextParallelConfig(ulysses_degree=num_processes, ulysses_anything=uneven)
    network.enable_parallelism(config=config)


def tokens_here(parallel: ParallelConfig | None, num_tokens: int) -> slice:
    """Which of ``num_tokens`` this process holds; as the library cuts them, the first parts take the rest."""
    shared = parallel.context_parallel_config if parallel is not None else None
    if shared is None:
        return slice(0, num_tokens)
    mesh = shared._flattened_mesh
    part, rest = divmod(num_tokens, mesh.size())
    rank = dist.get_rank(mesh.get_group())
    first = rank * part + min(rank, rest)
    return slice(first, first + part + (rank < rest))


def on_processors(config: ParallelConfig | ContextParallelConfig | TensorParallelConfig) -> ParallelConfig:
    """What diffusers makes of ``config`` where there is an accelerator, for processes that have none.

    Raises RuntimeError without a process group, ValueError for anything but context parallelism.
    """
    if not dist.is_initialized():
        raise RuntimeError("start a process group (torch.distributed.init_process_group) before sharing a network")
    shared = config if isinstance(config, ContextParallelConfig) else getattr(config, "context_parallel_config", None)
    if shared is None:
        raise ValueError("without an accelerator only context parallelism is there")
    parallel = ParallelConfig(context_parallel_config=shared)
    mesh = shared.mesh or init_device_mesh("cpu", shared.mesh_shape, mesh_dim_names=shared.mesh_dim_names)
    parallel.setup(dist.get_rank(), dist.get_world_size(), torch.device("cpu"), mesh=mesh)
    return parallel
