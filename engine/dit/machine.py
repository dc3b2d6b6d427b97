"""What this machine is: its GPUs, memory and cores, and how fast they may be expected to work."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.errors import StudioError

GIB = 2**30
UNNOTICED_BYTES = 3 * GIB // 2  # a desktop and its browser; what takes more is worth a word
SET_ASIDE_BYTES = GIB // 2  # of a GPU that is only spoken of: what its driver and a screen take
MOST_VRAM_GB = 4096
_ASKING_S = 120

CPU_FLOPS_PER_CORE = 3e10  # float32, measured on common server cores: 20 to 60

# Multiply-adds in half precision (float32 sums) of one multiprocessor per clock, as operations, by compute capability;
# GeForce cards of the same generation do half. Times their number and clock these are the makers' figures.
_FLOPS_PER_CLOCK = {
    (7, 0): 1024, (7, 5): 1024, (8, 0): 2048, (8, 6): 1024, (8, 7): 1024, (8, 9): 1024, (9, 0): 4096, (10, 0): 8192,
    (10, 3): 8192, (12, 0): 1024, (12, 1): 1024,
}  # fmt: skip
_HALVED = {(7, 5), (8, 6), (8, 9), (12, 0)}
_USUAL_CLOCK_GHZ = 1.7

# Share of the maker's figure that transformers of this size reach, by operations per clock: the faster the units, the
# harder to feed. From published step times: 14B on A100 0.37, on H100 0.26; the reference's 1.3B on H200 0.12 to 0.19.
_REACHED = ((1024, 0.5), (2048, 0.35), (4096, 0.2), (8192, 0.15))

# What cards of a size usually reach, in TFLOP/s: for a GPU that is only spoken of ("--vram 12").
_TYPICAL_TFLOPS = ((6, 8), (8, 12), (12, 20), (16, 35), (24, 55), (32, 85), (48, 110), (80, 180))


@dataclass(frozen=True)
class Gpu:
    """One GPU. ``free_bytes``: not taken by anybody; ``own_bytes``: taken by this process.

    ``num_processors`` (multiprocessors) and ``clock_ghz`` tell its speed, 0 = unknown.
    """

    name: str
    total_bytes: int
    free_bytes: int
    capability: tuple[int, int] = (8, 0)
    num_processors: int = 0
    clock_ghz: float = 0.0
    own_bytes: int = 0

    @property
    def has_bfloat16(self) -> bool:
        return self.capability >= (8, 0)

    @property
    def has_fp8(self) -> bool:
        """Whether it multiplies in fp8; every GPU can store weights so."""
        return self.capability >= (8, 9)

    @property
    def others_bytes(self) -> int:
        """Taken by other programs."""
        return max(0, self.total_bytes - self.free_bytes - self.own_bytes)

    @property
    def available_bytes(self) -> int:
        """What a render can have: free, or already this process's own."""
        return self.free_bytes + self.own_bytes

    @property
    def flops(self) -> float:
        """Operations per second that a large transformer in half precision may be expected to reach."""
        if not self.num_processors:
            return 1e12 * _typical_tflops(self.total_bytes)
        per_clock = _per_clock(self.capability)
        reached = next((share for limit, share in _REACHED if per_clock <= limit), _REACHED[-1][1])
        if self.capability in _HALVED and re.search("geforce|titan", self.name.lower()):
            per_clock //= 2
        return reached * per_clock * self.num_processors * (self.clock_ghz or _USUAL_CLOCK_GHZ) * 1e9


@dataclass(frozen=True)
class Machine:
    """``gpus`` in torch's order; ``ram_available_bytes``: what programs can still take without swapping.

    ``note``: why there is no GPU, where that is not plain. ``assumed``: not measured but spoken of.
    """

    gpus: tuple[Gpu, ...]
    ram_bytes: int
    ram_available_bytes: int
    num_cores: int
    note: str = ""
    assumed: bool = False

    @property
    def gpu(self) -> Gpu | None:
        """The GPU with the most room, which a render takes; None without any."""
        return max(self.gpus, key=lambda gpu: gpu.available_bytes, default=None)

    @property
    def gpu_index(self) -> int:
        gpu = self.gpu
        return self.gpus.index(gpu) if gpu else 0

    @property
    def device(self) -> str:
        """As torch names it."""
        return f"cuda:{self.gpu_index}" if self.gpu else "cpu"

    @property
    def flops(self) -> float:
        """Operations per second to be expected of the GPU, or of all cores."""
        return self.gpu.flops if self.gpu else CPU_FLOPS_PER_CORE * self.num_cores

    def with_vram(self, gigabytes: float) -> "Machine":
        """The same computer with a GPU of ``gigabytes`` GiB, most of them free. Raises StudioError where none has."""
        if not 0 < gigabytes <= MOST_VRAM_GB:
            raise StudioError(f"No GPU has {gigabytes:g} GB.", "Write it like --vram 12")
        total = round(gigabytes * GIB)
        gpu = Gpu(f"a GPU of {gigabytes:g} GB", total, max(0, total - SET_ASIDE_BYTES))
        return Machine((gpu,), self.ram_bytes, self.ram_available_bytes, self.num_cores, assumed=True)

    def described(self) -> list[str]:
        """What it is, and what about it is worth knowing, in sentences."""
        lines = [_told(gpu) for gpu in self.gpus] or [f"No GPU is at hand: {self.note or 'none was found'}."]
        lines += [
            f"Another program uses {in_gb(gpu.others_bytes)} of {gpu.name}; closing it would leave more for the render."
            for gpu in self.gpus
            if not self.assumed and gpu.others_bytes > UNNOTICED_BYTES
        ]
        return [*lines, f"{in_gb(self.ram_available_bytes)} of {in_gb(self.ram_bytes)} of memory are free."]


def in_gb(num_bytes: float) -> str:
    """Bytes as a creator reads them: "9 GB", "0.7 GB", "11.5 GB" (GB = 2**30)."""
    amount = num_bytes / GIB
    return f"{round(amount, 1 if amount < 20 else None):g} GB"


def this_machine() -> Machine:
    """This machine now. Unless this process works on a GPU already, another one is started to look: it takes seconds,
    but whoever looks at a GPU takes half a gigabyte of it for as long as he lives."""
    if _may_look_itself():
        return _measured()
    command = [sys.executable, "-m", "engine.dit.machine"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_ASKING_S, cwd=Path(__file__).parents[2]
        )
        return _from_json(json.loads(answer.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return _without_gpus("torch could not be asked about GPUs")


def _may_look_itself() -> bool:
    torch: Any = sys.modules.get("torch")
    return torch is not None and (torch.cuda.is_initialized() or not torch.cuda.is_available())


def _measured() -> Machine:
    try:
        import torch

        if torch.cuda.is_available():
            indices = range(torch.cuda.device_count())
            return _without_gpus("", tuple(gpu for index in indices if (gpu := _gpu(index))))
        return _without_gpus(_why_no_gpu(torch.version.cuda or getattr(torch.version, "hip", None)))
    except (ImportError, OSError, RuntimeError) as error:
        return _without_gpus(f"torch says: {str(error).splitlines()[0] if str(error) else type(error).__name__}")


def _gpu(index: int) -> Gpu | None:
    """None for one that does not answer (taken for itself by another program, or fallen off its bus)."""
    import torch

    try:
        free, total = torch.cuda.mem_get_info(index)
    except RuntimeError:
        return None
    properties = torch.cuda.get_device_properties(index)
    return Gpu(
        name=properties.name,
        total_bytes=total,
        free_bytes=free,
        capability=(properties.major, properties.minor),
        num_processors=properties.multi_processor_count,
        clock_ghz=getattr(properties, "clock_rate", 0) / 1e6,
        own_bytes=torch.cuda.memory_reserved(index),
    )


def _why_no_gpu(built_for: str | None) -> str:
    present = shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()
    if present and not built_for:
        return "there is an NVIDIA driver, but the CPU build of torch is installed, which cannot use it"
    if present:
        return f"torch (built for CUDA {built_for}) cannot use the NVIDIA driver that is there; it may be too old"
    return "no NVIDIA driver was found"


def _without_gpus(note: str, gpus: tuple[Gpu, ...] = ()) -> Machine:
    total, available = _ram()
    return Machine(gpus, total, available, _num_cores(), note)


def _ram() -> tuple[int, int]:
    """(all, available) bytes; of a container, what it may use."""
    import psutil

    memory = psutil.virtual_memory()
    limit, used = _container_memory(Path("/sys/fs/cgroup"))
    total = min(memory.total, limit or memory.total)
    return total, max(0, min(memory.available, (limit - used) if limit else memory.available))


def _container_memory(folder: Path) -> tuple[int | None, int]:
    """(limit or None, used without files that can be let go) of the control group in ``folder``."""
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        kept = re.search(r"^inactive_file (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
        return (int(limit) if limit.isdigit() else None), int(used) - (int(kept[1]) if kept else 0)
    except (OSError, ValueError):
        return None, 0


def _num_cores() -> int:
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _per_clock(capability: tuple[int, int]) -> int:
    known = [entry for entry in _FLOPS_PER_CLOCK if entry <= capability]
    return _FLOPS_PER_CLOCK[max(known)] if known else 128


def _typical_tflops(total_bytes: int) -> float:
    return next((tflops for size, tflops in reversed(_TYPICAL_TFLOPS) if total_bytes >= 0.95 * size * GIB), 5)


def _told(gpu: Gpu) -> str:
    name = gpu.name[:1].upper() + gpu.name[1:]
    return f"{name}: {in_gb(gpu.available_bytes)} of {in_gb(gpu.total_bytes)} are free for the render."


def _from_json(answer: Mapping[str, Any]) -> Machine:
    gpus = tuple(Gpu(**{**gpu, "capability": tuple(gpu["capability"])}) for gpu in answer["gpus"])
    return Machine(**{**answer, "gpus": gpus})


if __name__ == "__main__":
    print(json.dumps(asdict(_measured())))
