"""Step 1: a photo and a recording. What is dropped is analysed at once."""

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from app import texts
from app.actions.media import bring_photo, bring_sample, bring_sound, find_speakers
from app.presenters import html
from app.presenters.timeline import length_s
from app.session import Studio
from app.watch import Page, Updates
from engine.project.document import Project, Scene

MAX_SPEAKERS = 9


@dataclass(frozen=True)
class MediaPanel:
    photo: gr.File
    photo_there: gr.HTML
    sound: gr.File
    sound_there: gr.HTML
    sample_row: gr.Row
    sample: gr.Button
    num_speakers_box: gr.Accordion
    num_speakers: gr.Dropdown
    working: gr.Row
    progress: gr.HTML
    stop: gr.Button


def build() -> MediaPanel:
    # No list of allowed endings: what a file is decides its content, and the engine says what is wrong with it.
    gr.HTML(html.heading(1, texts.STEP_MEDIA), elem_classes="rt-bare")
    with gr.Row(equal_height=True):
        with gr.Column(min_width=280):
            photo = gr.File(label=texts.PHOTO, height=128, elem_id="photo", elem_classes="rt-drop")
            photo_there = gr.HTML(elem_classes="rt-bare")
        with gr.Column(min_width=280):
            sound = gr.File(
                label=texts.SOUND, file_count="multiple", height=128, elem_id="sound", elem_classes="rt-drop"
            )
            sound_there = gr.HTML(elem_classes="rt-bare")
    with gr.Row(elem_classes="rt-line") as sample_row:
        sample = gr.Button(texts.SAMPLE, scale=0, min_width=150)
        gr.HTML(html.hint(texts.SAMPLE_HINT), elem_classes="rt-bare")
    with gr.Accordion(texts.NUM_SPEAKERS_BOX, open=False, visible=False) as box:
        choices = [(texts.AUTO, 0)] + [(str(number), number) for number in range(1, MAX_SPEAKERS + 1)]
        num_speakers = gr.Dropdown(
            choices, value=0, label=texts.NUM_SPEAKERS, info=texts.NUM_SPEAKERS_HINT, filterable=False
        )
    with gr.Row(elem_classes="rt-line", visible=False) as working:
        progress = gr.HTML(elem_classes="rt-bare")
        stop = gr.Button(texts.CANCEL, scale=0, min_width=110)
    return MediaPanel(
        photo, photo_there, sound, sound_there, sample_row, sample, box, num_speakers, working, progress, stop
    )


def wire(panel: MediaPanel, page: Page) -> None:
    studio = page.studio
    page.on(panel.photo.upload, lambda file: _photo(studio, file), [panel.photo])
    page.on(panel.sound.upload, lambda files, number: _sound(studio, files, number), [panel.sound, panel.num_speakers])
    page.on(panel.num_speakers.input, lambda number: _count_again(studio, number), [panel.num_speakers])
    page.on(panel.sample.click, lambda: _sample(studio))
    page.on(panel.stop.click, studio.cancel)


def show(panel: MediaPanel, studio: Studio, project: Project) -> Updates:
    scene, work = project.scene, studio.work
    analysing = work is not None and work.kind == "analysis"
    empty = scene.photo is None and scene.dialogue is None and not scene.voices
    return {
        panel.photo: None,  # what was dropped is in the project now; the place is free for another
        panel.sound: None,
        panel.photo_there: _photo_line(scene),
        panel.sound_there: _sound_line(scene),
        panel.sample_row: gr.Row(visible=empty),
        panel.sample: gr.Button(interactive=work is None),
        panel.num_speakers_box: gr.Accordion(visible=scene.dialogue is not None),
        panel.working: gr.Row(visible=analysing),
        panel.progress: html.progress(work) if work and analysing else "",
    }


def _photo_line(scene: Scene) -> str:
    if scene.photo is None:
        return html.what_is_there(texts.PHOTO_EMPTY, present=False)
    info = scene.photo.info
    line = texts.PHOTO_THERE.format(name=scene.photo.original_name, width=info.width, height=info.height)
    return html.what_is_there(line, present=True)


def _sound_line(scene: Scene) -> str:
    length = texts.seconds(length_s(scene))
    if scene.dialogue:
        line = texts.SOUND_THERE.format(name=scene.dialogue.original_name, length=length)
        return html.what_is_there(line, present=True)
    if scene.voices:
        return html.what_is_there(texts.VOICES_THERE.format(count=len(scene.voices), length=length), present=True)
    return html.what_is_there(texts.SOUND_EMPTY, present=False)


def _photo(studio: Studio, file: str | None) -> None:
    if file:
        studio.analyse(lambda store, project: bring_photo(store, project, Path(file)))


def _sound(studio: Studio, files: list[str] | None, number: int) -> None:
    if files:
        paths = [Path(file) for file in files]
        studio.analyse(lambda store, project: bring_sound(store, project, paths, number or None))


def _count_again(studio: Studio, number: int) -> None:
    if studio.project.scene.dialogue:
        studio.analyse(lambda store, project: find_speakers(store, project, number or None))


def _sample(studio: Studio) -> None:
    scene = studio.project.scene
    if scene.photo or scene.dialogue or scene.voices:
        studio.create(texts.SAMPLE_TITLE)
    studio.analyse(bring_sample)
