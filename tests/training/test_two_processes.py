"""Two processes, each with half of the batch, are one with all of it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import write_shards

from engine.training.logs import read_log

SCRIPT = Path(__file__).parent / "make_run.py"


def start(shards: Path, folder: Path, rank: int, num_processes: int, port: int) -> subprocess.Popen:
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num_processes, "MASTER_ADDR": "127.0.0.1"}
    told |= {"MASTER_PORT": port, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": 1}
    told |= {"PYTHONPATH": os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parents[2])])}
    environment = os.environ | {name: str(value) for name, value in told.items()}
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(shards), str(folder)], env=environment, stderr=subprocess.PIPE
    )


def run(shards: Path, folder: Path, num_processes: int) -> list[float]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [start(shards, folder, rank, num_processes, port) for rank in range(num_processes)]
    for process in started:
        _, said = process.communicate(timeout=900)
        assert process.returncode == 0, said.decode()[-2000:]
    return [entry["loss"] for entry in read_log(folder / "log.jsonl")]


@pytest.mark.slow
def test_they_give_the_losses_of_one(tmp_path):
    shards = write_shards(tmp_path / "shards")
    alone = run(shards, tmp_path / "one", 1)
    together = run(shards, tmp_path / "two", 2)
    assert len(alone) == 4
    assert together == pytest.approx(alone, abs=1e-5)
