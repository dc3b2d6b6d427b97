"""Small videos of people who talk, drawn by the animatic to real voices: what data preparation is given in tests."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.analysis.faces import detect_faces
from engine.animatic.performance import PerformanceSettings, perform
from engine.animatic.renderer import Animator, FaceRig
from engine.cast.streams import CastStream
from engine.cast.timeline import gate
from engine.demo import compose_group_photo, demo_dialogue, demo_tiles
from engine.errors import ModelMissing
from engine.media.read import load_waveform
from engine.media.types import Image, Waveform
from engine.media.write import VideoWriter, write_waveform
from engine.project.document import Part

RATE, SOUND_RATE = 24.0, 16_000
FIRST_S, SECOND_S = (10.9, 14.2), (21.8, 25.4)  # of the telephone call: one voice, the other
LONGER_S = (21.8, 27.4)
PERSON_PX = (192, 192)  # width, height of one person's picture


def the_call(span_s):
    """A part of the real telephone call inside pyannote.audio."""
    return load_waveform(demo_dialogue(), SOUND_RATE).between(*span_s)


def one_voice():
    return the_call(LONGER_S)


def two_voices():
    """(left's, right's, both): one after the other."""
    first, second = the_call(FIRST_S).samples, the_call(SECOND_S).samples
    pause = np.zeros(SOUND_RATE // 4, np.float32)
    left = np.concatenate([first, pause, 0 * second])
    right = np.concatenate([0 * first, pause, second])
    return tuple(Waveform(samples, SOUND_RATE) for samples in (left, right, left + right))


def around_face(photo: np.ndarray) -> np.ndarray:
    """The face of a photo in the middle of a picture of PERSON_PX, always as large."""
    face = detect_faces(Image(photo)).faces[0]
    x0, y0, x1, y1 = face.box_px
    half = 1.15 * (y1 - y0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    scale = PERSON_PX[0] / (2 * half)
    affine = np.array([[scale, 0, PERSON_PX[0] / 2 - x * scale], [0, scale, PERSON_PX[1] / 2 - y * scale]])
    return cv2.warpAffine(photo, affine, PERSON_PX, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


@cache
def astronaut():
    from skimage.data import astronaut as photo

    return around_face(photo())


@cache
def colleague():
    """Another person; skips the test where the demo's portraits are not on disk."""
    try:
        picture, tile = compose_group_photo().rgb, demo_tiles()[0]
    except ModelMissing as error:
        pytest.skip(f"needs the demo's portraits: {error}")
    return around_face(picture[tile.y_px : tile.y_px + tile.height_px, tile.x_px : tile.x_px + tile.width_px])


def talking(picture: np.ndarray, voice: Waveform) -> np.ndarray:
    """(F, H, W, 3): the person of ``picture`` says ``voice``; listens where that is silent."""
    found = detect_faces(Image(picture))
    face = found.faces[0]
    num_frames = int(voice.duration_s * RATE)
    spans = _spans(voice)
    speaking = gate(spans, RATE, num_frames)
    stream = CastStream(
        face, found.details[face.id], Part.TALKS, 1.0, 1.0, voice, tuple(spans), speaking, 1 - speaking
    )  # fmt: skip
    performances = perform([stream], {}, RATE, PerformanceSettings(seed=1))
    animator = Animator(Image(picture), [FaceRig.of(picture, found.details[face.id].points_px, speaks=True)])
    return np.stack([animator.frame(performances, index) for index in range(num_frames)])


def _spans(voice: Waveform) -> list[tuple[float, float]]:
    loud = np.abs(voice.samples[: len(voice.samples) // 3200 * 3200]).reshape(-1, 3200).max(1) > 0.01
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    return [(a * 0.2, b * 0.2) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def write(path: Path, frames: Iterable[np.ndarray] | Sequence[np.ndarray], sound: Waveform | None = None) -> Path:
    """A video file, with the sound where one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = list(frames)
    voice = write_waveform(path.with_suffix(".wav"), sound) if sound is not None else None
    with VideoWriter(path, (frames[0].shape[1], frames[0].shape[0]), RATE, voice) as video:
        for frame in frames:
            video.write(np.ascontiguousarray(frame))
    if voice is not None:
        voice.unlink()
    return path


def made(folder):
    """Everything in a prepared folder, by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
