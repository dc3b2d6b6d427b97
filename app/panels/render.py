"""Step 4: render. Three buttons that say what they cost, and the queue."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr

from app import texts
from app.costs import Cost
from app.desk import Desk
from app.orders import settings_of
from app.panels.board import component, listen
from app.presenters import html
from app.presenters.takes import queue, render_title
from app.watch import Page, Updates
from engine.jobs.job_view import JobOrder
from engine.project.document import Project, Scene, TakeKind


@dataclass(frozen=True)
class RenderPanel:
    hint: gr.HTML
    animatic: gr.Button
    preview: gr.Button
    final: gr.Button
    costs: gr.HTML
    queue: gr.HTML


def build() -> RenderPanel:
    gr.HTML(html.heading(4, texts.STEP_RENDER), elem_classes="rt-bare")
    hint = gr.HTML(html.hint(texts.RENDER_HINT), elem_classes="rt-bare")
    with gr.Row(elem_classes="rt-line rt-renders"):
        animatic = gr.Button(texts.PLAY_PLAN, variant="primary", size="lg", elem_id="animatic", interactive=False)
        preview = gr.Button(texts.PREVIEW, size="lg", elem_id="preview", interactive=False)
        final = gr.Button(texts.FINAL, size="lg", elem_id="final", interactive=False)
    costs = gr.HTML(elem_classes="rt-bare", elem_id="costs")
    return RenderPanel(hint, animatic, preview, final, costs, component("rt-queue", elem_id="queue"))


def wire(panel: RenderPanel, page: Page) -> None:
    for button, kind in (
        (panel.animatic, TakeKind.ANIMATIC),
        (panel.preview, TakeKind.PREVIEW),
        (panel.final, TakeKind.FINAL),
    ):
        page.on(button.click, _ordering(kind))
    listen(panel.queue, page)


def show(panel: RenderPanel, desk: Desk, project: Project) -> Updates:
    return {**show_costs(panel, desk, project.scene), **show_queue(panel, desk)}


def show_queue(panel: RenderPanel, desk: Desk) -> Updates:
    return {panel.queue: json.dumps(queue(desk.jobs(), desk.queue.held))}


def show_costs(panel: RenderPanel, desk: Desk, scene: Scene) -> Updates:
    """What each kind of take costs here, as far as that is known by now, and whether it can be started."""
    ready = bool(scene.faces and scene.turns)
    costs = desk.costs.of(scene) if ready else {}
    buttons = {TakeKind.ANIMATIC: panel.animatic, TakeKind.PREVIEW: panel.preview, TakeKind.FINAL: panel.final}
    shown: Updates = {}
    for kind, button in buttons.items():
        cost = costs.get(kind)
        shown[button] = gr.Button(
            value=cost.button if cost else texts.BUTTONS[kind], interactive=_possible(ready, cost)
        )
    shown[panel.costs] = _told(ready, costs)
    return shown


def _ordering(kind: TakeKind) -> Callable[[Desk], None]:
    def order(desk: Desk) -> None:
        project = desk.current
        scene = project.project.scene
        settings = settings_of(scene, kind)
        desk.render(project, scene, settings, JobOrder(render_title(settings, scene), desk.owner))

    return order


def _possible(ready: bool, cost: Cost | None) -> bool:
    return ready and cost is not None and cost.possible


def _told(ready: bool, costs: dict[TakeKind, Cost]) -> str:
    """Why a button is grey, or where its figure comes from."""
    if not ready:
        return ""
    if not costs:
        return html.hint(texts.COSTS_ASKED)
    return "".join(
        html.hint(sentence) for sentence in dict.fromkeys(cost.sentence for cost in costs.values()) if sentence
    )
