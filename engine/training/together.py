"""One command, several processes: on a processor small networks are quicker in a process per core than in threads."""

import os
from collections.abc import Sequence

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch


def is_wanted(num_processes: int) -> bool:
    """Whether this command is to be shared: not where it is a part already; with GPUs accelerate's launcher does."""
    return num_processes > 1 and "RANK" not in os.environ and not torch.cuda.is_available()


def run_together(program: str, arguments: Sequence[str], num_processes: int) -> int:
    """``program`` with ``arguments`` in processes that know of one another (gloo); its exit code. What they say comes
    through; where one ends with an error, the others are ended."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_processes)))
    os.environ["ACCELERATE_USE_CPU"] = "true"
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=num_processes, rdzv_backend="c10d", rdzv_endpoint="localhost:0",
        max_restarts=0,
    )  # fmt: skip
    try:
        elastic_launch(config, program)(*arguments)
    except ChildFailedError as failed:
        _, first = failed.get_first_failure()
        return first.exitcode or 1
    return 0
