"""Runs that end, are killed, go on, and are shared by two processes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import clip, encoders, forget_accelerate, small_config, write_shards

from engine.dit.checkpoints import load_transformer
from engine.dit.tiny import CODEC_NAME
from engine.errors import StudioError, WriteFailed
from engine.training.checkpoints import check_finite, ours_to_original
from engine.training.logs import StepLog, read_log
from engine.training.loop import train


@pytest.fixture(autouse=True)
def _fresh_accelerate():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    forget_accelerate()
    yield
    forget_accelerate()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards"))


def losses(config, until=None):
    forget_accelerate()
    found = []
    run = train(config, encoders(), CODEC_NAME)
    for done in run:
        found.append(done.loss)
        if done.step == until:
            run.close()
    return found


def test_a_killed_run_goes_on_with_the_same_losses(tmp_path, shards):
    whole = losses(small_config(tmp_path / "whole", shards))
    assert len(whole) == 6
    for killed_after in (1, 3, 5):  # before the first checkpoint, between two, just after one; 7 videos, 4 a step
        config = small_config(tmp_path / f"killed-{killed_after}", shards)
        losses(config, until=killed_after)
        again = losses(config)
        assert again == pytest.approx(whole[-len(again) :], abs=1e-5)
        logged = read_log(config.run.folder / "log.jsonl")
        assert [entry["step"] for entry in logged] == [1, 2, 3, 4, 5, 6]
        assert [entry["loss"] for entry in logged] == pytest.approx(whole, abs=1e-5)
    assert losses(config) == []  # nothing is left to do


def test_the_loss_goes_down_and_the_weights_are_kept_in_both_forms(tmp_path, shards):
    config = small_config(
        tmp_path / "run",
        shards,
        loss={"weighting": "even"},
        optimiser={"learning_rate": 1e-2, "warmup_steps": 5, "ema_decay": 0.5},
        run={"steps": 24, "batch_size": 2, "save_every": 6},
    )
    found = losses(config)
    assert np.mean(found[-8:]) < 0.7 * np.mean(found[:4])
    ours = load_transformer(config.run.folder / "weights", dtype=torch.float32)
    theirs = load_transformer(
        config.run.folder / "weights" / "original" / "original.safetensors", dtype=torch.float32, head_dim=12,
        text_len=8,
    )  # fmt: skip
    assert ours.config.num_layers == 2
    weights = theirs.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in ours.state_dict().items())
    assert sorted(path.name for path in (config.run.folder / "checkpoints").iterdir())[-1] == "step-00000024"
    assert len(list((config.run.folder / "checkpoints").iterdir())) == config.run.keep
    assert list((config.run.folder / "tensorboard").rglob("events*"))


def test_the_published_names_come_back():
    assert ours_to_original("blocks.3.attn2.to_k_audio.weight", "afca") == "blocks.3.cross_attn.k_audio.weight"
    assert ours_to_original("blocks.0.norm2.bias", "afca") == "blocks.0.norm3.bias"
    assert ours_to_original("audio_embedder.proj1.weight", "afca") == "audio_emb.proj1.weight"
    assert ours_to_original("audio_embedder.proj1_late.bias", "legacy") == "audio_proj.proj1_vf.bias"
    assert ours_to_original("scale_shift_table", "afca") == "head.modulation"


@pytest.mark.parametrize("ablation", [{"token_masks": False}, {"heard": "audio"}, {"heard": "nothing"}])
def test_ablations_run(tmp_path, shards, ablation):
    config = small_config(tmp_path / "run", shards, ablation=ablation, run={"steps": 3, "save_every": 9})
    assert all(np.isfinite(losses(config)))


def test_real_pairs_rows_of_four_bf16_and_checkpointing(tmp_path, shards):
    pairs = write_shards(tmp_path / "pairs", 5, stage=2)
    runs = {
        "stage2": small_config(
            tmp_path / "a", pairs, data={"folders": [pairs], "stage": 2}, pairing={"share": 0}, run={"steps": 3}
        ),
        "four": small_config(
            tmp_path / "b", shards, pairing={"share": 1, "people": [3, 4], "silent_share": 0.5}, run={"steps": 3}
        ),
        "bf16": small_config(
            tmp_path / "c", shards, run={"steps": 3, "precision": "bf16", "gradient_checkpointing": True}
        ),
    }
    for config in runs.values():
        assert all(np.isfinite(losses(config)))


def test_checkpointing_changes_no_loss(tmp_path, shards):
    plain = losses(small_config(tmp_path / "plain", shards, run={"steps": 3}))
    saved = losses(small_config(tmp_path / "saved", shards, run={"steps": 3, "gradient_checkpointing": True}))
    assert saved == pytest.approx(plain, abs=1e-5)


def test_reading_ahead_changes_no_loss(tmp_path, shards):
    plain = losses(small_config(tmp_path / "plain", shards, run={"steps": 3}))
    ahead = losses(small_config(tmp_path / "ahead", shards, data={"num_workers": 1}, run={"steps": 3}))
    assert ahead == pytest.approx(plain, abs=1e-6)


def test_only_what_is_chosen_learns(tmp_path, shards):
    whole = small_config(tmp_path / "whole", shards, run={"steps": 3})
    losses(whole)
    base = whole.run.folder / "weights" / "diffusion_pytorch_model.safetensors"
    network = {"base": base}
    voices = small_config(
        tmp_path / "voices", shards, network=network, optimiser={"learning": "audio_face", "ema_decay": 0},
        run={"steps": 3},
    )  # fmt: skip
    losses(voices)
    before = load_transformer(base.parent, dtype=torch.float32).state_dict()
    after = load_transformer(voices.run.folder / "weights", dtype=torch.float32).state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all("audio" in name or "face" in name for name in moved)
    adapters = small_config(
        tmp_path / "lora", shards, network=network, optimiser={"learning": "lora", "lora_rank": 2}, run={"steps": 3}
    )
    losses(adapters)
    from engine.dit.loras import add_lora

    changed = add_lora(
        load_transformer(base.parent, dtype=torch.float32), next((adapters.run.folder / "lora").glob("*.safetensors"))
    )
    assert any("to_k_audio" in layer for layer in changed)


def test_a_run_goes_on_only_as_what_it_began_as(tmp_path, shards):
    losses(small_config(tmp_path / "run", shards, run={"steps": 3}))
    with pytest.raises(StudioError, match=r"begun with another loss\.shift") as caught:
        losses(small_config(tmp_path / "run", shards, run={"steps": 9}, loss={"shift": 5}))
    assert "run.folder" in caught.value.remedy
    assert len(losses(small_config(tmp_path / "run", shards, run={"steps": 4}))) == 1


def test_shards_of_another_stage_and_weights_of_another_size_are_refused(tmp_path, shards):
    with pytest.raises(StudioError, match="stage 1"):
        losses(small_config(tmp_path / "run", shards, data={"stage": 2}, pairing={"share": 0}))
    whole = small_config(tmp_path / "whole", shards, run={"steps": 3})
    losses(whole)
    base = whole.run.folder / "weights" / "diffusion_pytorch_model.safetensors"
    with pytest.raises(StudioError, match=r"of another shape.*ffn"):
        losses(small_config(tmp_path / "other", shards, network={"base": base, "ffn_dim": 64}))
    empty = write_shards(tmp_path / "empty", 0)
    with pytest.raises(StudioError, match="no prepared videos"):
        losses(small_config(tmp_path / "none", empty))


def test_prompts_of_a_large_encoder_are_encoded_first(tmp_path, shards):
    asked = []
    frozen = encoders()

    def prompt(prompts):
        asked.append(list(prompts))
        return frozen.prompt(prompts)

    config = small_config(tmp_path / "run", shards, run={"steps": 3})
    for _ in train(config, replace(frozen, prompt=prompt, prompts_first=True), CODEC_NAME):
        pass
    assert len(asked) == 1
    assert {f"Person {index} talks." for index in range(7)} < set(asked[0])


def test_a_full_disk_is_told(tmp_path, shards, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    config = small_config(tmp_path / "run", shards, run={"steps": 3})
    monkeypatch.setattr("accelerate.Accelerator.save_state", full)
    with pytest.raises(WriteFailed, match="after step 2") as caught:
        losses(config)
    assert "goes on from the checkpoint before" in caught.value.remedy


def test_weights_and_checkpoints_that_cannot_be_put_in_place_are_told(tmp_path):
    from engine.training.checkpoints import Checkpoints, export
    from engine.training.network import new_network, plain_weights

    with pytest.raises(WriteFailed, match="could not be written") as caught:
        Checkpoints(tmp_path, 3).finish(7)  # nothing was written for it
    assert caught.value.remedy
    network = new_network(small_config(tmp_path, tmp_path).network.settings(), None, 0)
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteFailed, match="weights could not be written"):
        export(network, plain_weights(network.state_dict()), tmp_path / "file" / "weights", half=True)


def test_a_batch_that_cannot_be_shared_and_clips_of_another_codec_are_refused(tmp_path, shards, monkeypatch):
    config = small_config(tmp_path / "run", shards)
    with pytest.raises(StudioError, match="another-codec"):
        list(train(config, encoders(), "another-codec"))
    monkeypatch.setattr("accelerate.Accelerator.num_processes", 3)
    with pytest.raises(StudioError, match="shared evenly by 3"):
        losses(config)


def test_a_loss_that_is_no_number_ends_the_run():
    with pytest.raises(StudioError, match="no number any more"):
        check_finite(float("nan"), 7)


def test_half_a_line_of_the_log_is_passed_over(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"step": 1, "loss": 2.0}) + "\n" + json.dumps({"step": 2}) + '\n{"step": 3, "lo')
    StepLog(path, first=1).write({"step": 2, "loss": 1.0})
    assert read_log(path) == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]


def test_a_clip_of_two_people_has_no_halves():
    assert clip(0, 2).halves == ()
