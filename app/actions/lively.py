"""What a person decides about the whole scene: how lively, in which words, and how previews and finals are computed."""

from typing import Any

from app import texts
from app.actions.faces import set_member
from app.actions.fields import bounds_of, set_field
from app.actions.lookup import Changed, written
from engine.dit.catalogue import LORAS, MODELS
from engine.errors import StudioError
from engine.project.document import Project, RenderSettings
from engine.project.presets import chosen_from, load_preset

__all__ = [
    "SETTINGS", "load_settings", "model_choices", "set_aspect", "set_captions", "set_lip_strength", "set_mark",
    "set_member", "set_negative_prompt", "set_prompt", "set_setting", "set_strength", "use_preset",
]  # fmt: skip

LONGEST_PROMPT = 4000
SETTINGS = (
    "num_inference_steps", "guidance_scale", "seed", "window", "overlap", "model", "quantization", "height",
    "frame_rate", "shift", "lora", "step_cache",
)  # fmt: skip
"""What ``set_setting`` changes."""


def set_strength(project: Project, strength: float) -> Changed:
    """Interaction strength, within the document's bounds."""
    set_field(project.scene, "interaction_strength", strength)
    return project, ""


def set_lip_strength(project: Project, strength: float) -> Changed:
    """Of everybody; each person's own is multiplied with it."""
    set_field(project.scene, "lip_strength", strength)
    return project, ""


def set_prompt(project: Project, text: str) -> Changed:
    """What the model is told about the scene; "" = the ready sentence."""
    project.scene.prompt = written(text, "prompt", LONGEST_PROMPT)
    return project, ""


def set_negative_prompt(project: Project, text: str) -> Changed:
    """What the model is told to avoid; "" = the published list."""
    project.scene.negative_prompt = written(text, "negative_prompt", LONGEST_PROMPT)
    return project, ""


def set_setting(project: Project, field: str, value: Any) -> Changed:
    """One of SETTINGS, within the document's bounds. Set to its default it is as each preset has it, see
    ``engine.project.presets.settings_for``; the sentence says so."""
    if field not in SETTINGS:
        raise StudioError(texts.NO_SETTING.format(field=str(field)[:40]), texts.NO_SETTING_REMEDY)
    settings = project.scene.settings
    if field in ("model", "lora"):
        _refuse_unknown(field, value)
    before = getattr(settings, field)
    set_field(settings, field, value)
    after = getattr(settings, field)
    back = after != before and after == bounds_of(RenderSettings, field).default
    return project, texts.AS_PRESETS.format(what=texts.FIELD_NAMES[field]) if back else ""


def model_choices(field: str) -> tuple[str, ...]:
    """What the fields "model" and "lora" may be on the page; the first is the default. A path is not among them: the
    page may be open to others, who are not to read this computer's files."""
    return ("animatic", *MODELS) if field == "model" else ("", *LORAS)


def use_preset(project: Project, name: str) -> Changed:
    """Compute takes as the preset says; with the name of a kind of take ("preview"), each kind by its own preset again.

    Shape, captions, mark and seed stay as they are. Raises StudioError for a preset that is not there or wrong.
    """
    preset, settings = load_preset(name), project.scene.settings
    project.scene.settings = chosen_from(preset, settings)
    if name == preset.settings.kind:
        return project, texts.USES_OWN_PRESETS
    return project, texts.USES_PRESET.format(name=name)


def load_settings(project: Project, take_id: str) -> Changed:
    """Compute takes of that take's kind with the settings it was made with, but of the whole recording."""
    take = next((take for take in project.scene.takes if take.id == take_id), None)
    if take is None:
        raise StudioError(texts.NOT_THERE, texts.NOT_THERE_REMEDY)
    project.scene.settings = take.settings.model_copy(update={"range_s": None}, deep=True)
    return project, texts.USES_TAKE.format(kind=take.settings.kind.value)


def set_aspect(project: Project, aspect: str) -> Changed:
    set_field(project.scene.settings, "aspect", aspect)
    return project, ""


def set_captions(project: Project, captions: str) -> Changed:
    set_field(project.scene.settings, "captions", captions)
    return project, ""


def set_mark(project: Project, visible: bool) -> Changed:
    set_field(project.scene.settings, "visible_mark", visible)
    return project, ""


def _refuse_unknown(field: str, value: Any) -> None:
    choices = model_choices(field)
    if value not in choices:
        allowed = texts.ONE_OF.format(choices=", ".join(choice or texts.PLAIN_VALUES[None] for choice in choices))
        told = texts.OUT_OF_BOUNDS.format(what=texts.FIELD_NAMES[field], allowed=allowed, given=repr(str(value)[:40]))
        raise StudioError(told, texts.OUT_OF_BOUNDS_REMEDY.format(default=choices[0] or texts.PLAIN_VALUES[None]))
