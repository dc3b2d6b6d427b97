"""Whether it is true: people never seen, voices never heard, rendered by the product's own recipe, and their mouths
held against every voice.

A mouth's opening is measured in one of two ways. "mesh" is the evaluation's: the face mesh followed through the frames,
small ones enlarged, because its network was made for larger faces. "drawn" is direct and quick, for the small frames of
checks in the middle of a run: how far the mouth's pixels have gone from this person's shut mouth towards the wide open
one, both drawn by the animatic. A voice is its loudness in the speech band (engine/evaluation/lip_sync.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.animatic.renderer import Animator, FaceRig
from engine.animatic.types import Performance
from engine.dit.coders import Encoders
from engine.dit.conditioning import Direction, build_conditioning, build_scene
from engine.dit.memory import MemoryPlan
from engine.dit.pipeline import Engine, run
from engine.dit.sampling import Sampling
from engine.dit.shapes import VideoShape
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.dit.windows import WindowSpan
from engine.evaluation.lip_sync import loudness
from engine.media.types import Image, Waveform
from engine.media.write import VideoWriter, write_waveform
from engine.training import made_data
from engine.training.faces import Portrait, draw_person
from engine.training.inputs import Heard, as_heard
from engine.training.made_data import FRAME_RATE, FRAMES, STORED, Scene, made_voice, placed, silence, streams_of
from engine.training.pairing import TALK_PROMPTS
from engine.training.samples import Frames

Measure = Literal["drawn", "mesh"]
MEASURES: tuple[Measure, ...] = ("drawn", "mesh")
Curve = NDArray[np.float64]
LEAST_HEIGHT = 384  # of the frames in which the mesh is followed
MAX_LAG = 3
_LEAD_S = 0.3  # made voices begin at once: this much of them is let go
_SIDE_STEP = 16  # px: of a patch of latents


@dataclass(frozen=True)
class CheckPlan:
    """``num_scenes`` of ``num_people`` each, all talking at once, so that no mouth can go by the other's pauses.
    ``heard``, ``token_masks``: as the network was trained (InputOptions). ``height``: of the frames.
    ``guidance_range``: mouths are decided in the first half of the steps; guided beyond, pictures only get noisier."""

    num_scenes: int = 10
    num_people: int = 2
    num_inference_steps: int = 10
    guidance_scale: float = 5.0
    guidance_range: tuple[float, float] = (0.0, 0.5)
    shift: float = 3.0
    seed: int = 1
    measure: Measure = "drawn"
    heard: Heard = "audio and face"
    token_masks: bool = True
    height: int = STORED[1]
    num_frames: int = FRAMES


@dataclass(frozen=True, eq=False)
class Rendered:
    """``frames`` (F, H, W, 3) of a ``scene``."""

    scene: Scene
    frames: Frames

    @property
    def scale(self) -> float:
        """How much larger the scene's picture is."""
        return self.scene.picture.shape[0] / self.frames.shape[1]


@dataclass(frozen=True)
class MouthFigures:
    """Means over all people: ``own_r`` with one's own voice, ``other_r`` with another's, ``swing``: how far mouths
    open and shut (the standard deviation of the opening)."""

    own_r: float
    other_r: float
    swing: float
    num_people: int


def held_out_scenes(portraits: Sequence[Portrait], plan: CheckPlan) -> list[Scene]:
    """Scene n of a seed is always the same."""
    return [_scene(portraits, plan, np.random.default_rng([plan.seed, index])) for index in range(plan.num_scenes)]


def _scene(portraits: Sequence[Portrait], plan: CheckPlan, chance: np.random.Generator) -> Scene:
    width, height = (round(side * made_data.FINER) for side in (STORED[0] / 2, STORED[1]))
    people = [placed(draw_person(portraits, chance), (width, height), chance) for _ in range(plan.num_people)]
    points = tuple(
        (points + np.array([place * width, 0, 0])).astype(np.float32) for place, (_, points) in enumerate(people)
    )
    seconds = FRAMES / FRAME_RATE + _LEAD_S
    voices = tuple(_after(made_voice(chance, held_out=True, seconds=seconds)) for _ in people)
    return Scene(np.concatenate([picture for picture, _ in people], axis=1), points, voices)


def _after(voice: Waveform) -> Waveform:
    return Waveform(voice.samples[round(_LEAD_S * voice.sample_rate) :], voice.sample_rate)


def with_voices(scene: Scene, voices: Sequence[Waveform]) -> Scene:
    return replace(scene, voices=tuple(voices))


def silenced(scene: Scene) -> Scene:
    return with_voices(scene, [silence(FRAMES / FRAME_RATE) for _ in scene.voices])


class Renderer:
    """Renders scenes with a network, on ``device``, as ``render`` would: one window, the same conditioning."""

    def __init__(
        self, network: AnyTalkerTransformer3DModel, encoders: Encoders, plan: CheckPlan, device: str = "cpu"
    ) -> None:
        memory = MemoryPlan(device, "float32", "none", "none", False, False, True, plan.num_frames, 0, 0, 0, 0.0, 0.0)
        self._engine = Engine(network, encoders.video, memory)
        self._encoders, self._plan = encoders, plan

    def __call__(self, scene: Scene) -> Rendered:
        plan, streams = self._plan, streams_of(scene)
        direction = Direction(TALK_PROMPTS[0], frame_rate=FRAME_RATE)
        conditioned = build_scene(streams, Image(scene.picture), direction, self._encoders)
        span = WindowSpan(0, 1, 0, plan.num_frames, 0)
        high, wide = scene.picture.shape[:2]
        shape = VideoShape(plan.num_frames, plan.height, round(plan.height * wide / high / _SIDE_STEP) * _SIDE_STEP)
        conditioning = build_conditioning(conditioned, span, shape, conditioned.boxes_px)
        people = as_heard(conditioning.people, plan.heard, plan.token_masks)
        conditioning = replace(conditioning, people=tuple(people))
        sampling = Sampling(plan.num_inference_steps, plan.guidance_scale, plan.shift, plan.seed, plan.guidance_range)
        steps = run(self._engine, conditioning, sampling, span)
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                return Rendered(scene, finished.value)


def openings(rendered: Rendered, measure: Measure) -> NDArray[np.float64]:
    """(F, people): how open each mouth is."""
    return drawn_openings(rendered) if measure == "drawn" else mesh_openings(rendered)


def drawn_openings(rendered: Rendered) -> NDArray[np.float64]:
    """0 = shut and 1 = wide open, as the animatic would draw this person; blind to what does not look like a mouth."""
    scene, size = rendered.scene, (rendered.frames.shape[2], rendered.frames.shape[1])
    image = Image(scene.picture)
    animator = Animator(image, [FaceRig.of(image.rgb, points, True) for points in scene.points_px])
    rest = Performance.at_rest(2)
    wide = replace(rest, jaw_open=np.array([0, made_data.WIDEST], np.float32))
    shut, wide_open = (animator.frame([wide] * len(scene.points_px), index) for index in (0, 1))
    drawn = [small(picture, size).astype(np.float64) for picture in (shut, wide_open)]
    frames = rendered.frames.astype(np.float64)
    return np.stack([_along(frames, drawn, _mouth_px(points, rendered.scale)) for points in scene.points_px], axis=1)


def _along(frames: Curve, drawn: Sequence[Curve], area: tuple[slice, slice]) -> Curve:
    axis = drawn[1][area] - drawn[0][area]
    return np.tensordot(frames[:, *area] - drawn[0][area], axis, 3) / max(float((axis**2).sum()), 1e-9)


def _mouth_px(points_px: NDArray[np.float32], scale: float) -> tuple[slice, slice]:
    """Rows and columns around the lips, down to the chin."""
    left, right = points_px[61, 0], points_px[291, 0]
    top, bottom = points_px[2, 1], points_px[152, 1]
    rows, columns = ((low / scale, high / scale) for low, high in ((top, bottom), (min(left, right), max(left, right))))
    return slice(max(0, round(rows[0])), round(rows[1]) + 1), slice(max(0, round(columns[0])), round(columns[1]) + 1)


def mesh_openings(rendered: Rendered) -> NDArray[np.float64]:
    """Inner lips' distance over that of the outer eye corners, by the evaluation's mesh."""
    points = mesh_points(rendered)
    return _gaps(points, 13, 14) / np.maximum(_gaps(points, 33, 263), 1e-6)


def mesh_points(rendered: Rendered) -> NDArray[np.float32]:
    """(F, people, 478, 3) px in frames enlarged to LEAST_HEIGHT where they are smaller."""
    from engine.analysis.faces import embedded_analyser

    mesher = embedded_analyser().mesher
    enlarged = max(1, round(LEAST_HEIGHT / rendered.frames.shape[1]))
    factor = enlarged / rendered.scale
    points = [(points_px * factor).astype(np.float32) for points_px in rendered.scene.points_px]
    rows = []
    for frame in rendered.frames:
        large = cv2.resize(frame, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC)
        points = [mesher.follow(Image(large.astype(np.uint8)), each).points_px for each in points]
        rows.append(np.stack(points))
    return np.stack(rows)


def _gaps(points_px: NDArray[np.float32], first: int, second: int) -> NDArray[np.float64]:
    return np.linalg.norm(points_px[..., first, :2] - points_px[..., second, :2], axis=-1).astype(np.float64)


def small(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """At ``size`` (width, height), each pixel the mean of what it covers."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def figures(rendered: Sequence[Rendered], measure: Measure) -> MouthFigures:
    """One lag for all, the best for own voices; the others' voices are held against the mouths at the same lag."""
    opened = [openings(each, measure) for each in rendered]
    loud = [[loudness(voice, FRAME_RATE, FRAMES) for voice in each.scene.voices] for each in rendered]
    by_lag = {lag: _correlations(opened, loud, lag) for lag in range(-MAX_LAG, MAX_LAG + 1)}
    own, others = max(by_lag.values(), key=lambda pair: float(np.mean(pair[0])))
    swing = float(np.mean([curve.std(0) for curve in opened]))
    return MouthFigures(float(np.mean(own)), float(np.mean(others)) if others else 0.0, swing, len(own))


def _correlations(
    opened: Sequence[NDArray[np.float64]], loud: Sequence[Sequence[Curve]], lag: int
) -> tuple[list[float], list[float]]:
    own: list[float] = []
    others: list[float] = []
    for mouths, voices in zip(opened, loud, strict=True):
        for mouth in range(mouths.shape[1]):
            for voice, curve in enumerate(voices):
                (own if voice == mouth else others).append(_pearson(mouths[:, mouth], curve, lag))
    return own, others


def _pearson(mouth: Curve, voice: Curve, lag: int) -> float:
    length = len(mouth)
    late, early = mouth[max(0, lag) : length + min(0, lag)], voice[max(0, -lag) : length - max(0, lag)]
    if late.std() < 1e-9 or early.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(late, early)[0, 1])


def write_sheet(rendered: Sequence[Rendered], path: Path) -> None:
    """Some eight frames of each scene, below one another: for people to look at."""
    from PIL import Image as Picture

    rows = [np.concatenate(list(each.frames[:: max(1, len(each.frames) // 8)]), axis=1) for each in rendered]
    sheet = Picture.new("RGB", (max(row.shape[1] for row in rows), sum(row.shape[0] for row in rows)))
    for row, top in zip(rows, np.cumsum([0, *(row.shape[0] for row in rows)]).tolist(), strict=False):
        sheet.paste(Picture.fromarray(row), (0, top))
    sheet.save(path)


def write_video(rendered: Rendered, path: Path) -> None:
    """With everybody's voice. Raises WriteFailed."""
    voices = rendered.scene.voices
    mixed = np.clip(np.sum([voice.samples for voice in voices], axis=0), -1, 1).astype(np.float32)
    height, width = rendered.frames.shape[1:3]
    with TemporaryDirectory() as folder:
        sound = write_waveform(Path(folder) / "sound.wav", Waveform(mixed, voices[0].sample_rate))
        with VideoWriter(path, (width, height), FRAME_RATE, sound) as writer:
            for frame in rendered.frames:
                writer.write(frame)
