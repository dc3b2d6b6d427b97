"""Step 2: who says what. The photo, the people, the voices and the timeline are web components in one HTML widget."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import texts
from app.actions.media import find_speakers
from app.desk import Desk
from app.doings import do
from app.history import label_of
from app.presenters import html
from app.presenters.board import board
from app.watch import Page, Updates
from engine.cast.suggest import describe
from engine.project.document import Project

MAX_SPEAKERS = 9
CONNECT = "roundtable.connect(element, props, trigger, watch)"


@dataclass(frozen=True)
class BoardPanel:
    sentence: gr.HTML
    num_speakers: gr.Dropdown
    board: gr.HTML


def build() -> BoardPanel:
    gr.HTML(html.heading(2, texts.STEP_CAST), elem_classes="rt-bare")
    with gr.Row(elem_classes="rt-line"):
        sentence = gr.HTML(elem_classes="rt-bare")
        counts = [(texts.SPEAKERS.format(number=number), number) for number in range(2, MAX_SPEAKERS + 1)]
        num_speakers = gr.Dropdown(
            [(texts.AUTO, 0), (texts.ONE_SPEAKER, 1), *counts],
            value=0,
            label=texts.NUM_SPEAKERS,
            show_label=False,
            container=False,
            filterable=False,
            scale=0,
            min_width=270,
            elem_id="num-speakers",
        )
    board = component("rt-people", "rt-timeline", elem_id="board")
    return BoardPanel(sentence, num_speakers, board)


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
    listen(panel.board, page, lambda desk: json.dumps(board(desk.current, desk.current.project)))
    page.on(panel.num_speakers.input, _count_again, [panel.num_speakers])


def listen(widget: gr.HTML, page: Page, answer: Callable[[Desk], str] | None = None) -> None:
    """Let the components inside ``widget`` do what they ask for. ``answer``: their new state, given back at once; the
    rest of the window follows with its next refresh."""
    act = page.act(do)

    def asked(event: gr.EventData, request: gr.Request) -> Any:
        version = act(request, event._data)
        return (version, answer(page.desk(request))) if answer else version

    widget.input(
        asked,
        outputs=[page.seen, widget] if answer else [page.seen],
        show_progress="hidden",
        api_visibility="private",
        trigger_mode="multiple",
    )


def show(panel: BoardPanel, desk: Desk, project: Project) -> Updates:
    scene = project.scene
    words = describe(scene) if scene.faces or not scene.photo else texts.NO_FACE
    return {
        panel.num_speakers: gr.Dropdown(visible=scene.dialogue is not None),
        panel.sentence: html.sentence(words),
        panel.board: json.dumps(board(desk.current, project)),
    }


def _count_again(desk: Desk, num_speakers: int | None) -> None:
    """Listen again for that many people; what was edited stays."""
    if desk.current.project.scene.dialogue:
        desk.current.analyse(
            lambda store, project: find_speakers(store, project, num_speakers or None), label_of("find_speakers")
        )
