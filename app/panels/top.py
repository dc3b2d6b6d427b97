"""The top of the page: which project, and the newest sentence about it."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from app import projects, texts
from app.actions.cast import rename_project
from app.presenters import html
from app.session import Studio
from app.watch import Page, Updates
from engine.project.document import Project


@dataclass(frozen=True)
class TopPanel:
    project: gr.Dropdown
    title: gr.Textbox
    new: gr.Button
    status: gr.HTML


def build() -> TopPanel:
    gr.HTML(html.masthead(), elem_classes="rt-bare")
    with gr.Row(elem_classes="rt-top"):
        project = gr.Dropdown(
            label=texts.PROJECT, choices=[], filterable=False, interactive=True, scale=3, min_width=180
        )
        title = gr.Textbox(label=texts.RENAME, max_lines=1, max_length=60, interactive=True, scale=3, min_width=180)
        new = gr.Button(texts.NEW_PROJECT, scale=1, min_width=140)
    status = gr.HTML(elem_classes="rt-bare")
    return TopPanel(project, title, new, status)


def wire(panel: TopPanel, page: Page) -> None:
    studio = page.studio
    page.on(panel.project.input, lambda name: studio.open(_named(studio, name)), [panel.project])
    page.on(panel.new.click, lambda: studio.create(_next_title(studio)))
    for event in (panel.title.submit, panel.title.blur):
        page.on(event, lambda title: _rename(studio, title), [panel.title])


def show(panel: TopPanel, studio: Studio, project: Project) -> Updates:
    folder = studio.store.folder
    choices = [(_label(path), path.name) for path in projects.list_projects(studio.projects_folder)]
    if folder.parent != studio.projects_folder:
        choices.insert(0, (project.title, folder.name))
    return {
        panel.project: gr.Dropdown(choices=choices, value=folder.name),
        panel.title: project.title,
        panel.status: html.status(studio.notice, folder),
    }


def _label(folder: Path) -> str:
    return projects.title_of(folder) or texts.DAMAGED.format(name=folder.name)


def _named(studio: Studio, name: str) -> Path:
    known = {path.name: path for path in projects.list_projects(studio.projects_folder)}
    return known.get(name, studio.store.folder)


def _next_title(studio: Studio) -> str:
    titles = {projects.title_of(path) for path in projects.list_projects(studio.projects_folder)}
    numbered = (texts.NEW_TITLE.format(number=number) for number in range(1, 10_000))
    return next(title for title in numbered if title not in titles)


def _rename(studio: Studio, title: str) -> None:
    if title != studio.project.title:
        studio.change(lambda project: rename_project(project, title))
