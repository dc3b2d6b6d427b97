"""The shape in which a take is exported: which part of each of its pictures is shown, and how large."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.compositing.framing import ASPECTS, Framer, Framing, plan_frame
from engine.jobs.scene_plan import frame_for
from engine.media.frames import VideoInside
from engine.project.document import ExportSettings, Face, Scene, Take

_SAME_SHAPE = 0.005
"""Shapes closer than this are the same: cutting off a column of pixels would only cost sharpness."""

_GROWN, _MAX_SCALE, _MAX_SHORT_SIDE_PX = 1.5, 2.0, 1080


@dataclass(frozen=True)
class TakeShape:
    """Brings each picture of a take to the export's shape; ``framing`` None = as the take is."""

    size: tuple[int, int]
    framing: Framing | None

    @property
    def is_whole(self) -> bool:
        return self.framing is None

    def __call__(self, frame: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """Picture ``index`` of the take (height, width, 3) uint8 → (size[1], size[0], 3) uint8."""
        if self.framing is None:
            return frame
        return Framer(self.framing, frame)(frame)


def shape_take(scene: Scene, take: Take, settings: ExportSettings, inside: VideoInside) -> TakeShape:
    """How the pictures of ``take`` come to the shape that ``settings`` want."""
    width, height = inside.size
    wanted = ASPECTS.get(settings.aspect, width / height)
    if abs(width / height / wanted - 1) < _SAME_SHAPE:
        return TakeShape(inside.size, None)
    framing = plan_frame(
        inside.size, faces_in(scene, take, inside), settings.aspect, _short_side_px(inside.size, wanted)
    )
    return TakeShape(framing.size, framing)


def faces_in(scene: Scene, take: Take, inside: VideoInside) -> list[Face]:
    """The faces where they are in the take's pictures."""
    if scene.photo is None or not scene.photo.info.width or not scene.photo.info.height:
        return []
    framing = frame_for((scene.photo.info.width, scene.photo.info.height), scene, take.settings)
    scale = np.array(inside.size) / framing.size
    moved = []
    for face in scene.faces:
        corners = framing.to_frame(np.array(face.box_px, np.float64).reshape(2, 2)) * scale
        moved.append(face.model_copy(update={"box_px": tuple(corners.ravel().tolist()), "landmarks_px": []}))
    return moved


def _short_side_px(size: tuple[int, int], aspect: float) -> int:
    """The short side of the exported video.

    One and a half times the take's, up to 1080, so that captions are sharp and platforms have pixels to work with; but
    never more than twice what is really shown of the take, beyond which only softness grows.
    """
    width, height = size
    shown = min(width, height * aspect), min(height, width / aspect)
    return 2 * round(min(_GROWN * min(size), _MAX_SCALE * min(shown), _MAX_SHORT_SIDE_PX) / 2)
