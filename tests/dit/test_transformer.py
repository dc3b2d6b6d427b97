"""What must hold between one answer of the network and another, in both forms."""

import pytest
import torch
from tiny_networks import box_mask, latents, random_person, random_streams, tiny_network, velocity

from engine.dit.shapes import LatentShape
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.dit.types import Person
from engine.errors import ConditioningError

LATENT = LatentShape(3, 12, 16)  # 6 x 8 tokens per latent frame
LEFT, RIGHT = (box_mask(LATENT, slice(1, 5), columns) for columns in (slice(0, 3), slice(5, 8)))
FORMS = pytest.mark.parametrize("form", ["afca", "legacy"])


def pair() -> list[Person]:
    return [random_person(LATENT, 1, LEFT), random_person(LATENT, 2, RIGHT)]


def tokens_of(sample: torch.Tensor) -> torch.Tensor:
    """(S, 64): what the network says of each token."""
    channels, frames, height, width = sample.shape[1:]
    grid = sample.reshape(channels, frames, height // 2, 2, width // 2, 2).permute(1, 2, 4, 0, 3, 5)
    return grid.reshape(LATENT.num_tokens, -1)


@FORMS
def test_the_order_of_people_changes_nothing(form):
    network = tiny_network(form)
    people = [*pair(), random_person(LATENT, 3, box_mask(LATENT, slice(0, 6), slice(3, 5), 0.4))]
    given = velocity(network, random_streams(people, LATENT))
    assert torch.equal(velocity(network, random_streams([people[2], people[0], people[1]], LATENT)), given)


@FORMS
def test_swapping_two_people_swaps_their_streams_and_nothing_else(form):
    """In one block tokens meet only before the people come in: so what each face says can be told apart."""
    network, (left, right) = tiny_network(form, num_layers=1), pair()
    nobody = tokens_of(velocity(network, random_streams([], LATENT)))
    swapped_left = Person(right.audio_features, right.face_embeds, LEFT)
    swapped_right = Person(left.audio_features, left.face_embeds, RIGHT)
    both = tokens_of(velocity(network, random_streams([left, right], LATENT)))
    swapped = tokens_of(velocity(network, random_streams([swapped_left, swapped_right], LATENT)))
    elsewhere = (LEFT + RIGHT) == 0
    assert torch.equal(both[elsewhere], swapped[elsewhere])
    if form == "afca":  # the legacy form's bias reaches every token
        assert torch.equal(both[elsewhere], nobody[elsewhere])
    for mask, before, after in ((LEFT, left, swapped_left), (RIGHT, right, swapped_right)):
        where = mask > 0
        for person, together in ((before, both), (after, swapped)):
            alone = tokens_of(velocity(network, random_streams([person], LATENT)))
            torch.testing.assert_close(alone[where], together[where], atol=1e-6, rtol=0)
        assert (both[where] - swapped[where]).abs().max() > 0.01


@FORMS
def test_gain_0_and_an_empty_mask_are_the_person_left_out(form):
    network, (left, right) = tiny_network(form), pair()
    muted = Person(right.audio_features, right.face_embeds, RIGHT, torch.zeros(LATENT.num_frames))
    hidden = Person(right.audio_features, right.face_embeds, torch.zeros(LATENT.num_tokens))
    alone = velocity(network, random_streams([left], LATENT))
    nobody = velocity(network, random_streams([], LATENT))
    assert not torch.equal(alone, nobody)
    for gone in (muted, hidden):
        assert torch.equal(velocity(network, random_streams([left, gone], LATENT)), alone)
        assert torch.equal(velocity(network, random_streams([gone], LATENT)), nobody)


@FORMS
def test_gain_1_is_no_gain_and_gain_counts_per_latent_frame(form):
    network, (left, _) = tiny_network(form, num_layers=1), pair()

    def said(*gain: float) -> torch.Tensor:
        person = Person(left.audio_features, left.face_embeds, LEFT, torch.tensor(gain) if gain else None)
        return tokens_of(velocity(network, random_streams([person], LATENT))).unflatten(0, (LATENT.num_frames, -1))

    full = said()
    assert torch.equal(said(1, 1, 1), full)
    partly = said(1, 0.5, 0)
    assert torch.equal(partly[0], full[0])
    assert not torch.equal(partly[1], full[1])
    assert not torch.equal(partly[2], full[2])
    half = Person(left.audio_features, left.face_embeds, 0.5 * LEFT)
    halved = tokens_of(velocity(network, random_streams([half], LATENT))).unflatten(0, (LATENT.num_frames, -1))
    assert torch.equal(halved[1], partly[1])


@FORMS
def test_a_mask_of_ones_is_no_mask(form):
    network, (left, _) = tiny_network(form), pair()
    bare = Person(left.audio_features, left.face_embeds)
    ones = Person(left.audio_features, left.face_embeds, torch.ones(LATENT.num_tokens))
    given = [velocity(network, random_streams([person], LATENT)) for person in (bare, ones)]
    assert torch.equal(*given)


@FORMS
def test_silence_is_something_else_than_nobody(form):
    network, people = tiny_network(form), pair()
    silent = velocity(network, random_streams([person.silenced() for person in people], LATENT))
    for other in ([], people):
        assert (silent - velocity(network, random_streams(other, LATENT))).abs().max() > 0.01


def test_a_short_face_is_repeated_in_the_legacy_form():
    network, (left, _) = tiny_network("legacy"), pair()
    short = Person(left.audio_features, left.face_embeds[:, :3], LEFT)
    repeated = Person(left.audio_features, left.face_embeds[:, [0, 1, 2, 0]], LEFT)  # 4 audio tokens per frame
    given = [velocity(network, random_streams([person], LATENT)) for person in (short, repeated)]
    torch.testing.assert_close(*given, atol=1e-5, rtol=0)


@FORMS
def test_sides_may_be_of_any_even_size(form):
    latent = LatentShape(1, 2, 6)
    sample = velocity(tiny_network(form), random_streams([random_person(latent, 1)], latent))
    assert sample.shape == (1, 16, 1, 2, 6)
    assert sample.isfinite().all()


def trained(form: str, checkpointing: bool) -> dict[str, torch.Tensor]:
    network = tiny_network(form).train()
    if checkpointing:
        network.enable_gradient_checkpointing()
    overlapping = random_person(LATENT, 3, None, torch.tensor([0.0, 1.0, 0.5]))
    streams = random_streams([*pair(), overlapping], LATENT)
    network(latents(LATENT), torch.tensor([437]), streams).sample.square().mean().backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


@FORMS
def test_gradients_reach_every_weight_with_and_without_checkpointing(form):
    plain, checkpointed = trained(form, False), trained(form, True)
    keys_only = {name for name in plain if name.endswith(("to_k_face.bias", "to_k.bias"))}
    for name, gradient in plain.items():
        assert gradient is not None, name
        assert gradient.abs().max() > 0 or name in keys_only, name
        torch.testing.assert_close(checkpointed[name], gradient)


@FORMS
def test_a_step_of_training_is_seen_by_streams_that_exist(form):
    network, streams = tiny_network(form), random_streams(pair(), LATENT)
    before = network(latents(LATENT), torch.tensor([437.0]), streams).sample
    with torch.no_grad():
        network.audio_embedder.proj2.weight.mul_(2)
    after = network(latents(LATENT), torch.tensor([437.0]), streams).sample
    assert not torch.equal(before, after)
    torch.testing.assert_close(velocity(network, random_streams(pair(), LATENT)), after.detach())


@FORMS
def test_streams_may_pass_from_one_network_to_another(form):
    streams = random_streams(pair(), LATENT)
    velocity(tiny_network(form, seed=1), streams)
    second = tiny_network(form, seed=2)
    assert torch.equal(velocity(second, streams), velocity(second, random_streams(pair(), LATENT)))


@FORMS
def test_runs_in_bfloat16_with_time_in_float32(form, tmp_path):
    exact = tiny_network(form)
    exact.save_pretrained(tmp_path)
    network = AnyTalkerTransformer3DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    embedder = network.condition_embedder
    in_float32 = [*embedder.time_embedder.parameters(), *embedder.time_proj.parameters(), network.scale_shift_table]
    assert {each.dtype for each in in_float32} == {torch.float32}
    assert network.blocks[0].attn2.to_q.weight.dtype == torch.bfloat16
    close, rough = (velocity(each, random_streams(pair(), LATENT)) for each in (exact, network))
    assert rough.dtype == torch.bfloat16
    assert 0 < (rough.float() - close).std() < 0.03 * close.std()


def test_what_does_not_fit_is_refused():
    left = pair()[0]
    with pytest.raises(ConditioningError, match="48 tokens"):
        random_streams([Person(left.audio_features, left.face_embeds, torch.ones(48))], LATENT)
    with pytest.raises(ConditioningError, match="5 latent frames"):
        random_streams([Person(left.audio_features, left.face_embeds, LEFT, torch.ones(5))], LATENT)
    streams = random_streams([left], LATENT)
    streams.prompt_embeds = torch.zeros(1, 17, 24)
    with pytest.raises(ConditioningError, match="17 tokens; the network takes 16"):
        velocity(tiny_network(), streams)
    short = Person(left.audio_features[:5], left.face_embeds, LEFT)
    with pytest.raises(ConditioningError, match="spans 2 latent frames, the window 3"):
        velocity(tiny_network("legacy"), random_streams([short], LATENT))
