"""Data preparation as a program of its own, killed the hard way at moments that chance decides."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from talking_videos import astronaut, made, one_voice, talking, write

from engine.training.shards import read_index

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def started(source, out):
    program = [sys.executable, "-m", "engine", "data", "prepare", str(source), str(out), "--encoders", "tiny"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(program, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, **quiet)


def finished(source, out):
    program = started(source, out)
    _, errors = program.communicate(timeout=300)
    assert program.returncode == 0, errors.decode()


def test_a_killed_program_goes_on_to_the_same_shards(tmp_path):
    source = tmp_path / "videos"
    source.mkdir()
    for name in ("one.mp4", "two.mp4"):
        write(source / name, talking(astronaut(), one_voice()), one_voice())
    finished(source, tmp_path / "unbroken")
    assert read_index(tmp_path / "unbroken").num_clips == 2
    chance = np.random.default_rng()
    begun, killed = tmp_path / "killed" / "prepare.json", 0
    for _ in range(3):
        program = started(source, tmp_path / "killed")
        while not begun.is_file() and program.poll() is None:
            pass
        try:
            program.wait(timeout=chance.uniform(0.5, 6))
        except subprocess.TimeoutExpired:
            program.kill()
            killed += 1
        program.communicate()
    assert killed
    finished(source, tmp_path / "killed")
    assert made(tmp_path / "killed") == made(tmp_path / "unbroken")
