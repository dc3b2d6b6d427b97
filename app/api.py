"""The same studio for programs: new, analyse, cast, render, status, download. Each is a named endpoint of the page's
server; a visitor is known by the cookie, or by the key that a program sends along (see ``app.visitor``)."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app import texts
from app.actions.faces import choose_part
from app.actions.media import find_speakers
from app.desk import Desk
from app.history import label_of
from app.orders import settings_of
from app.panels.media import take_photo, take_sounds
from app.panels.takes import export_steps
from app.presenters.board import board
from app.presenters.takes import queue, render_title
from app.session import OpenProject
from app.watch import Page
from engine.errors import StudioError
from engine.jobs.job_view import JobOrder
from engine.project.document import ExportSettings, TakeKind

WAIT_S = 0.2
Plain = dict[str, Any]


def add(page: Page) -> None:
    """Add the endpoints to the page that is being built; their widgets are not shown."""
    with gr.Column(visible=False):
        project, face, part = gr.Textbox(), gr.Textbox(), gr.Textbox()
        photo, recordings = gr.File(), gr.File(file_count="multiple")
        speakers, start_s, end_s = gr.Number(0, precision=0), gr.Number(0), gr.Number(0)
        title, kind, job, take = gr.Textbox(), gr.Textbox("animatic"), gr.Textbox(), gr.Textbox()
        format_, aspect, captions = gr.Textbox("h264"), gr.Textbox("photo"), gr.Textbox("beside")
        answer, files = gr.JSON(), gr.File(file_count="multiple")
        for function, inputs, output in (
            (_new, [title, photo, recordings, speakers], answer),
            (_analyse, [project, speakers], answer),
            (_cast, [project, face, part], answer),
            (_render, [project, kind, start_s, end_s], answer),
            (_status, [job], answer),
            (_download, [project, take, format_, aspect, captions], files),
        ):
            name = function.__name__.removeprefix("_")
            gr.Button().click(_told(page, function), inputs=inputs, outputs=[output], api_name=name)


def _told(page: Page, function: Callable[..., Any]) -> Callable[..., Any]:
    """The endpoint: what goes wrong is told in words, never with a traceback."""

    def endpoint(request: gr.Request, *values: Any) -> Any:
        try:
            return function(page.desk(request), *values)
        except StudioError as error:
            raise gr.Error(f"{error.message} {error.remedy}".strip()) from error

    return endpoint


def _new(desk: Desk, title: str, photo: str | None, recordings: list[str] | None, speakers: float) -> Plain:
    """Make a project of a photo and one recording (or one per person), and start to analyse them."""
    shown = desk.current
    project = desk.create((title or "").strip()[:60] or desk.next_title())
    desk.open(shown.folder, "")  # a program must not take away what a creator is looking at
    take_photo(project, photo)
    take_sounds(project, recordings or [], int(speakers or 0))
    return {"project": project.folder.name}


def _analyse(desk: Desk, name: str, speakers: float) -> Plain:
    """Wait until the project is analysed (again, where a number of speakers is given); the plan."""
    project = desk.named(name)
    _wait(project)
    if speakers and project.project.scene.dialogue:
        wanted = int(speakers)
        project.analyse(lambda store, draft: find_speakers(store, draft, wanted), label_of("find_speakers"))
        _wait(project)
    if project.notice.is_problem:
        raise StudioError(project.notice.text, project.notice.remedy)
    return board(project, project.project)


def _cast(desk: Desk, name: str, face: str, part: str) -> Plain:
    """Let a face (its id) talk with a voice ("voice:<id>"), listen ("listens") or stay still ("still"); the plan."""
    project = desk.named(name)
    project.change(lambda draft: choose_part(draft, face, part), label_of("choose_part"))
    return board(project, project.project)


def _render(desk: Desk, name: str, kind: str, start_s: float, end_s: float) -> Plain:
    """Put a render into the queue: animatic, preview or final; of the whole conversation where no end is given."""
    if kind not in list(TakeKind):
        raise StudioError(texts.NO_KIND.format(kind=str(kind)[:40]), texts.NO_KIND_REMEDY)
    project = desk.named(name)
    scene = project.project.scene
    settings = settings_of(scene, TakeKind(kind))
    if end_s:
        settings = settings.model_copy(update={"range_s": (float(start_s or 0), float(end_s))})
    return {"job": desk.render(project, scene, settings, JobOrder(render_title(settings, scene), desk.owner))}


def _status(desk: Desk, job: str) -> Plain:
    """How far a render is; "take" names what it makes."""
    view = desk.job(job)
    return {**queue([view], False)["jobs"][0], "take": view.take_id}


def _download(desk: Desk, name: str, take_id: str, format_: str, aspect: str, captions: str) -> list[str]:
    """Export a finished take; its files."""
    project = desk.named(name)
    take = next((take for take in project.project.scene.takes if take.id == take_id and take.status == "done"), None)
    if take is None:
        raise StudioError(texts.NO_TAKE_YET, texts.NO_TAKE_YET_REMEDY)
    try:
        settings = ExportSettings.model_validate({"format": format_, "aspect": aspect, "captions": captions})
    except ValueError as error:
        raise StudioError(texts.NO_EXPORT, texts.NO_EXPORT_REMEDY) from error
    folder = Path(tempfile.mkdtemp(prefix="roundtable-"))
    for _ in _steps(project, take, settings, folder):
        pass
    return [str(path) for path in sorted(folder.iterdir()) if path.is_file()]


def _steps(project: OpenProject, take: Any, settings: ExportSettings, folder: Path) -> Iterator[Any]:
    yield from export_steps(project, take, settings, folder / project.folder.name)


def _wait(project: OpenProject) -> None:
    while project.work:
        time.sleep(WAIT_S)
