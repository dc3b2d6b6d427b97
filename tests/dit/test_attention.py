"""The audio-face attention: equal to the paper's dense formula, at the cost of what it touches."""

import pytest
import torch
from diffusers.models.attention_dispatch import attention_backend
from tiny_networks import box_mask, latents, random_person, random_streams, tiny_network, velocity
from torch.utils.flop_counter import FlopCounterMode

from engine.bench.dit import dense
from engine.dit import attention_rows
from engine.dit.attention_rows import PersonKeys, row_batches
from engine.dit.shapes import LatentShape
from engine.dit.types import Person

LATENT = LatentShape(4, 12, 16)  # 6 x 8 tokens per latent frame
FRAMES = 4 * (LATENT.num_frames - 1) + 1


def soft_moving_mask(seed: int) -> torch.Tensor:
    """Anything the token masks may be: soft, other in every latent frame, empty in one of them."""
    made = torch.Generator().manual_seed(seed)
    grid = torch.rand(LATENT.token_grid, generator=made)
    grid[grid < 0.7] = 0
    grid[2] = 0
    return grid.flatten()


def some_people() -> list[Person]:
    gain = torch.tensor([1.0, 0.0, 0.3, 1.7])
    return [
        random_person(LATENT, 1, box_mask(LATENT, slice(1, 4), slice(0, 4))),
        random_person(LATENT, 2, box_mask(LATENT, slice(2, 6), slice(2, 8), 0.5), gain),
        random_person(LATENT, 3, soft_moving_mask(5)),
        random_person(LATENT, 4, None, gain.flip(0)),
    ]


@pytest.mark.parametrize("num_people", [1, 2, 4])
@pytest.mark.parametrize("most_keys", [1, 100, 2**14])
def test_equals_the_papers_dense_formula(monkeypatch, num_people, most_keys):
    monkeypatch.setattr(attention_rows, "MAX_BATCH_KEYS_CPU", most_keys)
    network, people = tiny_network(), some_people()[-num_people:]
    ours = velocity(network, random_streams(people, LATENT))
    streams = random_streams(people, LATENT)
    with dense(network, streams):
        theirs = velocity(network, streams)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert (ours - velocity(network, random_streams([], LATENT))).abs().max() > 0.01


@pytest.mark.parametrize(("num_frames", "heard_everywhere"), [(FRAMES, False), (FRAMES - 4, True)])
def test_a_voice_on_another_clock_is_heard_whole_in_every_latent_frame(num_frames, heard_everywhere):
    """The reference builds its mask on time from the first voice; a voice of another length gets none."""
    network, (first, _, _, second) = tiny_network(num_layers=1), some_people()
    voice = second.audio_features[:num_frames]
    changed = voice + torch.zeros(num_frames, 1, 1, 1).index_fill(0, torch.tensor([1]), 1)
    voices = [Person(each, second.face_embeds) for each in (voice, changed)]
    before, after = (velocity(network, random_streams([first, person], LATENT)) for person in voices)
    same = [torch.equal(before[:, :, frame], after[:, :, frame]) for frame in range(LATENT.num_frames)]
    assert same == [False, False, not heard_everywhere, not heard_everywhere]


def test_every_latent_frame_sees_its_own_keys():
    """Spec H2: of 81 frames, latent frame 1 sees audio tokens 32..159, latent frame 20 sees 2464..2591."""
    person = PersonKeys(first=1000, num_face=257, num_frames=81, tokens_per_frame=32)
    face, audio = list(range(1000, 1257)), 1257
    assert person.seen_from(0, "afca").tolist() == list(range(1000, 1257 + 2592))
    for latent_frame, first, last in ((1, 32, 159), (2, 160, 287), (20, 2464, 2591)):
        seen = person.seen_from(latent_frame, "afca").tolist()
        assert seen == face + list(range(audio + first, audio + last + 1))
    legacy = PersonKeys(first=1000, num_face=257, num_frames=21, tokens_per_frame=32)
    assert legacy.seen_from(2, "legacy").tolist() == face + list(range(audio + 64, audio + 96))
    assert legacy.end == 1000 + 257 + 21 * 32


def test_a_voice_that_ends_early_leaves_the_face():
    person = PersonKeys(first=0, num_face=6, num_frames=6, tokens_per_frame=4)
    assert len(person.seen_from(1, "afca")) == 6 + 16
    assert len(person.seen_from(2, "afca")) == 6 + 4
    assert len(person.seen_from(3, "afca")) == 6


def test_rows_reach_every_weighted_token_once_and_nothing_else():
    weights_PS = torch.stack([soft_moving_mask(seed) for seed in range(5)])
    frame_S = torch.arange(LATENT.num_tokens) // LATENT.tokens_per_frame
    people = [PersonKeys(30 * index, 6, 6, 4) for index in range(5)]
    total_S = torch.zeros(LATENT.num_tokens)
    for batch in row_batches(weights_PS, frame_S, people, "afca", torch.float32):
        for part in batch.contributions:
            assert len(part.target_M.unique()) == len(part.target_M)
            assert torch.equal(batch.queries[part.source_M], part.target_M)
            total_S.index_add_(0, part.target_M, part.weight_M1[:, 0])
    torch.testing.assert_close(total_S, weights_PS.sum(0))


def flops(network, people, steps: int = 1) -> int:
    streams = random_streams(people, LATENT)
    # The counter does not see the flash kernel of a processor.
    with torch.no_grad(), attention_backend("_native_math"), FlopCounterMode(display=False) as counter:
        for _ in range(steps):
            network(latents(LATENT), torch.tensor([500]), streams)
    return counter.get_total_flops()


@pytest.mark.parametrize("form", ["afca", "legacy"])
def test_a_person_who_touches_nothing_costs_nothing(form):
    network, person = tiny_network(form), some_people()[0]
    nobody = torch.zeros(LATENT.num_tokens)
    absent = random_person(LATENT, 9, nobody)
    muted = random_person(LATENT, 9, None, torch.zeros(LATENT.num_frames))
    only_where_muted = random_person(LATENT, 9, soft_moving_mask(5), torch.tensor([0.0, 0.0, 1.0, 0.0]))
    assert flops(network, [person, absent, muted, only_where_muted]) == flops(network, [person])
    assert flops(network, [absent]) == flops(network, []) < flops(network, [person])


def test_cost_follows_the_tokens_touched_not_the_picture():
    network, steps = tiny_network(), 2
    alone = flops(network, [], steps) - flops(network, [])  # a step whose keys are kept
    person = random_person(LATENT, 1, box_mask(LATENT, slice(0, 2), slice(0, 2)))

    def added(people):
        return flops(network, people, steps) - flops(network, people) - alone

    one = added([person])
    keys = 6 + 4 * FRAMES + 3 * (6 + 4 * 4)  # latent frame 0, and three that see four audio frames each
    assert one == 2 * 2 * 2 * 4 * keys * 128  # blocks * (scores, values) * 2 * tokens * keys * width
    assert added([person] * 3) == 3 * one


@pytest.mark.parametrize("form", ["afca", "legacy"])
def test_keys_are_made_once_where_they_are_kept(form):
    network, people = tiny_network(form), some_people()
    made: list[str] = []
    for name, module in network.named_modules():
        if name.rsplit(".")[-1] in ("to_k_face", "to_v_face", "add_k_proj", "to_kv_audio", "to_k_audio"):
            module.register_forward_hook(lambda *_, name=name: made.append(name))
    kept, anew = random_streams(people, LATENT), random_streams(people, LATENT, keep_keys=False)
    first = velocity(network, kept)
    once = len(made)
    assert torch.equal(velocity(network, kept), first)
    assert len(made) == once > 0
    assert torch.equal(velocity(network, anew), first)
    assert torch.equal(velocity(network, anew), first)
    assert len(made) == 3 * once
    kept.forget()
    assert torch.equal(velocity(network, kept), first)
    assert len(made) == 4 * once
