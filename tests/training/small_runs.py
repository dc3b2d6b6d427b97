"""Small prepared videos of random numbers and a network of two blocks, for runs of a second."""

import tomllib
from pathlib import Path

import numpy as np
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState

from engine.dit.tiny import (
    AUDIO_NAME,
    BANDS,
    CODEC_NAME,
    SLICES,
    TinyImageEncoder,
    TinyPromptEncoder,
    TinySpeechEncoder,
    TinyVae,
    TinyVideoCoder,
)
from engine.training.config import PRESETS, TrainingConfig
from engine.training.inputs import TrainingEncoders
from engine.training.samples import Clip, Half, Person
from engine.training.shards import ShardFacts, write_clips

FRAMES, HEIGHT, WIDTH = 9, 32, 64
TRAINED = tomllib.loads((PRESETS / "tiny.toml").read_text(encoding="utf-8"))


def forget_accelerate() -> None:
    """What accelerate keeps for the whole process, so that a run begins as in a new one."""
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def clip(index: int, num_people: int = 1, num_frames: int = FRAMES) -> Clip:
    chance = np.random.default_rng(index)
    latent_frames = (num_frames - 1) // 4 + 1

    def latents(width: int) -> np.ndarray:
        """Every channel near a value of its own: something to learn."""
        shape = (16, latent_frames, HEIGHT // 8, width // 8)
        return (np.linspace(-2, 2, 16)[:, None, None, None] + 0.1 * chance.normal(size=shape)).astype(np.float16)

    def picture(width: int) -> np.ndarray:
        return chance.integers(0, 256, (HEIGHT, width, 3), np.uint8)

    def person(left: int) -> Person:
        box = np.array([left + 4, 4, left + 26, 28])
        features = chance.uniform(-1, 1, (num_frames, SLICES, BANDS)).astype(np.float16)
        return Person(box, np.tile(box, (num_frames, 1)), features, 5.0)

    people = tuple(person(32 * place) for place in range(num_people))
    halves = tuple(Half(latents(WIDTH // 2), picture(WIDTH // 2), np.array([4, 4, 26, 28])) for _ in range(2))
    return Clip(
        f"clip-{index}", 24.0, num_frames, HEIGHT, WIDTH, f"Person {index} talks.", people, latents(WIDTH),
        picture(WIDTH), halves if num_people == 1 else (),
    )  # fmt: skip


def write_shards(folder: Path, count: int = 7, stage: int = 1) -> Path:
    facts = ShardFacts(stage, CODEC_NAME, AUDIO_NAME, HEIGHT, WIDTH, 24.0)
    write_clips((clip(index, stage) for index in range(count)), folder, facts)
    return folder


def encoders() -> TrainingEncoders:
    torch.manual_seed(0)
    coder = TinyVideoCoder(TinyVae((8, 8, 8)))
    return TrainingEncoders(TinyPromptEncoder().encode, TinyImageEncoder(), coder, TinySpeechEncoder())


def small_config(folder: Path, shards: Path, **tables: dict) -> TrainingConfig:
    network = {**TRAINED["network"], "num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 32}
    content = {
        "data": {"folders": [shards], "encoders": "tiny", "max_frames": FRAMES, "num_workers": 0},
        "network": network,
        "dropout": {"text": 0.2, "audio": 0.2, "both": 0.1},
        "optimiser": {"learning_rate": 1e-3, "warmup_steps": 2, "ema_decay": 0.9},
        "run": {
            "folder": folder, "steps": 6, "batch_size": 4, "precision": "no", "gradient_checkpointing": False,
            "save_every": 2,
        },
    }  # fmt: skip
    for table, fields in tables.items():
        content[table] = {**content.get(table, {}), **fields}
    return TrainingConfig.model_validate(content)
