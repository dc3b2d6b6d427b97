"""Training data made on the spot for the small network: single people, animated by the animatic to made voices.

A take is some seconds of one person (for stage 2: of two) on a picture somewhat finer than what is stored. It is cut
into videos of a window's length, whose mouths stand anywhere when they begin.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from engine.analysis.types import FaceDetail
from engine.animatic.performance import PerformanceSettings, perform
from engine.animatic.renderer import Animator, FaceRig
from engine.animatic.types import Performance
from engine.cast.streams import CastStream
from engine.cast.timeline import gate
from engine.dit.speech_files import SAMPLE_RATE
from engine.evaluation.lip_sync import loudness
from engine.media.types import Image, Waveform
from engine.project.document import Face, Part
from engine.training.faces import Portrait, draw_person
from engine.training.samples import Frames
from engine.training.voices import draw_speaker, draw_text, speak

FRAME_RATE = 24.0
FRAMES = 33
STORED = (128, 96)  # width, height
TAKE_S = 4.6
FINER = 1.5  # takes are drawn so much finer than stored
_CANVAS = (round(STORED[0] * FINER), round(STORED[1] * FINER))
_FACE_SHARES = (0.62, 0.80)  # of the canvas' height, from brow to chin and a little more
_SINGLE_FACE_SHARES = (0.45, 0.80)  # photos have smaller faces too
_ROOM = 1.12  # a half holds the face and at least so much more
_HALVES = 2
_SILENT_SHARE = 0.12
_ACTIVE_S = 0.12
_JAW_INERTIA_S = 0.04
_GESTURES = ("smile", "blink", "brow", "gaze", "yaw", "pitch", "roll")
WIDEST = 0.8  # of a jaw's opening, at the loudest

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Take:
    """``frames`` (F, H, W, 3) on the fine canvas; of each person the face's ``boxes_px`` there and the voice."""

    name: str
    frames: Frames
    boxes_px: tuple[Box, ...]
    voices: tuple[Waveform, ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """People of one picture. ``points_px`` (478, 3) of each; ``voices``, silent for listeners."""

    picture: NDArray[np.uint8]
    points_px: tuple[NDArray[np.float32], ...]
    voices: tuple[Waveform, ...]


def made_voice(chance: np.random.Generator, held_out: bool, seconds: float = TAKE_S) -> Waveform:
    """Exactly ``seconds`` of one speaker, from anywhere in what is said, as loud as chance has it."""
    num_words = round(3.2 * seconds) + 4
    voice = speak(draw_text(chance, num_words), draw_speaker(chance, held_out))
    length = round(seconds * SAMPLE_RATE)
    spare = max(1, len(voice.samples) - length)
    samples = voice.samples[int(chance.integers(spare)) :][:length]
    samples = np.pad(samples, (0, length - len(samples)))
    return Waveform(
        (samples / max(1e-3, np.abs(samples).max()) * chance.uniform(0.3, 0.9)).astype(np.float32), SAMPLE_RATE
    )


def silence(seconds: float = TAKE_S) -> Waveform:
    return Waveform(np.zeros(round(seconds * SAMPLE_RATE), np.float32), SAMPLE_RATE)


def single_scene(portraits: Sequence[Portrait], chance: np.random.Generator, held_out: bool = False) -> Scene:
    """One person somewhere in the picture, talking or now and then silent."""
    person = draw_person(portraits, chance)
    picture, points = placed(person, _CANVAS, chance, _SINGLE_FACE_SHARES)
    quiet = chance.random() < _SILENT_SHARE
    return Scene(picture, (points,), (silence() if quiet else made_voice(chance, held_out),))


def pair_scene(portraits: Sequence[Portrait], chance: np.random.Generator, held_out: bool = False) -> Scene:
    """Two people side by side, who talk in turns with a little overlap: for stage 2."""
    side = (_CANVAS[0] // 2, _CANVAS[1])
    people = [placed(draw_person(portraits, chance), side, chance) for _ in range(2)]
    voices = [made_voice(chance, held_out).samples.copy() for _ in range(2)]
    change = int(len(voices[0]) * chance.uniform(0.35, 0.65))
    overlap = round(0.2 * SAMPLE_RATE)
    first = int(chance.integers(2))
    voices[first][change + overlap :] = 0
    voices[1 - first][:change] = 0
    points = (people[0][1], people[1][1] + np.array([side[0], 0, 0], np.float32))
    picture = np.concatenate([picture for picture, _ in people], axis=1)
    return Scene(picture, points, tuple(Waveform(voice, SAMPLE_RATE) for voice in voices))


def placed(
    person: Portrait,
    size: tuple[int, int],
    chance: np.random.Generator,
    shares: tuple[float, float] = _FACE_SHARES,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The portrait at a random size and place on a canvas of ``size``; the face lies wholly inside."""
    x0, y0, x1, y1 = face_box(person.points_px)
    share = chance.uniform(*shares)
    scale = min(share * size[1] / (y1 - y0), 0.9 * size[0] / (x1 - x0))
    spare_x, spare_y = size[0] - scale * (x1 - x0), size[1] - scale * (y1 - y0)
    left = chance.uniform(0.2, 0.8) * spare_x - scale * x0
    top = chance.uniform(0.25, 0.75) * spare_y - scale * y0
    affine = np.array([[scale, 0, left], [0, scale, top]], np.float32)
    rgb = cv2.GaussianBlur(person.rgb, (0, 0), 0.4 / scale) if scale < 0.9 else person.rgb
    picture = cv2.warpAffine(rgb, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    points = person.points_px * scale + np.array([left, top, 0])
    return picture.astype(np.uint8), points.astype(np.float32)


def face_box(points_px: NDArray[np.float32]) -> Box:
    (x0, y0), (x1, y1) = points_px[:, :2].min(0), points_px[:, :2].max(0)
    return float(x0), float(y0), float(x1), float(y1)


def streams_of(scene: Scene, frame_rate: float = FRAME_RATE) -> list[CastStream]:
    """The scene's people as every renderer takes them."""
    num_frames = int(len(scene.voices[0].samples) / SAMPLE_RATE * frame_rate)
    turns = [active_s(voice) for voice in scene.voices]
    gates = [gate(spans, frame_rate, num_frames) for spans in turns]
    streams = []
    for index, (points, voice) in enumerate(zip(scene.points_px, scene.voices, strict=True)):
        others = np.max([other for place, other in enumerate(gates) if place != index], axis=0, initial=0.0)
        heard = np.clip(np.broadcast_to(others, gates[index].shape) - gates[index], 0, 1).astype(np.float32)
        face = Face(id=f"face-{index + 1}", name=f"Person {index + 1}", colour="#888888", box_px=face_box(points))
        detail = FaceDetail(points, np.zeros(52, np.float32), np.zeros(128, np.float32))
        part = Part.TALKS if turns[index] else Part.LISTENS
        streams.append(CastStream(face, detail, part, 1.0, 1.0, voice, tuple(turns[index]), gates[index], heard))
    return streams


def active_s(voice: Waveform) -> list[tuple[float, float]]:
    """Spans with sound; pauses shorter than a syllable do not count."""
    step = round(0.02 * voice.sample_rate)
    loud = np.abs(voice.samples[: len(voice.samples) // step * step]).reshape(-1, step).max(1) > 0.01
    spans: list[tuple[float, float]] = []
    for index in np.flatnonzero(loud):
        start = index * 0.02
        if spans and start - spans[-1][1] < _ACTIVE_S:
            spans[-1] = (spans[-1][0], start + 0.02)
        else:
            spans.append((start, start + 0.02))
    return spans


def animated(scene: Scene, name: str, seed: int, gestures: float = 1.0) -> Take:
    """The animatic of a scene, with mouths as a small network can learn them. ``gestures``: the share that stays of
    what heads, eyes and brows do, which no voice tells."""
    streams = streams_of(scene)
    performed = perform(streams, {}, FRAME_RATE, PerformanceSettings(seed=seed))
    performances = [
        _calmed(_by_loudness(each, voice), gestures) for each, voice in zip(performed, scene.voices, strict=True)
    ]
    image = Image(scene.picture)
    rigs = [
        FaceRig.of(image.rgb, points, stream.part == Part.TALKS)
        for points, stream in zip(scene.points_px, streams, strict=True)
    ]
    animator = Animator(image, rigs)
    frames = np.stack([animator.frame(performances, index) for index in range(performances[0].num_frames)])
    return Take(name, frames, tuple(face_box(points) for points in scene.points_px), scene.voices)


def _by_loudness(performance: Performance, voice: Waveform) -> Performance:
    """Mouths open by what every frame's mel bands tell. Words shape them, too, in the animatic: of that, bands of one
    moment say nothing, and the network could only learn the mean."""
    still = np.zeros(performance.num_frames, np.float32)
    loud = gaussian_filter1d(loudness(voice, FRAME_RATE, performance.num_frames), _JAW_INERTIA_S * FRAME_RATE)
    opening = WIDEST * loud
    return replace(
        performance, jaw_open=opening.astype(np.float32), lip_press=still, lip_tuck=still, tongue=still,
        lip_width=still, lip_round=still,
    )  # fmt: skip


def _calmed(performance: Performance, share: float) -> Performance:
    fewer = {name: getattr(performance, name) * np.float32(share) for name in _GESTURES}
    return replace(performance, **fewer)


def take(portraits: Sequence[Portrait], seed: int, index: int, num_people: int = 1, gestures: float = 1.0) -> Take:
    """Take ``index`` of a ``seed`` is always the same."""
    chance = np.random.default_rng([seed, index])
    scene = (single_scene if num_people == 1 else pair_scene)(portraits, chance)
    return animated(scene, f"made-{seed}-{index:05}", int(chance.integers(2**31)), gestures)


@dataclass(frozen=True, eq=False)
class Cut:
    """A stretch of a take as it is stored: ``whole`` (F, H, W, 3), ``box_px`` of each person, ``halves`` with the
    face's box, and where it begins in the take's voices."""

    name: str
    whole: Frames
    boxes_px: tuple[Box, ...]
    halves: tuple[tuple[Frames, Box], ...]
    voices: tuple[NDArray[np.float32], ...]


def cuts(take: Take, chance: np.random.Generator) -> Iterator[Cut]:
    """As many stretches of FRAMES as fit, each with its own halves."""
    num_cuts = len(take.frames) // FRAMES
    spare = len(take.frames) - num_cuts * FRAMES
    for index in range(num_cuts):
        first = index * FRAMES + int(chance.integers(spare + 1))
        frames = take.frames[first : first + FRAMES]
        halves = tuple(
            _half(frames, take.boxes_px[0], chance) for _ in range(_HALVES if len(take.boxes_px) == 1 else 0)
        )
        start, stop = (round(at / FRAME_RATE * SAMPLE_RATE) for at in (first, first + FRAMES))
        voices = tuple(voice.samples[start:stop] for voice in take.voices)
        boxes = tuple(_scaled(box, 1 / FINER) for box in take.boxes_px)
        yield Cut(f"{take.name}-{index}", _resized(frames, STORED), boxes, halves, voices)


def _half(frames: Frames, box: Box, chance: np.random.Generator) -> tuple[Frames, Box]:
    """A window of half the frame's width around the face, at random enlarged while it stays inside the canvas."""
    width, height = STORED[0] // 2, STORED[1]
    x0, y0, x1, y1 = box
    least = max((y1 - y0) * _ROOM, (x1 - x0) * _ROOM * height / width)
    high = min(float(_CANVAS[1]), chance.uniform(least, max(least, _CANVAS[1])))
    wide = high * width / height
    left = float(np.clip((x0 + x1 - wide) / 2, 0, _CANVAS[0] - wide))
    top = float(np.clip((y0 + y1 - high) / 2, 0, _CANVAS[1] - high))
    window = frames[:, round(top) : round(top + high), round(left) : round(left + wide)]
    scale = height / high
    moved = ((x0 - left) * scale, (y0 - top) * scale, (x1 - left) * scale, (y1 - top) * scale)
    return _resized(window, (width, height)), moved


def _resized(frames: Frames, size: tuple[int, int]) -> Frames:
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def _scaled(box: Box, scale: float) -> Box:
    x0, y0, x1, y1 = box
    return x0 * scale, y0 * scale, x1 * scale, y1 * scale
