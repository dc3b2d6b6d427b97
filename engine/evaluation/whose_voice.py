"""Whose voice is whose: every voice against every mouth."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.lip_sync import filled, loudness, mean_motion, speech_motion, sync_of
from engine.evaluation.mouth_findings import HEARD
from engine.evaluation.thresholds import DEFAULT
from engine.media.types import Waveform

MAX_LAG_S = 0.2  # how late or early a mouth may be against its voice

Curve = NDArray[np.float64]
Matrix = NDArray[np.float64]


def score_matrix(openings: Sequence[Curve], voices: Sequence[Waveform], frame_rate: float) -> Matrix:
    """(voices, mouths): correlation of each mouth's opening (F,), NaN where not seen, with each voice's loudness.

    0 for a mouth that does not move while the voice is heard: its trembling may fit anything.
    """
    num_frames = len(openings[0]) if len(openings) else 0
    lag = max(1, round(MAX_LAG_S * frame_rate))
    mouths = [filled(opening) for opening in openings]
    motions = [speech_motion(opening, frame_rate) for opening in openings]
    scores = np.zeros((len(voices), len(mouths)))
    for row, voice in enumerate(voices):
        loud = loudness(voice, frame_rate, num_frames)
        for column, (mouth, motion) in enumerate(zip(mouths, motions, strict=True)):
            if mean_motion(motion, loud > HEARD) >= DEFAULT.moves:
                scores[row, column] = sync_of(mouth, loud, lag).r
    return scores
