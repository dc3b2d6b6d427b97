"""What the page's three render buttons order."""

from app.presenters.board import preview_range
from engine.project.document import RenderSettings, Scene, TakeKind
from engine.project.presets import settings_for


def settings_of(scene: Scene, kind: TakeKind) -> RenderSettings:
    """What a take of that kind is computed with: a preview shows its range, the others the whole conversation. Shape,
    captions and the mark are decided at the export, so that one take serves every place."""
    range_s = preview_range(scene) if kind is TakeKind.PREVIEW else scene.settings.range_s
    chosen = settings_for(kind, scene.settings)
    return chosen.model_copy(
        update={"range_s": range_s, "aspect": "photo", "captions": "beside", "visible_mark": False}
    )
