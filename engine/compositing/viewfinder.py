"""Which part of a picture to show so that given people are well in it: one crop of a fixed shape, nobody cut in two."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.compositing.framing import EYE_LINE, people_box
from engine.project.document import Face

Box = tuple[float, float, float, float]

_ROOMS = (1.0, 0.7, 0.45, 0.25, 0.08)
_ROOM_FOR_SEVERAL = 0.45
"""Several people share a crop only if their heads have this much room in it; closer to the edge, a cut is better."""

_FACE_MARGIN = 0.1
_ZOOMS = 4


@dataclass(frozen=True)
class Crop:
    """A part of a picture: upper left corner and size in its pixels, which need not be whole ones."""

    x: float
    y: float
    width: float
    height: float

    def contains(self, box: Box, slack_px: float = 1.0) -> bool:
        x0, y0, x1, y1 = box
        across = self.x - slack_px <= x0 and x1 <= self.x + self.width + slack_px
        return across and self.y - slack_px <= y0 and y1 <= self.y + self.height + slack_px

    def share_of(self, box: Box) -> float:
        """How much of ``box`` is inside, 0…1."""
        x0, y0, x1, y1 = box
        across = max(0.0, min(x1, self.x + self.width) - max(x0, self.x)) / max(x1 - x0, 1e-6)
        down = max(0.0, min(y1, self.y + self.height) - max(y0, self.y)) / max(y1 - y0, 1e-6)
        return across * down

    def towards(self, other: "Crop", share: float) -> "Crop":
        """Between this and another: 0 = this, 1 = the other."""
        mine, theirs = ((crop.x, crop.y, crop.width, crop.height) for crop in (self, other))
        return Crop(*(a + share * (b - a) for a, b in zip(mine, theirs, strict=True)))


@dataclass(frozen=True)
class Viewfinder:
    """Finds crops of shape ``aspect`` in a picture of ``size`` (width, height) with ``faces`` in it.

    Crops are as large as the picture allows; up to ``max_zoom`` times closer only where that keeps somebody else's
    face from being cut by the edge.
    """

    size: tuple[int, int]
    faces: Sequence[Face]
    aspect: float
    max_zoom: float = 1.0
    _known: dict[tuple[str, frozenset[str]], Any] = field(default_factory=dict, repr=False, compare=False)
    """Answers given already: a talk asks for the same few people again and again."""

    @property
    def largest(self) -> tuple[float, float]:
        """Width and height of the largest crop."""
        width, height = self.size
        return min(width, height * self.aspect), min(height, width / self.aspect)

    def holds(self, face_ids: Iterable[str]) -> bool:
        """Whether one crop shows all of them well."""
        return bool(self._once("holds", frozenset(face_ids), self._holds))

    def most(self) -> frozenset[str]:
        """As many neighbours as one crop can hold; the leftmost of equally many. Empty when it holds nobody."""
        order = sorted(self.faces, key=lambda face: face.box_px[0] + face.box_px[2])
        best: list[Face] = []
        for first, last in itertools.combinations(range(len(order) + 1), 2):
            if last - first > len(best) and self.holds(face.id for face in order[first:last]):
                best = order[first:last]
        return frozenset(face.id for face in best)

    def crop_of(self, face_ids: Iterable[str]) -> Crop:
        """The best crop for these people (who must fit: see ``holds``), and for the whole picture's middle if none."""
        found = self._once("crop", frozenset(face_ids), self._best)
        assert isinstance(found, Crop)
        return found

    def _once(self, question: str, face_ids: frozenset[str], answer: Callable[[Sequence[Face]], Any]) -> Any:
        key = (question, face_ids)
        if key not in self._known:
            self._known[key] = answer([face for face in self.faces if face.id in face_ids])
        return self._known[key]

    def _holds(self, wanted: Sequence[Face]) -> bool:
        return self._fits(wanted, _ROOM_FOR_SEVERAL if len(wanted) > 1 else _ROOMS[-1])

    def _best(self, wanted: Sequence[Face]) -> Crop:
        found: list[tuple[float, Crop]] = []
        for zoom in np.linspace(1, max(1.0, self.max_zoom), _ZOOMS):
            crops = self._crops(wanted, float(zoom))
            found.append(min(((self._cost(crop, wanted), crop) for crop in crops), key=lambda each: each[0]))
            if not self._cuts(found[-1][1], wanted):
                break  # closer would only lose resolution
        return self._whole_pixels(min(found, key=lambda each: each[0])[1])

    def _cuts(self, crop: Crop, wanted: Sequence[Face]) -> list[float]:
        """The visible share of each other person's face that the edge of ``crop`` goes through."""
        shares = (crop.share_of(_with_margin(face)) for face in self.faces if face not in wanted)
        return [share for share in shares if 0.01 < share < 0.99]

    def _whole_pixels(self, crop: Crop) -> Crop:
        """On the picture's own pixels, where nothing has to be interpolated twice."""
        width, height = max(1, round(crop.width)), max(1, round(crop.height))
        x, y = min(round(crop.x), self.size[0] - width), min(round(crop.y), self.size[1] - height)
        return Crop(max(0, x), max(0, y), width, height)

    def _fits(self, faces: Sequence[Face], room: float) -> bool:
        x0, y0, x1, y1 = people_box(faces, self.size, room)
        return x1 - x0 <= self.largest[0] and y1 - y0 <= self.largest[1]

    def _crops(self, wanted: Sequence[Face], zoom: float) -> list[Crop]:
        """The crops worth weighing: with the people in the middle, or an edge just beside somebody's face."""
        width, height = (side / zoom for side in self.largest)
        people = people_box(wanted, self.size, 1.0)
        lefts = [(people[0] + people[2] - width) / 2]
        tops = [(people[1] + people[3]) / 2 - EYE_LINE * height]
        for face in self.faces:
            x0, y0, x1, y1 = _with_margin(face)
            lefts += [x0, x0 - width, x1, x1 - width]
            tops += [y0, y0 - height, y1, y1 - height]
        inside_x = {float(np.clip(left, 0, self.size[0] - width)) for left in lefts}
        inside_y = {float(np.clip(top, 0, self.size[1] - height)) for top in tops}
        return [Crop(x, y, width, height) for x, y in itertools.product(inside_x, inside_y)]

    def _cost(self, crop: Crop, wanted: Sequence[Face]) -> float:
        """How bad a crop is; a wanted face that is cut outweighs everything, then others' faces that are."""
        people = people_box(wanted, self.size, 1.0)
        rooms = [room for room in _ROOMS if crop.contains(people_box(wanted, self.size, room))]
        cost = 2.0 * (1 - rooms[0]) if rooms else 1000.0
        cost += sum(3.0 + 4.0 * min(share, 1 - share) for share in self._cuts(crop, wanted))
        across = (people[0] + people[2]) / 2 - (crop.x + crop.width / 2)
        down = (people[1] + people[3]) / 2 - (crop.y + EYE_LINE * crop.height)
        cost += 4.0 * (across / crop.width) ** 2 + 4.0 * (down / crop.height) ** 2
        return cost + 1.5 * (self.largest[0] / crop.width - 1)


def _with_margin(face: Face) -> Box:
    x0, y0, x1, y1 = face.box_px
    across, down = _FACE_MARGIN * (x1 - x0), _FACE_MARGIN * (y1 - y0)
    return x0 - across, y0 - down, x1 + across, y1 + down
