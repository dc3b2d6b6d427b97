"""What a person decides about the whole scene: how lively, which format, which captions."""

from engine.project.document import Project

Changed = tuple[Project, str]


def set_strength(project: Project, strength: float) -> Changed:
    """Interaction strength, within the document's bounds."""
    project.scene.interaction_strength = strength
    return project, ""


def set_aspect(project: Project, aspect: str) -> Changed:
    project.scene.settings.aspect = aspect  # type: ignore[assignment]
    return project, ""


def set_captions(project: Project, captions: str) -> Changed:
    project.scene.settings.captions = captions  # type: ignore[assignment]
    return project, ""


def set_mark(project: Project, visible: bool) -> Changed:
    project.scene.settings.visible_mark = visible
    return project, ""
