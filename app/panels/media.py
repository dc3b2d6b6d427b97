"""Step 1: a photo and a recording. What is dropped is analysed at once."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from app import texts
from app.actions.media import bring_photo, bring_sample, bring_sound
from app.desk import Desk
from app.history import label_of
from app.presenters import html
from app.presenters.board import length_s
from app.session import OpenProject
from app.watch import Page, Updates
from engine.project.document import Project, Scene


@dataclass(frozen=True)
class MediaPanel:
    welcome: gr.HTML
    photo: gr.File
    camera_box: gr.Accordion
    camera: gr.Image
    photo_there: gr.HTML
    sound: gr.File
    microphone_box: gr.Accordion
    microphone: gr.Audio
    sound_there: gr.HTML
    sample_row: gr.Row
    sample: gr.Button
    working: gr.Row
    progress: gr.HTML
    stop: gr.Button


def build() -> MediaPanel:
    # No list of allowed endings: what a file is decides its content, and the engine says what is wrong with it.
    welcome = gr.HTML(html.welcome(), elem_classes="rt-bare")
    gr.HTML(html.heading(1, texts.STEP_MEDIA), elem_classes="rt-bare")
    with gr.Row():
        with gr.Column(min_width=280):
            photo = gr.File(label=texts.PHOTO, height=84, elem_id="photo", elem_classes="rt-drop")
            photo_there = gr.HTML(elem_classes="rt-bare")
            with gr.Accordion(texts.CAMERA, open=False, elem_classes="rt-quiet-box") as camera_box:
                camera = gr.Image(sources=["webcam"], type="filepath", format="png", show_label=False, height=300)
        with gr.Column(min_width=280):
            sound = gr.File(
                label=texts.SOUND, file_count="multiple", height=84, elem_id="sound", elem_classes="rt-drop"
            )
            sound_there = gr.HTML(elem_classes="rt-bare")
            with gr.Accordion(texts.MICROPHONE, open=False, elem_classes="rt-quiet-box") as microphone_box:
                microphone = gr.Audio(sources=["microphone"], type="filepath", show_label=False)
    with gr.Row(elem_classes="rt-line") as sample_row:
        sample = gr.Button(texts.SAMPLE, scale=0, min_width=150)
        gr.HTML(html.hint(texts.SAMPLE_HINT), elem_classes="rt-bare")
    with gr.Row(elem_classes="rt-line", visible=False) as working:
        progress = gr.HTML(elem_classes="rt-bare")
        stop = gr.Button(texts.CANCEL, scale=0, min_width=110)
    return MediaPanel(
        welcome=welcome,
        photo=photo,
        camera_box=camera_box,
        camera=camera,
        photo_there=photo_there,
        sound=sound,
        microphone_box=microphone_box,
        microphone=microphone,
        sound_there=sound_there,
        sample_row=sample_row,
        sample=sample,
        working=working,
        progress=progress,
        stop=stop,
    )


def wire(panel: MediaPanel, page: Page) -> None:
    for widget, event in ((panel.photo, panel.photo.upload), (panel.camera, panel.camera.input)):
        page.on(event, lambda desk, file: take_photo(desk.current, file), [widget])
    page.on(panel.sound.upload, lambda desk, files: take_sounds(desk.current, files or [], None), [panel.sound])
    page.on(
        panel.microphone.stop_recording,
        lambda desk, file: take_sounds(desk.current, [file] if file else [], None),
        [panel.microphone],
    )
    page.on(panel.sample.click, lambda desk: desk.current.analyse(bring_sample, label_of("bring_photo")))
    page.on(panel.stop.click, lambda desk: desk.current.cancel())


def show(panel: MediaPanel, desk: Desk, project: Project) -> Updates:
    scene, work = project.scene, desk.current.work
    empty = scene.photo is None and scene.dialogue is None and not scene.voices
    return {
        panel.welcome: gr.HTML(visible=empty),
        panel.photo: None,  # what was dropped is in the project now; the place is free for another
        panel.sound: None,
        panel.camera_box: gr.Accordion(visible=scene.photo is None),
        panel.microphone_box: gr.Accordion(visible=scene.dialogue is None and not scene.voices),
        panel.photo_there: _photo_line(scene),
        panel.sound_there: _sound_line(scene),
        panel.sample_row: gr.Row(visible=empty and work is None),
        panel.working: gr.Row(visible=work is not None),
        panel.progress: html.progress(work) if work else "",
    }


def take_photo(project: OpenProject, file: str | None) -> None:
    """Bring a photo into the project and find its faces."""
    if file:
        project.analyse(lambda store, draft: bring_photo(store, draft, Path(file)), label_of("bring_photo"))


def take_sounds(project: OpenProject, files: list[str], num_speakers: int | None) -> None:
    """Bring one recording of everybody, or one file per person, into the project and find who speaks when."""
    paths = [Path(file) for file in files]
    if paths:
        project.analyse(
            lambda store, draft: bring_sound(store, draft, paths, num_speakers or None), label_of("bring_sound")
        )


def _photo_line(scene: Scene) -> str:
    photo = scene.photo
    if photo is None:
        return html.what_is_there(texts.PHOTO_EMPTY, present=False)
    name = photo.original_name or photo.path
    said = texts.PHOTO_THERE.format(name=name, width=photo.info.width, height=photo.info.height)
    return html.what_is_there(said, present=True)


def _sound_line(scene: Scene) -> str:
    length = texts.seconds(length_s(scene))
    if scene.dialogue:
        name = scene.dialogue.original_name or scene.dialogue.path
        return html.what_is_there(texts.SOUND_THERE.format(name=name, length=length), present=True)
    if scene.voices:
        said = texts.VOICES_THERE.format(count=len(scene.voices), length=length)
        return html.what_is_there(said, present=True)
    return html.what_is_there(texts.SOUND_EMPTY, present=False)
