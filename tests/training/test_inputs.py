"""An example as the network takes it, held against what a render would make of the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import FRAMES, HEIGHT, WIDTH, clip, encoders

from engine.dit.conditioning import NEGATIVE_PROMPT
from engine.dit.masks import token_mask
from engine.dit.shapes import LatentShape
from engine.training.dropout import Left
from engine.training.examples import whole
from engine.training.flow import motion
from engine.training.inputs import InputMaker, InputOptions, Kept, windows_of_five
from engine.training.pairing import Pairing

NOTHING = Left(text=False, audio=False)


def maker(**options):
    return InputMaker(encoders(), InputOptions(**options), torch.device("cpu"))


def a_pair(silent_share=0.0):
    clips = [clip(0), clip(1)]
    return Pairing(1.0, silent_share=silent_share).examples(clips, np.random.default_rng(1))[0]


def test_a_pair_stands_side_by_side_in_every_tensor():
    example = a_pair()
    inputs = maker().of(example, NOTHING)
    assert inputs.clean_CTHW.shape == (16, 3, HEIGHT // 8, WIDTH // 8)
    assert inputs.condition_CTHW.shape == (20, 3, HEIGHT // 8, WIDTH // 8)
    left = torch.from_numpy(example.parts[0].latents).float()
    assert torch.equal(inputs.clean_CTHW[..., : WIDTH // 16], left)
    assert bool((inputs.condition_CTHW[:4, 0] == 1).all())  # the first latent frame is known
    latent = LatentShape(3, HEIGHT // 8, WIDTH // 8)
    people = inputs.streams.people
    assert len(people) == 2
    box = (WIDTH / 2 + 4.0, 4.0, WIDTH / 2 + 26.0, 28.0)
    assert torch.equal(people[1].token_mask_S, token_mask(box, (WIDTH, HEIGHT), latent))
    masks = [person.token_mask_S.view(3, 2, 4) for person in people]
    assert masks[0][..., 2:].sum() == 0
    assert masks[1][..., :2].sum() == 0


def test_what_is_left_out():
    example = a_pair()
    plain = maker()
    with_all, without = plain.of(example, NOTHING), plain.of(example, Left(text=True, audio=True))
    assert without.streams.prompt_embeds.abs().sum() == 0
    assert all(person.audio_features.abs().sum() == 0 for person in without.streams.people)
    assert all(person.audio_features.abs().sum() > 0 for person in with_all.streams.people)
    negative = maker(null_text="negative prompt").of(example, Left(text=True, audio=False))
    assert torch.equal(negative.streams.prompt_embeds[0], encoders().prompt([NEGATIVE_PROMPT])[0])


def test_a_silent_partner_stands_still():
    example = a_pair(silent_share=1.0)
    inputs = maker().of(example, NOTHING)
    quiet = [part.voices[0] is None for part in example.parts].index(True)
    side = inputs.clean_CTHW.chunk(2, dim=3)[quiet]
    assert torch.allclose(side[:, 1], side[:, 2])
    assert set(inputs.streams.people[quiet].audio_features.unique().tolist()) == {-1.0}


def test_ablations():
    example = whole(clip(0), 81)
    assert maker(token_masks=False).of(example, NOTHING).streams.people[0].token_mask_S is None
    assert maker(heard="audio").of(example, NOTHING).streams.people[0].face_embeds.shape[1] == 0
    assert maker(heard="nothing").of(example, NOTHING).streams.people == ()
    emphasis = maker(face_emphasis=2.0).of(example, NOTHING).emphasis_THW
    assert (float(emphasis.min()), float(emphasis.max())) == (1.0, pytest.approx(3.0))
    moving = maker(motion_emphasis=2.0).of(example, NOTHING).emphasis_THW
    assert moving.shape == (3, HEIGHT // 8, WIDTH // 8)
    assert float(moving.mean()) == pytest.approx(3.0)
    assert float(motion(torch.ones(16, 3, 4, 4)).sum()) == 0  # a still picture: alike everywhere


def test_windows_are_a_render_s():
    features = torch.arange(FRAMES, dtype=torch.float32)[:, None, None]
    windows = windows_of_five(features)[..., 0, 0]
    assert windows[0].tolist() == [0, 0, 0, 1, 2]
    assert windows[4].tolist() == [2, 3, 4, 5, 6]
    assert windows[8].tolist() == [6, 7, 8, 8, 8]


def test_prompts_are_encoded_at_once_and_kept():
    asked = []
    frozen = encoders()

    def prompt(prompts):
        asked.append(prompts)
        return frozen.prompt(prompts)

    counting = InputMaker(replace(frozen, prompt=prompt), InputOptions(), torch.device("cpu"))
    counting.encode_prompts(["Person 0 talks."])
    counting.of(whole(clip(0), 81), NOTHING)
    assert len(asked) == 1
    assert {"Person 0 talks.", NEGATIVE_PROMPT} < set(asked[0])


def test_only_so_many_are_kept():
    kept = Kept(2)
    for key in (1, 2, 1, 3):
        kept.get(key, lambda key=key: key)
    made = []
    assert kept.get(1, lambda: made.append(1)) == 1
    kept.get(2, lambda: made.append(2))
    assert made == [2]
