"""What tells a livelier listener from a noisier picture."""

import numpy as np
import pytest

from engine.evaluation.interactivity import EYES
from engine.training.full_check import changes
from engine.training.made_data import Scene, silence
from engine.training.rendered_check import Rendered

LISTENER_EYES = slice(38, 43), slice(78, 103)


@pytest.fixture
def scene():
    """Two people in a picture of 96 × 128, drawn twice as large; the listener's eyes lie in rows 40..40."""
    speaker = np.tile(np.array([[20, 20, 0], [90, 160, 0]], np.float32), (239, 1))
    listener = speaker + np.array([128, 0, 0], np.float32)
    listener[[70, 63, 105, 66, 107, 336, 296, 334, 293, 300, *EYES]] = 160, 80, 0
    listener[[33, 263]] = [[160, 80, 0], [200, 80, 0]]
    return Scene(np.zeros((192, 256, 3), np.uint8), (speaker, listener), (silence(1.0), silence(1.0)))


def flickering(where) -> np.ndarray:
    frames = np.full((9, 96, 128, 3), 100, np.uint8)
    frames[1::2, *where] += 8
    return frames


def test_eyes_that_move_count_for_the_listener_alone(scene):
    eyes, elsewhere = changes([Rendered(scene, flickering(LISTENER_EYES))], 1)
    assert eyes == pytest.approx(8)
    assert elsewhere == 0
    assert changes([Rendered(scene, flickering(LISTENER_EYES))], 0)[0] == 0


def test_noise_is_everywhere_alike(scene):
    eyes, elsewhere = changes([Rendered(scene, flickering((slice(None), slice(None))))], 1)
    assert eyes == elsewhere == pytest.approx(8)
