"""The frames of an animatic: what everybody does, drawn over the photo."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.animatic.performance import PerformanceSettings, perform
from engine.animatic.renderer import Animator, FaceRig
from engine.cast.streams import CastStream
from engine.jobs.scene_plan import ScenePlan
from engine.media.types import Image
from engine.project.document import Part

Frame = NDArray[np.uint8]


def animate(plan: ScenePlan, indexes: range | None = None) -> Iterator[Frame]:
    """The frames of an animatic, or those of ``indexes``: same plan and seed, same frames, bit for bit."""
    scene, settings = plan.scene, plan.settings
    speaker_of = {member.face_id: member.speaker_id for member in scene.cast if member.face_id and member.speaker_id}
    sounds = {
        face_id: plan.sounds[speaker_id].between(*plan.range_s)
        for face_id, speaker_id in speaker_of.items()
        if speaker_id in plan.sounds
    }
    performances = perform(
        plan.streams,
        sounds,
        settings.frame_rate,
        PerformanceSettings(interaction_strength=scene.interaction_strength, seed=settings.seed),
    )
    rigs = [_rig(plan.picture, stream) for stream in plan.streams]
    animator = Animator(plan.picture, rigs)
    for index in range(plan.num_frames) if indexes is None else indexes:
        yield animator.frame(performances, index)


def _rig(picture: Image, stream: CastStream) -> FaceRig | None:
    if stream.part is Part.STILL or stream.detail is None:
        return None
    return FaceRig.of(picture.rgb, stream.detail.points_px, speaks=stream.part is Part.TALKS)
