"""Step 1: the stretches of a video in which nothing is cut, the camera stands, and the right faces are seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from engine.analysis.face_boxes import scaled_to
from engine.analysis.face_protocols import Box, FaceDetector
from engine.analysis.faces import FaceAnalyser
from engine.errors import UnreadableMedia
from engine.evaluation.camera import Camera
from engine.evaluation.video import VideoFacts, frames_of, look_at
from engine.jobs.events import StageProgress
from engine.media.types import Image
from engine.training.prepare.drops import Drop, Reason
from engine.training.prepare.settings import PrepareSettings

STEP = "shots"
_CAMERA_EVERY = 3  # frames
_CUT_WIDTH_PX = 256
_LOOK_SIDE_PX = 640
_LEAST_CUT_DIFFERENCE = 15.0  # PySceneDetect's own, of 255


class Look(BaseModel):
    """The faces of one frame that are large enough to belong to people of the scene."""

    frame: int
    boxes_px: list[tuple[float, float, float, float]]


class Shot(BaseModel):
    """Frames ``first`` to ``last`` (not included), and the looks at them that show the right number of faces."""

    first: int
    last: int
    looks: list[Look]


class ShotsFound(BaseModel):
    frame_rate: float
    num_frames: int = 0
    shots: list[Shot] = []
    drops: list[Drop] = []


@dataclass(frozen=True)
class _Seen:
    """All of a video, looked at once: where it is cut, where the camera has moved, and who is there."""

    num_frames: int
    cuts: list[int]
    moves: list[int]
    looks: list[Look]


@dataclass
class _Camera:
    """The camera against the last place in which it stood: a pan gives one move after the other."""

    limit: float
    moves: list[int] = field(default_factory=list)
    _standing: Camera | None = None

    def look(self, index: int, rgb: NDArray[np.uint8], faces: Sequence[Box]) -> None:
        moved = self._standing is not None and self._standing.moved(rgb) > self.limit
        if moved:
            self.moves.append(index)
        if moved or self._standing is None:
            self._standing = Camera(rgb, faces)


def facts_for(path: Path, settings: PrepareSettings) -> VideoFacts:
    """The video as every step reads it: at the clips' own frame rate. Raises UnreadableMedia."""
    return replace(look_at(path), frame_rate=settings.frame_rate)


def find_shots(
    path: Path, name: str, settings: PrepareSettings, detector: FaceDetector
) -> Iterator[StageProgress | ShotsFound]:
    """Progress, then the shots; a video that cannot be used has none, and a drop that says why."""
    try:
        facts = facts_for(path, settings)
    except UnreadableMedia as error:
        yield _nothing(name, settings, Reason.UNREADABLE, error.message)
        return
    length_s = facts.duration_s or 0.0
    if not facts.has_sound:
        yield _nothing(name, settings, Reason.NO_SOUND, "There is no sound in the file.", length_s)
        return
    if facts.duration_s is not None and facts.duration_s < settings.min_clip_s:
        yield _nothing(name, settings, Reason.TOO_SHORT, f"It lasts {length_s:.1f} s.", length_s)
        return
    try:
        for step in _seen(facts, name, settings, detector):
            yield step if isinstance(step, StageProgress) else _shots(step, name, settings)
    except UnreadableMedia as error:
        yield _nothing(name, settings, Reason.UNREADABLE, error.message, length_s)


def _nothing(name: str, settings: PrepareSettings, reason: Reason, detail: str, length_s: float = 0.0) -> ShotsFound:
    drop = Drop(video=name, step=STEP, reason=reason, detail=detail, end_s=round(length_s, 3))
    return ShotsFound(frame_rate=settings.frame_rate, drops=[drop])


def _seen(
    facts: VideoFacts, name: str, settings: PrepareSettings, detector: FaceDetector
) -> Iterator[StageProgress | _Seen]:
    cutter, camera = Cutter(facts.frame_rate), _Camera(settings.max_camera_move)
    looks: list[Look] = []
    faces: list[Box] = []
    step = max(1, round(settings.look_every_s * facts.frame_rate))
    total = round((facts.duration_s or 0) * facts.frame_rate)
    count = 0
    for index, rgb in enumerate(frames_of(facts)):
        count = index + 1
        if index % step == 0:
            faces = people_of(_faces_in(rgb, detector), settings.min_bystander)
            looks.append(Look(frame=index, boxes_px=faces))
            yield StageProgress(STEP, f"Looking for shots and faces in {name}", count, max(total, count))
        cutter.look(index, rgb)
        if index % _CAMERA_EVERY == 0:
            camera.look(index, rgb, faces)
    yield _Seen(count, cutter.cuts, camera.moves, looks)


def quick_detector(analyser: FaceAnalyser) -> FaceDetector:
    """The analyser's detector; the embedded one without its further looks, which are for the back rows of photos."""
    from engine.analysis.backends.centerface import CenterFace

    detector = analyser.detector
    return replace(detector, long_sides_px=(_LOOK_SIDE_PX,)) if isinstance(detector, CenterFace) else detector


def _faces_in(rgb: NDArray[np.uint8], detector: FaceDetector) -> list[Box]:
    """Faces large enough to learn from, found in a small copy."""
    scale = min(1.0, _LOOK_SIDE_PX / max(rgb.shape[:2]))
    small = rgb if scale == 1 else scaled_to(rgb, _LOOK_SIDE_PX)
    return [found.moved(1 / scale).box_px for found in detector(Image(small))]


def people_of(boxes: Sequence[Box], min_bystander: float) -> list[Box]:
    """The boxes from left to right, without faces far in the background or on pictures behind."""
    largest = max((x1 - x0 for x0, _, x1, _ in boxes), default=0.0)
    return sorted((box for box in boxes if box[2] - box[0] >= min_bystander * largest), key=lambda b: b[0] + b[2])


class Cutter:
    """Cuts, by PySceneDetect's adaptive detector: a change that stands out from those around it."""

    def __init__(self, frame_rate: float) -> None:
        from scenedetect import FrameTimecode
        from scenedetect.detectors import AdaptiveDetector

        self._detector: Any = AdaptiveDetector(min_scene_len=2, min_content_val=_LEAST_CUT_DIFFERENCE)
        self._at, self._rate = FrameTimecode, float(frame_rate)
        self.cuts: list[int] = []

    def look(self, index: int, rgb: NDArray[np.uint8]) -> None:
        small = cv2.resize(rgb, _small(rgb, _CUT_WIDTH_PX), interpolation=cv2.INTER_AREA)
        bgr = np.ascontiguousarray(small[..., ::-1])
        self.cuts += [cut.frame_num for cut in self._detector.process_frame(self._at(index, self._rate), bgr)]


def _small(rgb: NDArray[np.uint8], width_px: int) -> tuple[int, int]:
    return width_px, max(8, round(width_px * rgb.shape[0] / rgb.shape[1]))


def _shots(seen: _Seen, name: str, settings: PrepareSettings) -> ShotsFound:
    found = ShotsFound(frame_rate=settings.frame_rate, num_frames=seen.num_frames)

    def drop(first: int, last: int, reason: Reason, detail: str) -> None:
        times = {"start_s": round(first / settings.frame_rate, 3), "end_s": round(last / settings.frame_rate, 3)}
        found.drops.append(Drop(video=name, step=STEP, reason=reason, detail=detail, **times))

    least = round(settings.min_clip_s * settings.frame_rate)
    if seen.num_frames < least:
        drop(0, seen.num_frames, Reason.TOO_SHORT, f"It has {seen.num_frames} frames.")
        return found
    for first, last, camera_moved in _stretches(seen):
        if last - first < least:
            reason = Reason.CAMERA_MOVES if camera_moved else Reason.CUT_TOO_SHORT
            drop(first, last, reason, f"{last - first} frames are steady in a row.")
            continue
        looks = [look for look in seen.looks if first <= look.frame < last]
        right = [look for look in looks if len(look.boxes_px) == settings.num_people]
        if not right or len(right) < settings.min_share_of_looks * len(looks):
            drop(first, last, Reason.NUM_FACES, _numbers(looks))
        else:
            found.shots.append(Shot(first=first, last=last, looks=right))
    return found


def _stretches(seen: _Seen) -> Iterator[tuple[int, int, bool]]:
    """(first, last, whether the camera's move is an end of it): the video without its cuts and moves."""
    # The camera is compared every third frame: a cut looks like a move of the frame or two after it.
    moves = [m for m in seen.moves if not any(0 <= m - cut <= _CAMERA_EVERY for cut in seen.cuts)]
    ends = sorted({0, *seen.cuts, *moves, seen.num_frames})
    for first, last in pairwise(ends):
        yield first, last, first in moves or last in moves


def _numbers(looks: Sequence[Look]) -> str:
    """How many faces are seen how often, in words."""
    if not looks:
        return "No frame was looked at."
    counts: dict[int, int] = {}
    for look in looks:
        counts[len(look.boxes_px)] = counts.get(len(look.boxes_px), 0) + 1
    return ", ".join(f"{number} in {times / len(looks):.0%}" for number, times in sorted(counts.items())) + " of looks."
