"""Step 2: everybody in a shot, followed from frame to frame: where the face is, how open the mouth, who it is.

Letters: P people, left to right in the shot's first frame · F frames · K looks at who somebody is.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_boxes import shared_area
from engine.analysis.face_protocols import Box
from engine.analysis.faces import FaceAnalyser, detect_faces
from engine.errors import NoFacesFound
from engine.evaluation.video import Frame, frames_of
from engine.evaluation.watching import KnownPerson, Watched, watch
from engine.jobs.events import StageProgress
from engine.media.types import Image
from engine.project.atomic import whole_file
from engine.training.prepare.drops import Drop, Reason
from engine.training.prepare.settings import PrepareSettings
from engine.training.prepare.shots import Shot, ShotsFound, facts_for

STEP = "people"
_SAME_PLACE = 0.3


@dataclass(frozen=True)
class Followed:
    """``opening`` (P, F) and ``boxes_px`` (P, F, 4), NaN where a face was lost, from frame ``first`` of the video on;
    ``identity_at`` (K,) frames since ``first`` and ``identity`` (P, K): the distance from who it was at first, as a
    share of what one person's face may differ by."""

    first: int
    opening: NDArray[np.float64]
    boxes_px: NDArray[np.float32]
    identity_at: NDArray[np.int64]
    identity: NDArray[np.float64]

    @property
    def last(self) -> int:
        return self.first + self.opening.shape[1]

    def between(self, first: int, last: int) -> "Followed":
        """The part from frame ``first`` to ``last`` (not included) of the video."""
        inside = slice(first - self.first, last - self.first)
        looks = (self.identity_at >= inside.start) & (self.identity_at < inside.stop)
        return replace(
            self,
            first=first,
            opening=self.opening[:, inside],
            boxes_px=self.boxes_px[:, inside],
            identity_at=self.identity_at[looks] - inside.start,
            identity=self.identity[:, looks],
        )


@dataclass(frozen=True)
class PeopleFound:
    followed: list[Followed] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Raises WriteFailed."""
        arrays = {
            f"{index}.{name}": np.asarray(value)
            for index, one in enumerate(self.followed)
            for name, value in vars(one).items()
        }
        said = json.dumps([drop.model_dump(mode="json") for drop in self.drops])
        with whole_file(path) as part, part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, said=np.array(said), **arrays)

    @staticmethod
    def load(path: Path) -> "PeopleFound":
        """Raises ValueError, OSError or KeyError for a damaged file."""
        with np.load(path, allow_pickle=False) as stored:
            drops = [Drop.model_validate(row) for row in json.loads(str(stored["said"]))]
            count = sum(name.endswith(".first") for name in stored.files)
            names = ("opening", "boxes_px", "identity_at", "identity")
            followed = [
                Followed(int(stored[f"{index}.first"]), *(stored[f"{index}.{name}"] for name in names))
                for index in range(count)
            ]
        return PeopleFound(followed, drops)


def follow_people(
    path: Path, name: str, shots: ShotsFound, settings: PrepareSettings, analyser: FaceAnalyser
) -> Iterator[StageProgress | PeopleFound]:
    """Progress, then everybody of every shot. Raises UnreadableMedia."""
    found = PeopleFound()
    if shots.shots:
        frames, at = frames_of(facts_for(path, settings)), 0
        for shot in shots.shots:
            inside = islice(frames, shot.first - at, shot.last - at)
            for step in _followed(inside, shot, settings, analyser):
                if isinstance(step, int):
                    yield StageProgress(STEP, f"Following faces in {name}", shot.first + step, shots.num_frames)
                elif step is None:
                    times = {"start_s": shot.first / settings.frame_rate, "end_s": shot.last / settings.frame_rate}
                    detail = "No face is seen well enough to follow its mouth."
                    found.drops.append(Drop(video=name, step=STEP, reason=Reason.FACE_LOST, detail=detail, **times))
                else:
                    found.followed.append(step)
            for _ in inside:  # the rest of a shot that was given up
                pass
            at = shot.last
    yield found


def _followed(
    frames: Iterator[Frame], shot: Shot, settings: PrepareSettings, analyser: FaceAnalyser
) -> Iterator[int | Followed | None]:
    """How many frames were followed, after each one; at last the curves, or None where nobody can be."""
    looks = {look.frame: look.boxes_px for look in shot.looks}
    for index, rgb in enumerate(frames, start=shot.first):
        known = _known(rgb, looks[index], analyser) if index in looks else None
        if known is not None:
            least = round(settings.min_clip_s * settings.frame_rate)
            if shot.last - index >= least:
                yield from _watched(_with_first(rgb, frames), index, known, settings, analyser)
                return
            break
    yield None


def _with_first(rgb: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    yield rgb
    yield from rest


def _known(rgb: Frame, boxes: list[Box], analyser: FaceAnalyser) -> list[KnownPerson] | None:
    """The people at ``boxes``, with mesh and identity; None where one of them cannot be told."""
    try:
        found = detect_faces(Image(rgb), analyser)
    except NoFacesFound:
        return None
    people = []
    for number, box in enumerate(boxes):
        best = max(found.faces, key=lambda face: shared_area(face.box_px, box))
        detail = found.details.get(best.id)
        if detail is None or shared_area(best.box_px, box) < _SAME_PLACE:
            return None
        people.append(KnownPerson(f"person-{number}", "", best.box_px, detail.points_px, detail.embedding))
    return people


def _watched(
    frames: Iterator[Frame], first: int, known: list[KnownPerson], settings: PrepareSettings, analyser: FaceAnalyser
) -> Iterator[int | Followed]:
    for step in watch(frames, known, settings.frame_rate, analyser):
        if isinstance(step, Watched):
            yield _of(step, first)
        elif step % 5 == 0:
            yield step


def _of(watched: Watched, first: int) -> Followed:
    people = watched.people
    return Followed(
        first,
        opening=np.stack([person.opening for person in people]),
        boxes_px=np.stack([person.boxes for person in people]),
        identity_at=people[0].identity_at,
        identity=np.stack([person.identity / person.same_person for person in people]),
    )
