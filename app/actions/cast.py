"""What a person decides about who is who. Each takes a project and gives the changed project and a sentence."""

from app import texts
from engine.errors import StudioError
from engine.project.document import CastMember, Face, Part, Project, Speaker

VOICE = "voice:"

Changed = tuple[Project, str]


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
    face = _face(project, face_id)
    speaker = _speaker(project, choice.removeprefix(VOICE)) if choice.startswith(VOICE) else None
    part = Part.TALKS if speaker else _silent_part(choice)
    before = project.scene.member_of_face(face_id) or CastMember(face_id=face_id)
    if choice_of(before) == choice:
        return project, ""
    said = [_told(face, part, speaker)]
    if speaker:
        said.append(_take_from_others(project, speaker, face_id))
    freed = before.speaker_id if before.speaker_id != (speaker.id if speaker else None) else None
    after = before.model_copy(update={"part": part, "speaker_id": speaker.id if speaker else None, "origin": "chosen"})
    others = [member for member in project.scene.cast if member.face_id != face_id]
    project.scene.cast = [*others, after]
    if freed:
        project.scene.cast = [
            *project.scene.cast,
            CastMember(speaker_id=freed, part=Part.TALKS, origin="chosen"),
        ]
        said.append(texts.NOW_OFF_SCREEN.format(voice=_speaker(project, freed).name))
    return project, " ".join(sentence for sentence in said if sentence)


def rename_face(project: Project, face_id: str, name: str) -> Changed:
    """Raises StudioError for a name without a letter."""
    face = _face(project, face_id)
    face.name = _cleaned(name)
    return project, ""


def rename_voice(project: Project, speaker_id: str, name: str) -> Changed:
    """Captions use this name. Raises StudioError for a name without a letter."""
    _speaker(project, speaker_id).name = _cleaned(name)
    return project, ""


def rename_project(project: Project, title: str) -> Changed:
    project.title = _cleaned(title)
    return project, texts.RENAMED.format(title=project.title)


def remove_face(project: Project, face_id: str) -> Changed:
    """Take a face that was drawn by hand out again; its voice goes off-screen."""
    face, member = _face(project, face_id), project.scene.member_of_face(face_id)
    scene, said = project.scene, [texts.REMOVED.format(face=face.name)]
    scene.faces = [other for other in scene.faces if other.id != face_id]
    scene.cast = [other for other in scene.cast if other.face_id != face_id]
    if member and member.speaker_id:
        scene.cast = [*scene.cast, CastMember(speaker_id=member.speaker_id, part=Part.TALKS, origin="chosen")]
        said.append(texts.NOW_OFF_SCREEN.format(voice=_speaker(project, member.speaker_id).name))
    return project, " ".join(said)


def checked_box(project: Project, corners: tuple[float | None, ...]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a drawn face, in order and inside the photo. Raises StudioError."""
    photo = project.scene.photo
    if photo is None:
        raise StudioError(texts.NO_PHOTO, texts.NO_PHOTO_REMEDY)
    if any(value is None for value in corners):
        raise StudioError(texts.NO_BOX, texts.NO_BOX_REMEDY)
    x_a, y_a, x_b, y_b = (float(value) for value in corners if value is not None)
    width, height = float(photo.info.width or 0), float(photo.info.height or 0)
    x0, x1 = max(0.0, min(x_a, x_b)), min(width, max(x_a, x_b))
    y0, y1 = max(0.0, min(y_a, y_b)), min(height, max(y_a, y_b))
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise StudioError(texts.OUTSIDE_BOX, texts.NO_BOX_REMEDY)
    if x1 - x0 < 1 or y1 - y0 < 1:
        raise StudioError(texts.NO_BOX, texts.NO_BOX_REMEDY)
    return x0, y0, x1, y1


def _take_from_others(project: Project, speaker: Speaker, face_id: str) -> str:
    """Free a voice of its present place; a sentence when that was another face."""
    kept, said = [], ""
    for member in project.scene.cast:
        if member.speaker_id != speaker.id or member.face_id == face_id:
            kept.append(member)
        elif member.face_id is not None:
            update = {"speaker_id": None, "part": Part.LISTENS, "origin": "chosen"}
            kept.append(member.model_copy(update=update))
            said = texts.LOST_VOICE.format(face=_face(project, member.face_id).name)
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


def _face(project: Project, face_id: str) -> Face:
    for face in project.scene.faces:
        if face.id == face_id:
            return face
    raise StudioError(texts.NOT_THERE, texts.NOT_THERE_REMEDY)


def _speaker(project: Project, speaker_id: str) -> Speaker:
    for speaker in project.scene.speakers:
        if speaker.id == speaker_id:
            return speaker
    raise StudioError(texts.NOT_THERE, texts.NOT_THERE_REMEDY)


def _cleaned(name: str) -> str:
    cleaned = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())[:60]
    if not cleaned:
        raise StudioError(texts.EMPTY_NAME, texts.EMPTY_NAME_REMEDY)
    return cleaned
