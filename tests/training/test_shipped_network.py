"""The weights in assets do what their model card says: people and voices that they never met, in fewer scenes than
the card's."""

import pytest
import torch

from engine.dit.catalogue import find_model
from engine.dit.checkpoints import load_transformer
from engine.dit.tiny import TinyVideoCoder, load_vae
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
    return Renderer(network, TinyVideoCoder(load_vae(files.vae)), PLAN)


def test_each_mouth_follows_its_own_voice_also_when_voices_are_swapped(scenes, renderer):
    for shown in (scenes, [with_voices(scene, scene.voices[::-1]) for scene in scenes]):
        found = figures([renderer(scene) for scene in shown], "drawn")
        assert found.own_r > 0.4
        assert abs(found.other_r) < 0.25


def test_silent_mouths_are_still(scenes, renderer):
    moving = figures([renderer(scene) for scene in scenes], "drawn").swing
    assert figures([renderer(silenced(scene)) for scene in scenes], "drawn").swing < 0.5 * moving
