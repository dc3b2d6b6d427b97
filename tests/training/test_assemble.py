"""From nothing to weights by the command, on data that it makes: a minute's miniature of the small network's run."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from small_runs import small_config
from typer.testing import CliRunner

from engine.cli import app
from engine.errors import StudioError
from engine.training import assemble, making, sample_check, voices
from engine.training.config import read_config
from engine.training.faces import HEIGHT_PX, WIDTH_PX, Portrait
from engine.training.learner import StepDone
from engine.training.logs import read_log
from engine.training.rendered_check import MEASURES, CheckPlan
from engine.training.shards import read_clips
from engine.training.telling import Progress, report
from engine.training.train_commands import config_path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def portraits():
    from engine.training import faces

    folder = faces.carriers_dir() / "comfyui_workflow_templates_media_image" / "templates"
    paths = [folder / name for name in ("image_z_image_turbo-1.webp", "image_hidream_o1-1.webp")]
    if not all(path.is_file() for path in paths):
        pytest.skip("needs the demo's portraits")
    return [faces.read_portrait(path) for path in paths]


@pytest.mark.skipif(shutil.which(voices.PROGRAM) is None, reason="needs espeak-ng")
def test_one_command_from_nothing_to_weights_that_are_measured(tmp_path, monkeypatch, portraits):
    for place in (sample_check, making, sys.modules["engine.training.faces"]):
        monkeypatch.setattr(place, "load_portraits", lambda held_out: portraits)
    settings = {
        "data.folders": [str(tmp_path / "singles")], "data.encoder_folder": str(tmp_path / "encoders"),
        "made.takes": 1, "made.codec_takes": 1, "made.codec_steps": 2, "made.codec_batch_size": 2,
        "network.num_layers": 1, "network.attention_head_dim": 12, "network.ffn_dim": 16,
        "optimiser.warmup_steps": 1, "run.folder": str(tmp_path / "run"), "run.steps": 2, "run.batch_size": 2,
        "run.check_every": 2, "run.processes": 1,
    }  # fmt: skip
    monkeypatch.setattr(sample_check, "CHECKED_SCENES", 1)
    options = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    result = CliRunner().invoke(app, ["train", "tiny", *options])
    assert result.exit_code == 0, result.output
    logged = read_log(tmp_path / "run" / "log.jsonl")
    assert [entry["step"] for entry in logged] == [1, 2]
    assert {"own_r", "other_r", "swing"} <= set(logged[1])
    clips = list(read_clips(tmp_path / "singles"))
    assert len(clips) == 3
    assert clips[0].latents.shape == (16, 9, 12, 16)
    assert np.isfinite(clips[0].latents.astype(np.float32)).all()
    config = read_config(config_path("tiny"), settings)
    made = assemble.assembled(config, print)  # what is there is kept
    told = []
    check = replace(made.check, plan=CheckPlan(num_scenes=1, num_inference_steps=1))
    report(config, replace(made, check=check), told.append)
    found = json.loads((tmp_path / "run" / "report.json").read_text())
    learnt_from = found.pop("animatic")
    assert {f"{measure}_{name}own_r" for measure in MEASURES for name in ("", "coded_")} <= set(learnt_from)
    assert set(found) == {"none", "int8", "nf4"}
    names = {"own_r", "other_r", "swapped_own_r", "still", "three_own_r"}
    assert all(each["interactivity"] >= 0 for each in found.values())
    assert all({f"{measure}_{name}" for measure in MEASURES for name in names} <= set(each) for each in found.values())
    assert (tmp_path / "run" / "sheet.png").is_file()
    assert len(told) == sum(1 + len(each) for each in (learnt_from, *found.values()))


def test_a_run_without_weights_has_no_report(tmp_path):
    config = small_config(tmp_path / "none", tmp_path / "shards")
    with pytest.raises(StudioError, match="nothing in") as caught:
        report(config, assemble.Assembled(None, "x"), print)
    assert "--check" in caught.value.remedy


def test_progress_says_the_loss_and_the_time_left():
    told = []
    progress = Progress(2, told.append)
    progress.tell(StepDone(1, 2.0, 1e-3, 1.0, figures={"own_r": 0.5}))
    progress.tell(StepDone(2, 1.0, 1e-3, 1.0))
    assert told[0] == "step 1: own_r 0.500"
    assert told[1].startswith("step 2 of 2, loss 1.5000")
    assert Portrait("x", np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8), np.zeros((478, 3), np.float32)).name == "x"
