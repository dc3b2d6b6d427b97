"""Small pieces of HTML. Every text that is not ours is escaped here; nobody else writes tags."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from app import texts
from app.session import Notice
from app.work import WorkView

if TYPE_CHECKING:
    from engine.jobs.models import ModelRow


def heading(number: int, text: str) -> str:
    return f'<h2 class="rt-step"><span class="rt-number" aria-hidden="true">{number}</span>{escape(text)}</h2>'


def masthead() -> str:
    mark = "".join(f'<i style="--n:{index}"></i>' for index in range(5))
    return f'<h1 class="rt-masthead"><span class="rt-mark" aria-hidden="true">{mark}</span>{escape(texts.TITLE)}</h1>'


def welcome() -> str:
    return f'<p class="rt-welcome">{escape(texts.TAGLINE)}</p>'


def status(notice: Notice, folder: Path, undo: str, told: str = "") -> str:
    """The status line: the newest sentence, or where things are kept. ``undo``: what could be taken back; ``told``:
    what the page says anyway."""
    if not notice.text or notice.text == told:
        said = texts.SAVED_CHANGE.format(change=undo) if undo else texts.SAVED.format(folder=folder.name)
        return f'<p class="rt-status" role="status">{escape(said)}</p>'
    remedy = f" <span>{escape(notice.remedy)}</span>" if notice.remedy else ""
    kind, role = ("rt-problem", "alert") if notice.is_problem else ("rt-fine", "status")
    return f'<p class="rt-status {kind}" role="{role}"><b>{escape(notice.text)}</b>{remedy}</p>'


def hint(text: str) -> str:
    return f'<p class="rt-hint">{escape(text)}</p>'


def sentence(text: str) -> str:
    return f'<p class="rt-sentence">{escape(text)}</p>' if text else ""


def what_is_there(text: str, present: bool) -> str:
    return f'<p class="rt-there{" rt-present" if present else ""}">{escape(text)}</p>'


def progress(view: WorkView) -> str:
    """The running work in a sentence, with a bar."""
    step = view.progress
    parts = [texts.CANCELLING] if view.cancelling else [step.text]
    if not view.cancelling and view.left_s is not None and view.left_s > 1:
        parts.append(texts.TIME_LEFT.format(length=texts.seconds(view.left_s)))
    bar = f'value="{step.done}" max="{step.total}"' if step.total else ""
    said = escape(", ".join(parts))
    return f'<div class="rt-progress" role="status"><p>{said}</p><progress {bar} aria-label="{said}"></progress></div>'


def link(address: str, text: str) -> str:
    """A download of ours; ``address`` is made by us, relative."""
    return f'<p class="rt-links"><a href="{escape(address)}" download>{escape(text)}</a></p>'


def exported(files: list[tuple[str, str]]) -> str:
    """(name, address) of what was exported lately."""
    if not files:
        return ""
    links = "".join(f'<a href="{escape(address)}" download>{escape(name)}</a>' for name, address in files)
    return f'<p class="rt-hint">{escape(texts.EXPORTED_FILES)}</p><p class="rt-links">{links}</p>'


def machine(text: str) -> str:
    return f'<p class="rt-chip" title="{escape(text)}">{escape(text)}</p>'


def networks(rows: Sequence["ModelRow"]) -> str:
    """What each network is for, how large it is, and whether it is here."""
    lines = [
        f"<tr><th>{escape(row.name)}</th><td>{escape(row.what_for)}</td><td>{escape(row.size_text)}</td>"
        f"<td>{escape(row.state_text)}</td><td>{escape(row.licence_text)}</td></tr>"
        for row in rows
    ]
    return f'{hint(texts.EMBEDDED_HINT)}<table class="rt-table"><tbody>{"".join(lines)}</tbody></table>'
