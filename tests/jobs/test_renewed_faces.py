"""Faces found again are the same people, whatever number the detector gives them this time."""

from engine.jobs.analyse import _renewed
from engine.project.document import Face


def face(number: int, place: int, **changes: str) -> Face:
    box_px = (100.0 * place, 0.0, 100.0 * place + 60, 80.0)
    return Face(
        id=f"face-{number}", name=changes.pop("name", f"Face {number}"), colour="#fff", box_px=box_px, **changes
    )


def test_a_face_keeps_id_and_name_when_another_one_is_found_left_of_it() -> None:
    before = [face(1, 1, name="Ada"), face(2, 2, name="Bo")]
    again = _renewed([face(1, 0), face(2, 1), face(3, 2)], before, [])
    assert [(f.id, f.name) for f in again] == [("face-3", "Face 3"), ("face-1", "Ada"), ("face-2", "Bo")]
    assert [f.id for f in _renewed([face(1, 0), face(2, 1), face(3, 2)], again, [])] == [f.id for f in again]


def test_ids_of_drawn_faces_are_never_given_again() -> None:
    drawn = [face(5, 3, origin="drawn")]
    again = _renewed([face(n, place) for n, place in ((1, 0), (2, 1), (3, 2), (5, 4))], [], drawn)
    ids = [f.id for f in [*again, *drawn]]
    assert len(set(ids)) == len(ids)


def test_the_first_analysis_counts_from_left_to_right() -> None:
    assert [f.id for f in _renewed([face(1, 0), face(2, 1)], [], [])] == ["face-1", "face-2"]
