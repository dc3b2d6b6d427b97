"""The people in the picture: their names and places, who of them talks with which voice, who agreed to be shown."""

from typing import Any

from app import texts
from app.actions.fields import set_field
from app.actions.lookup import Changed, cleaned_name, face_of, number, speaker_of, written
from app.actions.voices import member_of_voice, off_screen_member, silenced
from engine.errors import StudioError
from engine.project.document import CastMember, Face, Part, Project, Speaker

VOICE = "voice:"
LONGEST_CONSENT = 500
LEAST_SIDE_PX = 2.0

Box = tuple[float, float, float, float]


def choice_of(member: CastMember | None) -> str:
    """The choice that stands for a face's member: "voice:<speaker id>", "listens" or "still"."""
    if member is None:
        return Part.STILL.value
    if member.part is Part.TALKS and member.speaker_id:
        return VOICE + member.speaker_id
    return member.part.value if member.part is not Part.TALKS else Part.LISTENS.value


def choose_part(project: Project, face_id: str, choice: str) -> Changed:
    """Give a face a voice, or let it listen or stay still. A voice leaves the face that had it, which then listens;
    the voice that this face had goes off-screen. Raises StudioError for a face or a voice that is not there."""
    face = face_of(project, face_id)
    speaker = speaker_of(project, choice.removeprefix(VOICE)) if choice.startswith(VOICE) else None
    part = Part.TALKS if speaker else _silent_part(choice)
    before = project.scene.member_of_face(face_id) or CastMember(face_id=face_id)
    if choice_of(before) == choice:
        return project, ""
    said = [_told(face, part, speaker)]
    gain_db = 0.0
    if speaker:
        had = member_of_voice(project, speaker.id)
        gain_db = had.gain_db if had else 0.0
        said.append(_take_from_others(project, speaker))
    freed = before.speaker_id
    update = {"part": part, "speaker_id": speaker.id if speaker else None, "gain_db": gain_db, "origin": "chosen"}
    others = [member for member in project.scene.cast if member.face_id != face_id]
    project.scene.cast = [*others, before.model_copy(update=update)]
    if freed and freed != update["speaker_id"]:
        project.scene.cast = [*project.scene.cast, off_screen_member(freed, before.gain_db)]
        said.append(texts.NOW_OFF_SCREEN.format(voice=speaker_of(project, freed).name))
    return project, " ".join(sentence for sentence in said if sentence)


def swap_voices(project: Project, face_a: str, face_b: str) -> Changed:
    """Exchange the parts of two faces, with their voices; liveliness and lip strength stay with the faces."""
    names = [face_of(project, face_id).name for face_id in (face_a, face_b)]
    a, b = (project.scene.member_of_face(i) or CastMember(face_id=i, part=Part.STILL) for i in (face_a, face_b))
    if (a.part, a.speaker_id) == (b.part, b.speaker_id):
        return project, ""
    moved = ("part", "speaker_id", "gain_db")
    swapped = [
        own.model_copy(update={**{field: getattr(other, field) for field in moved}, "origin": "chosen"})
        for own, other in ((a, b), (b, a))
    ]
    others = [member for member in project.scene.cast if member.face_id not in (face_a, face_b)]
    project.scene.cast = [*others, *swapped]
    return project, texts.SWAPPED.format(face_a=names[0], face_b=names[1])


def rename_face(project: Project, face_id: str, name: str) -> Changed:
    """Raises StudioError for a name without a letter."""
    face_of(project, face_id).name = cleaned_name(name)
    return project, ""


def move_face(project: Project, face_id: str, box: tuple[Any, ...]) -> Changed:
    """Put a face's box somewhere else (corners in any order, pixels of the photo); it counts as drawn by hand.

    Its landmarks go along in proportion, until ``engine.jobs.analyse.redraw_face`` has looked at the place.
    """
    face, box_px = face_of(project, face_id), checked_box(project, box)
    if box_px == face.box_px:
        return project, ""
    moved = face.model_copy(
        update={"box_px": box_px, "landmarks_px": _along(face, box_px), "score": 1.0, "origin": "drawn"}
    )
    others = [other for other in project.scene.faces if other.id != face_id]
    project.scene.faces = sorted([*others, moved], key=lambda each: each.box_px[0])
    return project, texts.MOVED_FACE.format(face=face.name)


def remove_face(project: Project, face_id: str) -> Changed:
    """Take a face out, found or drawn; its voice goes off-screen. Looking at the photo again does not bring it back,
    unless that is asked for (``find_faces(…, with_removed=True)``)."""
    face, member = face_of(project, face_id), project.scene.member_of_face(face_id)
    scene, said = project.scene, [texts.REMOVED.format(face=face.name)]
    scene.faces = [other for other in scene.faces if other.id != face_id]
    scene.cast = [other for other in scene.cast if other.face_id != face_id]
    if member and member.speaker_id:
        scene.cast = [*scene.cast, off_screen_member(member.speaker_id, member.gain_db)]
        said.append(texts.NOW_OFF_SCREEN.format(voice=speaker_of(project, member.speaker_id).name))
    return project, " ".join(said)


def set_consent(project: Project, face_id: str, text: str) -> Changed:
    """Who agreed to be shown talking, and how; "" = nothing noted."""
    face, note = face_of(project, face_id), written(text, "consent", LONGEST_CONSENT, keep_lines=True)
    if note == face.consent:
        return project, ""
    face.consent = note
    return project, texts.CONSENT_SAVED.format(face=face.name)


def set_member(
    project: Project, face_id: str, liveliness: float | None = None, lip_strength: float | None = None
) -> Changed:
    """How lively one person is, and how strongly the lips move; None = as it was."""
    face_of(project, face_id)
    member = project.scene.member_of_face(face_id)
    if member is None:
        project.scene.cast = [*project.scene.cast, CastMember(face_id=face_id, part=Part.STILL)]
        member = project.scene.cast[-1]
    for field, value in (("liveliness", liveliness), ("lip_strength", lip_strength)):
        if value is not None:
            set_field(member, field, value)
            member.origin = "chosen"
    return project, ""


def checked_box(project: Project, corners: tuple[Any, ...]) -> Box:
    """Left, top, right and bottom of a drawn face, in order and inside the photo. Raises StudioError."""
    photo = project.scene.photo
    if photo is None:
        raise StudioError(texts.NO_PHOTO, texts.NO_PHOTO_REMEDY)
    if len(corners) != 4 or any(value is None for value in corners):
        raise StudioError(texts.NO_BOX, texts.NO_BOX_REMEDY)
    x_a, y_a, x_b, y_b = (number(value, "box") for value in corners)
    width, height = float(photo.info.width or 0), float(photo.info.height or 0)
    x0, x1 = max(0.0, min(x_a, x_b)), min(width, max(x_a, x_b))
    y0, y1 = max(0.0, min(y_a, y_b)), min(height, max(y_a, y_b))
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise StudioError(texts.OUTSIDE_BOX, texts.NO_BOX_REMEDY)
    if x1 == x0 or y1 == y0:
        raise StudioError(texts.NO_BOX, texts.NO_BOX_REMEDY)
    if x1 - x0 < LEAST_SIDE_PX or y1 - y0 < LEAST_SIDE_PX:
        raise StudioError(texts.LITTLE_BOX, texts.NO_BOX_REMEDY)
    return x0, y0, x1, y1


def _along(face: Face, box_px: Box) -> list[tuple[float, float]]:
    """The face's landmarks where they lie in the new box as they lay in the old one."""
    (x0, y0, x1, y1), (left, top, right, bottom) = face.box_px, box_px
    across, down = (right - left) / (x1 - x0), (bottom - top) / (y1 - y0)
    return [(left + (x - x0) * across, top + (y - y0) * down) for x, y in face.landmarks_px]


def _take_from_others(project: Project, speaker: Speaker) -> str:
    """Free a voice of its present place; a sentence when that was another face."""
    kept, said = [], ""
    for member in project.scene.cast:
        if member.speaker_id != speaker.id:
            kept.append(member)
        elif member.face_id is not None:
            kept.append(silenced(member))
            said = texts.LOST_VOICE.format(face=face_of(project, member.face_id).name)
    project.scene.cast = kept
    return said


def _told(face: Face, part: Part, speaker: Speaker | None) -> str:
    if speaker:
        return texts.TALKS_NOW.format(face=face.name, voice=speaker.name)
    return (texts.STILL_NOW if part is Part.STILL else texts.LISTENS_NOW).format(face=face.name)


def _silent_part(choice: str) -> Part:
    if choice not in (Part.LISTENS, Part.STILL):
        raise StudioError(texts.NOT_THERE, texts.NOT_THERE_REMEDY)
    return Part(choice)
