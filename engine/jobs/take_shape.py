"""The shape in which a take is exported: which part of each of its pictures is shown, and how large."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.cast.timeline import within
from engine.compositing.framing import ASPECTS, Framer, Framing, plan_frame
from engine.compositing.reframe import Reframer
from engine.compositing.shots import Shot, Speaking, plan_shots
from engine.compositing.viewfinder import Viewfinder
from engine.jobs.scene_plan import frame_for
from engine.media.frames import VideoInside
from engine.project.document import ExportSettings, Face, Scene, Take

Picture = NDArray[np.uint8]
"""(height, width, 3) RGB."""

_SAME_SHAPE = 0.005
"""Shapes closer than this are the same: cutting off a column of pixels would only cost sharpness."""

_GROWN, _MAX_SCALE, _MAX_SHORT_SIDE_PX = 1.5, 2.0, 1080
_MIN_ZOOM_ROOM = 1.2
"""A picture may always be this much closer than its scale asks for, where that keeps a face from being cut."""


@dataclass(frozen=True)
class TakeShape:
    """Brings each picture of a take to the export's shape.

    ``size`` (width, height) of the exported video; ``reshape`` makes a picture of it from a picture of the take and its
    index, None = the take's pictures stay as they are. ``shots``: where somebody is followed.
    """

    size: tuple[int, int]
    reshape: Callable[[Picture, int], Picture] | None = None
    shots: tuple[Shot, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the take is shown as it is."""
        return self.reshape is None


@dataclass(frozen=True)
class _Stage:
    """What there is to show of a take: the part of its pictures where the photo is, and the faces in that part."""

    origin: tuple[int, int]
    size: tuple[int, int]
    faces: list[Face]

    def of(self, picture: Picture) -> Picture:
        (x, y), (width, height) = self.origin, self.size
        return picture[y : y + height, x : x + width]


def shape_take(
    scene: Scene, take: Take, settings: ExportSettings, inside: VideoInside, range_s: tuple[float, float]
) -> TakeShape:
    """How the pictures of ``take``, which shows ``range_s`` of the recording, come to the shape that is wanted.

    Where the shape holds everybody, one crop does. Where it does not, whoever speaks is followed; without
    ``follow_speaker``, or where a face alone is wider than the shape, all are shown before a blurred ground.
    """
    wanted = ASPECTS.get(settings.aspect, inside.size[0] / inside.size[1])
    if abs(inside.size[0] / inside.size[1] / wanted - 1) < _SAME_SHAPE:
        return TakeShape(inside.size)
    stage = _stage_of(scene, take, inside)
    framing = plan_frame(stage.size, stage.faces, settings.aspect, _short_side_px(stage.size, wanted))
    if framing.fills or not settings.follow_speaker:
        return _fixed(framing, stage)
    speaking = _speaking(scene, range_s)
    finder = Viewfinder(stage.size, stage.faces, wanted, _max_zoom(stage.size, framing.size))
    seen = {each.face_id for each in speaking if each.face_id is not None}
    if not seen or not all(finder.holds([face_id]) for face_id in seen):
        return _fixed(framing, stage)
    shots = plan_shots(speaking, finder, inside.frame_rate, inside.num_frames)
    return _following(shots, framing.size, inside.frame_rate, stage)


def _fixed(framing: Framing, stage: _Stage) -> TakeShape:
    framers: list[Framer] = []  # what lies behind is drawn from the first picture, once

    def reshape(picture: Picture, index: int) -> Picture:
        part = stage.of(picture)
        if not framers:
            framers.append(Framer(framing, part))
        return framers[0](part)

    return TakeShape(framing.size, reshape)


def _following(shots: tuple[Shot, ...], size: tuple[int, int], frame_rate: float, stage: _Stage) -> TakeShape:
    reframer = Reframer(shots, size, frame_rate)
    return TakeShape(size, lambda picture, index: reframer(stage.of(picture), index), shots)


def _stage_of(scene: Scene, take: Take, inside: VideoInside) -> _Stage:
    info = scene.photo.info if scene.photo else None
    if info is None or not info.width or not info.height:
        return _Stage((0, 0), inside.size, [])
    framing = frame_for((info.width, info.height), scene, take.settings)
    scale = np.array(inside.size) / framing.size
    left, top = (int(v) for v in np.ceil(np.array(framing.inner_px[:2]) * scale))
    right, bottom = (int(v) for v in np.floor(np.array(framing.inner_px[2:]) * scale))
    faces = []
    for face in scene.faces:
        corners = framing.to_frame(np.array(face.box_px, np.float64).reshape(2, 2)) * scale - (left, top)
        faces.append(face.model_copy(update={"box_px": tuple(corners.ravel().tolist()), "landmarks_px": []}))
    return _Stage((left, top), (right - left, bottom - top), faces)


def _speaking(scene: Scene, range_s: tuple[float, float]) -> list[Speaking]:
    """Who speaks when, in the take's time; voices without a face in the picture too."""
    shown = {face.id for face in scene.faces}
    faces = {member.speaker_id: member.face_id for member in scene.cast if member.face_id in shown}
    return [Speaking(faces.get(turn.speaker_id), turn.start_s, turn.end_s) for turn in within(scene.turns, range_s)]


def _short_side_px(size: tuple[int, int], aspect: float) -> int:
    """The short side of the exported video.

    One and a half times the take's, up to 1080, so that captions are sharp and platforms have pixels to work with; but
    never more than twice what is really shown of the take, beyond which only softness grows. A take of 480 lines
    becomes 540 × 960 upright, 720 × 720 square and 1280 × 720 wide; one of 1080 lines, 1080 × 1920.
    """
    return 2 * round(min(_GROWN * min(size), _MAX_SCALE * min(_shown(size, aspect)), _MAX_SHORT_SIDE_PX) / 2)


def _shown(size: tuple[int, int], aspect: float) -> tuple[float, float]:
    width, height = size
    return min(width, height * aspect), min(height, width / aspect)


def _max_zoom(size: tuple[int, int], exported: Sequence[int]) -> float:
    scale = min(exported) / min(_shown(size, exported[0] / exported[1]))
    return max(_MIN_ZOOM_ROOM, _MAX_SCALE / scale)
