"""Step 3: how lively, and how it is computed."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import texts
from app.actions import lively as actions
from app.actions.fields import bounds_of
from app.desk import Desk
from app.history import label_of
from app.presenters import html
from app.watch import Page, Updates
from engine.cast.scene_prompt import suggest_prompt
from engine.project.document import Project, RenderSettings, Scene, TakeKind
from engine.project.presets import load_preset, preset_names, save_preset, settings_for

KINDS = tuple(kind.value for kind in TakeKind)
SLIDERS = (
    ("num_inference_steps", 1),
    ("guidance_scale", 0.1),
    ("shift", 0.1),
    ("window", 4),
    ("overlap", 4),
    ("step_cache", 0.01),
)
HEIGHTS = (360, 480, 540, 720, 1080)


@dataclass(frozen=True)
class LivelyPanel:
    strength: gr.Slider
    lips: gr.Slider
    prompt: gr.Textbox
    preset: gr.Dropdown
    preset_told: gr.HTML
    sliders: tuple[gr.Slider, ...]
    height: gr.Dropdown
    seed: gr.Number
    model: gr.Dropdown
    quantization: gr.Dropdown
    lora: gr.Dropdown
    negative: gr.Textbox
    preset_name: gr.Textbox
    keep_preset: gr.Button


def build() -> LivelyPanel:
    gr.HTML(html.heading(3, texts.STEP_LIVELY), elem_classes="rt-bare")
    with gr.Row():
        strength = _slider(Scene, "interaction_strength", 0.1, texts.STRENGTH, info=texts.STRENGTH_HINT)
        lips = _slider(Scene, "lip_strength", 0.1, texts.LIPS, info=texts.LIPS_HINT)
    prompt = gr.Textbox(label=texts.PROMPT, info=texts.PROMPT_HINT, lines=2, max_lines=4, elem_id="prompt")
    with gr.Accordion(texts.MORE_SETTINGS, open=False, elem_id="more-settings"):
        with gr.Row():
            preset = gr.Dropdown(label=texts.PRESET, choices=[], filterable=False, interactive=True)
            preset_told = gr.HTML(elem_classes="rt-bare")
        with gr.Row():
            sliders = tuple(
                _slider(RenderSettings, field, step, texts.FIELD_NAMES[field], info=texts.FIELD_HINTS[field])
                for field, step in SLIDERS
            )
        with gr.Row():
            model = gr.Dropdown(label=texts.MODEL, choices=[], filterable=False, interactive=True)
            names = [(texts.QUANTIZATIONS[name], name) for name in bounds_of(RenderSettings, "quantization").choices]
            quantization = gr.Dropdown(names, label=texts.QUANTIZATION, filterable=False, interactive=True)
            lora = gr.Dropdown(label=texts.LORA, choices=[], filterable=False, interactive=True)
            height = gr.Dropdown(
                [(f"{size} px", size) for size in HEIGHTS], label=texts.HEIGHT, filterable=False, interactive=True
            )
            seed = gr.Number(label=texts.SEED, info=texts.SEED_HINT, precision=0, interactive=True)
        negative = gr.Textbox(label=texts.NEGATIVE, info=texts.NEGATIVE_HINT, lines=2, max_lines=4)
        with gr.Row(equal_height=True):
            preset_name = gr.Textbox(label=texts.PRESET_NAME, max_lines=1, max_length=40)
            keep_preset = gr.Button(texts.SAVE_PRESET, scale=0, min_width=180)
    return LivelyPanel(
        *(strength, lips, prompt, preset, preset_told, sliders, height, seed, model, quantization, lora),
        *(negative, preset_name, keep_preset),
    )


def wire(panel: LivelyPanel, page: Page) -> None:
    for event, action, widget in (
        (panel.strength.release, actions.set_strength, panel.strength),
        (panel.lips.release, actions.set_lip_strength, panel.lips),
        (panel.prompt.blur, actions.set_prompt, panel.prompt),
        (panel.prompt.submit, actions.set_prompt, panel.prompt),
        (panel.negative.blur, actions.set_negative_prompt, panel.negative),
        (panel.preset.input, actions.use_preset, panel.preset),
    ):
        page.on(event, _changing(action), [widget])
    for (field, _), slider in zip(SLIDERS, panel.sliders, strict=True):
        page.on(slider.release, _setting(field), [slider])
    for field, dropdown in (
        ("model", panel.model),
        ("quantization", panel.quantization),
        ("lora", panel.lora),
        ("height", panel.height),
    ):
        page.on(dropdown.input, _setting(field), [dropdown])
    for event in (panel.seed.submit, panel.seed.blur):
        page.on(event, _seed, [panel.seed])
    page.on(panel.keep_preset.click, _save_preset, [panel.preset_name])


def show(panel: LivelyPanel, desk: Desk, project: Project) -> Updates:
    scene = project.scene
    chosen, used = scene.settings, _used(scene)
    names = {name: texts.PRESET_TITLES.get(name, name) for name in preset_names() if name not in KINDS}
    presets = [(texts.OWN_PRESETS, TakeKind.FINAL.value), *((title, name) for name, title in names.items())]
    models = [(texts.MODEL_OF_PRESET, "animatic"), *((name, name) for name in actions.model_choices("model")[1:])]
    loras = [(texts.NO_LORA, ""), *((name, name) for name in actions.model_choices("lora")[1:])]
    heights = sorted({*HEIGHTS, used.height})
    return {
        panel.strength: scene.interaction_strength,
        panel.lips: scene.lip_strength,
        panel.prompt: gr.Textbox(value=scene.prompt, placeholder=suggest_prompt(scene)),
        panel.preset: gr.Dropdown(choices=presets, value=None),
        panel.preset_told: html.hint(_told(scene)),
        **{slider: getattr(used, field) for (field, _), slider in zip(SLIDERS, panel.sliders, strict=True)},
        panel.height: gr.Dropdown(choices=[(f"{size} px", size) for size in heights], value=used.height),
        panel.seed: used.seed,
        panel.model: gr.Dropdown(choices=models, value=chosen.model),
        panel.quantization: used.quantization,
        panel.lora: gr.Dropdown(choices=loras, value=used.lora if used.lora in dict(loras).values() else ""),
        panel.negative: scene.negative_prompt,
    }


def _used(scene: Scene) -> RenderSettings:
    """What a final would be computed with."""
    return settings_for(TakeKind.FINAL, scene.settings)


def _told(scene: Scene) -> str:
    """In which of the settings the creator differs from the final's preset."""
    preset, used = load_preset(TakeKind.FINAL).settings, _used(scene)
    changed = [texts.FIELD_NAMES[field] for field in actions.SETTINGS if getattr(preset, field) != getattr(used, field)]
    return texts.CHANGED_SETTINGS.format(names=", ".join(changed)) if changed else texts.UNCHANGED_SETTINGS


def _slider(model: Any, field: str, step: float, label: str, **options: Any) -> gr.Slider:
    bounds = bounds_of(model, field)
    return gr.Slider(
        bounds.low or 0, bounds.high or 1, value=bounds.default, step=step, label=label, elem_id=field, **options
    )


def _changing(action: Any) -> Any:
    name = label_of(action.__name__)
    return lambda desk, value: desk.current.change(lambda project: action(project, value), name, joins=True)


def _setting(field: str) -> Any:
    name = label_of("set_setting")
    return lambda desk, value: desk.current.change(lambda project: actions.set_setting(project, field, value), name)


def _seed(desk: Desk, value: float | None) -> None:
    if value is not None and value != _used(desk.current.project.scene).seed:
        _setting("seed")(desk, value)


def _save_preset(desk: Desk, name: str) -> None:
    save_preset(name, texts.OWN_PRESET_OF.format(title=desk.current.project.title), _used(desk.current.project.scene))
    desk.current.tell(texts.PRESET_SAVED.format(name=name.strip()))
