"""A cut-down version of the measurement at real sizes: names, memory while loading, and a step."""

from pathlib import Path

import pytest
from golden_vectors import GOLDEN
from safetensors import safe_open

from engine.bench.checkpoint import CheckpointRun, Form, describe, in_child, load_and_run, published, write_checkpoint
from engine.dit import checkpoints
from engine.dit.checkpoints import network_shapes, original_to_ours

# 75 million parameters
CUT_DOWN = {"num_attention_heads": 6, "ffn_dim": 4096, "num_layers": 4, "audio_hidden_dim": 128}
SMALL = CUT_DOWN | {"num_attention_heads": 1, "num_layers": 1, "ffn_dim": 128}


@pytest.mark.parametrize(("form", "golden"), [("afca", "afca_weights"), ("legacy", "legacy_14b_weights")])
def test_published_names_are_the_reference_ones(form, golden):
    shapes = network_shapes(num_attention_heads=2, num_layers=2, audio_form=form, audio_token_dim=48)
    names = {published(name, form) for name in shapes}
    assert {original_to_ours(name) for name in names} == set(shapes)
    with (
        safe_open(GOLDEN / f"{golden}.safetensors", "pt") as network,
        safe_open(GOLDEN / "embedder_weights.safetensors", "pt") as embedders,
    ):
        assert names == {*network.keys(), *embedders.keys()}


def load_cut_down(path: Path, small: Path) -> CheckpointRun:
    checkpoints.OPEN_ANEW_BYTES = 2**24  # as small beside this file as it is beside a real one
    load_and_run(small, SMALL, "nf4", Form("bfloat16", runs=False))  # what libraries load at first use is not counted
    return load_and_run(path, CUT_DOWN, "nf4", Form("bfloat16", runs=False))


@pytest.mark.slow
def test_loading_takes_the_model_and_little_else(tmp_path):
    """In a process of its own: what other tests left on the heap would count too."""
    path, small = tmp_path / "cut_down.pth", tmp_path / "small.pth"
    write_checkpoint(path, CUT_DOWN)
    write_checkpoint(small, SMALL)
    run = in_child(load_cut_down, path, small)
    assert run.weights_bytes == run.predicted_bytes
    taken = run.load_peak_bytes - run.start_bytes
    assert taken < run.weights_bytes + 0.75 * run.file_bytes  # all of the file at once would be 1.0 of it


@pytest.mark.slow
def test_a_written_checkpoint_runs_a_step(tmp_path):
    write_checkpoint(tmp_path / "small.pth", SMALL)
    run = load_and_run(tmp_path / "small.pth", SMALL, "nf4", Form("float32", runs=True))
    assert run.finite
    assert "as foretold" in describe(run)
    assert "finite" in describe(run)
