"""From media to a first plan: find the faces, split the voices, suggest a cast. What a person edited stays."""

from collections.abc import Iterator
from pathlib import Path

from engine.analysis.diarization import diarize, mark_overlaps, turns_of_voice
from engine.analysis.faces import detect_faces
from engine.cast.suggest import suggest
from engine.errors import NoFacesFound, NoSpeechFound
from engine.jobs import evidence
from engine.jobs.events import StageProgress
from engine.media.importing import import_photo, import_recording
from engine.project.document import FACE_COLOURS, CastMember, Face, Project, Speaker, Turn, VoiceFile
from engine.project.store import ProjectStore


def add_photo(store: ProjectStore, project: Project, path: Path) -> None:
    """Take a photo into the project. The faces of the old photo go with it.

    Raises UnreadableMedia and WriteFailed; the project is then as it was.
    """
    ref = import_photo(store, path)
    scene = project.scene
    if scene.photo and scene.photo.sha256 == ref.sha256:
        return
    scene.photo, scene.faces = ref, []
    scene.cast = suggest([], scene.speakers)


def add_dialogue(store: ProjectStore, project: Project, path: Path) -> None:
    """Take one recording of everybody into the project, in place of what was there.

    Raises UnreadableMedia and WriteFailed; the project is then as it was.
    """
    ref = import_recording(store, path)
    scene = project.scene
    if scene.dialogue and scene.dialogue.sha256 == ref.sha256:
        return
    scene.dialogue, scene.voices, scene.speakers, scene.turns = ref, [], [], []
    scene.cast = suggest(scene.faces, [])


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
    scene.cast = suggest(scene.faces, scene.speakers)


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


def find_faces(store: ProjectStore, project: Project) -> None:
    """Detect the faces again; faces drawn by hand stay. Raises NoFacesFound when there is none at all."""
    scene = project.scene
    drawn = [face for face in scene.faces if face.origin == "drawn"]
    try:
        found = detect_faces(evidence.photo_of(store, scene)).faces
    except NoFacesFound:
        if not drawn:
            raise
        found = []
    kept = [face for face in found if not any(_same_place(face, other) for other in drawn)]
    before = [face for face in scene.faces if face.origin == "detected"]
    scene.faces = sorted(drawn + _renewed(kept, before, drawn), key=lambda face: face.box_px[0])


def _same_place(a: Face, b: Face) -> bool:
    width = min(a.box_px[2], b.box_px[2]) - max(a.box_px[0], b.box_px[0])
    height = min(a.box_px[3], b.box_px[3]) - max(a.box_px[1], b.box_px[1])
    smaller = min(a.width_px * (a.box_px[3] - a.box_px[1]), b.width_px * (b.box_px[3] - b.box_px[1]))
    return width > 0 and height > 0 and width * height > 0.5 * smaller


def _renewed(found: list[Face], before: list[Face], drawn: list[Face]) -> list[Face]:
    """``found`` with the id, name and colour that the face in the same place had, or with ones that nobody has."""
    known, renewed = list(before), list[Face]()
    for face in found:
        old = next((other for other in known if _same_place(face, other)), None)
        if old:
            known.remove(old)
            kept = {"id": old.id, "name": old.name, "colour": old.colour}
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


def find_voices(store: ProjectStore, project: Project, num_speakers: int | None = None) -> Iterator[StageProgress]:
    """Diarize the recording, or find the speech of each voice file; edited turns stay. Raises NoSpeechFound."""
    scene = project.scene
    if scene.voices:
        turns: list[Turn] = []
        for index, (speaker, voice) in enumerate(evidence.voices(store, scene).items()):
            yield StageProgress("voices", "Listening who speaks when", index, len(scene.voices))
            turns += turns_of_voice(voice, next(s for s in scene.speakers if s.id == speaker))
        if not turns:
            raise NoSpeechFound("None of the recordings holds speech.", "Use recordings of people talking.")
        scene.turns = mark_overlaps(turns)
        return
    found = diarize(evidence.recording(store, scene), num_speakers=num_speakers)
    edited = [turn for turn in scene.turns if turn.origin == "edited"]
    before = {speaker.id: speaker for speaker in scene.speakers}
    speakers = [before.get(speaker.id, speaker) for speaker in found.speakers]
    speakers += [before[i] for i in dict.fromkeys(t.speaker_id for t in edited) if i not in {s.id for s in speakers}]
    fresh = [turn for turn in found.turns if not any(_clashes(turn, other) for other in edited)]
    scene.speakers, scene.turns = speakers, mark_overlaps(fresh + edited)


def _clashes(turn: Turn, edited: Turn) -> bool:
    shared = min(turn.end_s, edited.end_s) - max(turn.start_s, edited.start_s)
    return shared > 0.5 * (turn.end_s - turn.start_s)


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
