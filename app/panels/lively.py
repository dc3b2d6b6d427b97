"""Step 3: how lively, which format, which captions."""

from dataclasses import dataclass
from typing import Any

import gradio as gr
from annotated_types import Ge, Le

from app import texts
from app.actions import lively as actions
from app.presenters import html
from app.session import Studio
from app.watch import Page, Updates
from engine.project.document import Project, Scene


@dataclass(frozen=True)
class LivelyPanel:
    strength: gr.Slider
    aspect: gr.Radio
    captions: gr.Radio
    mark: gr.Checkbox


def build() -> LivelyPanel:
    gr.HTML(html.heading(3, texts.STEP_LIVELY), elem_classes="rt-bare")
    low, high, default = _bounds("interaction_strength")
    strength = gr.Slider(
        low, high, value=default, step=0.1, label=texts.STRENGTH, info=texts.STRENGTH_HINT, elem_id="strength"
    )
    with gr.Row():
        aspect = gr.Radio([(text, value) for value, text in texts.FORMATS.items()], label=texts.FORMAT)
        captions = gr.Radio([(text, value) for value, text in texts.CAPTION_CHOICES.items()], label=texts.CAPTIONS)
        mark = gr.Checkbox(label=texts.MARK, info=texts.MARK_HINT)
    return LivelyPanel(strength, aspect, captions, mark)


def wire(panel: LivelyPanel, page: Page) -> None:
    studio = page.studio
    for event, action, widget in (
        (panel.strength.release, actions.set_strength, panel.strength),
        (panel.aspect.input, actions.set_aspect, panel.aspect),
        (panel.captions.input, actions.set_captions, panel.captions),
        (panel.mark.input, actions.set_mark, panel.mark),
    ):
        page.on(event, _changing(studio, action), [widget])


def show(panel: LivelyPanel, studio: Studio, project: Project) -> Updates:
    scene = project.scene
    return {
        panel.strength: scene.interaction_strength,
        panel.aspect: scene.settings.aspect,
        panel.captions: scene.settings.captions,
        panel.mark: scene.settings.visible_mark,
    }


def _changing(studio: Studio, action: Any) -> Any:
    return lambda value: studio.change(lambda project: action(project, value))


def _bounds(field: str) -> tuple[float, float, float]:
    """Lowest, highest and default value, from where the document declares them."""
    declared = Scene.model_fields[field]
    low = next(rule.ge for rule in declared.metadata if isinstance(rule, Ge))
    high = next(rule.le for rule in declared.metadata if isinstance(rule, Le))
    return float(low), float(high), float(declared.default)  # type: ignore[arg-type]
