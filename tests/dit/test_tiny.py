"""The small network's encoders: the shapes of the published ones, and what they are made for."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.dit.catalogue import find_model
from engine.dit.checkpoints import transformer_config
from engine.dit.network_size import TINY, NetworkSize
from engine.dit.speech_files import SAMPLE_RATE
from engine.dit.tiny import (
    CODEC_NAME,
    MOTION_CHANNELS,
    TinyImageEncoder,
    TinyPromptEncoder,
    TinySpeechEncoder,
    TinyVae,
    TinyVideoCoder,
    groups_of,
    load_vae,
)
from engine.errors import StudioError
from engine.media.types import Waveform
from engine.training.prepare.encoders import FrameCodec

ROOT = Path(__file__).resolve().parents[2]


def test_the_codec_has_wan_s_frames_and_strides():
    coder = TinyVideoCoder(TinyVae((8, 8, 8)))
    codec = FrameCodec(CODEC_NAME, coder)
    frames = np.random.default_rng(0).integers(0, 256, (9, 32, 48, 3), np.uint8)
    latents = codec.encode(frames)
    assert latents.shape == (16, 3, 4, 6)
    assert codec.decode(latents).shape == frames.shape
    assert codec.encode(frames[:1]).shape == (16, 1, 4, 6)
    assert np.allclose(codec.encode(frames[:5]), latents[:, :2], atol=1e-6)  # what comes later changes nothing
    with coder.moved_to("cpu"):
        assert coder.with_tiling(True) is coder


def test_groups_begin_with_the_first_frame_four_times():
    video = torch.arange(9.0).view(1, 9, 1, 1).expand(3, 9, 2, 2)
    assert groups_of(video)[:, :4, 0, 0].tolist() == [[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8]]


def test_a_codec_s_file_is_read_and_another_refused(tmp_path):
    from safetensors.torch import save_file

    vae = TinyVae()
    save_file({name: tensor.contiguous() for name, tensor in vae.state_dict().items()}, tmp_path / "codec.safetensors")
    assert torch.equal(load_vae(tmp_path / "codec.safetensors").motion[1].weight, vae.motion[1].weight)
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(StudioError, match="does not hold the small codec"):
        load_vae(tmp_path / "other.safetensors")


def test_what_moves_within_four_frames_has_channels_of_its_own():
    vae = TinyVae((8, 8, 8))
    chance = torch.Generator().manual_seed(0)
    still = torch.randn(2, 3, 1, 16, 16, generator=chance).expand(-1, -1, 4, -1, -1).flatten(1, 2)
    moving = still + torch.tensor([0.1, -0.1, 0.1, -0.1]).repeat(3)[None, :, None, None]
    first, other = vae.encode_groups(still)
    assert torch.allclose(first[-MOTION_CHANNELS:], other[-MOTION_CHANNELS:], atol=1e-5)
    assert not torch.allclose(first[:-MOTION_CHANNELS], other[:-MOTION_CHANNELS], atol=1e-2)
    moved = vae.encode_groups(moving)[0]
    assert torch.allclose(moved[:-MOTION_CHANNELS], first[:-MOTION_CHANNELS], atol=1e-5)
    assert not torch.allclose(moved[-MOTION_CHANNELS:], first[-MOTION_CHANNELS:], atol=1e-4)


def tone(seconds: float, loudness: float) -> np.ndarray:
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (loudness * np.sin(2 * np.pi * 440 * at) * (at > seconds / 2)).astype(np.float32)


def test_a_voice_is_heard_alike_however_loud_and_whole_or_in_parts():
    encoder = TinySpeechEncoder()
    loud, quiet = (encoder.encode(tone(2, level), 24, 48) for level in (0.8, 0.05))
    assert loud.shape == (48, encoder.layers, encoder.channels)
    assert np.allclose(loud, quiet, atol=0.02)
    assert loud[5].max() == -1
    assert loud[40].max() > 0.5
    voice = Waveform(tone(2, 0.8), SAMPLE_RATE)
    windows = encoder.features(voice, 24, 10, 8)
    assert windows.shape == (8, 5, encoder.layers, encoder.channels)
    assert TINY.audio_window_dim == windows[0].numel()
    assert np.allclose(windows[:, 2].numpy(), loud[10:18], atol=1e-6)
    assert np.allclose(encoder.features(voice, 24, 0, 1)[0, 0].numpy(), loud[0])
    assert encoder.encode(np.zeros(0, np.float32), 24, 5).max() == -1


def test_pictures_and_prompts_are_a_few_tokens():
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    assert TinyImageEncoder()(picture).shape == (1, 16, TINY.image_dim)
    one, other = TinyPromptEncoder().encode(["Two people talk.", "Two people are silent. " * 20])
    assert one.shape == other.shape == (TINY.text_len, TINY.text_dim)
    assert not torch.equal(one, other)


def test_its_size_is_said_the_same_everywhere():
    trained = tomllib.loads((ROOT / "presets" / "training" / "tiny.toml").read_text(encoding="utf-8"))["network"]
    for config in (trained, transformer_config(find_model("tiny").transformer)):
        assert NetworkSize.of_config({**config, "codec_work": TINY.codec_work}) == TINY
