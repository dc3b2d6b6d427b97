"""Batches of single people as batches of pairs, and what is left out of an example."""

import numpy as np
import pytest
from small_runs import clip

from engine.training.dropout import Dropout
from engine.training.examples import whole
from engine.training.flow import NoiseLevels, loss, noise_like, noised, velocity
from engine.training.pairing import GROUP_PROMPTS, SILENT_LEFT_PROMPTS, SILENT_RIGHT_PROMPTS, TALK_PROMPTS, Pairing
from engine.training.pairing import generic_prompts as all_prompts
from engine.training.samples import Half


def pairs(**options):
    clips = [clip(index) for index in range(4)]
    return clips, Pairing(**{"share": 1.0, "silent_share": 0.0, **options}).examples(clips, np.random.default_rng(0))


def test_sample_k_stands_beside_k_plus_1_and_the_batch_stays_as_large():
    clips, examples = pairs()
    assert len(examples) == 4
    names = [[part.key.split("/")[0] for part in example.parts] for example in examples]
    assert names == [[f"clip-{k}", f"clip-{(k + 1) % 4}"] for k in range(4)]
    for k, example in enumerate(examples):
        left, right = example.parts
        assert left.latents.shape == right.latents.shape == (16, 3, 4, 4)
        assert np.array_equal(left.voices[0], clips[k].people[0].audio_features)
        assert np.array_equal(right.voices[0], clips[(k + 1) % 4].people[0].audio_features)
        assert example.prompt in TALK_PROMPTS


def test_the_coin_is_fair_and_falls_once_per_batch():
    clips = [clip(index) for index in range(3)]
    counts = []
    for seed in range(300):
        examples = Pairing(0.5).examples(clips, np.random.default_rng(seed))
        counts.append({len(example.parts) for example in examples})
    assert all(len(kinds) == 1 for kinds in counts)
    assert 0.4 < np.mean([kinds == {2} for kinds in counts]) < 0.6


def test_single_videos_stay_as_they_are():
    clips, examples = pairs(share=0.0)
    assert [example.prompt for example in examples] == [each.prompt for each in clips]
    assert all(example.num_people == 1 for example in examples)


def test_one_of_a_pair_may_be_silent_and_the_prompt_says_which():
    _, examples = pairs(silent_share=1.0)
    for example in examples:
        quiet = [part.voices[0] is None for part in example.parts]
        assert sum(quiet) == 1
        assert example.prompt in (SILENT_LEFT_PROMPTS if quiet[0] else SILENT_RIGHT_PROMPTS)


def test_some_of_a_pair_come_with_their_whole_picture():
    clips, examples = pairs(whole_share=1.0)
    for k, example in enumerate(examples):
        left, right = example.parts
        assert left.latents.shape == right.latents.shape == clips[k].latents.shape
        assert left.key == f"clip-{k}"
        assert left.boxes_px == (tuple(clips[k].people[0].box_px.tolist()),)
    widths = {part.latents.shape[3] for seed in range(20) for part in mixed_parts(seed)}
    assert widths == {clips[0].latents.shape[3], clips[0].halves[0].latents.shape[3]}


def mixed_parts(seed: int):
    clips = [clip(index) for index in range(4)]
    examples = Pairing(1.0, whole_share=0.5).examples(clips, np.random.default_rng(seed))
    return [part for example in examples for part in example.parts]


@pytest.mark.parametrize("count", [3, 4])
def test_rows_of_three_and_four(count):
    _, examples = pairs(people=(count,))
    assert all(example.num_people == count for example in examples)
    assert all(example.prompt in GROUP_PROMPTS for example in examples)
    assert set(GROUP_PROMPTS) <= set(all_prompts())


def test_pairs_are_as_long_as_the_shorter_and_no_longer_than_a_window():
    clips = [clip(0, num_frames=17), clip(1, num_frames=13)]
    assert Pairing(1.0).examples(clips, np.random.default_rng(0))[0].num_frames == 13
    example = Pairing(0.0, max_frames=10).examples(clips, np.random.default_rng(0))[0]
    assert (example.num_frames, example.parts[0].latents.shape[1], len(example.parts[0].voices[0])) == (9, 3, 9)


def test_two_people_of_one_video_are_one_part():
    example = whole(clip(0, num_people=2), 81)
    assert len(example.parts) == 1
    assert example.num_people == 2
    assert isinstance(clip(0).halves[0], Half)


def test_conditions_are_left_out_as_often_as_asked():
    chance = np.random.default_rng(0)
    drawn = [Dropout(0.1, 0.2, 0.3).drawn(chance) for _ in range(4000)]
    assert np.mean([left.text for left in drawn]) == pytest.approx(0.4, abs=0.03)
    assert np.mean([left.audio for left in drawn]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([left.text and left.audio for left in drawn]) == pytest.approx(0.3, abs=0.03)


def test_noise_levels_are_the_reference_s():
    """Specification, D.3: with shift 5 the weights are 0 at t = 1000, 2.076 at about 500.6, 0.032 at the last."""
    levels = NoiseLevels(5.0)
    assert levels.sigmas[0] == 1
    assert levels.weights.mean() == pytest.approx(1)
    assert levels.weights[0] == 0
    assert levels.weights.max() == pytest.approx(2.076, abs=1e-3)
    assert levels.sigmas[levels.weights.argmax()] * 1000 == pytest.approx(500.6, abs=1)
    assert levels.weights[-1] == pytest.approx(0.032, abs=1e-3)
    level = levels.drawn(np.random.default_rng(0))
    assert level.timestep == pytest.approx(1000 * level.sigma)
    assert set(NoiseLevels(3.0, "even").weights) == {1.0}


def test_the_velocity_leads_from_clean_to_noise():
    import torch

    clean = torch.randn(16, 2, 4, 4)
    noise = noise_like(clean, 7)
    assert torch.equal(noise, noise_like(clean, 7))
    assert not torch.equal(noise, noise_like(clean, 8))
    middle = noised(clean, noise, 0.25)
    assert torch.allclose(middle - 0.25 * velocity(clean, noise), clean, atol=1e-6)
    emphasis = torch.ones(4, 4)
    emphasis[:2] = 5
    assert float(loss(clean, clean, 3.0, emphasis)) == 0
    assert float(loss(clean, clean + 1, 3.0, emphasis)) == pytest.approx(3.0)
