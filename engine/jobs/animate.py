"""The frames of an animatic: what everybody does, drawn over the photo."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.animatic.performance import PerformanceSettings, perform
from engine.animatic.renderer import Animator, FaceRig
from engine.animatic.types import Performance
from engine.cast.streams import CastStream
from engine.jobs.scene_plan import ScenePlan
from engine.media.types import Image
from engine.project.document import Part

Frame = NDArray[np.uint8]


def animate(
    plan: ScenePlan, indexes: range | None = None, performances: Sequence[Performance] | None = None
) -> Iterator[Frame]:
    """The frames of an animatic, or those of ``indexes``: same plan and seed, same frames, bit for bit.

    ``performances``: what everybody does where that is not ``performances_of`` the plan.
    """
    rigs = [_rig(plan.picture, stream) for stream in plan.streams]
    animator = Animator(plan.picture, rigs)
    everybody = performances_of(plan) if performances is None else performances
    for index in range(plan.num_frames) if indexes is None else indexes:
        yield animator.frame(everybody, index)


def performances_of(plan: ScenePlan) -> list[Performance]:
    """What everybody of the plan does, in the order of its streams."""
    scene, settings = plan.scene, plan.settings
    speaker_of = {member.face_id: member.speaker_id for member in scene.cast if member.face_id and member.speaker_id}
    sounds = {
        face_id: plan.sounds[speaker_id].between(*plan.range_s)
        for face_id, speaker_id in speaker_of.items()
        if speaker_id in plan.sounds
    }
    strength = PerformanceSettings(interaction_strength=scene.interaction_strength, seed=settings.seed)
    return perform(plan.streams, sounds, settings.frame_rate, strength)


def passing(before: Performance, after: Performance, shares: NDArray[np.float32]) -> Performance:
    """From what one performance does to what another does: ``shares`` (F,) 0 = before … 1 = after."""

    def mixed(name: str) -> NDArray[np.float32]:
        old, new = getattr(before, name), getattr(after, name)
        weights = shares.reshape(-1, *[1] * (old.ndim - 1))
        return np.asarray(old + weights * (new - old), np.float32)

    return Performance(**{name: mixed(name) for name in Performance.__dataclass_fields__})


def _rig(picture: Image, stream: CastStream) -> FaceRig | None:
    if stream.part is Part.STILL or stream.detail is None:
        return None
    return FaceRig.of(picture.rgb, stream.detail.points_px, speaks=stream.part is Part.TALKS)
