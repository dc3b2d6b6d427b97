"""The weights in assets do what their model card says: people and voices that they never met, in fewer scenes than
the card's."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.dit.catalogue import find_model
from engine.dit.checkpoints import load_transformer
from engine.dit.tiny import load_tiny_encoders
from engine.training import rendered_check
from engine.training.faces import load_portraits
from engine.training.rendered_check import CheckPlan, Renderer, figures, held_out_scenes, silenced, with_voices

PLAN = CheckPlan(num_scenes=4)


@pytest.fixture(scope="module")
def scenes():
    return held_out_scenes(load_portraits(held_out=True), PLAN)


@pytest.fixture(scope="module")
def renderer():
    files = find_model("tiny")
    network = load_transformer(files.transformer, dtype=torch.float32)
    return Renderer(network, load_tiny_encoders(files.vae), PLAN)


def test_each_mouth_follows_its_own_voice_also_when_voices_are_swapped(scenes, renderer):
    for shown in (scenes, [with_voices(scene, scene.voices[::-1]) for scene in scenes]):
        found = figures([renderer(scene) for scene in shown], "drawn")
        assert found.own_r > 0.5
        assert abs(found.other_r) < 0.2


def test_silent_mouths_are_still(scenes, renderer):
    moving = figures([renderer(scene) for scene in scenes], "drawn").swing
    assert figures([renderer(silenced(scene)) for scene in scenes], "drawn").swing < 0.35 * moving


def test_a_third_person_may_join(renderer):
    """Trained on one, and on two who were joined."""
    scenes = held_out_scenes(load_portraits(held_out=True), replace(PLAN, num_people=3))
    found = figures([renderer(scene) for scene in scenes], "drawn")
    assert found.num_people == 12
    assert found.own_r > 0.45
    assert abs(found.other_r) < 0.2


def test_an_ablation_is_rendered_as_it_was_trained(scenes, renderer, monkeypatch):
    """Without masks everyone hears everybody; without audio-face attention voices change nothing."""
    seen = []

    def people_of(engine, conditioning, *rest):
        seen.append(conditioning.people)
        yield from ()
        return np.zeros((33, 96, 128, 3), np.uint8)

    monkeypatch.setattr(rendered_check, "run", people_of)
    for plan in (PLAN, replace(PLAN, token_masks=False), replace(PLAN, heard="audio"), replace(PLAN, heard="nothing")):
        Renderer(renderer._engine.transformer, renderer._encoders, plan)(scenes[0])
    whole, unmasked, faceless, deaf = seen
    assert [person.token_mask_S is None for person in (*whole, *unmasked)] == [False, False, True, True]
    assert [person.face_embeds.shape[1] > 0 for person in (*whole, *faceless)] == [True, True, False, False]
    assert deaf == ()
