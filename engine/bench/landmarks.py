"""How far the 22 points of the dense mesh are from the 22 of InsightFace's 106 that the paper's benchmark reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.analysis.backends.insightface_points import NUM_POINTS, InsightFacePoints, points_path
from engine.analysis.face_protocols import Box
from engine.analysis.faces import FaceAnalyser, default_analyser
from engine.evaluation import reference_interactivity
from engine.evaluation.interactivity import BROWS, CROP_PX, POINTS, boxes_of, detected_boxes, interactivity, motion
from engine.evaluation.video import Frame, frames_of, look_at
from engine.evaluation.watching import Watched, watch
from engine.jobs.check_video import people_in
from engine.media.types import Image

THEIRS = reference_interactivity.POINTS


@dataclass(frozen=True)
class LandmarkDifference:
    """In px of the benchmark's 224 px crop, over ``num_faces`` seen faces: mean distance of the two sets' points, of
    brows and of eyes; ``wandering_px``: without each point's own mean offset, which is a matter of definition. Then
    what the benchmark makes of it: Interactivity, were everybody listening, and how alike the two motions are.
    """

    num_faces: int
    brows_px: float
    eyes_px: float
    wandering_px: float
    interactivity_mesh: float
    interactivity_points: float
    motion_r: float


def bench_landmarks(video: Path) -> None:
    """Print the difference on one video. Raises ModelMissing without InsightFace's points."""
    found = measured(video, InsightFacePoints(points_path()))
    print(f"{video.name}: {found.num_faces} faces, in px of a {CROP_PX:.0f} px crop")
    print(f"mesh to InsightFace's points: brows {found.brows_px:.2f}, eyes {found.eyes_px:.2f}")
    print(f"without each point's mean offset: {found.wandering_px:.2f}")
    print(f"Interactivity, all listening: mesh {found.interactivity_mesh:.3f}, points {found.interactivity_points:.3f}")
    print(f"correlation of the two motions: {found.motion_r:.3f}")


def measured(video: Path, points: InsightFacePoints, analyser: FaceAnalyser | None = None) -> LandmarkDifference:
    analyser = analyser or default_analyser()
    facts = look_at(video)
    known = people_in(facts, analyser)
    boxes: list[list[NDArray[np.float64]]] = []
    theirs: list[list[NDArray[np.float32]]] = []  # the points of every box of every frame

    def noted() -> Iterator[Frame]:
        for rgb in frames_of(facts):
            boxes.append(detected_boxes(rgb))
            theirs.append([points(Image(rgb), _box(box)) for box in boxes[-1]])
            yield rgb

    *_, watched = watch(noted(), known, facts.frame_rate, analyser, keep_meshes=True)
    assert isinstance(watched, Watched)
    meshes = np.stack([person.meshes for person in watched.people if person.meshes is not None], axis=1)
    return difference(meshes, _of_people(meshes, boxes, theirs), boxes)


def _box(box: NDArray[np.float64]) -> Box:
    x0, y0, x1, y1 = (float(value) for value in box)
    return x0, y0, x1, y1


def _of_people(
    meshes: NDArray[np.float32], boxes: list[list[NDArray[np.float64]]], theirs: list[list[NDArray[np.float32]]]
) -> NDArray[np.float32]:
    """(F, people, 106, 2): the points in the box that holds whose mesh; NaN where the detector missed the face."""
    whose = np.full((*meshes.shape[:2], NUM_POINTS, 2), np.nan, np.float32)
    for index, (in_frame, points) in enumerate(zip(boxes, theirs, strict=True)):
        for person, mesh in enumerate(meshes[index]):
            middle = mesh.mean(0)
            for box, found in zip(in_frame, points, strict=True):
                if np.all(middle > box[:2]) and np.all(middle < box[2:]):
                    whose[index, person] = found
                    break
    return whose


def difference(
    meshes: NDArray[np.float32], theirs: NDArray[np.float32], boxes: list[list[NDArray[np.float64]]]
) -> LandmarkDifference:
    """``meshes`` (F, people, 478, 2), ``theirs`` (F, people, 106, 2); NaN = not seen. A person who is not seen in both
    all the time is left out. Raises ValueError where nobody is left.
    """
    whole = np.isfinite(meshes).all((0, 2, 3)) & np.isfinite(theirs).all((0, 2, 3))
    if not whole.any():
        raise ValueError("nobody is seen by both networks in every frame")
    meshes, theirs = meshes[:, whole], theirs[:, whole]
    around = boxes_of(boxes, meshes)
    side = (around[..., 2:] - around[..., :2]).max((0, 2))
    apart = (theirs[:, :, list(THEIRS)] - meshes[:, :, list(POINTS)]) * (CROP_PX / side)[:, None, None]
    distance = np.linalg.norm(apart, axis=-1)
    wandering = np.linalg.norm(apart - apart.mean(0), axis=-1)
    people = range(meshes.shape[1])
    ours = np.concatenate([motion(meshes[:, p], around[:, p]) for p in people])
    their = np.concatenate([motion(theirs[:, p], around[:, p], THEIRS) for p in people])
    listening = np.ones(meshes.shape[:2], bool)
    alike = float(np.corrcoef(ours, their)[0, 1]) if min(ours.std(), their.std()) > 1e-9 else float("nan")
    return LandmarkDifference(
        distance[..., 0].size,
        float(distance[..., : len(BROWS)].mean()),
        float(distance[..., len(BROWS) :].mean()),
        float(wandering.mean()),
        interactivity(meshes, around, listening),
        interactivity(theirs, around, listening, THEIRS),
        alike,
    )
