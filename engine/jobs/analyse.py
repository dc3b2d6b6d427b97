"""From media to a first plan: find the faces, split the voices, suggest a cast. What a person edited stays."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.analysis.diarization import diarize, turns_of_voice
from engine.analysis.face_boxes import covered_part
from engine.analysis.faces import detect_faces
from engine.analysis.types import Diarization
from engine.cast.again import heard_again
from engine.cast.suggest import suggest
from engine.errors import NoFacesFound, NoSpeechFound, StudioError
from engine.jobs import evidence
from engine.jobs.events import StageProgress
from engine.jobs.found import Box, faces_found, remember_faces, remember_voices, voices_found
from engine.media.importing import import_photo, import_recording
from engine.media.types import Image, Waveform
from engine.project.document import FACE_COLOURS, CastMember, Face, Part, Project, Scene, Speaker, Turn, VoiceFile
from engine.project.store import ProjectFiles, ProjectStore

SAME_PLACE = 0.5
"""Two boxes are of one face when this part of the smaller one lies in the other."""


def add_photo(store: ProjectStore, project: Project, path: Path) -> None:
    """Take a photo into the project. The faces of the old photo go with it.

    Raises UnreadableMedia and WriteFailed; the project is then as it was.
    """
    ref = import_photo(store, path)
    scene = project.scene
    if scene.photo and scene.photo.sha256 == ref.sha256:
        return
    scene.photo, scene.faces = ref, []
    scene.cast = suggest([], scene.speakers, scene.cast)


def add_dialogue(store: ProjectStore, project: Project, path: Path) -> None:
    """Take one recording of everybody into the project, in place of what was there.

    Raises UnreadableMedia and WriteFailed; the project is then as it was.
    """
    ref = import_recording(store, path)
    scene = project.scene
    if scene.dialogue and scene.dialogue.sha256 == ref.sha256:
        return
    scene.dialogue, scene.voices, scene.speakers, scene.turns = ref, [], [], []
    scene.cast = _silent(scene)


def add_voices(store: ProjectStore, project: Project, named: list[tuple[str, Path]]) -> None:
    """Take one recording per person into the project, in place of what was there.

    Raises UnreadableMedia and WriteFailed; the project is then as it was.
    """
    refs = [(name, import_recording(store, path)) for name, path in named]
    scene = project.scene
    scene.dialogue, scene.turns = None, []
    scene.speakers = [Speaker(id=f"speaker-{i}", name=name) for i, (name, _) in enumerate(refs, 1)]
    scene.voices = [
        VoiceFile(speaker_id=speaker.id, media=ref) for speaker, (_, ref) in zip(scene.speakers, refs, strict=True)
    ]
    scene.cast = suggest(scene.faces, scene.speakers, _silent(scene))


def _silent(scene: Scene) -> list[CastMember]:
    """The cast without its voices, which are to be found anew: who was told to be silent stays so, and everybody as
    lively as before."""
    hushed = {"speaker_id": None, "part": Part.LISTENS, "gain_db": 0.0, "origin": "suggested"}
    members = [m.model_copy(update=hushed) if m.speaker_id else m for m in scene.cast if m.face_id]
    return suggest(scene.faces, [], members)


def analyse(store: ProjectStore, project: Project, num_speakers: int | None = None) -> Iterator[StageProgress]:
    """Find faces and voices of what the project has, and cast them. Saves the project at the end.

    A photo without faces is not an error here (they can be drawn by hand): the last event's text says it.
    Raises NoSpeechFound, UnreadableMedia, ModelMissing, WriteFailed; the project is then as it was.
    """
    draft, remarks = project.model_copy(deep=True), []
    scene = draft.scene
    if scene.photo:
        yield StageProgress("faces", "Looking for faces")
        try:
            find_faces(store, draft)
        except NoFacesFound as error:
            remarks.append(str(error))
    if scene.dialogue or scene.voices:
        yield StageProgress("voices", "Listening who speaks when")
        yield from find_voices(store, draft, num_speakers)
        yield StageProgress("separate", "Separating the voices")
        evidence.voices(store, scene)  # kept in the cache: the page plays them, a render moves lips by them
    scene.cast = suggest(scene.faces, scene.speakers, scene.cast)
    store.save(draft)
    project.scene = scene
    yield StageProgress("analysed", " ".join(remarks) or "Analysed.", 1, 1)


def warm_up() -> None:
    """Load what the first analysis needs, by looking at a grey picture and listening to a hiss: libraries and networks
    take seconds the first time. What is missing is told when it is really needed, not here."""
    with contextlib.suppress(StudioError):
        detect_faces(Image(np.full((240, 320, 3), 128, np.uint8)))
    with contextlib.suppress(StudioError):
        hiss = np.random.default_rng(0).normal(0, 1e-3, 16_000).astype(np.float32)
        diarize(Waveform(hiss, 16_000))


def find_faces(store: ProjectFiles, project: Project, with_removed: bool = False) -> None:
    """Detect the faces again; faces drawn or moved by hand stay. Raises NoFacesFound when there is none at all.

    A face that was found before and taken out since stays out, unless ``with_removed`` or none is left at all.
    """
    scene = project.scene
    drawn = [face for face in scene.faces if face.origin == "drawn"]
    try:
        found = detect_faces(evidence.photo_of(store, scene)).faces
    except NoFacesFound:
        if not drawn:
            raise
        found = []
    kept = [face for face in found if not any(_same_place(face, other) for other in drawn)]
    if scene.faces and not with_removed:
        seen = [box_px for box_px in faces_found(store, scene) if not _taken(box_px, scene.faces)]
        kept = [face for face in kept if not any(covered_part(face.box_px, box_px) > SAME_PLACE for box_px in seen)]
    remember_faces(store, scene, [face.box_px for face in found])
    before = [face for face in scene.faces if face.origin == "detected"]
    scene.faces = sorted(drawn + _renewed(kept, before, drawn), key=lambda face: face.box_px[0])


def _same_place(a: Face, b: Face) -> bool:
    return covered_part(a.box_px, b.box_px) > SAME_PLACE


def _taken(box_px: Box, faces: list[Face]) -> bool:
    return any(covered_part(box_px, face.box_px) > SAME_PLACE for face in faces)


def _renewed(found: list[Face], before: list[Face], drawn: list[Face]) -> list[Face]:
    """``found`` with the id, name and colour that the face in the same place had, or with ones that nobody has."""
    known, renewed = list(before), list[Face]()
    for face in found:
        old = next((other for other in known if _same_place(face, other)), None)
        if old:
            known.remove(old)
            kept = {"id": old.id, "name": old.name, "colour": old.colour, "consent": old.consent}
        else:
            kept = _free_identity([*before, *drawn, *renewed])
        renewed.append(face.model_copy(update=kept))
    return renewed


def _free_identity(faces: list[Face]) -> dict[str, str]:
    """Id, name and colour for one more face beside ``faces``."""
    taken = {face.id for face in faces}
    number = next(number for number in range(1, len(faces) + 2) if f"face-{number}" not in taken)
    colour = FACE_COLOURS[(number - 1) % len(FACE_COLOURS)]
    return {"id": f"face-{number}", "name": f"Face {number}", "colour": colour}


def find_voices(store: ProjectFiles, project: Project, num_speakers: int | None = None) -> Iterator[StageProgress]:
    """Diarize the recording, or find the speech of each voice file. Raises NoSpeechFound.

    Voices that were there before keep their id, name and cast; where a person edited, added or took out a turn, the
    timeline stays as it is (see ``engine.cast.again``).
    """
    scene = project.scene
    if scene.voices:
        turns: list[Turn] = []
        for index, (speaker, voice) in enumerate(evidence.voices(store, scene).items()):
            yield StageProgress("voices", "Listening who speaks when", index, len(scene.voices))
            turns += turns_of_voice(voice, next(s for s in scene.speakers if s.id == speaker))
        if not turns:
            raise NoSpeechFound("None of the recordings holds speech.", "Use recordings of people talking.")
        fresh = Diarization(scene.speakers, turns)
    else:
        fresh = diarize(evidence.recording(store, scene), num_speakers=num_speakers)
    heard = heard_again(scene, fresh, voices_found(store, scene))
    remember_voices(store, scene, heard.turns, heard.found)
    scene.turns = heard.turns
    if not scene.voices:
        scene.speakers = heard.speakers


def draw_face(store: ProjectStore, project: Project, box_px: tuple[float, float, float, float]) -> Face:
    """Add a face where a person drew a box; it listens until it is given a voice. Raises NoFacesFound."""
    from engine.analysis.faces import analyse_drawn_face

    scene = project.scene
    face, _ = analyse_drawn_face(evidence.photo_of(store, scene), box_px)
    face = face.model_copy(update=_free_identity(scene.faces))
    scene.faces = sorted([*scene.faces, face], key=lambda other: other.box_px[0])
    scene.cast = [*scene.cast, CastMember(face_id=face.id)]
    store.save(project)
    return face


def redraw_face(
    store: ProjectFiles, project: Project, face_id: str, box_px: tuple[float, float, float, float] | None = None
) -> Face:
    """Look again at a face that was moved by hand (to ``box_px``, None = where it is now): its landmarks are new; id,
    name, colour, consent and cast stay. The caller saves. Raises NoFacesFound for a box outside the photo."""
    from engine.analysis.faces import analyse_drawn_face

    scene = project.scene
    old = scene.face(face_id)
    new, _ = analyse_drawn_face(evidence.photo_of(store, scene), box_px or old.box_px)
    face = new.model_copy(update={"id": old.id, "name": old.name, "colour": old.colour, "consent": old.consent})
    others = [other for other in scene.faces if other.id != face_id]
    scene.faces = sorted([*others, face], key=lambda each: each.box_px[0])
    return face
