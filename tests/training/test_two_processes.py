"""Two processes, each with half of the batch, are one with all of it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_runs import encoders, forget_accelerate, small_config, write_shards
from typer.testing import CliRunner

from engine.cli import app
from engine.dit.tiny import CODEC_NAME
from engine.training import together
from engine.training.checkpoints import OURS
from engine.training.logs import read_log
from engine.training.loop import train
from engine.training.together import run_together

SCRIPT = Path(__file__).parent / "make_run.py"


def start(shards: Path, folder: Path, rank: int, num_processes: int, port: int, **more) -> subprocess.Popen:
    told = more | {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num_processes, "MASTER_ADDR": "127.0.0.1"}
    told |= {"MASTER_PORT": port, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": 1}
    told |= {"PYTHONPATH": os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parents[2])])}
    environment = os.environ | {name: str(value) for name, value in told.items()}
    words = [sys.executable, str(SCRIPT), str(shards), str(folder), environment.get("STEPS", "4")]
    return subprocess.Popen(words, env=environment, stderr=subprocess.PIPE)


def run(shards: Path, folder: Path, num_processes: int, **more) -> list[float]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [start(shards, folder, rank, num_processes, port, **more) for rank in range(num_processes)]
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


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The shards, the folder of one process's run on them, and its losses."""
    folder = tmp_path_factory.mktemp("alone")
    shards = write_shards(folder / "shards")
    forget_accelerate()
    run_alone = train(small_config(folder / "run", shards, run={"steps": 4}), encoders(), CODEC_NAME)
    return shards, folder / "run", [done.loss for done in run_alone]


@pytest.mark.slow
def test_they_give_the_losses_of_one(tmp_path, alone):
    shards, _, losses = alone
    assert len(losses) == 4
    assert run(shards, tmp_path / "run", 2) == pytest.approx(losses, abs=1e-5)


@pytest.mark.slow
def test_sharded_they_give_its_losses_and_weights_and_go_on(tmp_path, alone):
    """By the FSDP config that comes along: parameters, gradients, optimiser and average are in pieces."""
    shards, folder, losses = alone
    assert run(shards, tmp_path / "run", 2, SHARDED=1, STEPS=3) == pytest.approx(losses[:3], abs=1e-5)
    assert run(shards, tmp_path / "run", 2, SHARDED=1) == pytest.approx(losses, abs=1e-5)
    whole, pieces = (load_file(each / "weights" / OURS) for each in (folder, tmp_path / "run"))
    assert all(torch.allclose(tensor, pieces[name], atol=1e-5) for name, tensor in whole.items())
