"""What keeps every browser window up to date, and the one place where an error becomes a sentence."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import texts
from app.desk import Desk, Desks
from app.session import OpenProject
from app.visitor import visitor_of
from engine.errors import StudioError

logger = logging.getLogger(__name__)

Updates = dict[Any, Any]
"""Component → its new value or update."""

LOOK_EVERY_S = 0.7


@dataclass(frozen=True)
class Page:
    """One page under construction. ``seen``: the desk's version that a window shows; when it changes, the window is
    refreshed, so that every handler only needs to return the version."""

    desks: Desks
    seen: gr.State

    def desk(self, request: gr.Request) -> Desk:
        return self.desks.of(visitor_of(request))

    def act(self, work: Callable[..., None]) -> Callable[..., str]:
        """A handler that does ``work(desk, *values)``; errors go to the status line, widgets back to what is saved."""

        def handler(request: gr.Request, *values: Any) -> str:
            desk = self.desk(request)
            guarded(desk.current, lambda: work(desk, *values))
            return desk.version

        return handler

    def on(self, event: Callable[..., Any], work: Callable[..., None], inputs: list[Any] | None = None) -> None:
        """Let ``event`` (like ``button.click``) do ``work`` with the desk and the values of ``inputs``."""
        event(
            self.act(work), inputs=inputs or [], outputs=[self.seen], show_progress="hidden", api_visibility="private"
        )


def guarded(project: OpenProject, work: Callable[[], None]) -> None:
    """Do ``work``; a StudioError is told with its remedy, anything else is logged as the bug it is."""
    try:
        work()
    except StudioError as error:
        project.tell(error.message, error.remedy, is_problem=True)
    except Exception:
        logger.exception("A handler of the page failed")
        project.tell(texts.BUG, texts.BUG_REMEDY, is_problem=True)


def toast_once(project: OpenProject, told: str) -> str:
    """Pop up the newest problem unless this window (``told``) has; what to remember."""
    notice = project.notice
    mark = f"{project.folder.name} {notice.serial}"
    if notice.is_problem and mark != told:
        gr.Warning(f"{notice.text} {notice.remedy}".strip(), duration=8)
    return mark
