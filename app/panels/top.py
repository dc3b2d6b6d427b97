"""The strip along the top: which project, undo and redo, this computer, and the networks that are here."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from app import projects, texts
from app.actions.cast import rename_project
from app.desk import Desk
from app.presenters import html
from app.watch import Page, Updates
from app.work import WorkEnd
from engine.cast.suggest import describe
from engine.errors import StudioError
from engine.project.archive import duplicate_project, free_folder
from engine.project.document import Project
from engine.project.unpacking import open_zip


@dataclass(frozen=True)
class TopPanel:
    project: gr.Dropdown
    title: gr.Textbox
    new: gr.Button
    duplicate: gr.Button
    copy: gr.HTML
    open_zip: gr.UploadButton
    undo: gr.Button
    redo: gr.Button
    machine: gr.HTML
    networks: gr.HTML
    wanted: gr.Dropdown
    get: gr.Button
    stop_getting: gr.Button
    getting: gr.HTML
    status: gr.HTML


def build() -> TopPanel:
    with gr.Row(elem_classes="rt-strip", equal_height=True):
        gr.HTML(html.masthead(), elem_classes="rt-bare rt-fit", min_width=0)
        project = gr.Dropdown(
            label=texts.PROJECT,
            show_label=False,
            container=False,
            choices=[],
            filterable=False,
            interactive=True,
            min_width=170,
            elem_id="project",
        )
        with gr.Accordion(texts.PROJECT_MENU, open=False, elem_classes="rt-pop", elem_id="project-menu"):
            title = gr.Textbox(label=texts.RENAME, max_lines=1, max_length=60, interactive=True)
            new = gr.Button(texts.NEW_PROJECT)
            duplicate = gr.Button(texts.DUPLICATE)
            copy = gr.HTML(elem_classes="rt-bare")
            # No list of allowed endings: what a file is decides its content, and the engine says what is wrong with it.
            open_zip = gr.UploadButton(texts.OPEN_ZIP, elem_id="zip")
        undo = gr.Button(texts.UNDO, scale=0, min_width=40, elem_classes="rt-icon", elem_id="undo", visible=False)
        redo = gr.Button(texts.REDO, scale=0, min_width=40, elem_classes="rt-icon", elem_id="redo", visible=False)
        gr.HTML(elem_classes="rt-bare rt-spring", min_width=0)
        machine = gr.HTML(elem_classes="rt-bare rt-fit", min_width=0)
        with gr.Accordion(texts.NETWORKS, open=False, elem_classes="rt-pop rt-pop-right", elem_id="networks"):
            networks = gr.HTML(elem_classes="rt-bare")
            wanted = gr.Dropdown(label=texts.NETWORK_WANTED, choices=[], filterable=False, interactive=True)
            get = gr.Button(texts.GET_NETWORK, variant="primary")
            getting = gr.HTML(elem_classes="rt-bare")
            stop_getting = gr.Button(texts.CANCEL, visible=False)
    status = gr.HTML(elem_classes="rt-bare", elem_id="status")
    return TopPanel(
        *(project, title, new, duplicate, copy, open_zip, undo, redo),
        *(machine, networks, wanted, get, stop_getting, getting, status),
    )


def wire(panel: TopPanel, page: Page) -> None:
    page.on(panel.project.input, lambda desk, name: desk.open(desk.named(name).folder), [panel.project])
    page.on(panel.new.click, lambda desk: desk.create(desk.next_title()))
    page.on(panel.duplicate.click, _duplicate)
    page.on(panel.open_zip.upload, _open_zip, [panel.open_zip])
    page.on(panel.undo.click, lambda desk: desk.current.undo())
    page.on(panel.redo.click, lambda desk: desk.current.redo())
    page.on(panel.get.click, _get, [panel.wanted])
    page.on(panel.stop_getting.click, lambda desk: desk.errands.cancel("networks"))
    for event in (panel.title.submit, panel.title.blur):
        page.on(event, _rename, [panel.title])


def show(panel: TopPanel, desk: Desk, project: Project) -> Updates:
    current = desk.current
    folder, undo, redo = current.folder, current.history.undo_label, current.history.redo_label
    choices = [(_label(path), path.name) for path in projects.list_projects(desk.folder)]
    if folder.name not in {name for _, name in choices}:
        choices.insert(0, (project.title, folder.name))
    return {
        panel.project: gr.Dropdown(choices=choices, value=folder.name),
        panel.title: project.title,
        panel.copy: html.link(f"desk/{folder.name}/copy.zip", texts.SAVE_COPY),
        panel.undo: gr.Button(visible=bool(undo or redo), interactive=bool(undo)),
        panel.redo: gr.Button(visible=bool(undo or redo), interactive=bool(redo)),
        panel.status: html.status(current.notice, folder, undo, _sentence(project)),
        **show_networks(panel, desk),
    }


def _sentence(project: Project) -> str:
    """What the page says of the scene anyway: the status line need not say it too."""
    return describe(project.scene) if project.scene.faces else ""


def show_networks(panel: TopPanel, desk: Desk) -> Updates:
    """Which networks are here, which could be fetched, and how far that is."""
    from engine.jobs.models import list_models

    rows, getting = list_models(), desk.errands.view("networks")
    missing = [(f"{row.name}, {row.size_text}", row.name) for row in rows if not row.here]
    return {
        panel.networks: html.networks(rows),
        panel.wanted: gr.Dropdown(choices=missing, visible=bool(missing) and getting is None),
        panel.get: gr.Button(visible=bool(missing) and getting is None),
        panel.stop_getting: gr.Button(visible=getting is not None),
        panel.getting: html.progress(getting) if getting else "",
    }


def show_machine(panel: TopPanel) -> Updates:
    """The graphics card and how much of its memory is free; asked for once the costs were: looking takes seconds."""
    from engine.dit.machine import in_gb, this_machine

    here = this_machine()
    said = texts.GPU_FREE.format(name=here.gpu.name, free=in_gb(here.gpu.available_bytes)) if here.gpu else texts.NO_GPU
    return {panel.machine: html.machine(said)}


def _label(folder: Path) -> str:
    return projects.title_of(folder) or texts.DAMAGED.format(name=folder.name)


def _rename(desk: Desk, title: str) -> None:
    if title != desk.current.project.title:
        desk.current.change(lambda project: rename_project(project, title))


def _duplicate(desk: Desk) -> None:
    current = desk.current
    title = texts.COPY_OF.format(title=current.project.title)[:60]
    with current.store.lock:
        folder = duplicate_project(current.store, free_folder(desk.folder, title), title)
    desk.open(folder)


def _open_zip(desk: Desk, path: str | None) -> None:
    if path:
        desk.open(open_zip(Path(path), desk.folder))


def _get(desk: Desk, name: str | None) -> None:
    from engine.jobs.models import get_model, list_models

    wanted = name or next((row.name for row in list_models() if not row.here), "")
    if not wanted:
        raise StudioError(texts.NETWORKS_HERE, texts.NETWORKS_HERE_REMEDY)
    project = desk.current

    def ended(end: WorkEnd) -> None:
        desk.costs.forget()
        project.tell_end(end, texts.GETTING_CANCELLED)

    desk.errands.start("networks", get_model(wanted), ended)
    project.tell(texts.GETTING.format(name=wanted))
