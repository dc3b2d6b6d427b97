"""One look at every frame of a video: each person's mouth, face and identity, and the picture around them, as curves.

Frames stream through and only curves are kept, so that memory does not grow with the pictures.
F = number of frames; NaN stands where a face was not seen. Sizes are in units of the distance of the outer eye corners.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_boxes import MESH_OF_LANDMARKS
from engine.analysis.face_protocols import Box, FaceMesher, FoundMesh
from engine.analysis.faces import SAME_PERSON_DISTANCE, FaceAnalyser, identity_distance
from engine.evaluation.interactivity import POINTS
from engine.media.types import Image

Curve = NDArray[np.float64]
Frame = NDArray[np.uint8]

MIN_PRESENCE = 0.5
NUM_THREADS = 2
MAX_AWAY = 1.2  # a mesh further from its face's place than so many face widths has slipped onto something else
LOOK_AGAIN_FRAMES = 8
IDENTITY_EVERY_S = 0.5
_FACE_PX = 48  # a face is compared with itself a frame ago at this size
_PICTURE_STEP_PX = 4
_REGION_ROOM = 0.6  # of a face box's size, beside it: head, hair and neck move with the face
_MOVED_LEVELS = 22.0


@dataclass(frozen=True)
class KnownPerson:
    """Whom to follow: ``box_px`` in the video's first frame; ``points_px`` (478, 3) where a mesh is known, and the
    identity (D,) that the face should keep (None: the one of its first frame).
    """

    face_id: str
    name: str
    box_px: Box
    points_px: NDArray[np.float32] | None = None
    embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class PersonCurves:
    """``opening``, ``width``: inner lips and mouth corners. ``change`` (F,): mean difference of the face's grey values
    from the frame before (the first is 0). ``points`` (F, 22, 2) px: brows and eyes. ``boxes`` (F, 4) px: of the mesh.
    ``identity_at`` (K,) frame indices and ``identity`` (K,) distances from the wanted face (NaN = not seen).
    ``meshes`` (F, 478, 2) px where they were asked for.
    """

    face_id: str
    name: str
    opening: Curve
    width: Curve
    change: Curve
    points: NDArray[np.float32]
    boxes: NDArray[np.float32]
    identity_at: NDArray[np.int64]
    identity: Curve
    same_person: float
    meshes: NDArray[np.float32] | None = None

    def between(self, first: int, last: int) -> "PersonCurves":
        """The curves of frames ``first`` to ``last`` (not included)."""
        kept = (self.identity_at >= first) & (self.identity_at < last)
        return replace(
            self,
            opening=self.opening[first:last],
            width=self.width[first:last],
            change=self.change[first:last],
            points=self.points[first:last],
            boxes=self.boxes[first:last],
            identity_at=self.identity_at[kept] - first,
            identity=self.identity[kept],
            meshes=None if self.meshes is None else self.meshes[first:last],
        )

    @property
    def seen(self) -> NDArray[np.bool_]:
        return np.isfinite(self.opening)


@dataclass(frozen=True)
class Watched:
    """Everybody, and the picture: ``colour`` (F, 3) mean CIE L*a*b* outside all faces; ``change`` (F,) mean grey
    difference from the frame before outside them; ``outside`` (F,) share of the pixels outside all regions that
    differ from the first frame.
    """

    frame_rate: float
    people: list[PersonCurves]
    colour: Curve
    change: Curve
    outside: Curve

    def between(self, first: int, last: int) -> "Watched":
        """The part of frames ``first`` to ``last`` (not included)."""
        return replace(
            self,
            people=[person.between(first, last) for person in self.people],
            colour=self.colour[first:last],
            change=self.change[first:last],
            outside=self.outside[first:last],
        )

    @property
    def num_frames(self) -> int:
        return len(self.change)

    @property
    def at_s(self) -> Curve:
        """(F,) the middle of each frame."""
        return np.asarray((np.arange(self.num_frames) + 0.5) / self.frame_rate, np.float64)


@dataclass
class _Follower:
    """Follows one face from frame to frame; looks for it at its place again after it was lost."""

    person: KnownPerson
    mesher: FaceMesher
    wanted: NDArray[np.float32] | None
    points_px: NDArray[np.float32] | None = None
    meshes: list[NDArray[np.float32]] | None = None  # None = not asked for
    lost_for: int = 0
    rows: list[tuple[float, float, float]] = field(default_factory=list)  # opening, width, change
    points: list[NDArray[np.float32]] = field(default_factory=list)
    boxes: list[NDArray[np.float32]] = field(default_factory=list)
    identity: list[tuple[int, Future[NDArray[np.float32]] | None]] = field(default_factory=list)
    _before: NDArray[np.float32] | None = None

    def look(self, image: Image) -> FoundMesh | None:
        mesh = self._mesh(image)
        change = self._change(image.rgb, mesh)
        if self.meshes is not None:
            self.meshes.append(np.full((478, 2), np.nan, np.float32) if mesh is None else mesh.points_px[:, :2].copy())
        if mesh is None:
            self.rows.append((np.nan, np.nan, np.nan))
            self.points.append(np.full((len(POINTS), 2), np.nan, np.float32))
            self.boxes.append(np.full(4, np.nan, np.float32))
            return None
        flat = mesh.points_px[:, :2]
        unit = max(float(np.linalg.norm(flat[33] - flat[263])), 1e-6)
        opening, width = (float(np.linalg.norm(flat[a] - flat[b])) / unit for a, b in ((13, 14), (61, 291)))
        self.rows.append((opening, width, change))
        self.points.append(flat[list(POINTS)])
        self.boxes.append(np.concatenate([flat.min(0), flat.max(0)]))
        return mesh

    def _mesh(self, image: Image) -> FoundMesh | None:
        if self.points_px is None and self.lost_for % LOOK_AGAIN_FRAMES:
            self.lost_for += 1
            return None
        if self.points_px is None:
            mesh = self.mesher(image, self.person.box_px)
        else:
            mesh = self.mesher.follow(image, self.points_px)
        if mesh.presence < MIN_PRESENCE or self._is_away(mesh):
            self.points_px, self.lost_for = None, self.lost_for + 1
            return None
        self.points_px, self.lost_for = mesh.points_px, 0
        return mesh

    def _is_away(self, mesh: FoundMesh) -> bool:
        x0, y0, x1, y1 = self.person.box_px
        middle = (mesh.points_px[:, :2].min(0) + mesh.points_px[:, :2].max(0)) / 2
        away = float(np.hypot(*(middle - [(x0 + x1) / 2, (y0 + y1) / 2]))) / max(x1 - x0, 1.0)
        size = float(np.ptp(mesh.points_px[:, 0])) / max(x1 - x0, 1.0)
        return away > MAX_AWAY or not 0.3 < size < 3

    def _change(self, rgb: Frame, mesh: FoundMesh | None) -> float:
        """Compared in a place that does not move: a head that turns is motion too, a trembling mesh is none."""
        box = self.person.box_px
        small = _grey(_cut(rgb, box), (_FACE_PX, _FACE_PX))
        before, self._before = self._before, small
        return 0.0 if before is None else float(np.abs(small - before).mean())

    def curves(self) -> PersonCurves:
        rows = np.array(self.rows, np.float64).reshape(-1, 3)
        found = [None if future is None else future.result() for _, future in self.identity]
        wanted = self.wanted if self.wanted is not None else next((e for e in found if e is not None), None)
        distances = [
            np.nan if wanted is None or one is None or one.shape != wanted.shape else identity_distance(wanted, one)
            for one in found
        ]
        return PersonCurves(
            self.person.face_id,
            self.person.name,
            opening=rows[:, 0],
            width=rows[:, 1],
            change=rows[:, 2],
            points=np.array(self.points, np.float32).reshape(-1, len(POINTS), 2),
            boxes=np.array(self.boxes, np.float32).reshape(-1, 4),
            identity_at=np.array([index for index, _ in self.identity], np.int64),
            identity=np.array(distances, np.float64),
            same_person=_same_person(wanted),
            meshes=None if self.meshes is None else np.array(self.meshes, np.float32).reshape(-1, 478, 2),
        )


def _same_person(wanted: NDArray[np.float32] | None) -> float:
    return SAME_PERSON_DISTANCE.get(0 if wanted is None else len(wanted), float("nan"))


@dataclass
class _Surroundings:
    """What happens outside the faces, on every fourth pixel each way."""

    boxes: Sequence[Box]
    rows: list[tuple[float, ...]] = field(default_factory=list)
    _first: NDArray[np.float32] | None = None
    _before: NDArray[np.float32] | None = None
    _beside_faces: NDArray[np.bool_] | None = None
    _outside: NDArray[np.bool_] | None = None

    def look(self, rgb: Frame) -> None:
        height, width = rgb.shape[:2]
        small = cv2.resize(rgb, (width // _PICTURE_STEP_PX, height // _PICTURE_STEP_PX), interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)
        if self._first is None:
            self._first = self._before = grey
            self._beside_faces = ~_covered(self.boxes, grey.shape, 0.15)
            self._outside = ~_covered(self.boxes, grey.shape, _REGION_ROOM)
        assert self._before is not None
        assert self._beside_faces is not None
        assert self._outside is not None
        beside = self._beside_faces if self._beside_faces.any() else np.ones_like(self._beside_faces)
        lab = cv2.cvtColor(small[beside][None].astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)[0]
        change = float(np.abs(grey - self._before)[beside].mean())
        self.rows.append((*(float(value) for value in lab.mean(0)), change, self._moved_outside(grey)))
        self._before = grey

    def _moved_outside(self, grey: NDArray[np.float32]) -> float:
        if self._outside is None or self._first is None or self._outside.mean() < 0.02:
            return float("nan")
        difference = (grey - self._first)[self._outside]
        return float((np.abs(difference - np.median(difference)) > _MOVED_LEVELS).mean())


def watch(
    frames: Iterable[Frame],
    known: Sequence[KnownPerson],
    frame_rate: float,
    analyser: FaceAnalyser,
    keep_meshes: bool = False,
) -> Iterator[int | Watched]:
    """The number of frames seen so far, after each one; at last the curves. Raises ModelMissing."""
    # Each core has a mesher of its own; identity is another network, and runs beside them.
    meshers = [_alone(analyser.mesher) for _ in range(NUM_THREADS)]
    followers = [
        _Follower(person, meshers[index % NUM_THREADS], person.embedding, person.points_px, [] if keep_meshes else None)
        for index, person in enumerate(known)
    ]
    shares = [followers[start::NUM_THREADS] for start in range(NUM_THREADS)]
    surroundings = _Surroundings([person.box_px for person in known])
    step = max(1, round(IDENTITY_EVERY_S * frame_rate))
    count = 0
    with ThreadPoolExecutor(NUM_THREADS) as cores, ThreadPoolExecutor(max_workers=1) as beside:
        for index, rgb in enumerate(frames):
            count, image = index + 1, Image(rgb)
            looks = [cores.submit(_look, share, image) for share in shares if share]
            surroundings.look(rgb)
            for follower, mesh in (found for look in looks for found in look.result()):
                if index % step == 0:
                    follower.identity.append((index, _identity(beside, analyser, image, mesh)))
            yield count
        people = [follower.curves() for follower in followers]
    rows = np.array(surroundings.rows, np.float64).reshape(-1, 5)
    yield Watched(frame_rate, people, rows[:, :3], rows[:, 3], rows[:, 4])


def _alone(mesher: FaceMesher) -> FaceMesher:
    alone = getattr(mesher, "alone", None)
    return alone() if alone else mesher


def _look(followers: Sequence[_Follower], image: Image) -> list[tuple[_Follower, FoundMesh | None]]:
    return [(follower, follower.look(image)) for follower in followers]


def _identity(
    beside: ThreadPoolExecutor, analyser: FaceAnalyser, image: Image, mesh: FoundMesh | None
) -> Future[NDArray[np.float32]] | None:
    if mesh is None:
        return None
    # Only the face travels to the other thread: a waiting line of whole pictures would grow with the video.
    low, high = mesh.points_px[:, :2].min(0), mesh.points_px[:, :2].max(0)
    room = (high - low) * 0.6
    x0, y0 = (max(0, int(v)) for v in low - room)
    x1, y1 = (int(v) for v in high + room)
    points = mesh.points_px - np.array([x0, y0, 0], np.float32)
    cut = Image(np.ascontiguousarray(image.rgb[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]))
    moved = FoundMesh(points, mesh.blendshapes, mesh.presence)
    return beside.submit(analyser.embedder, cut, moved, points[list(MESH_OF_LANDMARKS), :2])


def _cut(rgb: Frame, box: Box) -> Frame:
    height, width = rgb.shape[:2]
    x0, y0 = min(max(0, int(box[0])), width - 2), min(max(0, int(box[1])), height - 2)
    return rgb[y0 : max(y0 + 2, min(height, int(box[3]))), x0 : max(x0 + 2, min(width, int(box[2])))]


def _grey(rgb: Frame, size: tuple[int, int]) -> NDArray[np.float32]:
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)


def _covered(boxes: Sequence[Box], shape: tuple[int, ...], room: float) -> NDArray[np.bool_]:
    """Where the boxes are, with so much room around them as a share of their size, on the small picture."""
    mask = np.zeros(shape, bool)
    for x0, y0, x1, y1 in boxes:
        dx, dy = room * (x1 - x0), room * (y1 - y0)
        rows = slice(max(0, int((y0 - dy) / _PICTURE_STEP_PX)), max(0, int((y1 + 1.5 * dy) / _PICTURE_STEP_PX) + 1))
        columns = slice(max(0, int((x0 - dx) / _PICTURE_STEP_PX)), max(0, int((x1 + dx) / _PICTURE_STEP_PX) + 1))
        mask[rows, columns] = True
    return mask
