"""What keeps every browser window up to date, and the one place where an error becomes a sentence."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import texts
from app.session import Studio
from engine.errors import StudioError
from engine.project.document import Project

logger = logging.getLogger(__name__)

Updates = dict[Any, Any]
"""Component → its new value or update."""

LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Page:
    """One page under construction. ``seen``: the studio's version that a window shows; when it changes, the window
    is refreshed, so that every handler only needs to return the version. ``people``: what the rows of faces and voices
    show (``shown_of_people``); they are drawn again only when that changes, since a click on a row that is just being
    replaced is lost."""

    studio: Studio
    seen: gr.State
    people: gr.State

    def act(self, work: Callable[..., None]) -> Callable[..., int]:
        """A handler that does ``work``; errors go to the status line, and the widgets back to what is saved."""

        def handler(*values: Any) -> int:
            guarded(self.studio, lambda: work(*values))
            return self.studio.version

        return handler

    def on(self, event: Callable[..., Any], work: Callable[..., None], inputs: list[Any] | None = None) -> None:
        """Let ``event`` (like ``button.click``) do ``work`` with the values of ``inputs``."""
        event(
            self.act(work), inputs=inputs or [], outputs=[self.seen], show_progress="hidden", api_visibility="private"
        )


def guarded(studio: Studio, work: Callable[[], None]) -> None:
    """Do ``work``; a StudioError is told with its remedy, anything else is logged as the bug it is."""
    try:
        work()
    except StudioError as error:
        studio.tell(error.message, error.remedy, is_problem=True)
    except Exception:
        logger.exception("A handler of the page failed")
        studio.tell(texts.BUG, texts.BUG_REMEDY, is_problem=True)


def shown_of_people(studio: Studio, project: Project) -> str:
    """Changes whenever the rows of faces and voices have to be drawn again: also after a refused change, which has to
    go back to what is saved."""
    notice = studio.notice
    shown = project.model_dump_json(include={"id": True, "scene": {"photo", "faces", "speakers", "cast", "turns"}})
    return hashlib.sha256(f"{shown}{notice.serial if notice.is_problem else ''}".encode()).hexdigest()


def toast_once(studio: Studio, told: int) -> int:
    """Pop up the newest problem unless this window (``told``) has; the serial to remember."""
    notice = studio.notice
    if notice.is_problem and notice.serial > told:
        gr.Warning(f"{notice.text} {notice.remedy}".strip(), duration=8)
    return notice.serial
