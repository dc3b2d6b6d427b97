"""A take from the plan, with the settings of its preset and what the creator chose on the page."""

from collections.abc import Iterator

from app import texts
from engine.jobs.events import RenderEvent, StageProgress, TakeDone
from engine.project.document import Project, TakeKind
from engine.project.presets import settings_for
from engine.project.store import ProjectStore


def render(store: ProjectStore, project: Project, kind: TakeKind) -> Iterator[RenderEvent]:
    """Render a take; the last event's text says that it is ready. Raises what ``render_take`` raises."""
    from engine.jobs.render_scene import render_take

    for event in render_take(store, project, settings_for(kind, project.scene.settings)):
        yield event
        if isinstance(event, TakeDone):
            length = texts.seconds(project.scene.takes[-1].duration_s)
            yield StageProgress("done", texts.RENDER_DONE.format(kind=kind.value, length=length), 1, 1)
