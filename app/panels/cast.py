"""Step 2: who says what. Any number of faces and voices, a row for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app import texts
from app.actions import cast as actions
from app.actions.drawing import mark_face
from app.presenters import html, people, pictures
from app.session import Studio
from app.watch import Page, Updates, guarded
from engine.cast.suggest import describe
from engine.errors import StudioError
from engine.project.document import MediaRef, Project


@dataclass(frozen=True)
class CastPanel:
    nothing: gr.HTML
    body: gr.Column
    sentence: gr.HTML
    photo: gr.Image
    draw_box: gr.Accordion
    corners: tuple[gr.Number, ...]
    draw: gr.Button
    timeline: gr.HTML


def build(page: Page) -> CastPanel:
    gr.HTML(html.heading(2, texts.STEP_CAST), elem_classes="rt-bare")
    nothing = gr.HTML(html.hint(texts.NOTHING_YET), elem_classes="rt-bare")
    with gr.Column(visible=False) as body:
        sentence = gr.HTML(elem_classes="rt-bare")
        with gr.Row():
            with gr.Column(scale=11, min_width=440):
                photo = gr.Image(
                    label=texts.BOXED_PHOTO,
                    show_label=False,
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="boxed",
                )
                with gr.Accordion(texts.DRAW_BOX, open=False) as draw_box:
                    gr.HTML(html.hint(texts.DRAW_HINT), elem_classes="rt-bare")
                    with gr.Row():
                        labels = (texts.DRAW_LEFT, texts.DRAW_TOP, texts.DRAW_RIGHT, texts.DRAW_BOTTOM)
                        corners = tuple(gr.Number(label=f"{label}, px", precision=0, min_width=80) for label in labels)
                    draw = gr.Button(texts.DRAW)
            with gr.Column(scale=9, min_width=400, elem_classes="rt-people"):
                _people(page, _face_rows)
        _people(page, _voice_rows)
        timeline = gr.HTML(elem_classes="rt-bare")
    return CastPanel(nothing, body, sentence, photo, draw_box, corners, draw, timeline)


def wire(panel: CastPanel, page: Page) -> None:
    studio = page.studio

    def clicked(event: gr.SelectData, *corners: float | None) -> list[Any]:
        places = list(corners)
        guarded(studio, lambda: places.__setitem__(slice(None), _next_corner(studio, event.index, corners)))
        return [*places, _picture(studio, studio.project, places)]

    panel.photo.select(
        clicked,
        inputs=list(panel.corners),
        outputs=[*panel.corners, panel.photo],
        show_progress="hidden",
        api_visibility="private",
    )
    page.on(panel.draw.click, lambda *corners: _mark(studio, corners), list(panel.corners))


def show(panel: CastPanel, studio: Studio, project: Project) -> Updates:
    scene = project.scene
    there = scene.photo is not None or bool(scene.speakers)
    words = "" if not there else describe(scene) if scene.faces or not scene.photo else texts.NO_FACE
    names = ", ".join(face.name for face in scene.faces)
    return {
        panel.nothing: gr.HTML(visible=not there),
        panel.body: gr.Column(visible=there),
        panel.sentence: html.sentence(words),
        panel.photo: gr.Image(
            value=_picture(studio, project),
            visible=scene.photo is not None,
            alt_text=texts.BOXED_ALT.format(count=len(scene.faces), names=names),
        ),
        panel.draw_box: gr.Accordion(visible=scene.photo is not None),
        panel.timeline: html.timeline(scene),
        **dict.fromkeys(panel.corners),
    }


def _people(page: Page, draw: Callable[[Page, Project], None]) -> None:
    """Rows that are drawn again whenever the project changes, as many as there are people."""

    @gr.render(inputs=[page.people], triggers=[page.people.change], show_progress="hidden")
    def rows(_shown: str) -> None:
        guarded(page.studio, lambda: draw(page, page.studio.project))


def _face_rows(page: Page, project: Project) -> None:
    photo = project.scene.photo
    if photo is None:
        return
    path = page.studio.store.path_of(photo)
    for row in people.face_rows(project.scene):
        _face_row(page, row, pictures.thumbnail(path, photo.sha256, row.face))


def _face_row(page: Page, row: people.FaceRow, picture: str) -> None:
    face, key = row.face, row.face.id
    with gr.Row(key=f"row-{key}", elem_classes="rt-row"):
        gr.HTML(html.face_badge(row, picture), key=f"badge-{key}", preserved_by_key=[], elem_classes="rt-bare rt-fixed")
        name = gr.Textbox(
            face.name,
            label=texts.FACE_NAME.format(number=row.number),
            show_label=False,
            container=False,
            max_lines=1,
            max_length=60,
            interactive=True,
            min_width=120,
            scale=2,
            key=f"name-{key}",
            preserved_by_key=[],
        )
        part = gr.Dropdown(
            row.choices,
            value=row.choice,
            label=texts.FACE_PART.format(name=face.name),
            show_label=False,
            container=False,
            filterable=False,
            interactive=True,
            min_width=200,
            scale=4,
            key=f"part-{key}",
            preserved_by_key=[],
        )
        if face.origin == "drawn":
            remove = gr.Button(texts.REMOVE, scale=0, min_width=90, key=f"remove-{key}", preserved_by_key=[])
            page.on(remove.click, _changing(page.studio, actions.remove_face, key))
    page.on(part.input, _changing(page.studio, actions.choose_part, key), [part])
    for event in (name.submit, name.blur):
        page.on(event, _changing(page.studio, actions.rename_face, key), [name])


def _voice_rows(page: Page, project: Project) -> None:
    rows = people.voice_rows(project.scene)
    if rows:
        heading = f'<h3 class="rt-sub">{texts.VOICES}</h3>{html.hint(texts.VOICES_HINT)}'
        gr.HTML(heading, key="voices", preserved_by_key=[], elem_classes="rt-bare")
    for row in rows:
        key = row.speaker.id
        player = html.voice_player(row, _voice_file(page.studio, project, key))
        with gr.Row(key=f"row-{key}", elem_classes="rt-row"):
            name = gr.Textbox(
                row.speaker.name,
                label=texts.VOICE_NAME.format(number=row.number),
                show_label=False,
                container=False,
                max_lines=1,
                max_length=60,
                interactive=True,
                min_width=120,
                scale=1,
                key=f"name-{key}",
                preserved_by_key=[],
            )
            gr.HTML(player, key=f"player-{key}", preserved_by_key=[], elem_classes="rt-bare rt-wide")
        for event in (name.submit, name.blur):
            page.on(event, _changing(page.studio, actions.rename_voice, key), [name])


def _changing(studio: Studio, action: Callable[..., actions.Changed], *fixed: str) -> Callable[..., None]:
    return lambda *values: studio.change(lambda project: action(project, *fixed, *values))


def _voice_file(studio: Studio, project: Project, speaker_id: str) -> Path | None:
    from engine.jobs.evidence import voice_file

    try:
        return voice_file(studio.store, project.scene, speaker_id)
    except StudioError as error:
        studio.tell(error.message, error.remedy, is_problem=True)
        return None


def _picture(studio: Studio, project: Project, corners: list[float | None] | None = None) -> Any:
    photo = project.scene.photo
    if photo is None:
        return None
    try:
        return pictures.boxed_photo(
            studio.store.path_of(photo), photo.sha256, project.scene.faces, _draft(photo, corners or [])
        )
    except StudioError as error:
        studio.tell(error.message, error.remedy, is_problem=True)
        return None


def _draft(photo: MediaRef, corners: Sequence[float | None]) -> pictures.Box | None:
    """The box that is being drawn: with one corner so far, a small one there."""
    known = [corner for corner in corners if corner is not None]
    if len(known) == 2:
        size = max(photo.info.width or 0, photo.info.height or 0) / 100
        known += [known[0] + size, known[1] + size]
    if len(known) != 4:
        return None
    x_a, y_a, x_b, y_b = known
    return min(x_a, x_b), min(y_a, y_b), max(x_a, x_b), max(y_a, y_b)


def _next_corner(studio: Studio, place: Any, corners: tuple[float | None, ...]) -> list[float | None]:
    photo = studio.project.scene.photo
    if photo is None:
        return [None] * 4
    x, y = pictures.to_photo_px(studio.store.path_of(photo), photo.sha256, *place)
    if corners[0] is not None and corners[1] is not None and corners[2] is None:
        return [corners[0], corners[1], round(x), round(y)]
    return [round(x), round(y), None, None]


def _mark(studio: Studio, corners: tuple[float | None, ...]) -> None:
    actions.checked_box(studio.project, corners)
    studio.analyse(lambda store, project: mark_face(store, project, corners))
