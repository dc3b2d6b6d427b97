"""Two processes, each with half of the batch, are one with all of it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import write_shards
from typer.testing import CliRunner

from engine.cli import app
from engine.training import together
from engine.training.logs import read_log
from engine.training.together import run_together

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


def test_one_command_starts_them_and_gives_their_exit_code(tmp_path, monkeypatch):
    note = "import os, pathlib; pathlib.Path(os.environ['RANK']).write_text(os.environ['WORLD_SIZE'])"
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")  # it is set for the children, and must not stay
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    assert run_together(sys.executable, ["-c", note], 2) == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"0": "2", "1": "2"}
    assert run_together(sys.executable, ["-c", "raise SystemExit(3)"], 2) == 3


def test_train_is_shared_where_the_config_says_so(monkeypatch):
    asked = []
    monkeypatch.setattr(together, "run_together", lambda program, said, count: asked.append((said, count)) or 0)
    options = ["train", "tiny", "--set", "run.steps=200", "--set", "run.processes=3"]
    assert CliRunner().invoke(app, options).exit_code == 0
    assert asked == [(["-m", "engine", *options], 3)]
    monkeypatch.setenv("RANK", "1")
    assert not together.is_wanted(3)  # this is one of them


@pytest.mark.slow
def test_they_give_the_losses_of_one(tmp_path):
    shards = write_shards(tmp_path / "shards")
    alone = run(shards, tmp_path / "one", 1)
    together = run(shards, tmp_path / "two", 2)
    assert len(alone) == 4
    assert together == pytest.approx(alone, abs=1e-5)
