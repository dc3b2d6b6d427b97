"""The codec learns what moves, small as it is in pixels."""

import numpy as np
import torch

from engine.training.codec_training import CodecStep, train_codec
from engine.training.made_data import FRAMES, STORED, Cut


def blinking(seed):
    """A still picture in which a small square is light or dark by chance, from frame to frame."""
    chance = np.random.default_rng(seed)
    frames = np.full((FRAMES, STORED[1], STORED[0], 3), chance.integers(60, 200, 3), np.uint8)
    frames[:, 52:76, 48:80] = chance.integers(0, 256, FRAMES, np.uint8)[:, None, None, None]
    return Cut(f"x-{seed}", frames, ((44.0, 20.0, 84.0, 80.0),), (), ())


def test_a_codec_learns_to_tell_the_four_frames_of_a_latent_apart():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other would take most of the time
    *steps, vae = train_codec([blinking(seed) for seed in range(8)], 200, 4, seed=0, widths=(16, 24, 32))
    torch.set_num_threads(before)
    assert all(isinstance(each, CodecStep) for each in steps)
    assert np.mean([each.motion_lost for each in steps[:20]]) > 0.95  # all four alike
    assert np.mean([each.motion_lost for each in steps[-40:]]) < 0.85
    assert np.mean([each.error for each in steps[-40:]]) < 0.9 * np.mean([each.error for each in steps[:10]])
    assert vae.std.min() > 0
