"""How a take leaves the studio, and which stretch a preview shows."""

from typing import Any

from app import texts
from app.actions.fields import set_field
from app.actions.lookup import Changed, number
from engine.cast.timeline import length_s
from engine.errors import StudioError
from engine.project.document import ExportSettings, Project

SHORTEST_PREVIEW_S = 1.0


def set_export(project: Project, field: str, value: Any) -> Changed:
    """One field of the export: format, aspect, follow_speaker, captions, loudness_lufs, visible_mark, credentials."""
    if field not in ExportSettings.model_fields:
        raise StudioError(texts.NO_SETTING.format(field=str(field)[:40]), texts.NO_SETTING_REMEDY)
    set_field(project.scene.export, field, value)
    return project, ""


def set_preview_range(project: Project, range_s: tuple[Any, Any] | None) -> Changed:
    """The stretch that previews show, in seconds of the recording, cut to it; None = the liveliest exchange."""
    scene = project.scene
    if range_s is None:
        scene.preview_range_s = None
        return project, texts.RANGE_LIVELIEST
    whole = length_s(scene)
    if not whole:
        raise StudioError(texts.NO_SOUND, texts.NO_SOUND_REMEDY)
    if not isinstance(range_s, tuple | list) or len(range_s) != 2:
        raise StudioError(texts.RANGE_ORDER, texts.RANGE_ORDER_REMEDY.format(length=texts.seconds(whole)))
    start, end = sorted((number(range_s[0], "start_s"), number(range_s[1], "end_s")))
    start, end = round(max(0.0, start), 3), round(min(end, whole), 3)
    if start >= whole:
        told = texts.TURN_OUTSIDE.format(length=texts.seconds(whole), at=texts.clock(start))
        raise StudioError(told, texts.TURN_OUTSIDE_REMEDY)
    # A recording that is shorter than the shortest preview is shown whole.
    if end - start < min(SHORTEST_PREVIEW_S, whole) - 1e-6:
        told = texts.RANGE_SHORT.format(shortest=SHORTEST_PREVIEW_S)
        raise StudioError(told, texts.RANGE_SHORT_REMEDY.format(length=texts.seconds(whole)))
    scene.preview_range_s = (start, end)
    return project, texts.RANGE_SET.format(start=texts.clock(start), end=texts.clock(end))
