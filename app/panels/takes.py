"""Step 5: takes, what the check says of them, and the export."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app import texts
from app.actions.export import set_export
from app.desk import Desk
from app.doings import do
from app.history import label_of
from app.panels.board import component
from app.presenters import html
from app.presenters.board import address, exports
from app.presenters.takes import take_title, takes
from app.session import OpenProject
from app.watch import Page, Updates
from app.work import WorkEnd
from engine.errors import StudioError
from engine.jobs.events import StageProgress
from engine.project.archive import plain_name
from engine.project.document import ExportSettings, Project, Take
from engine.project.takes import read_take

FIELDS = ("format", "aspect", "follow_speaker", "captions", "loudness_lufs", "visible_mark", "credentials")
AS_RECORDED = 0
"""In place of None, which gradio's dropdowns cannot hold."""


@dataclass(frozen=True)
class TakesPanel:
    takes: gr.HTML
    watched: gr.State
    format: gr.Radio
    aspect: gr.Radio
    follow_speaker: gr.Checkbox
    captions: gr.Radio
    loudness_lufs: gr.Radio
    visible_mark: gr.Checkbox
    credentials: gr.Checkbox
    consent: gr.HTML
    export: gr.Button
    stop: gr.Button
    progress: gr.HTML
    ready: gr.HTML


def build() -> TakesPanel:
    gr.HTML(html.heading(5, texts.STEP_TAKES), elem_classes="rt-bare")
    shown = component("rt-takes", elem_id="takes")
    with gr.Column(elem_id="export"):
        gr.HTML(html.heading(6, texts.STEP_EXPORT), elem_classes="rt-bare")
        with gr.Row():
            format_ = _radio(texts.EXPORT_FORMATS, texts.EXPORT_FORMAT)
            aspect = _radio(texts.FORMATS, texts.FORMAT)
        with gr.Row():
            captions = _radio(texts.CAPTION_CHOICES, texts.CAPTIONS)
            loudness = _radio(texts.LOUDNESS_CHOICES, texts.LOUDNESS)
        with gr.Row():
            follow = gr.Checkbox(label=texts.FOLLOW_SPEAKER, info=texts.FOLLOW_HINT)
            mark = gr.Checkbox(label=texts.MARK, info=texts.MARK_HINT)
            credentials = gr.Checkbox(label=texts.CREDENTIALS, info=texts.CREDENTIALS_HINT)
        consent = gr.HTML(elem_classes="rt-bare")
        with gr.Row(elem_classes="rt-line"):
            export = gr.Button(texts.EXPORT, variant="primary", size="lg", scale=0, min_width=210, elem_id="export-now")
            stop = gr.Button(texts.CANCEL, scale=0, min_width=110, visible=False)
        progress = gr.HTML(elem_classes="rt-bare")
        ready = gr.HTML(elem_classes="rt-bare", elem_id="exported")
    return TakesPanel(
        *(shown, gr.State(""), format_, aspect, follow, captions, loudness, mark, credentials),
        *(consent, export, stop, progress, ready),
    )


def wire(panel: TakesPanel, page: Page) -> None:
    def asked(event: gr.EventData, request: gr.Request, watched: str) -> tuple[str, str]:
        action: Any = event._data
        if isinstance(action, dict) and action.get("do") == "watch_take":
            return str(action.get("take_id", ""))[:64], page.desk(request).version
        return watched, page.act(do)(request, action)

    panel.takes.input(
        asked,
        inputs=[panel.watched],
        outputs=[panel.watched, page.seen],
        show_progress="hidden",
        api_visibility="private",
        trigger_mode="multiple",
    )
    for field in FIELDS:
        page.on(getattr(panel, field).input, _setting(field), [getattr(panel, field)])
    page.on(panel.export.click, _export, [panel.watched])
    page.on(panel.stop.click, lambda desk: desk.errands.cancel("export"))


def show(panel: TakesPanel, desk: Desk, project: Project) -> Updates:
    scene = project.scene
    values = {field: getattr(scene.export, field) for field in FIELDS}
    values["loudness_lufs"] = values["loudness_lufs"] or AS_RECORDED
    return {
        panel.takes: gr.HTML(value=json.dumps(takes(desk.current, project))),
        **{getattr(panel, field): value for field, value in values.items()},
        panel.consent: html.hint(_consent(project)),
        panel.ready: html.exported(
            [
                (path.name, address(desk.current.folder.name, f"export/{path.name}"))
                for path in exports(desk.current.folder)[:6]
            ]
        ),
        **show_export(panel, desk),
    }


def show_export(panel: TakesPanel, desk: Desk) -> Updates:
    running = desk.errands.view("export")
    return {
        panel.progress: html.progress(running) if running else "",
        panel.stop: gr.Button(visible=running is not None),
        panel.export: gr.Button(interactive=running is None),
    }


def export_steps(project: OpenProject, take: Take, settings: ExportSettings, target: Path) -> Iterator[StageProgress]:
    """Export a take; the last event's text says what came of it. Raises what ``export_take`` raises."""
    from engine.jobs.export_take import ExportDone, export_take

    record = read_take(project.store.takes_folder / take.id)
    target.parent.mkdir(exist_ok=True)
    for step in export_take(project.store, _with_names(record.scene, project), record.take, settings, target):
        if isinstance(step, ExportDone):
            yield StageProgress("done", " ".join([texts.EXPORTED.format(name=step.paths[0].name), *step.remarks]), 1, 1)
        else:
            yield step


def _with_names(scene: Any, project: OpenProject) -> Any:
    """The scene as it was rendered, with the names that people have now."""
    now = project.project.scene
    names = {speaker.id: speaker.name for speaker in now.speakers}
    for speaker in scene.speakers:
        speaker.name = names.get(speaker.id, speaker.name)
    return scene


def _export(desk: Desk, watched: str) -> None:
    current = desk.current
    project = current.project
    done = [take for take in project.scene.takes if take.status == "done"]
    take = next((take for take in done if take.id == watched), done[-1] if done else None)
    if take is None:
        raise StudioError(texts.NO_TAKE_YET, texts.NO_TAKE_YET_REMEDY)
    settings = project.scene.export
    shape = "" if settings.aspect == "photo" else f"-{settings.aspect.replace(':', 'x')}"
    target = current.folder / "exports" / f"{plain_name(project.title)}-{take.id[:6]}{shape}"

    def ended(end: WorkEnd) -> None:
        current.tell_end(end, texts.EXPORT_CANCELLED)

    desk.errands.start("export", export_steps(current, take, settings, target), ended)
    current.tell(texts.EXPORTING.format(take=take_title(take)))


def _setting(field: str) -> Any:
    def change(desk: Desk, value: Any) -> None:
        wanted = None if field == "loudness_lufs" and value == AS_RECORDED else value
        desk.current.change(lambda project: set_export(project, field, wanted), label_of("set_export"))

    return change


def _consent(project: Project) -> str:
    people = [face for face in project.scene.faces if _moves(project, face.id)]
    without = [face.name for face in people if not face.consent]
    return texts.CONSENT_MISSING.format(names=", ".join(without)) if without else texts.CONSENT_THERE


def _moves(project: Project, face_id: str) -> bool:
    member = project.scene.member_of_face(face_id)
    return member is not None and member.part.value != "still"


def _radio(choices: dict[Any, str], label: str) -> gr.Radio:
    return gr.Radio([(text, value) for value, text in choices.items()], label=label)
