"""The whole report on a network: mouths with every voice, three people, silence, and how alive a listener is; beside
the animatic, which it learnt from."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.dit.coders import Encoders, VideoCodec
from engine.dit.tiny import CODEC_NAME
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.evaluation.interactivity import BROWS, EYES, motion
from engine.training import made_data
from engine.training.faces import Portrait
from engine.training.made_data import FRAME_RATE, FRAMES, Scene, silence
from engine.training.prepare.encoders import FrameCodec
from engine.training.rendered_check import (
    MEASURES,
    CheckPlan,
    Rendered,
    Renderer,
    figures,
    held_out_scenes,
    mesh_points,
    silenced,
    small,
    with_voices,
)


def checked_fully(
    network: AnyTalkerTransformer3DModel, encoders: Encoders, portraits: Sequence[Portrait], plan: CheckPlan
) -> dict[str, float]:
    """Two people; the same with their voices swapped; nobody speaking; three people, which were never trained. Each
    measured in both ways, whose names come first: ``drawn_own_r``, ``mesh_own_r``.

    ``swapped_own_r``: every mouth with the voice that is now its own; ``still``: how much of the swing silence leaves;
    ``interactivity``: of the second person, who is silent while the first one talks; ``eyes_change`` and
    ``elsewhere_change`` of the same videos tell it from noise.
    """
    renderer = Renderer(network, encoders, plan)
    scenes = held_out_scenes(portraits, plan)
    rendered = {
        "": [renderer(scene) for scene in scenes],
        "swapped_": [renderer(with_voices(scene, scene.voices[::-1])) for scene in scenes],
        "silent_": [renderer(silenced(scene)) for scene in scenes],
        "three_": [renderer(scene) for scene in held_out_scenes(portraits, replace(plan, num_people=3))],
    }
    found = _listened([renderer(_one_talks(scene)) for scene in scenes])
    for measure in MEASURES:
        by_name = {name: figures(each, measure) for name, each in rendered.items()}
        still = by_name.pop("silent_").swing / max(by_name[""].swing, 1e-9)
        for name, each in by_name.items():
            found |= {f"{measure}_{name}own_r": each.own_r, f"{measure}_{name}other_r": each.other_r}
        found |= {f"{measure}_swing": by_name[""].swing, f"{measure}_still": still}
    return found


def _one_talks(scene: Scene) -> Scene:
    return with_voices(scene, (scene.voices[0], silence(FRAMES / FRAME_RATE)))


def _listened(rendered: Sequence[Rendered], name: str = "") -> dict[str, float]:
    eyes, elsewhere = changes(rendered, 1)
    return {
        f"{name}interactivity": interactivity(rendered, 1),
        f"{name}eyes_change": eyes,
        f"{name}elsewhere_change": elsewhere,
    }


def checked_animatic(coder: VideoCodec, portraits: Sequence[Portrait], plan: CheckPlan) -> dict[str, float]:
    """The same of what the network learnt from: the animatic of two people, as small, through the codec and before
    it."""
    scenes = held_out_scenes(portraits, plan)
    found: dict[str, float] = {}
    for name, through in (("coded_", coder), ("", None)):
        rendered = [as_animatic(scene, through) for scene in scenes]
        for measure in MEASURES:
            each = figures(rendered, measure)
            found |= {f"{measure}_{name}own_r": each.own_r, f"{measure}_{name}other_r": each.other_r}
        found |= _listened([as_animatic(_one_talks(scene), through) for scene in scenes], name)
    return found


def as_animatic(scene: Scene, coder: VideoCodec | None) -> Rendered:
    """The scene by the animatic, as small as the network's videos, and through their codec where one is given."""
    height, width = scene.picture.shape[:2]
    size = (round(width / made_data.FINER), round(height / made_data.FINER))
    frames = np.stack([small(frame, size) for frame in made_data.animated(scene, "check", seed=0).frames[:FRAMES]])
    if coder is not None:
        codec = FrameCodec(CODEC_NAME, coder)
        frames = codec.decode(codec.encode(frames))
    return Rendered(scene, frames)


def interactivity(rendered: Sequence[Rendered], listener: int) -> float:
    """Mean motion of the listener's eyes and brows, as the evaluation has it (paper, eq. 5 and 6)."""
    moved = []
    for each in rendered:
        points = mesh_points(each)[:, listener]
        boxes = np.concatenate([points[..., :2].min(1), points[..., :2].max(1)], axis=-1).astype(np.float64)
        moved.append(motion(points, boxes).mean())
    return float(np.mean(moved))


def changes(rendered: Sequence[Rendered], listener: int) -> tuple[float, float]:
    """Mean absolute change from frame to frame, 0..255: around the listener's eyes and brows, and outside all faces.
    Noise is in both; a livelier listener in the first alone."""
    eyes, elsewhere = [], []
    for each in rendered:
        change = np.abs(np.diff(each.frames.astype(np.float32), axis=0)).mean((0, 3))
        outside = np.ones(change.shape, bool)
        for points in each.scene.points_px:
            outside[_around(points, each.scale)] = False
        eyes.append(change[_around(each.scene.points_px[listener][list(BROWS + EYES)], each.scale)].mean())
        elsewhere.append(change[outside].mean())
    return float(np.mean(eyes)), float(np.mean(elsewhere))


def _around(points_px: NDArray[np.float32], scale: float) -> tuple[slice, slice]:
    (left, top), (right, bottom) = points_px[:, :2].min(0) / scale, points_px[:, :2].max(0) / scale
    return slice(max(0, round(top) - 2), round(bottom) + 3), slice(max(0, round(left) - 2), round(right) + 3)
