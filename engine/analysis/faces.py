"""Faces of a photo: where they are, their dense mesh, and who is who."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_boxes import MESH_OF_LANDMARKS, box_area, landmark_gap, shared_area, within
from engine.analysis.face_protocols import Box, FaceDetector, FaceEmbedder, FaceMesher, FoundFace, FoundMesh
from engine.analysis.types import FaceAnalysis, FaceDetail
from engine.errors import NoFacesFound, UnreadableMedia
from engine.media.types import Image
from engine.project.atomic import whole_file
from engine.project.document import FACE_COLOURS, Face

# When a mesh is believed: by the network's own word and its distance from the detector's points (see landmark_gap).
# On a sure face the distance is enough, as the network doubts profiles even where it is right.
MIN_PRESENCE, MAX_GAP = 0.5, 0.15
MAX_GAP_SURE = 0.11
MIN_PRESENCE_DRAWN = 0.25
# The largest distance between two embeddings of one person, by the length of the embedding: dlib's 128, ArcFace's 512.
SAME_PERSON_DISTANCE = {128: 0.40, 512: 1.15}


@dataclass(frozen=True)
class FaceAnalyser:
    """The models of one analysis; ``name`` says to people which they are.

    A face that the detector scores at least ``sure_score`` is kept even where no mesh fits (full profiles, masks).
    """

    name: str
    detector: FaceDetector
    mesher: FaceMesher
    embedder: FaceEmbedder
    sure_score: float = 0.65


@lru_cache(maxsize=1)
def embedded_analyser() -> FaceAnalyser:
    """Models that arrive inside packages; nothing is loaded before the first photo."""
    from engine.analysis.backends.centerface import CenterFace
    from engine.analysis.backends.face_identity import DlibIdentity
    from engine.analysis.backends.landmarker_litert import LiteRTLandmarker

    return FaceAnalyser("embedded (CenterFace)", CenterFace(), LiteRTLandmarker(), DlibIdentity())


def default_analyser() -> FaceAnalyser:
    """InsightFace when its model pack is on disk, else the embedded models; ``.name`` says which."""
    from engine.analysis.backends.insightface import InsightFacePack, pack_dir

    folder = pack_dir()
    if folder is None:
        return embedded_analyser()
    pack = InsightFacePack(folder)
    return FaceAnalyser(f"InsightFace ({folder.name})", pack.find, embedded_analyser().mesher, pack.embed)


def detect_faces(image: Image, analyser: FaceAnalyser | None = None) -> FaceAnalysis:
    """All faces of a photo from left to right, "face-1" onwards, with their meshes and identities by id.

    Raises NoFacesFound, and ModelMissing when the model files are not there.
    """
    analyser = analyser or default_analyser()
    kept = []
    for found in analyser.detector(image):
        sure = found.score >= analyser.sure_score
        mesh = _mesh_of(image, found, analyser, sure)
        box = within(found.box_px, image.width, image.height)
        if (mesh is not None or sure) and box_area(box) >= 1:
            kept.append((box, found, mesh))
    if not kept:
        raise NoFacesFound(
            "No face was found in this photo.",
            "Use a photo in which faces are larger and better lit, or draw a box around each face by hand.",
        )
    kept.sort(key=lambda entry: (entry[0][0] + entry[0][2], entry[0][1]))
    return _numbered(image, kept, analyser.embedder)


def analyse_drawn_face(
    image: Image, box_px: Box, analyser: FaceAnalyser | None = None
) -> tuple[Face, FaceDetail | None]:
    """A face where a person drew a box (photo pixels, any corner order); no detail where no mesh fits there.

    The caller gives it its own id, name and colour. Raises NoFacesFound for a box that lies outside the photo.
    """
    analyser = analyser or default_analyser()
    box = _inside(image, box_px)
    drawn = analyser.mesher(image, box, patient=True)
    mesh = drawn if drawn.presence >= MIN_PRESENCE_DRAWN and _covers(drawn, box) else None
    face = Face(id="face-drawn", name="Drawn face", colour=FACE_COLOURS[0], box_px=box, origin="drawn")
    if mesh is None:
        return face, None
    landmarks = mesh.points_px[list(MESH_OF_LANDMARKS), :2]
    face.landmarks_px = _pairs(landmarks)
    return face, _detail(image, mesh, landmarks, analyser.embedder)


def detail_of(image: Image, face: Face, analyser: FaceAnalyser | None = None) -> FaceDetail | None:
    """The arrays of a saved face, by the same rules by which it was found or drawn; None where no mesh fits.

    Raises NoFacesFound for a box that lies outside the photo.
    """
    analyser = analyser or default_analyser()
    if face.origin == "drawn" or len(face.landmarks_px) != len(MESH_OF_LANDMARKS):
        return analyse_drawn_face(image, face.box_px, analyser)[1]
    found = FoundFace(_inside(image, face.box_px), np.array(face.landmarks_px, np.float32), face.score)
    mesh = _mesh_of(image, found, analyser, sure=face.score >= analyser.sure_score)
    return _detail(image, mesh, found.landmarks_px, analyser.embedder) if mesh else None


def _inside(image: Image, box_px: Box) -> Box:
    """The part of a box (any corner order) that lies in the photo. Raises NoFacesFound where that is nothing."""
    x0, x1 = sorted((box_px[0], box_px[2]))
    y0, y1 = sorted((box_px[1], box_px[3]))
    box = within((x0, y0, x1, y1), image.width, image.height)
    if min(box[2] - box[0], box[3] - box[1]) < 2:
        raise NoFacesFound("This box holds none of the photo.", "Draw it around a face inside the picture.")
    return box


def same_person(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Whether two identity embeddings (D,), both from the same model, are of one person."""
    return identity_distance(a, b) <= SAME_PERSON_DISTANCE[len(a)]


def identity_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """0 (the same) .. 2; raises ValueError for embeddings of different models."""
    if a.shape != b.shape:
        raise ValueError(f"embeddings of different models: {a.shape} and {b.shape}")
    return float(np.linalg.norm(a - b))


def save_details(details: dict[str, FaceDetail], path: Path) -> None:
    """Writes the arrays of all faces as one .npz, whole or not at all. Raises WriteFailed."""
    columns = zip(*((d.points_px, d.blendshapes, d.embedding) for d in details.values()), strict=True)
    points, shapes, embeddings = (np.stack(column) for column in columns) if details else [np.zeros(0, np.float32)] * 3
    ids = np.array(list(details), dtype=np.str_)
    with whole_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, ids=ids, points_px=points, blendshapes=shapes, embedding=embeddings)


def load_details(path: Path) -> dict[str, FaceDetail]:
    """What save_details wrote. Raises FileNotFoundError, and UnreadableMedia for a damaged file."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            ids, points, shapes, embeddings = (
                stored[name] for name in ("ids", "points_px", "blendshapes", "embedding")
            )
        rows = zip(ids.tolist(), points, shapes, embeddings, strict=True)
        details = {str(face_id): FaceDetail(*arrays) for face_id, *arrays in rows}
        if any(d.points_px.shape != (478, 3) or d.blendshapes.shape != (52,) for d in details.values()):
            raise ValueError("wrong shapes")
    except FileNotFoundError:
        raise
    except Exception as problem:  # zipfile, zlib, numpy and struct each raise their own kinds
        raise UnreadableMedia(
            f"The saved face analysis {path.name} is damaged.", "Delete it; analysing the photo again makes it anew."
        ) from problem
    return details


def _numbered(
    image: Image, kept: list[tuple[Box, FoundFace, FoundMesh | None]], embedder: FaceEmbedder
) -> FaceAnalysis:
    faces, details = [], {}
    for index, (box, found, mesh) in enumerate(kept):
        face = Face(
            id=f"face-{index + 1}",
            name=f"Face {index + 1}",
            colour=FACE_COLOURS[index % len(FACE_COLOURS)],
            box_px=box,
            landmarks_px=_pairs(found.landmarks_px),
            score=found.score,
        )
        faces.append(face)
        if mesh is not None:
            details[face.id] = _detail(image, mesh, found.landmarks_px, embedder)
    return FaceAnalysis(faces, details)


def _mesh_of(image: Image, found: FoundFace, analyser: FaceAnalyser, sure: bool) -> FoundMesh | None:
    """The mesh of a detected face where it can be believed."""
    mesh = analyser.mesher(image, found.box_px, found.landmarks_px, patient=sure)
    gap = landmark_gap(mesh.points_px, found.landmarks_px, found.box_px)
    believed = (sure and gap <= MAX_GAP_SURE) or (mesh.presence >= MIN_PRESENCE and gap <= MAX_GAP)
    return mesh if believed and _covers(mesh, found.box_px) else None


def _covers(mesh: FoundMesh, box_px: Box) -> bool:
    """Whether the mesh stayed on its face: it may slip onto something else, such as the next face."""
    low, high = mesh.points_px[:, :2].min(axis=0), mesh.points_px[:, :2].max(axis=0)
    return shared_area((float(low[0]), float(low[1]), float(high[0]), float(high[1])), box_px) >= 0.2


def _detail(image: Image, mesh: FoundMesh, landmarks_px: NDArray[np.float32], embedder: FaceEmbedder) -> FaceDetail:
    return FaceDetail(mesh.points_px, mesh.blendshapes, embedder(image, mesh, landmarks_px))


def _pairs(points: NDArray[np.float32]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points]
