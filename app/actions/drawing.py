"""A face drawn by hand: the engine looks at it, so this is work, not only a change."""

from collections.abc import Iterator

from app import texts
from app.actions.faces import checked_box
from engine.jobs.events import StageProgress
from engine.project.document import Project
from engine.project.store import ProjectStore


def mark_face(store: ProjectStore, project: Project, corners: tuple[float | None, ...]) -> Iterator[StageProgress]:
    """Add the face in the box with these corners, in pixels of the photo. Raises StudioError, NoFacesFound."""
    from engine.jobs.analyse import draw_face

    box_px = checked_box(project, corners)
    yield StageProgress("draw", "Looking at this face")
    face = draw_face(store, project, box_px)
    yield StageProgress("draw", texts.MARKED.format(face=face.name), 1, 1)
