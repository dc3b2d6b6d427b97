"""The page put together: its panels, and what refreshes them."""

from typing import Any

import gradio as gr

from app import texts, theme
from app.panels import cast, lively, media, render, top
from app.presenters import html
from app.session import Studio
from app.watch import LOOK_EVERY_S, Page, Updates, shown_of_people, toast_once

MAX_UPLOAD = "2gb"


def build_page(studio: Studio) -> gr.Blocks:
    """The page of ``studio``; ``launch_options`` has what it must be launched with."""
    with gr.Blocks(title=texts.TITLE, analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as blocks:
        page = Page(studio, gr.State(0), gr.State(""))
        told, costs_seen = gr.State(0), gr.State(0)
        top_panel = top.build()
        media_panel = media.build()
        cast_panel = cast.build(page)
        lively_panel = lively.build()
        render_panel = render.build()
        for module, panel in (
            (top, top_panel),
            (media, media_panel),
            (cast, cast_panel),
            (lively, lively_panel),
            (render, render_panel),
        ):
            module.wire(panel, page)  # type: ignore[attr-defined]

        def refresh(told_serial: int, watched: str, newest: str) -> Updates:
            _allow_files(blocks, studio)
            project = studio.project
            return {
                **top.show(top_panel, studio, project),
                **media.show(media_panel, studio, project),
                **cast.show(cast_panel, studio, project),
                **lively.show(lively_panel, studio, project),
                **render.show(render_panel, studio, project, watched, newest),
                told: toast_once(studio, told_serial),
                page.people: shown_of_people(studio, project),
            }

        def look(seen: int, costs_shown: int) -> Updates:
            work = studio.work
            # Costs arrive by themselves: a full refresh would take away what somebody is just typing or marking.
            news = studio.costs.serial != costs_shown
            costs = render.show_costs(render_panel, studio, studio.project.scene) if news else {}
            analysing = work is not None and work.kind == "analysis"
            return {
                page.seen: gr.skip() if seen == studio.version else studio.version,
                media_panel.progress: html.progress(work) if work and analysing else "",
                **render.show_work(render_panel, work),
                **costs,
                costs_seen: studio.costs.serial,
            }

        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        shown = [told, page.people, *_widgets(top_panel, media_panel, cast_panel, lively_panel, render_panel)]
        page.seen.change(refresh, inputs=[told, render_panel.takes, render_panel.newest], outputs=shown, **quiet)
        watched = [page.seen, costs_seen, media_panel.progress, render_panel.progress, render_panel.live]
        watched += [render_panel.preview, render_panel.final, render_panel.costs]
        gr.Timer(LOOK_EVERY_S).tick(look, inputs=[page.seen, costs_seen], outputs=watched, **quiet)
        blocks.load(lambda: (studio.version, studio.notice.serial), outputs=[page.seen, told], **quiet)
    _allow_files(blocks, studio)
    return blocks.queue(default_concurrency_limit=8)


def launch_options() -> dict[str, Any]:
    """What every launch of the page has in common."""
    return {
        "theme": theme.theme(),
        "css_paths": [theme.CSS],
        "max_file_size": MAX_UPLOAD,
        "footer_links": [],
        "ssr_mode": False,
        "show_error": False,
        "enable_monitoring": False,
    }


def _allow_files(blocks: gr.Blocks, studio: Studio) -> None:
    """Only what the engine itself made for the open project is given out, never the files that were brought."""
    folder = studio.store.folder
    blocks.allowed_paths = [str(folder / "cache"), str(folder / "takes")]


def _widgets(*panels: Any) -> list[Any]:
    """Every widget of the panels' records, tuples included."""
    found: list[Any] = []
    for panel in panels:
        for value in vars(panel).values():
            found.extend(value if isinstance(value, tuple) else [value])
    return found
