"""The network that comes along: what is asked of it, and a preview by it from a project to a video."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from engine.cli import app
from engine.jobs.job import new_job
from engine.jobs.model_settings import settings_of_model
from engine.jobs.plan_render import plan_for
from engine.media.frames import frames_of, look_into
from engine.project.document import RenderSettings, TakeKind
from engine.project.store import ProjectStore
from engine.training.rendered_check import CheckPlan

TRAINED = tomllib.loads((Path(__file__).parents[2] / "presets" / "training" / "tiny.toml").read_text(encoding="utf-8"))
WANTED = RenderSettings(kind=TakeKind.PREVIEW, model="tiny", height=480, window=81, seed=7, captions="none")


def test_it_is_asked_for_what_it_was_trained_on_and_measured_with():
    own, plan = settings_of_model(WANTED), CheckPlan()
    assert own.window == TRAINED["data"]["max_frames"]
    assert (own.num_inference_steps, own.guidance_scale, own.guidance_range, own.shift) == (
        plan.num_inference_steps, plan.guidance_scale, plan.guidance_range, plan.shift,
    )  # fmt: skip
    assert (own.height, own.frame_rate) == (96, 24)
    assert (own.seed, own.captions) == (7, "none")  # what it can keep, it keeps


@pytest.mark.parametrize("changes", [{"model": "anytalker-1.3b"}, {"kind": TakeKind.ANIMATIC}])
def test_others_take_what_is_asked_for(changes):
    settings = WANTED.model_copy(update=changes)
    assert settings_of_model(settings) == settings
    assert settings_of_model(settings) is not settings


@pytest.fixture
def folder(copied, tmp_path) -> Path:
    return copied(tmp_path / "project")


def test_a_job_and_a_plan_say_what_will_really_be_rendered(folder):
    with ProjectStore.open(folder) as store:
        scene = store.load().scene
    assert new_job(scene, WANTED).take.settings.window == TRAINED["data"]["max_frames"]
    cost = plan_for(scene, WANTED)
    assert (cost.shape.height, cost.shape.num_frames) == (96, 33)
    assert cost.seconds < 600  # on a computer like this, where the 1.3B takes days
    assert not cost.missing


def test_a_preview_from_the_command_line(folder, tmp_path):
    out = tmp_path / "small.mp4"
    options = ["render", str(folder), "--preset", "preview", "--model", "tiny", "--range", "0:1.4", "--out", str(out)]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0, result.output
    with ProjectStore.open(folder) as store:
        take = store.load().scene.takes[-1]
    assert (take.status, take.model, take.settings.height) == ("done", "tiny", 96)
    assert len(take.weights_sha256) == 64
    inside = look_into(out)
    assert inside.size[1] == 96
    with frames_of(out, inside) as pictures:
        frames = np.stack(list(pictures)).astype(float)
    assert len(frames) == 34
    assert np.corrcoef(frames.mean(0).ravel(), frames[0].ravel())[0, 1] > 0.8  # the picture stays
    assert frames.std(axis=0).max() > 8  # and something moves in it


def test_an_animatic_has_no_network_and_other_names_are_refused(folder):
    preview = ["--preset", "preview"]
    for options, said in (
        (["--model", "tiny"], "no network to choose"),
        ([*preview, "--model", "anytalker-7b"], "no model called anytalker-7b"),
        (["--lora", "mine.safetensors"], "no network to choose"),
        ([*preview, "--model", "tiny", "--lora", "mine.safetensors"], "takes no adapters"),
    ):
        result = CliRunner().invoke(app, ["render", str(folder), *options])
        assert result.exit_code != 0
        assert said in str(result.exception)
