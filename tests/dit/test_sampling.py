"""Sampling on the published numbers, and what must hold whatever the network: guidance, holding, repeatability."""

from dataclasses import replace

import golden_vectors
import numpy as np
import pytest
import torch
from tiny_networks import golden_network

from engine.dit.sampling import Sampling, denoise, make_scheduler, window_noise
from engine.dit.shapes import LatentShape, VideoShape
from engine.dit.types import Conditioning, Person, Pinned
from engine.dit.windows import WindowSpan

SHAPE = VideoShape(9, 96, 128)
SPAN = WindowSpan(0, 1, 0, 9, 0)
SAMPLING = Sampling(num_inference_steps=4, guidance_scale=4.5, shift=5.0, seed=44)


@pytest.fixture(scope="module")
def network():
    return golden_network("afca")


@pytest.fixture(scope="module")
def case():
    tensors, _ = golden_vectors.read("sampling_2p")
    shared, _ = golden_vectors.read("shared_inputs")
    people = [
        Person(shared[f"audio.{index}"], shared[f"face.{index}"], tensors[f"in.face_mask.{index}"].flatten())
        for index in range(2)
    ]
    conditioning = Conditioning(
        SHAPE,
        tensors["in.context"],
        tensors["in.context_null"],
        shared["clip_fea"],
        tensors["in.y"],
        tuple(people),
    )
    return tensors, conditioning


def latents_of(network, conditioning, sampling=SAMPLING, span=SPAN, steps=None):
    events = denoise(network, conditioning, sampling, span)
    while True:
        try:
            step = next(events)
        except StopIteration as end:
            return end.value
        if steps is not None:
            steps.append(step)


@pytest.mark.parametrize(
    ("variant", "change"),
    [
        ("", {}),
        (".cfg_zero", {"guidance_scale": 1.0}),
        (".shift3_g3", {"shift": 3.0, "guidance_scale": 3.0}),
        (".dpmpp", {"solver": "dpm++"}),
    ],
)
def test_the_whole_recipe_gives_the_published_latents(network, case, variant, change):
    tensors, conditioning = case
    sampling = replace(SAMPLING, **change)
    scheduler = make_scheduler(sampling.solver, 4, sampling.shift)
    assert scheduler.timesteps.tolist() == tensors[f"timesteps{variant}"].tolist()
    given = latents_of(network, conditioning, sampling)
    torch.testing.assert_close(given, tensors[f"final{variant}"], atol=5e-5, rtol=0)


def test_noise_is_the_published_programs_for_the_first_window_and_new_for_each_other(case):
    noise = window_noise(SHAPE.latent, 44, 0)
    assert torch.equal(noise, case[0]["in.noise"])
    others = [window_noise(SHAPE.latent, seed, window) for seed, window in ((44, 1), (44, 2), (45, 0), (45, 1))]
    for index, one in enumerate(others):
        assert abs(float((one * noise).mean())) < 0.05
        assert not any(torch.equal(one, other) for other in others[:index])


@pytest.mark.parametrize("solver", ["unipc", "dpm++"])
@pytest.mark.parametrize(("shift", "steps"), [(s, n) for s in (1, 3, 5) for n in (4, 8, 20, 40)])
def test_solver_tables_are_the_published_ones(solver, shift, steps):
    table = golden_vectors.arrays("schedulers")
    prefix = f"{solver.replace('++', 'pp')}/shift{shift}/steps{steps}"
    scheduler = make_scheduler(solver, steps, float(shift))
    np.testing.assert_allclose(scheduler.sigmas.numpy(), table[f"{prefix}/sigmas"], atol=1e-7, rtol=0)
    np.testing.assert_array_equal(scheduler.timesteps.numpy(), table[f"{prefix}/timesteps"])


@pytest.mark.parametrize("solver", ["unipc", "dpm++"])
@pytest.mark.parametrize("shift", [3, 5])
def test_solver_steps_are_the_published_ones(solver, shift):
    table = {name: torch.from_numpy(array) for name, array in golden_vectors.arrays("schedulers").items()}
    prefix = f"traj/{solver.replace('++', 'pp')}/shift{shift}"
    scheduler = make_scheduler(solver, 5, float(shift))
    state = table["traj/x0"]
    for timestep, wanted in zip(scheduler.timesteps, table[f"{prefix}/states"][1:], strict=True):
        velocity = table["traj/A"] * state + table["traj/B"] * (timestep / 1000)
        state = scheduler.step(velocity, timestep, state, return_dict=False)[0]
        torch.testing.assert_close(state[0], wanted, atol=2e-5, rtol=0)


def test_guidance_one_is_the_conditional_pass_and_the_negative_prompt_does_not_matter(network, case):
    _, conditioning = case
    plain = replace(SAMPLING, guidance_scale=1.0)
    other = replace(conditioning, negative_prompt_embeds_LD=torch.zeros(3, 64))
    assert torch.equal(latents_of(network, conditioning, plain), latents_of(network, other, plain))
    assert not torch.equal(latents_of(network, conditioning), latents_of(network, other))


@pytest.mark.parametrize(("part", "guided"), [((0, 1), 4), ((0, 0.5), 2), ((0.25, 0.75), 2), ((0.5, 0.5), 0)])
def test_guidance_can_be_kept_to_a_part_of_the_steps(network, case, part, guided):
    calls = []
    hook = network.register_forward_hook(lambda *_: calls.append(1))
    try:
        latents_of(network, case[1], replace(SAMPLING, guidance_range=part))
    finally:
        hook.remove()
    assert len(calls) == 4 + guided


def test_swapping_two_people_swaps_their_streams_and_nothing_else(network, case):
    _, conditioning = case
    swapped = replace(conditioning, people=conditioning.people[::-1])
    torch.testing.assert_close(
        latents_of(network, swapped), latents_of(network, conditioning), atol=2e-5, rtol=0
    )  # fmt: skip


def test_known_frames_and_pinned_regions_stay_exactly_and_the_rest_goes_its_way(network, case):
    _, conditioning = case
    generator = torch.Generator().manual_seed(1)
    photo = torch.randn(16, 3, 12, 16, generator=generator)
    known = torch.randn(16, 1, 12, 16, generator=generator)
    mask = torch.zeros(12, 16)
    mask[2:6, 3:9] = 1
    mask[6, 3:9] = 0.5
    held = replace(conditioning, pinned=Pinned(mask, photo), known_CTHW=known)
    given, free = latents_of(network, held), latents_of(network, conditioning)
    assert torch.equal(given[:, :1], known)
    assert torch.equal(given[:, 1:, mask == 1], photo[:, 1:, mask == 1])
    loose = given[:, 1:, mask == 0]
    assert loose.isfinite().all()
    assert not torch.allclose(loose, photo[:, 1:, mask == 0], atol=0.5)
    assert not torch.equal(loose, free[:, 1:, mask == 0])  # what is held is seen by the rest


@pytest.mark.parametrize("solver", ["unipc", "dpm++"])
@pytest.mark.parametrize("steps", [1, 2, 8])
def test_what_is_held_follows_its_noised_latents_at_every_step(solver, steps):
    """Any solver on the straight velocity keeps to (1 - sigma) clean + sigma noise; else the rest would see a lie."""
    generator = torch.Generator().manual_seed(2)
    clean, noise = torch.randn(2, 1, 4, 2, 2, 2, generator=generator)
    scheduler = make_scheduler(solver, steps, 3.0)
    state = noise
    for index, timestep in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[index]
        torch.testing.assert_close(state, (1 - sigma) * clean + sigma * noise, atol=1e-3, rtol=0)
        state = scheduler.step(noise - clean, timestep, state, return_dict=False)[0]
    torch.testing.assert_close(state, clean, atol=1e-3, rtol=0)


def test_same_seed_same_latents_and_another_seed_other_ones(network, case):
    first, again = latents_of(network, case[1]), latents_of(network, case[1])
    assert torch.equal(first, again)
    assert not torch.equal(first, latents_of(network, case[1], replace(SAMPLING, seed=45)))


def test_every_step_is_told_with_a_rough_picture_and_stopping_between_steps_works(network, case):
    seen = []

    def preview(clean):
        assert clean.shape == (16, 3, 12, 16)
        return np.zeros((12, 16, 3), np.uint8)

    events = denoise(network, case[1], SAMPLING, SPAN, preview)
    for event in events:
        seen.append((event.step, event.num_steps, event.preview_rgb.shape))
        if event.step == 2:
            break
    events.close()
    assert seen == [(1, 4, (12, 16, 3)), (2, 4, (12, 16, 3))]


def test_a_step_cache_skips_blocks_and_stays_near_and_leaves_nothing_behind(network, case):
    sampling = replace(SAMPLING, num_inference_steps=12)
    exact = latents_of(network, case[1], sampling)
    calls = []
    hook = network.blocks[1].ffn.register_forward_hook(lambda *_: calls.append(1))
    try:
        cached = latents_of(network, case[1], replace(sampling, step_cache=0.3))
    finally:
        hook.remove()
    assert 2 <= len(calls) < 24
    assert float((cached - exact).std()) < 0.5 * float(exact.std())
    assert not network.is_cache_enabled
    assert torch.equal(latents_of(network, case[1], sampling), exact)


def test_keeping_keys_changes_nothing(network, case):
    without = latents_of(network, case[1], replace(SAMPLING, keep_keys=False))
    torch.testing.assert_close(without, latents_of(network, case[1]), atol=1e-6, rtol=0)


def test_a_window_without_anybody_is_denoised_too(network, case):
    alone = latents_of(network, replace(case[1], people=()))
    assert alone.isfinite().all()
    assert alone.shape == (16, *LatentShape(3, 12, 16).__dict__.values())
