"""Step 2: who says what. The photo, the people, the voices and the timeline are web components in one HTML widget."""

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import texts
from app.desk import Desk
from app.doings import do
from app.presenters import html
from app.presenters.board import board
from app.watch import Page, Updates
from engine.cast.suggest import describe
from engine.project.document import Project

CONNECT = "roundtable.connect(element, props, trigger, watch)"


@dataclass(frozen=True)
class BoardPanel:
    sentence: gr.HTML
    board: gr.HTML


def build() -> BoardPanel:
    gr.HTML(html.heading(2, texts.STEP_CAST), elem_classes="rt-bare")
    sentence = gr.HTML(elem_classes="rt-bare")
    board = component("rt-people", "rt-timeline", elem_id="board")
    return BoardPanel(sentence, board)


def component(*tags: str, **options: Any) -> gr.HTML:
    """Web components of ours inside gradio's HTML: their state is its value (JSON), what they ask for its input event.

    The template is constant, so that gradio never touches what the components draw.
    """
    inside = "".join(f"<{tag}></{tag}>" for tag in tags)
    return gr.HTML(
        value="null",
        html_template=inside,
        js_on_load=CONNECT,
        apply_default_css=False,
        elem_classes="rt-bare",
        **options,
    )


def wire(panel: BoardPanel, page: Page) -> None:
    listen(panel.board, page)


def listen(widget: gr.HTML, page: Page) -> None:
    """Let the components inside ``widget`` do what they ask for."""
    act = page.act(do)

    def asked(event: gr.EventData, request: gr.Request) -> str:
        return act(request, event._data)

    widget.input(
        asked,
        outputs=[page.seen],
        show_progress="hidden",
        api_visibility="private",
        queue=True,
        trigger_mode="multiple",
    )


def show(panel: BoardPanel, desk: Desk, project: Project) -> Updates:
    scene = project.scene
    words = describe(scene) if scene.faces or not scene.photo else texts.NO_FACE
    return {panel.sentence: html.sentence(words), panel.board: json.dumps(board(desk.current, project))}
