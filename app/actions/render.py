"""A take from the plan, with the settings of its preset and what the creator chose on the page."""

from collections.abc import Iterator

from app import texts
from engine.jobs.events import RenderEvent, StageProgress, TakeDone
from engine.project.document import Project, RenderSettings, TakeKind
from engine.project.store import ProjectStore

CHOSEN_ON_THE_PAGE = ("aspect", "captions", "visible_mark")


def settings_for(project: Project, kind: TakeKind) -> RenderSettings:
    """The preset of this kind, with what the creator decided in the scene's settings in place of the preset's."""
    from engine.project.presets import load_preset

    settings = load_preset(kind.value).settings.model_copy(deep=True)
    chosen = project.scene.settings
    for field in CHOSEN_ON_THE_PAGE:
        setattr(settings, field, getattr(chosen, field))
    for field in ("height", "frame_rate", "seed", "range_s"):
        if field in chosen.model_fields_set:
            setattr(settings, field, getattr(chosen, field))
    return settings


def render(store: ProjectStore, project: Project, kind: TakeKind) -> Iterator[RenderEvent]:
    """Render a take; the last event's text says that it is ready. Raises what ``render_take`` raises."""
    from engine.jobs.render_scene import render_take

    for event in render_take(store, project, settings_for(project, kind)):
        yield event
        if isinstance(event, TakeDone):
            length = texts.seconds(project.scene.takes[-1].duration_s)
            yield StageProgress("done", texts.RENDER_DONE.format(kind=kind.value, length=length), 1, 1)
