"""The names under which panels know the actions on faces and voices, and the project's own name."""

from app import texts
from app.actions.faces import VOICE, checked_box, choice_of, choose_part, remove_face, rename_face
from app.actions.lookup import Changed, cleaned_name
from app.actions.voices import rename_voice
from engine.project.document import Project

__all__ = [
    "VOICE", "checked_box", "choice_of", "choose_part", "remove_face", "rename_face", "rename_project", "rename_voice",
]  # fmt: skip


def rename_project(project: Project, title: str) -> Changed:
    project.title = cleaned_name(title)
    return project, texts.RENAMED.format(title=project.title)
