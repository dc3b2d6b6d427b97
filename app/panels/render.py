"""Step 4: render, watch, download."""

from dataclasses import dataclass
from functools import partial

import gradio as gr

from app import texts
from app.actions import render as actions
from app.costs import Cost
from app.presenters import html, pictures
from app.session import Studio
from app.watch import Page, Updates
from app.work import WorkView
from engine.project.document import Project, Scene, Take, TakeKind


@dataclass(frozen=True)
class RenderPanel:
    render: gr.Button
    preview: gr.Button
    final: gr.Button
    cancel: gr.Button
    costs: gr.HTML
    progress: gr.HTML
    live: gr.HTML
    takes: gr.Dropdown
    newest: gr.State
    watch: gr.HTML
    unfinished: gr.HTML


def build() -> RenderPanel:
    gr.HTML(html.heading(4, texts.STEP_RENDER), elem_classes="rt-bare")
    with gr.Row(elem_classes="rt-line"):
        render = gr.Button(texts.RENDER, variant="primary", size="lg", scale=0, min_width=210, interactive=False)
        preview = gr.Button(texts.PREVIEW, size="lg", scale=0, min_width=110, interactive=False)
        final = gr.Button(texts.FINAL, size="lg", scale=0, min_width=110, interactive=False)
        cancel = gr.Button(texts.CANCEL, variant="stop", size="lg", scale=0, min_width=120, visible=False)
    gr.HTML(html.hint(texts.RENDER_HINT), elem_classes="rt-bare")
    costs = gr.HTML(elem_classes="rt-bare", elem_id="costs")
    progress = gr.HTML(elem_classes="rt-bare")
    live = gr.HTML(elem_classes="rt-bare")
    watch = gr.HTML(elem_classes="rt-bare", elem_id="watch")
    takes = gr.Dropdown(label=texts.TAKES, choices=[], filterable=False, interactive=True, visible=False)
    unfinished = gr.HTML(elem_classes="rt-bare")
    return RenderPanel(render, preview, final, cancel, costs, progress, live, takes, gr.State(""), watch, unfinished)


def wire(panel: RenderPanel, page: Page) -> None:
    studio = page.studio
    for button, kind in (
        (panel.render, TakeKind.ANIMATIC),
        (panel.preview, TakeKind.PREVIEW),
        (panel.final, TakeKind.FINAL),
    ):
        page.on(button.click, partial(_render, studio, kind))
    page.on(panel.cancel.click, studio.cancel)
    panel.takes.input(
        lambda take_id: _watched(studio, studio.project, take_id),
        inputs=[panel.takes],
        outputs=[panel.watch],
        show_progress="hidden",
        api_visibility="private",
    )


def _render(studio: Studio, kind: TakeKind) -> None:
    studio.render(lambda store, project: actions.render(store, project, kind))


def show(panel: RenderPanel, studio: Studio, project: Project, watched: str, newest: str) -> Updates:
    """``watched``: the take this window plays; a take that is newer than ``newest`` is played instead."""
    scene, work = project.scene, studio.work
    done = [take for take in reversed(scene.takes) if take.status == "done"]
    first = done[0].id if done else ""
    take_id = watched if newest == first and watched in {take.id for take in done} else first
    rendering = work is not None and work.kind == "render"
    return {
        panel.render: gr.Button(interactive=work is None and bool(scene.faces and scene.turns), visible=not rendering),
        panel.cancel: gr.Button(visible=rendering),
        **show_costs(panel, studio, scene),
        **show_work(panel, work),
        panel.takes: gr.Dropdown(
            choices=[(html.take_title(take), take.id) for take in done], value=take_id or None, visible=len(done) > 1
        ),
        panel.newest: first,
        panel.watch: _watched(studio, project, take_id),
        panel.unfinished: _unfinished(scene.takes),
    }


def show_costs(panel: RenderPanel, studio: Studio, scene: Scene) -> Updates:
    """What a preview and a final take, as far as that is known by now, and whether they can be started."""
    work, costs = studio.work, studio.costs.of(scene)
    rendering = work is not None and work.kind == "render"
    possible = {kind for kind, cost in costs.items() if cost.possible and work is None and scene.faces}
    return {
        panel.preview: gr.Button(interactive=TakeKind.PREVIEW in possible, visible=not rendering),
        panel.final: gr.Button(interactive=TakeKind.FINAL in possible, visible=not rendering),
        panel.costs: _costs(scene, costs),
    }


def show_work(panel: RenderPanel, work: WorkView | None) -> Updates:
    """How far the running render is, and its newest frame."""
    if work is None or work.kind != "render":
        return {panel.progress: "", panel.live: ""}
    live = "" if work.frame is None else html.live_frame(pictures.data_uri(work.frame))
    return {panel.progress: html.progress(work), panel.live: live}


def _watched(studio: Studio, project: Project, take_id: str) -> str:
    for take in project.scene.takes:
        if take.id == take_id and take.status == "done":
            return html.watch(studio.store.folder, take)
    return html.hint(texts.NO_TAKE)


def _costs(scene: Scene, costs: dict[TakeKind, Cost]) -> str:
    if not (scene.faces and scene.turns):
        return ""
    sentences = dict.fromkeys(cost.sentence for cost in costs.values()) or [texts.COSTS_ASKED]
    return "".join(html.hint(sentence) for sentence in sentences)


def _unfinished(takes: list[Take]) -> str:
    """What was started since the newest finished take and did not get there."""
    lines: list[str] = []
    for take in reversed(takes):
        if take.status == "done" or len(lines) == 3:
            break
        if take.status != "rendering":
            why = f": {take.message}" if take.status == "failed" else ""
            lines.append(html.hint(html.take_title(take) + why))
    return "".join(lines)
