"""From this machine's memory to a plan for one window: how weights are stored, what stays on the GPU, and for how long.

Every combination of savings gets its predicted peak and time; the fastest that fits is the plan, and thriftier ones
stand behind it for the case that a GPU runs out after all.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product

from engine.dit import footprint
from engine.dit.footprint import Offload, Storage
from engine.dit.machine import Machine, in_gb
from engine.dit.network_size import NetworkSize
from engine.dit.shapes import TIME_STRIDE, VideoShape
from engine.errors import OutOfMemory
from engine.project.document import RenderSettings

LEAST_WINDOW = 17
MARGIN, LEAST_MARGIN_BYTES = 0.03, 2**28  # of the free memory, left untouched
WORTHWHILE = 0.95  # a thriftier plan is to need at most this share of memory, where there is one

BUS_BYTES_PER_S = 12e9  # from page-locked memory over 16 lanes of PCIe 3, or 8 of PCIe 4
UNPINNED_BYTES_PER_S = 3e9  # what is not page-locked is copied to where it is, first
_GROUP_OVERHEAD = 1.05  # blocks arrive while others compute, but not for nothing
_VAE_DECODE_FLOPS, _VAE_ENCODE_FLOPS = 8.7e6, 5.2e6  # per px and frame, counted on the real VAE
_VAE_SPEED = 0.35  # of what the transformer reaches: float32, and narrow layers that wait for memory
_TILES_OVERLAP = (256 / 192) ** 2

# How much longer a forward takes with weights stored so: on a GPU mostly unpacking, for int8 a detour over int32 and
# half precision; on a CPU as measured on one layer with bitsandbytes.
_SLOWER = {
    "gpu": {"none": 1.0, "fp8": 1.02, "nf4": 1.05, "int8": 1.5},
    "cpu": {"none": 1.0, "fp8": 1.5, "nf4": 2.8, "int8": 1.0},
}
# What a coarser storage must win in time before it is chosen by itself.
_COARSENESS = {"none": 1.0, "fp8": 1.05, "int8": 1.1, "nf4": 1.25}


@dataclass(frozen=True)
class MemoryPlan:
    """How one window of ``window`` frames is rendered here, and what that takes.

    ``device`` as torch names it; ``dtype``: what is computed in; ``quantization``: how the blocks' weights are stored;
    ``offload``: see footprint.Offload; ``pinned``: blocks that are offloaded wait in page-locked memory, from where the
    next comes while one computes; ``keep_keys``: see Streams. ``peak_bytes``: of the device (of the computer, without
    a GPU); ``weights_bytes``: all of the transformer's; ``ram_bytes``: of the computer; ``seconds`` and
    ``seconds_per_step``: estimates for one window. ``reasons``: a sentence for each saving.
    """

    device: str
    dtype: str
    quantization: str
    offload: Offload
    pinned: bool
    vae_tiling: bool
    keep_keys: bool
    window: int
    peak_bytes: int
    weights_bytes: int
    ram_bytes: int
    seconds: float
    seconds_per_step: float
    reasons: tuple[str, ...] = ()
    thriftier: tuple["MemoryPlan", ...] = field(default=(), repr=False, compare=False)

    def stepped_down(self) -> "MemoryPlan | None":
        """The next plan that needs less memory, with the same window, so that finished windows stay valid; None when
        nothing is left to save. How weights are stored changes last, because it changes the picture."""
        if not self.thriftier:
            return None
        return replace(self.thriftier[0], thriftier=self.thriftier[1:])

    def paced(self, factor: float) -> "MemoryPlan":
        """The same, with all times ``factor`` times as long: what earlier renders here really took."""
        slower = tuple(plan.paced(factor) for plan in self.thriftier)
        seconds, per_step = self.seconds * factor, self.seconds_per_step * factor
        return replace(self, seconds=seconds, seconds_per_step=per_step, thriftier=slower)


def plan_memory(
    size: NetworkSize, shape: VideoShape, num_people: int, machine: Machine, settings: RenderSettings
) -> MemoryPlan:
    """The fastest plan that fits what is free on ``machine`` now.

    ``shape``: the picture, and the longest window that is needed. The window is as long as that and the settings
    allow, shorter (down to 17 frames) only when nothing else fits; a quantization other than "auto" is kept to.
    Raises OutOfMemory when nothing fits.
    """
    asked = cut_to_window(min(settings.window, shape.num_frames))
    for window in range(asked, min(LEAST_WINDOW, asked) - 1, -TIME_STRIDE):
        ladder = _Ladder(size, replace(shape, num_frames=window), num_people, machine, settings, asked)
        if best := ladder.best():
            return replace(best, thriftier=ladder.below(best))
    raise ladder.out_of_memory()


def cut_to_window(num_frames: int) -> int:
    """The greatest 4n+1 that is not above ``num_frames``."""
    return TIME_STRIDE * ((num_frames - 1) // TIME_STRIDE) + 1


@dataclass(frozen=True)
class _Ladder:
    """All plans for one window; ``asked``: the frames that it was to have."""

    size: NetworkSize
    shape: VideoShape
    num_people: int
    machine: Machine
    settings: RenderSettings
    asked: int

    def best(self) -> MemoryPlan | None:
        fitting = [plan for plan in self.plans() if self.fits(plan)]
        return min(fitting, key=_cost, default=None)

    def below(self, plan: MemoryPlan) -> tuple[MemoryPlan, ...]:
        """Ever thriftier plans, each with a lower peak than the one before; the same storage as long as possible."""
        steps: list[MemoryPlan] = []
        possible = [each for each in self.plans() if self.fits_ram(each)]
        while thriftier := [each for each in possible if each.peak_bytes < plan.peak_bytes]:
            worthwhile = [each for each in thriftier if each.peak_bytes <= WORTHWHILE * plan.peak_bytes]
            current = plan.quantization
            plan = min(worthwhile or thriftier, key=lambda each: (each.quantization != current, _cost(each)))
            steps.append(plan)
        return tuple(steps)

    def fits(self, plan: MemoryPlan) -> bool:
        return plan.peak_bytes + self._margin_bytes <= self.free_bytes and self.fits_ram(plan)

    def fits_ram(self, plan: MemoryPlan) -> bool:
        return plan.ram_bytes <= self.machine.ram_available_bytes

    @property
    def free_bytes(self) -> int:
        gpu = self.machine.gpu
        return gpu.available_bytes if gpu else self.machine.ram_available_bytes

    @property
    def _margin_bytes(self) -> int:
        return max(LEAST_MARGIN_BYTES, round(MARGIN * self.free_bytes))

    def plans(self) -> Iterator[MemoryPlan]:
        """Every combination; on a CPU nothing is offloaded, and weights are stored small only where that was asked."""
        gpu, asked = self.machine.gpu is not None, self.settings.quantization
        forms = (asked,) if asked != "auto" else tuple(_COARSENESS) if gpu else ("none",)
        offloads: tuple[tuple[Offload, bool], ...] = (("none", False),)
        if gpu:
            offloads += (("model", False), ("group", True), ("group", False))
        for quantization, (offload, pinned) in product(forms, offloads):
            storage = Storage(quantization, self.dtype, offload, bool(self.settings.lora), pinned)
            for vae_tiling, keep_keys in product((False, True), (True, False)):
                yield self.plan(storage, vae_tiling, keep_keys)

    @property
    def dtype(self) -> str:
        if not self.machine.gpu:
            return "float32"
        return "bfloat16" if self.machine.gpu.has_bfloat16 else "float16"

    def plan(self, storage: Storage, vae_tiling: bool, keep_keys: bool) -> MemoryPlan:
        per_step = self._seconds_per_step(storage, keep_keys)
        peak = self._peak_bytes(storage, vae_tiling, keep_keys)
        return MemoryPlan(
            device=self.machine.device,
            dtype=storage.dtype,
            quantization=storage.quantization,
            offload=storage.offload,
            pinned=storage.pinned,
            vae_tiling=vae_tiling,
            keep_keys=keep_keys,
            window=self.shape.num_frames,
            peak_bytes=peak,
            weights_bytes=footprint.weights_bytes(self.size, storage),
            ram_bytes=self._ram_bytes(storage) if self.machine.gpu else peak,
            seconds=self.settings.num_inference_steps * per_step + self._seconds_around(storage, vae_tiling),
            seconds_per_step=per_step,
            reasons=tuple(self._reasons(storage, vae_tiling, keep_keys)),
        )

    def _peak_bytes(self, storage: Storage, vae_tiling: bool, keep_keys: bool) -> int:
        weights = footprint.weights_on_device_bytes(self.size, storage)
        together = storage.offload == "none"
        denoising = weights + self._denoising_bytes(storage, keep_keys) + (footprint.VAE_BYTES if together else 0)
        decoding = footprint.VAE_BYTES + self._decoding_bytes(vae_tiling) + (weights if together else 0)
        base = footprint.CONTEXT_BYTES if self.machine.gpu else footprint.PROCESS_BYTES
        return base + footprint.SPEECH_ENCODER_BYTES + max(denoising, decoding)

    def _denoising_bytes(self, storage: Storage, keep_keys: bool) -> int:
        scene = self.size, self.shape, self.num_people
        kept = self._num_branches * footprint.kept_bytes(*scene, storage.itemsize, keep_keys)
        state = footprint.state_bytes(self.size, self.shape, storage.itemsize, self.settings.step_cache > 0)
        passing = footprint.forward_bytes(*scene, storage, keep_keys)
        return kept + state + round(footprint.ALLOCATOR_SLACK * passing)

    def _decoding_bytes(self, vae_tiling: bool) -> int:
        return round(footprint.ALLOCATOR_SLACK * footprint.decode_bytes(self.shape, vae_tiling))

    def _ram_bytes(self, storage: Storage) -> int:
        """Beside a GPU: what waits its turn there, or passes through."""
        waiting = footprint.weights_in_ram_bytes(self.size, storage)
        return footprint.PROCESS_BYTES + waiting + (footprint.VAE_BYTES if waiting else 0)

    @property
    def _num_branches(self) -> int:
        return 2 if self.settings.guidance_scale != 1 else 1

    def _seconds_per_step(self, storage: Storage, keep_keys: bool) -> float:
        """Mean over the steps, of which only some are guided; reuse by a step cache is not counted on."""
        start, end = self.settings.guidance_range
        guided = max(0.0, end - start) if self._num_branches == 2 else 0.0
        operations = self.size.forward_flops(self.shape, self.num_people)
        if not keep_keys:
            operations += self.size.keys_flops(self.shape.num_frames, self.num_people)
        slower = _SLOWER["gpu" if self.machine.gpu else "cpu"][storage.quantization]
        forward = slower * operations / self.machine.flops
        if storage.offload == "group":
            carried = footprint.weights_bytes(self.size, storage)
            if storage.pinned:  # the next block comes while one computes
                forward = max(carried / BUS_BYTES_PER_S, _GROUP_OVERHEAD * forward)
            else:
                forward = carried / UNPINNED_BYTES_PER_S + _GROUP_OVERHEAD * forward
        return forward * (1 + guided)

    def _seconds_around(self, storage: Storage, vae_tiling: bool) -> float:
        """Of a window outside its steps: coding its first frames, decoding, making keys, changing places."""
        pixels = self.shape.height * self.shape.width * self.shape.num_frames
        tiles = _TILES_OVERLAP if vae_tiling else 1.0
        coding = tiles * pixels * self.size.codec_work * (_VAE_DECODE_FLOPS + _VAE_ENCODE_FLOPS) / _VAE_SPEED
        keys = self._num_branches * self.size.keys_flops(self.shape.num_frames, self.num_people)
        moved = footprint.weights_bytes(self.size, storage) if storage.offload == "model" else 0
        return (coding + keys) / self.machine.flops + 2 * moved / UNPINNED_BYTES_PER_S

    def _reasons(self, storage: Storage, vae_tiling: bool, keep_keys: bool) -> Iterator[str]:
        weights = in_gb(footprint.weights_bytes(self.size, storage))
        whole = in_gb(footprint.weights_bytes(self.size, replace(storage, quantization="none")))
        if not self.machine.gpu:
            yield "Without a GPU everything is computed in float32 on the processor."
        if storage.dtype == "float16":
            yield "This GPU does not know bfloat16: float16 is used."
        if storage.quantization != "none":
            chosen = "" if self.settings.quantization == "auto" else ", as chosen"
            yield f"Weights are stored as {storage.quantization}{chosen}: {weights} instead of {whole}."
        if storage.offload == "model":
            yield f"The transformer ({weights}) and the video decoder take turns on the GPU."
        if storage.offload == "group":
            where = "page-locked memory" if storage.pinned else "memory"
            yield f"The transformer's blocks ({weights}) wait in the computer's {where} and come to the GPU in turn."
        if vae_tiling:
            yield f"The video is decoded in tiles: whole frames would take {in_gb(self._decoding_bytes(False))}."
        if not keep_keys:
            kept = self._denoising_bytes(storage, True) - self._denoising_bytes(storage, False)
            yield f"Keys of voices and faces are made anew in every step: to keep them takes {in_gb(kept)}."
        if self.shape.num_frames < self.asked:
            yield f"Windows are {self.shape.num_frames} frames long instead of {self.asked}: longer ones do not fit."

    def out_of_memory(self) -> OutOfMemory:
        """What the thriftiest plan would take, told of the memory that is in its way."""
        plans, gpu = list(self.plans()), self.machine.gpu
        on_gpu = [plan for plan in plans if gpu and plan.peak_bytes + self._margin_bytes <= self.free_bytes]
        if on_gpu:
            needs = min(plan.ram_bytes for plan in on_gpu)
            found = f"{in_gb(self.machine.ram_available_bytes)} of the computer's memory are free"
            remedy = "Close other programs, or choose a smaller network or nf4 weights."
        else:
            needs = min(plan.peak_bytes for plan in plans) + self._margin_bytes
            found = f"{in_gb(self.free_bytes)} of {gpu.name if gpu else 'memory'} are free"
            remedy = self._more_room(needs)
        return OutOfMemory(
            f"Even with every saving a window of {self.shape.num_frames} frames at {self.shape.width} × "
            f"{self.shape.height} needs {in_gb(needs)}, and {found}.",
            remedy,
        )

    def _more_room(self, needs: int) -> str:
        gpu = self.machine.gpu
        if gpu and not self.machine.assumed and needs <= self.free_bytes + gpu.others_bytes:
            return f"Close the program that uses {in_gb(gpu.others_bytes)} of the GPU."
        if self.settings.quantization not in ("auto", "nf4"):
            return f"Choose the quantization auto, or a height below {self.settings.height}."
        return f"Choose a height below {self.settings.height}, a smaller network, or a larger GPU."


def _cost(plan: MemoryPlan) -> tuple[float, int, bool, bool]:
    """Time first, coarse storage counted as time; between equals the one that saves less."""
    savings = ("none", "model", "group").index(plan.offload)
    return plan.seconds * _COARSENESS[plan.quantization], savings, plan.vae_tiling, not plan.keep_keys
