"""A run as owners of GPUs start it, on small random files of the published form: encoders, the network that it begins
with, samples in between, and weights that load again."""

import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from small_runs import forget_accelerate
from tiny_models import HEAD_DIM, TRANSFORMER_FILES, write_tiny_checkpoints
from typer.testing import CliRunner

from engine.cli import app
from engine.demo import compose_group_photo, demo_dialogue
from engine.dit.checkpoints import load_transformer, transformer_config
from engine.errors import StudioError
from engine.media.probe import probe
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.media.write import write_waveform
from engine.training import assemble
from engine.training import own_scenes as scenes_module
from engine.training.logs import read_log
from engine.training.own_scenes import own_scenes
from engine.training.prepare.encoders import PUBLISHED_AUDIO, PUBLISHED_CODEC, load_encoders
from engine.training.samples import Clip, Half, Person
from engine.training.shards import ShardFacts, write_clips

FRAMES, HEIGHT, WIDTH = 17, 64, 128
SIZES = (
    "num_layers", "num_attention_heads", "attention_head_dim", "ffn_dim", "freq_dim", "text_dim", "text_len",
    "image_dim", "audio_window_dim", "audio_hidden_dim", "num_audio_tokens",
)  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return write_tiny_checkpoints(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two of the demo's people, and a voice for each."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("photos")
    group = compose_group_photo().rgb
    Image.fromarray(group).save(folder / "group.png")
    call = load_waveform(demo_dialogue(), 16000)
    found = scenes_module.detect_faces(scenes_module.Image(group))
    for number in range(1, len(found.faces) + 1):
        some = Waveform(call.samples[number * 8000 : (number + 1) * 8000], 16000)
        write_waveform(folder / f"group-{number}.wav", some)
    return folder


def clips(models, count):
    codec, audio = load_encoders("published")
    for index in range(count):
        chance = np.random.default_rng(index)
        frames = chance.integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), np.uint8)
        half, box = frames[:, :, : WIDTH // 2], np.array([8, 8, 52, 56])
        voice = audio.encode(chance.normal(0, 0.1, 16000).astype(np.float32), 24.0, FRAMES).astype(np.float16)
        person = Person(box, np.tile(box, (FRAMES, 1)), voice, 5.0)
        halves = (Half(codec.encode(half).astype(np.float16), half[0], box),) * 2
        latents = codec.encode(frames).astype(np.float16)
        prompt = f"Person {index} talks."
        yield Clip(
            f"clip-{index}", 24.0, FRAMES, HEIGHT, WIDTH, prompt, (person,), latents, frames[0], halves
        )  # fmt: skip


def config_text(folder, shards, models, photos):
    base = models / TRANSFORMER_FILES["afca"]
    sizes = transformer_config(base, HEAD_DIM)
    told = "\n".join(f"{name} = {sizes[name]}" for name in SIZES if name in sizes)
    return f"""
[data]
folders = ["{shards}"]
max_frames = {FRAMES}
num_workers = 0
[network]
base = "{base}"
{told}
[optimiser]
warmup_steps = 1
ema_decay = 0.5
[run]
folder = "{folder}"
steps = 2
batch_size = 2
save_every = 2
precision = "bf16"
check_every = 2
check_folder = "{photos}"
check_height = 64
"""


@pytest.mark.slow
def test_a_run_on_the_published_encoders(tmp_path, models, photos, monkeypatch):
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(models))
    monkeypatch.setattr(assemble, "PUBLISHED_STEPS", 1)
    forget_accelerate()
    facts = ShardFacts(1, PUBLISHED_CODEC, PUBLISHED_AUDIO, HEIGHT, WIDTH, 24.0)
    write_clips(clips(models, 3), tmp_path / "shards", facts)
    config = tmp_path / "config.toml"
    config.write_text(config_text(tmp_path / "run", tmp_path / "shards", models, photos))
    result = CliRunner().invoke(app, ["train", str(config)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    logged = read_log(tmp_path / "run" / "log.jsonl")
    assert {"own_r", "other_r", "swing"} <= set(logged[-1])
    samples = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert samples == ["step-00000002-1.mp4", "step-00000002.png"]
    video = probe(tmp_path / "run" / "samples" / samples[0])
    assert (video.height, video.sample_rate) == (64, 16000)
    trained = tmp_path / "run" / "weights" / "original" / "original.safetensors"
    before = load_transformer(models / TRANSFORMER_FILES["afca"], head_dim=HEAD_DIM)
    after = load_transformer(trained, head_dim=HEAD_DIM)
    assert json.dumps(dict(before.config), default=str) == json.dumps(dict(after.config), default=str)


def test_own_photos_and_voices_that_do_not_fit_are_told_before_a_run(tmp_path, photos, monkeypatch):
    scenes = own_scenes(photos, 1.0)
    assert len(scenes) == 1
    assert len(scenes[0].voices) == len(scenes[0].points_px) == len(list(photos.glob("*.wav")))
    lefts = [points[:, 0].mean() for points in scenes[0].points_px]
    assert all(after > before - 20 for before, after in pairwise(lefts))  # two rows, nearly one above the other
    voice = scenes[0].voices[0].samples
    assert len(voice) == 16000  # half a second of voice, then silence
    assert voice[:7000].any()
    assert not voice[8100:].any()
    with pytest.raises(StudioError, match="no photos"):
        own_scenes(tmp_path, 1.0)
    (tmp_path / "group.png").write_bytes((photos / "group.png").read_bytes())
    monkeypatch.setattr(scenes_module, "detect_faces", lambda image: SimpleNamespace(faces=[], details={}))
    (tmp_path / "group-1.wav").write_bytes((photos / "group-1.wav").read_bytes())
    with pytest.raises(StudioError, match="shows 0 faces, and 1 voices"):
        own_scenes(tmp_path, 1.0)
