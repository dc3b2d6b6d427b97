"""What is said of a machine: its GPUs, and what stands in their way."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest
import torch

from engine.dit import machine
from engine.dit.machine import GIB, Gpu, Machine, in_gb, this_machine
from engine.errors import StudioError

CARD = Gpu("NVIDIA GeForce RTX 4090", 24 * GIB, 23 * GIB, (8, 9), num_processors=128, clock_ghz=2.52)
COMPUTER = Machine((CARD,), 64 * GIB, 50 * GIB, 16)


def test_this_machine_is_the_one_that_runs_this():
    here = this_machine()
    assert here.ram_bytes <= psutil.virtual_memory().total
    assert 0 < here.ram_available_bytes <= here.ram_bytes
    assert 1 <= here.num_cores <= (os.cpu_count() or 1)
    assert len(here.gpus) == torch.cuda.device_count()
    assert here.device == ("cuda:0" if here.gpus else "cpu") or here.gpu_index > 0
    assert bool(here.note) == (not here.gpus)


def test_a_process_without_torch_asks_another_one_and_stays_without():
    code = (
        "import sys; from engine.dit.machine import this_machine; here = this_machine();"
        "assert 'torch' not in sys.modules; print(len(here.gpus), here.ram_bytes, here.num_cores, here.note)"
    )
    root = Path(__file__).parents[2]
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    here = this_machine()
    assert said.stdout.strip() == f"{len(here.gpus)} {here.ram_bytes} {here.num_cores} {here.note}".strip()


def test_a_machine_survives_the_way_between_processes():
    assert machine._from_json(json.loads(json.dumps(asdict(COMPUTER)))) == COMPUTER


def test_what_others_take_is_told_and_what_we_take_is_ours():
    busy = replace(CARD, free_bytes=12 * GIB, own_bytes=3 * GIB)
    assert busy.others_bytes == 9 * GIB
    assert busy.available_bytes == 15 * GIB
    said = " ".join(replace(COMPUTER, gpus=(busy,)).described())
    assert "Another program uses 9 GB of NVIDIA GeForce RTX 4090" in said
    assert "15 GB of 24 GB are free" in said
    assert "Another program" not in " ".join(COMPUTER.described())


def test_of_several_gpus_the_one_with_the_most_room_is_taken():
    both = replace(COMPUTER, gpus=(replace(CARD, free_bytes=2 * GIB), CARD))
    assert (both.gpu, both.device) == (CARD, "cuda:1")
    assert len([line for line in both.described() if "are free for the render" in line]) == 2


def test_a_gpu_that_is_only_spoken_of_replaces_what_is_there():
    spoken = COMPUTER.with_vram(12)
    assert spoken.gpu is not None
    assert spoken.gpu.total_bytes == 12 * GIB
    assert 11 * GIB < spoken.gpu.free_bytes < 12 * GIB
    assert spoken.ram_bytes == COMPUTER.ram_bytes
    assert not [line for line in spoken.described() if "Another program" in line]
    speeds = [COMPUTER.with_vram(size).flops for size in (1, 6, 8, 12, 16, 24, 48, 80)]
    assert speeds == sorted(speeds)
    for wrong in (0, -4, float("nan"), float("inf")):
        with pytest.raises(StudioError, match="No GPU has"):
            COMPUTER.with_vram(wrong)


@pytest.mark.parametrize(
    ("name", "capability", "num_processors", "clock_ghz", "tflops"),
    [
        ("NVIDIA GeForce RTX 3060", (8, 6), 28, 1.78, 25.6),
        ("NVIDIA GeForce RTX 4090", (8, 9), 128, 2.52, 165.2),
        ("NVIDIA GeForce RTX 5090", (12, 0), 170, 2.41, 209.5),
        ("NVIDIA RTX A6000", (8, 6), 84, 1.8, 154.8),
        ("NVIDIA L40S", (8, 9), 142, 2.52, 362),
        ("NVIDIA A100-SXM4-80GB", (8, 0), 108, 1.41, 312),
        ("NVIDIA H100 80GB HBM3", (9, 0), 132, 1.83, 989),
        ("Tesla T4", (7, 5), 40, 1.59, 65),
    ],
)
def test_speeds_are_a_like_share_of_what_makers_say(name, capability, num_processors, clock_ghz, tflops):
    reached = Gpu(name, GIB, GIB, capability, num_processors, clock_ghz).flops / (tflops * 1e12)
    assert 0.15 < reached < 0.55


def test_precisions_follow_the_generation():
    assert [replace(CARD, capability=each).has_bfloat16 for each in ((7, 5), (8, 0), (12, 0))] == [False, True, True]
    assert [replace(CARD, capability=each).has_fp8 for each in ((8, 0), (8, 9), (9, 0))] == [False, True, True]


@pytest.mark.parametrize(
    ("driver", "built_for", "said"),
    [
        (True, None, "the CPU build of torch is installed"),
        (True, "13.0", "built for CUDA 13.0"),
        (False, None, "no NVIDIA driver was found"),
    ],
)
def test_why_there_is_no_gpu(driver, built_for, said, tmp_path, monkeypatch):
    if driver:
        (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    elif Path("/proc/driver/nvidia/version").exists():
        pytest.skip("has a driver")
    monkeypatch.setenv("PATH", str(tmp_path))
    note = machine._why_no_gpu(built_for)
    assert said in note
    assert said in Machine((), GIB, GIB, 1, note).described()[0]


def test_a_container_is_as_large_as_it_may_become(tmp_path):
    assert machine._container_memory(tmp_path) == (None, 0)
    (tmp_path / "memory.max").write_text(f"{8 * GIB}\n")
    (tmp_path / "memory.current").write_text(f"{5 * GIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {2 * GIB}\nactive_file 3\n")
    assert machine._container_memory(tmp_path) == (8 * GIB, 3 * GIB)
    (tmp_path / "memory.max").write_text("max\n")
    assert machine._container_memory(tmp_path)[0] is None


def test_sizes_are_told_as_people_read_them():
    assert [in_gb(size * GIB) for size in (0.74, 9.0, 11.5, 79.6)] == ["0.7 GB", "9 GB", "11.5 GB", "80 GB"]
