"""The page put together: its panels, and what refreshes them."""

import hashlib
from typing import Any

import gradio as gr
from gradio.blocks import Block

from app import api, texts, theme
from app.desk import Desk, Desks
from app.panels import board, lively, media, render, takes, top
from app.presenters import html
from app.server import MAX_UPLOAD_BYTES, app_options
from app.watch import LOOK_EVERY_S, Page, Updates, toast_once


def build_page(desks: Desks) -> gr.Blocks:
    """The page of ``desks``; ``launch_options`` has what it must be launched with."""
    with gr.Blocks(title=texts.TITLE, analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as blocks:
        page = Page(desks, gr.State(""))
        told, costs_seen = gr.State(""), gr.State(-1)
        sent, looked = gr.State({}), gr.State({})  # what a refresh and a look sent last: each state has one writer
        panels: list[tuple[Any, Any]] = [(top, top.build()), (media, media.build())]
        # Each step appears once there is something to do in it: the first screen asks for two files and no more.
        with gr.Column(visible=False) as has_people:
            panels.append((board, board.build()))
        with gr.Row(visible=False, elem_classes="rt-halves") as has_plan:
            with gr.Column(min_width=400):
                panels.append((lively, lively.build()))
            with gr.Column(min_width=400):
                panels.append((render, render.build()))
        with gr.Column(visible=False) as has_takes:
            panels.append((takes, takes.build()))
        for module, panel in panels:
            module.wire(panel, page)
        api.add(page)
        by_module = dict(panels)
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

        def refresh(request: gr.Request, told_mark: str, before: dict[int, str]) -> Updates:
            desk = page.desk(request)
            project = desk.current.project
            mark = toast_once(desk.current, told_mark)
            shown: Updates = {}
            for module, panel in panels:
                shown.update(module.show(panel, desk, project))
            scene = project.scene
            shown[has_people] = gr.Column(visible=scene.photo is not None or bool(scene.speakers))
            shown[has_plan] = gr.Row(visible=bool(scene.faces and scene.turns) or bool(desk.jobs()))
            shown[has_takes] = gr.Column(visible=any(take.status == "done" for take in scene.takes))
            # After a refusal every widget goes back to what is saved; otherwise only what differs is sent, and what a
            # look may have changed since.
            again = {} if desk.current.notice.is_problem and mark != told_mark else before
            fresh = news(shown, {number: kept for number, kept in again.items() if number not in restless})
            return {**fresh, told: mark, sent: {**before, **{w._id: _print(value) for w, value in fresh.items()}}}

        def look(request: gr.Request, seen: str, costs_shown: int, before: dict[int, str]) -> Updates:
            """What runs, every moment; everything else only when something changed. Costs arrive by themselves: a full
            refresh would take away what somebody is just typing."""
            desk = page.desk(request)
            moving: Updates = {
                by_module[media].progress: _analysis(desk),
                **render.show_queue(by_module[render], desk),
                **takes.show_export(by_module[takes], desk),
            }
            fresh = news(moving, before)
            if fresh:
                fresh[looked] = {**before, **{widget._id: _print(value) for widget, value in fresh.items()}}
            if desk.errands.view("networks") or desk.costs.serial != costs_shown:
                fresh |= top.show_networks(by_module[top], desk) | top.show_machine(by_module[top])
            if desk.costs.serial != costs_shown:
                fresh |= render.show_costs(by_module[render], desk, desk.current.project.scene)
                fresh[costs_seen] = desk.costs.serial
            return {**fresh, page.seen: gr.skip() if seen == desk.version else desk.version}

        def start(request: gr.Request) -> tuple[str, str]:
            desk = page.desk(request)
            return desk.version, f"{desk.current.folder.name} {desk.current.notice.serial}"

        everything = [
            sent,
            told,
            page.seen,
            costs_seen,
            has_people,
            has_plan,
            has_takes,
            *_widgets(*(panel for _, panel in panels)),
        ]
        page.seen.change(refresh, inputs=[told, sent], outputs=everything, **quiet)
        watched = [page.seen, costs_seen, looked, *_watched(by_module)]
        restless = {widget._id for widget in watched}
        gr.Timer(LOOK_EVERY_S).tick(look, inputs=[page.seen, costs_seen, looked], outputs=watched, **quiet)
        blocks.load(start, outputs=[page.seen, told], **quiet)
    return blocks.queue(default_concurrency_limit=16)


def news(shown: Updates, before: dict[int, str]) -> Updates:
    """What a window does not show yet. ``before``: what it was sent last, by the widget's number. Places for files are
    emptied each time: what was dropped there is in the project now."""
    return {
        widget: value
        for widget, value in shown.items()
        if isinstance(widget, gr.File) or before.get(widget._id) != _print(value)
    }


def _print(value: Any) -> str:
    """Short, and the same for the same value or update."""
    plain = value.constructor_args if isinstance(value, Block) else value
    return hashlib.sha256(repr(plain).encode()).hexdigest()[:16]


def launch_options(desks: Desks) -> dict[str, Any]:
    """What every launch of the page has in common."""
    return {
        "theme": theme.theme(),
        "css_paths": [theme.CSS],
        "head": theme.head(),
        "favicon_path": theme.ICON,
        "pwa": True,
        "app_kwargs": app_options(desks),
        "max_file_size": MAX_UPLOAD_BYTES,
        "footer_links": [],
        "ssr_mode": False,
        "show_error": False,
        "enable_monitoring": False,
    }


def _analysis(desk: Desk) -> str:
    work = desk.current.work
    return html.progress(work) if work else ""


def _watched(by_module: dict[Any, Any]) -> list[Any]:
    """What can change by itself."""
    strip, rendering, taking = by_module[top], by_module[render], by_module[takes]
    return [
        by_module[media].progress,
        *(strip.machine, strip.networks, strip.wanted, strip.get, strip.stop_getting, strip.getting),
        *(rendering.animatic, rendering.preview, rendering.final, rendering.costs, rendering.queue),
        *(taking.progress, taking.stop, taking.export),
    ]


def _widgets(*panels: Any) -> list[Any]:
    """Every widget of the panels' records, tuples included; not the states that only one panel knows."""
    found: list[Any] = []
    for panel in panels:
        for value in vars(panel).values():
            found.extend(value if isinstance(value, tuple) else [value])
    return found
