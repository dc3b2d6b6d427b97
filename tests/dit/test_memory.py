"""The memory plan, against real networks: their weights, their operations, what a forward really takes."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_networks import box_mask, latents, random_person, tiny_network
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import Wav2Vec2Config, Wav2Vec2Model

from engine.dit import footprint
from engine.dit.checkpoints import load_transformer
from engine.dit.footprint import Storage
from engine.dit.machine import GIB, Gpu, Machine
from engine.dit.memory import MemoryPlan, plan_memory
from engine.dit.network_size import (
    ANYTALKER_1_3B,
    ANYTALKER_14B,
    FACE_TOKENS,
    IMAGE_TOKENS,
    NETWORKS,
    SPEECH_ENCODER_PARAMETERS,
    NetworkSize,
)
from engine.dit.quantization import (
    Int8Linear,
    Nf4Linear,
    is_quantized_layer,
    quantize_,
    weights_bytes,
)
from engine.dit.shapes import LatentShape, VideoShape
from engine.dit.stored_bytes import KEPT_IN_FLOAT32, network_bytes, pinned_bytes, statistics_bytes, stored_bytes
from engine.dit.streams import Streams
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.dit.types import Person
from engine.errors import OutOfMemory
from engine.project.document import RenderSettings

FORMS = ("afca", "legacy")
QUANTIZATIONS = ("none", "int8", "nf4", "fp8")
PUBLISHED = VideoShape(81, 480, 832)
PUBLISHED_NETWORKS = {name: size for name, size in NETWORKS.items() if name != "tiny"}
SETTINGS = RenderSettings(kind="final", num_inference_steps=40, shift=3.0)
COMPUTER = Machine((), 32 * GIB, 28 * GIB, 8)


def gpu(gigabytes: float, free: float | None = None, **facts: object) -> Machine:
    """COMPUTER with a GPU of one speed, whatever its memory."""
    total = round(gigabytes * GIB)
    left = total if free is None else round(free * GIB)
    card = Gpu(**({"name": "Card", "num_processors": 60, "clock_ghz": 2.0} | facts), total_bytes=total, free_bytes=left)
    return replace(COMPUTER, gpus=(card,))


def plan(size: NetworkSize, machine: Machine, shape: VideoShape = PUBLISHED, people: int = 2, **settings: object):
    return plan_memory(size, shape, people, machine, SETTINGS.model_copy(update=settings))


def all_steps(plan: MemoryPlan) -> list[MemoryPlan]:
    steps = [plan]
    while following := steps[-1].stepped_down():
        steps.append(following)
    return steps


# --- what a network is ---


def test_the_published_networks_have_the_published_numbers_of_parameters_and_tensors():
    assert (ANYTALKER_1_3B.num_parameters, len(ANYTALKER_1_3B.tensors)) == (1_900_507_712, 1299)
    assert (ANYTALKER_14B.num_parameters, len(ANYTALKER_14B.tensors)) == (20_987_819_584, 1801)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("audio_norm", [True, False])
def test_tensors_are_those_of_the_real_network(form, audio_norm):
    network = tiny_network(form, audio_norm=audio_norm)
    size = NetworkSize.of_config(network.config)
    assert size.tensors == {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def test_what_stays_float32_is_what_the_network_says():
    assert set(AnyTalkerTransformer3DModel._keep_in_fp32_modules) == KEPT_IN_FLOAT32


MID = {"num_attention_heads": 6, "attention_head_dim": 64, "ffn_dim": 1152, "num_layers": 3}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("quantization", "config"), [*((form, {}) for form in QUANTIZATIONS), pytest.param("nf4", MID, id="nf4-mid")]
)
def test_real_weights_take_the_predicted_bytes(form, quantization, config, tmp_path):
    tiny_network(form, **config).to(torch.bfloat16).save_pretrained(tmp_path)
    loaded = load_transformer(tmp_path, torch.bfloat16, quantization=quantization)
    predicted = network_bytes(NetworkSize.of_config(loaded.config), quantization, "bfloat16")
    assert predicted == pytest.approx(weights_bytes(loaded), rel=0.01)


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_statistics_are_what_stands_beside_the_packed_weights(quantization):
    network = tiny_network(num_layers=1)
    quantize_(network, quantization, torch.bfloat16, chosen=is_quantized_layer)
    small = [layer for layer in network.modules() if isinstance(layer, Nf4Linear | Int8Linear)]
    beside = sum(weights_bytes(layer) - layer.weight.data.nbytes - layer.bias.nbytes for layer in small)
    assert statistics_bytes(NetworkSize.of_config(network.config), quantization) == beside > 0


def test_the_speech_encoder_has_the_parameters_that_are_counted():
    with torch.device("meta"):
        encoder = Wav2Vec2Model(Wav2Vec2Config())
    assert encoder.num_parameters() == SPEECH_ENCODER_PARAMETERS


def test_less_precise_storage_takes_less():
    sizes = [stored_bytes(ANYTALKER_14B.tensors, form, "bfloat16") for form in ("none", "fp8", "nf4")]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.3 * sizes[0]


# --- operations ---


def test_operations_of_the_published_program_are_those_of_the_cost_model():
    assert ANYTALKER_1_3B.dense_forward_flops(PUBLISHED, 2) == pytest.approx(320.6e12, rel=1e-3)
    assert ANYTALKER_14B.dense_forward_flops(PUBLISHED, 0) == pytest.approx(1686e12, rel=0.01)


def test_a_person_costs_little_and_people_add_up():
    one, two, eight = (ANYTALKER_1_3B.forward_flops(PUBLISHED, count) for count in (1, 2, 8))
    assert two - one == pytest.approx((eight - two) / 6)
    assert (two - one) / one < 0.01
    assert ANYTALKER_1_3B.dense_forward_flops(PUBLISHED, 8) / eight > 1.5


def people_in(latent: LatentShape, num_people: int) -> list[Person]:
    """Each with a face of 257 tokens over a sixteenth of the picture."""
    side = latent.height // 8
    voices = [
        random_person(latent, index, box_mask(latent, slice(0, side), slice(side * index, side * index + side)))
        for index in range(num_people)
    ]
    return [replace(voice, face_embeds=torch.randn(1, FACE_TOKENS, 40)) for voice in voices]


def streams_of(people: list[Person], latent: LatentShape, keep_keys: bool = True) -> Streams:
    """With a picture of 257 tokens, as CLIP gives them."""
    return Streams(torch.randn(5, 24), torch.randn(1, IMAGE_TOKENS, 40), people, latent, keep_keys)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("num_people", [0, 2])
def test_operations_are_those_that_the_real_network_does(form, num_people):
    latent, shape = LatentShape(3, 16, 16), VideoShape(9, 128, 128)
    network = tiny_network(form, ffn_dim=512)
    run = forward(network, latent, streams_of(people_in(latent, num_people), latent))
    run()  # keys are kept from here on
    with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):
        run()
    predicted = NetworkSize.of_config(network.config).forward_flops(shape, num_people, 1 / 16)
    assert predicted == pytest.approx(counted.get_total_flops(), rel=0.05)


def forward(network: AnyTalkerTransformer3DModel, latent: LatentShape, streams: Streams) -> Callable[[], None]:
    @torch.no_grad()
    def run() -> None:
        network(latents(latent).to(network.patch_embedding.weight.dtype), torch.tensor([437.0]), streams)

    return run


# --- memory of a forward, measured ---


def peak_bytes(run: Callable[[], None]) -> int:
    """The most that ``run`` holds at a time beside what was there before, by torch's own account."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    changes = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes.sort(key=lambda event: event.start_ns())
    return max(itertools.accumulate(event.nbytes() for event in changes))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("num_people", [0, 2])
def test_a_forward_takes_what_was_predicted(form, dtype, num_people):
    latent, shape = LatentShape(4, 24, 24), VideoShape(13, 192, 192)
    network = tiny_network(form, attention_head_dim=64, ffn_dim=1493 if form == "afca" else 691)
    network.to(getattr(torch, dtype))
    run = forward(network, latent, streams_of(people_in(latent, num_people), latent))
    run()
    size = NetworkSize.of_config(network.config)
    predicted = footprint.forward_bytes(size, shape, num_people, Storage(dtype=dtype), keep_keys=True)
    assert peak_bytes(run) / 1.3 < predicted < 1.3 * peak_bytes(run)


@pytest.mark.parametrize("form", FORMS)
def test_keys_that_are_kept_take_what_was_predicted(form):
    latent = LatentShape(4, 8, 8)
    network = tiny_network(form)
    kept = {}
    for keep_keys in (True, False):
        streams = streams_of(people_in(latent, 2), latent, keep_keys)
        forward(network, latent, streams)()
        made = streams._embedded[1]._kept.values()
        kept[keep_keys] = sum(tensor.untyped_storage().nbytes() for keys in made for tensor in _tensors(keys))
    assert kept[False] == 0
    assert kept[True] == 4 * NetworkSize.of_config(network.config).kept_keys(num_frames=13, num_people=2)


def _tensors(made: object) -> list[torch.Tensor]:
    if isinstance(made, torch.Tensor):
        return [made]
    return [tensor for part in made or () for tensor in _tensors(part)]


@pytest.mark.slow
def test_decoding_takes_what_was_predicted():
    from diffusers import AutoencoderKLWan

    vae = AutoencoderKLWan().eval().requires_grad_(False)
    taken = peak_bytes(lambda: vae.decode(torch.zeros(1, 16, 2, 8, 8)))
    assert footprint.decode_bytes(VideoShape(5, 64, 64), tiling=False) == pytest.approx(taken, rel=0.1)
    assert sum(each.numel() for each in vae.parameters()) == footprint.VAE_PARAMETERS


# --- plans ---


@pytest.mark.parametrize("ram", [16, 32, 64])
@pytest.mark.parametrize(("size", "vram"), [(ANYTALKER_1_3B, 8), (ANYTALKER_14B, 16)])
def test_the_published_networks_fit_the_promised_gpus(size, vram, ram):
    computer = Machine((), ram * GIB, int(0.9 * ram * GIB), 8).with_vram(vram)
    made = plan(size, computer)
    assert made.window == 81
    assert made.peak_bytes < computer.gpu.free_bytes
    assert made.ram_bytes < computer.ram_available_bytes


@pytest.mark.parametrize("size", PUBLISHED_NETWORKS.values(), ids=PUBLISHED_NETWORKS)
def test_more_memory_never_takes_longer_and_every_plan_fits(size):
    plans = [plan(size, gpu(vram)) for vram in (6, 8, 10, 12, 16, 20, 24, 32, 48, 80)]
    costs = [made.seconds / made.window for made in plans if made.window == 81]
    assert costs == sorted(costs, reverse=True)
    for made, vram in zip(plans, (6, 8, 10, 12, 16, 20, 24, 32, 48, 80), strict=True):
        assert made.peak_bytes < vram * GIB


def test_with_room_for_everything_nothing_is_saved():
    made = plan(ANYTALKER_14B, gpu(80))
    assert (made.quantization, made.offload, made.vae_tiling, made.keep_keys) == ("none", "none", False, True)
    assert made.reasons == ()


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize("vram", [10, 24])
def test_a_chosen_quantization_is_kept_to(quantization, vram):
    computer = replace(gpu(vram), ram_bytes=64 * GIB, ram_available_bytes=60 * GIB)
    made = plan(ANYTALKER_14B, computer, quantization=quantization)
    assert {each.quantization for each in all_steps(made)} == {quantization}


@pytest.mark.parametrize("vram", [8, 16, 80])
@pytest.mark.parametrize("size", PUBLISHED_NETWORKS.values(), ids=PUBLISHED_NETWORKS)
def test_stepping_down_saves_every_time_keeps_the_window_and_ends(size, vram):
    steps = all_steps(plan(size, gpu(vram)))
    peaks = [each.peak_bytes for each in steps]
    assert all(later < earlier for earlier, later in itertools.pairwise(peaks))
    assert len({each.window for each in steps}) == 1
    assert steps[-1].offload == "group"
    assert steps[-1].vae_tiling
    assert not steps[-1].keep_keys


def test_stepping_down_leaves_the_picture_as_it_is_for_as_long_as_it_can():
    forms = [each.quantization for each in all_steps(plan(ANYTALKER_1_3B, gpu(24)))]
    assert len(forms) > 3
    assert forms == sorted(forms, key=("none", "fp8", "int8", "nf4").index)
    assert forms.count("none") >= len(forms) - 2


def test_without_memory_beside_the_gpu_nothing_waits_there():
    small = replace(gpu(16), ram_bytes=8 * GIB, ram_available_bytes=2 * GIB)
    made = plan(ANYTALKER_1_3B, small)
    assert {each.offload for each in all_steps(made)} == {"none"}
    with pytest.raises(OutOfMemory, match="2 GB of the computer's memory are free"):
        plan(ANYTALKER_14B, replace(small, gpus=gpu(10).gpus))


def test_page_locked_memory_is_used_where_there_is_enough():
    plenty, scarce = (replace(gpu(12), ram_bytes=64 * GIB, ram_available_bytes=ram * GIB) for ram in (40, 15))
    fast, slow = (plan(ANYTALKER_14B, computer, quantization="nf4") for computer in (plenty, scarce))
    assert (fast.offload, fast.pinned) == ("group", True)
    assert (slow.offload, slow.pinned) == ("group", False)
    assert slow.ram_bytes < fast.ram_bytes
    assert slow.seconds > fast.seconds
    # torch rounds each page-locked tensor up to a power of two.
    pinned = pinned_bytes(ANYTALKER_14B, "none", "bfloat16")
    assert 1 < pinned / network_bytes(ANYTALKER_14B, "none", "bfloat16") < 2


def test_windows_become_shorter_only_when_nothing_else_helps():
    whole, short = plan(ANYTALKER_1_3B, gpu(5)), plan(ANYTALKER_1_3B, gpu(3.6))
    assert whole.window == 81
    assert 17 <= short.window < 81
    assert short.window % 4 == 1
    assert any(f"{short.window} frames long instead of 81" in reason for reason in short.reasons)
    assert (short.offload, short.vae_tiling) == ("group", True)


@pytest.mark.parametrize(("setting", "needed", "window"), [(81, 33, 33), (50, 81, 49), (17, 81, 17), (81, 9, 9)])
def test_a_window_is_never_longer_than_asked_or_needed(setting, needed, window):
    shape = replace(PUBLISHED, num_frames=needed)
    assert plan(ANYTALKER_1_3B, gpu(24), shape, window=setting).window == window


def test_peaks_and_times_grow_with_window_picture_and_people():
    series = [
        [plan(ANYTALKER_1_3B, gpu(80), VideoShape(frames, 480, 832)) for frames in (17, 49, 81)],
        [plan(ANYTALKER_14B, gpu(80), VideoShape(49, side, side)) for side in (256, 512, 640)],
        [plan(ANYTALKER_14B, gpu(10), people=count, quantization="nf4") for count in (1, 2, 5, 9)],
    ]
    for plans in series:
        for smaller, larger in itertools.pairwise(plans):
            assert smaller.peak_bytes < larger.peak_bytes or smaller.keep_keys > larger.keep_keys
            assert smaller.seconds < larger.seconds


def test_fewer_steps_and_less_guidance_take_less_time():
    full = plan(ANYTALKER_1_3B, gpu(24))
    half = plan(ANYTALKER_1_3B, gpu(24), guidance_range=(0.0, 0.5))
    none = plan(ANYTALKER_1_3B, gpu(24), guidance_scale=1.0)
    assert full.seconds_per_step == pytest.approx(2 * none.seconds_per_step)
    assert half.seconds_per_step == pytest.approx(1.5 * none.seconds_per_step)
    assert plan(ANYTALKER_1_3B, gpu(24), num_inference_steps=8).seconds < full.seconds / 4
    assert none.peak_bytes <= full.peak_bytes


def test_a_lora_and_a_step_cache_are_counted():
    plain, with_lora = (plan(ANYTALKER_14B, gpu(80), lora=lora) for lora in ("", "distilled"))
    assert 0.5e9 < with_lora.weights_bytes - plain.weights_bytes < 1e9  # published ones: 0.74 GB
    assert plan(ANYTALKER_14B, gpu(80), step_cache=0.1).peak_bytes > plain.peak_bytes


def test_times_follow_what_was_measured_all_the_way_down():
    made = plan(ANYTALKER_1_3B, gpu(24))
    slower = made.paced(2.0)
    for before, after in zip(all_steps(made), all_steps(slower), strict=True):
        assert after.seconds == pytest.approx(2 * before.seconds)
        assert after.peak_bytes == before.peak_bytes


def test_an_old_gpu_computes_in_float16():
    made = plan(ANYTALKER_1_3B, gpu(11, capability=(7, 5)))
    assert made.dtype == "float16"
    assert any("bfloat16" in reason for reason in made.reasons)


def test_without_a_gpu_there_is_a_plan_for_the_processor():
    made = plan(ANYTALKER_1_3B, COMPUTER)
    assert (made.device, made.dtype, made.quantization, made.offload) == ("cpu", "float32", "none", "none")
    assert made.seconds > 3600
    assert made.peak_bytes == made.ram_bytes < COMPUTER.ram_available_bytes
    assert "Without a GPU" in made.reasons[0]
    with pytest.raises(OutOfMemory, match="memory are free"):
        plan(ANYTALKER_14B, COMPUTER)


def test_too_small_a_gpu_is_told_with_figures_and_a_remedy():
    with pytest.raises(OutOfMemory, match=r"needs 3\.3 GB, and 1\.5 GB of a GPU of 2 GB are free") as raised:
        plan(ANYTALKER_1_3B, COMPUTER.with_vram(2))
    assert "height below 480" in raised.value.remedy


def test_another_program_on_the_gpu_is_named_where_closing_it_would_help():
    with pytest.raises(OutOfMemory, match=r"1\.5 GB of Card are free") as raised:
        plan(ANYTALKER_1_3B, gpu(24, free=1.5))
    assert raised.value.remedy == "Close the program that uses 22 GB of the GPU."


def test_what_this_process_holds_itself_can_be_used_again():
    own = gpu(16, free=2, own_bytes=13 * GIB)
    assert plan(ANYTALKER_1_3B, own).window == 81


def test_a_plan_is_made_without_torch():
    code = "import sys, engine.dit.memory, engine.dit.machine; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2], timeout=60)
