"""The same people in a later frame: faces found again and matched to those known before."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from engine.analysis.face_protocols import Box
from engine.analysis.faces import SAME_PERSON_DISTANCE, FaceAnalyser, detect_faces, identity_distance
from engine.errors import NoFacesFound
from engine.media.types import Image

MAX_MOVE = 1.5  # in face widths: between two looks, seconds apart, nobody goes further
_WORST = 1e6


@dataclass(frozen=True)
class KnownFace:
    """Where a face was last (x0 y0 x1 y1, px), and who it is: (D,) of length 1, None where no mesh fitted."""

    box_px: Box
    embedding: NDArray[np.float32] | None = None


def follow_faces(image: Image, known: Sequence[KnownFace], analyser: FaceAnalyser | None = None) -> list[Box]:
    """Where each of ``known`` is in ``image``, in their order; one that is not found again keeps its box.

    A match is a face near the old place, of about the old size, and of the same person where both can be told.
    """
    try:
        found = detect_faces(image, analyser)
    except NoFacesFound:
        return [face.box_px for face in known]
    seen = [
        KnownFace(face.box_px, found.details[face.id].embedding if face.id in found.details else None)
        for face in found.faces
    ]
    costs = np.array([[_cost(old, new) for new in seen] for old in known]).reshape(len(known), len(seen))
    boxes = [face.box_px for face in known]
    for row, column in zip(*linear_sum_assignment(costs), strict=True):
        if costs[row, column] < _WORST:
            boxes[row] = seen[column].box_px
    return boxes


def _cost(known: KnownFace, seen: KnownFace) -> float:
    """Distance in face widths plus that in size and identity; _WORST for what cannot be the same person."""
    old, new = np.array(known.box_px), np.array(seen.box_px)
    width = max(old[2] - old[0], 1.0)
    moved = float(np.hypot(*((new[:2] + new[2:]) - (old[:2] + old[2:])) / 2) / width)
    grown = abs(float(np.log(max(new[2] - new[0], 1.0) / width)))
    other = 0.0
    if known.embedding is not None and seen.embedding is not None and known.embedding.shape == seen.embedding.shape:
        other = identity_distance(known.embedding, seen.embedding) / SAME_PERSON_DISTANCE[len(seen.embedding)]
    # A face in motion or behind a hand is embedded badly: identity decides between neighbours, never alone.
    return moved + grown + 0.5 * other if moved <= MAX_MOVE and grown <= 0.7 else _WORST
