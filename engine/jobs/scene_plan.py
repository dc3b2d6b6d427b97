"""What a render needs, made ready once: the same for the animatic, the preview and the final."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.analysis.types import FaceDetail
from engine.analysis.visemes import SpeechSounds
from engine.cast.streams import CastStream, Evidence, build_streams
from engine.cast.timeline import num_frames
from engine.compositing.framing import Framer, Framing, plan_close_frame, plan_frame
from engine.dit.shapes import TOKEN_PX
from engine.errors import StudioError
from engine.jobs import evidence
from engine.jobs.events import StageProgress
from engine.jobs.model_settings import is_tiny
from engine.media.types import Image, Waveform
from engine.project.document import RenderSettings, Scene, TakeKind
from engine.project.store import ProjectFiles


@dataclass(frozen=True)
class ScenePlan:
    """What a render needs, ready: the photo and the framed picture, the people in it and what each of them will do."""

    scene: Scene
    settings: RenderSettings
    range_s: tuple[float, float]
    photo: Image
    framing: Framing
    picture: Image
    streams: list[CastStream]
    sounds: dict[str, SpeechSounds]

    @property
    def num_frames(self) -> int:
        return num_frames(self.range_s[1] - self.range_s[0], self.settings.frame_rate)


def plan_scene(store: ProjectFiles, scene: Scene, settings: RenderSettings) -> Iterator[StageProgress | ScenePlan]:
    """Progress, then at last the plan: everything that does not depend on how the frames are made."""
    yield StageProgress("prepare", "Preparing the picture")
    photo = evidence.photo_of(store, scene)
    details = evidence.face_details(store, scene, photo)
    yield StageProgress("separate", "Separating the voices")
    heard = evidence.voices(store, scene)
    sounds: dict[str, SpeechSounds] = {}
    for step in evidence.speech_sounds(store, scene, heard):
        if isinstance(step, StageProgress):
            yield step
        else:
            sounds = step
    range_s = _range_within(settings, heard)
    framing = frame_for((photo.width, photo.height), scene, settings)
    framed = {face_id: _framed(detail, framing) for face_id, detail in details.items()}
    yield ScenePlan(
        scene,
        settings,
        range_s,
        photo,
        framing,
        Image(Framer(framing, photo.rgb)(photo.rgb)),
        build_streams(scene, Evidence(heard, framed), range_s),
        sounds,
    )


def frame_for(photo_size: tuple[int, int], scene: Scene, settings: RenderSettings) -> Framing:
    """The frame of a take: the networks' pictures have sides of whole tokens, and the small network sees no more than
    the people."""
    if is_tiny(settings):
        return plan_close_frame(photo_size, scene.faces, settings.aspect, settings.height, TOKEN_PX)
    multiple_px = 2 if settings.kind is TakeKind.ANIMATIC else TOKEN_PX
    return plan_frame(photo_size, scene.faces, settings.aspect, settings.height, multiple_px)


def _range_within(settings: RenderSettings, heard: dict[str, Waveform]) -> tuple[float, float]:
    """What is rendered, by the sound itself: a length in project.json may be edited by hand."""
    length_s = max(voice.duration_s for voice in heard.values())
    if settings.range_s and settings.range_s[1] > length_s + 0.05:
        raise StudioError(f"The recording is {length_s:.1f} s long.", "Choose a range inside it.")
    return settings.range_s or (0.0, length_s)


def _framed(detail: FaceDetail, framing: Framing) -> FaceDetail:
    """The same face in the pixels of the framed picture."""
    return FaceDetail(framing.to_frame(detail.points_px).astype(np.float32), detail.blendshapes, detail.embedding)
