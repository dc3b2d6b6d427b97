"""Who speaks in each frame: the voices decoded, estimated anew from what they were given, and overlaps added."""

import numpy as np
from numpy.typing import NDArray

from engine.analysis.backends.segmentation import FRAME_STEP_S, MAX_LOCAL_SPEAKERS
from engine.analysis.voices.activity import Activity
from engine.analysis.voices.clusters import Recording
from engine.analysis.voices.decoding import DecodingRules, decode
from engine.analysis.voices.embedding import Vectors

OVERLAP_COUNT = 1.5
REESTIMATE_S = 1.0
POOLED_S = 8.0


def assign_frames(recording: Recording, voices: Vectors) -> NDArray[np.bool_]:
    """(T, K) who speaks in each frame, two where people overlap; voices are estimated anew once, midway."""
    rules = DecodingRules()
    if len(voices) > 1:
        voices = _reestimated(recording, voices, decode(recording.speech, recording.window_set, voices, rules))
    owner = decode(recording.speech, recording.window_set, voices, rules)
    active = owner[:, None] == np.arange(len(voices))
    if len(voices) > 1:
        _add_overlaps(active, owner, recording.activity)
    return active


def _reestimated(recording: Recording, voices: Vectors, owner: NDArray[np.intp]) -> Vectors:
    again = voices.copy()
    for voice in range(len(voices)):
        frames = np.flatnonzero((owner == voice) & recording.activity.alone)
        if len(frames) * FRAME_STEP_S > REESTIMATE_S:
            again[voice] = recording.embedder.embed(frames[: int(POOLED_S / FRAME_STEP_S)])
    return again


def _add_overlaps(active: NDArray[np.bool_], owner: NDArray[np.intp], activity: Activity) -> None:
    """Where two speak at once, the second voice is the one that the second local speaker is elsewhere in the window."""
    votes = np.zeros(active.shape, np.int16)
    for window in activity.windows:
        here, local = owner[window.frames], window.active
        alone, both = local.sum(1) == 1, local.sum(1) >= 2
        if not both.any():
            continue
        for speaker in range(MAX_LOCAL_SPEAKERS):
            own = here[alone & local[:, speaker]]
            counts = np.bincount(own[own >= 0], minlength=active.shape[1])
            if counts.sum() > 6:
                votes[window.first_frame + np.flatnonzero(both & local[:, speaker]), counts.argmax()] += 1
    for frame in np.flatnonzero((activity.num_speakers >= OVERLAP_COUNT) & (owner >= 0)):
        votes[frame, owner[frame]] = -1
        if votes[frame].max() > 0:
            active[frame, votes[frame].argmax()] = True
