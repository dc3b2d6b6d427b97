"""The voices of the recording: their names, which of them are one person, how loud they are, who is not seen."""

from app import texts
from app.actions.fields import set_field
from app.actions.lookup import Changed, cleaned_name, speaker_of
from app.actions.turns import arrange, refuse_own_files, united_by_voice
from engine.errors import StudioError
from engine.project.document import CastMember, Part, Project, Speaker


def rename_voice(project: Project, speaker_id: str, name: str) -> Changed:
    """Captions use this name. Raises StudioError for a name without a letter."""
    speaker_of(project, speaker_id).name = cleaned_name(name)
    return project, ""


def merge_voices(project: Project, from_id: str, into_id: str) -> Changed:
    """Two voices that are one person: ``into`` gets the turns of ``from``, and its face where it has none itself.

    Otherwise the face of ``from`` listens. Moved turns count as edited: analysing again does not part the two.
    """
    gone, kept = speaker_of(project, from_id), speaker_of(project, into_id)
    if gone.id == kept.id:
        raise StudioError(texts.MERGE_ITSELF, texts.MERGE_ITSELF_REMEDY)
    refuse_own_files(project)
    scene = project.scene
    moved = [
        turn.model_copy(update={"speaker_id": kept.id, "origin": "edited"}) if turn.speaker_id == gone.id else turn
        for turn in scene.turns
    ]
    arrange(project, united_by_voice(moved, kept.id))
    scene.speakers = [speaker for speaker in scene.speakers if speaker.id != gone.id]
    scene.cast = _merged_cast(scene.cast, gone.id, kept.id)
    return project, texts.MERGED_VOICES.format(gone=gone.name, kept=kept.name)


def set_gain(project: Project, speaker_id: str, gain_db: float) -> Changed:
    """How much louder or softer a voice is heard, within the document's bounds."""
    speaker_of(project, speaker_id)
    member = member_of_voice(project, speaker_id)
    if member is None:
        member = CastMember(speaker_id=speaker_id, part=Part.TALKS)
        project.scene.cast = [*project.scene.cast, member]
        member = project.scene.cast[-1]
    set_field(member, "gain_db", gain_db)
    member.origin = "chosen"
    return project, ""


def set_off_screen(project: Project, speaker_id: str) -> Changed:
    """The voice is heard without a face; the face that had it listens."""
    speaker, member = speaker_of(project, speaker_id), member_of_voice(project, speaker_id)
    if member and member.face_id is None:
        member.origin = "chosen"  # it stays so when another face is found
        return project, ""
    said = texts.NOW_OFF_SCREEN.format(voice=speaker.name)
    off_screen = off_screen_member(speaker.id, member.gain_db if member else 0.0)
    project.scene.cast = [silenced(m) if m is member else m for m in project.scene.cast] + [off_screen]
    return project, said


def add_voice(project: Project, name: str = "") -> Changed:
    """A voice that nobody found, off-screen and without turns; the new one is the last of the scene's speakers."""
    refuse_own_files(project)
    scene = project.scene
    taken = {speaker.id for speaker in scene.speakers} | {turn.speaker_id for turn in scene.turns}
    taken |= {member.speaker_id for member in scene.cast if member.speaker_id}
    number = next(number for number in range(1, len(taken) + 2) if f"speaker-{number}" not in taken)
    given = cleaned_name(name) if name.strip() else texts.VOICE_NAME_GIVEN.format(number=number)
    speaker = Speaker(id=f"speaker-{number}", name=given)
    scene.speakers = [*scene.speakers, speaker]
    scene.cast = [*scene.cast, off_screen_member(speaker.id)]
    return project, texts.ADDED_VOICE.format(voice=speaker.name)


def member_of_voice(project: Project, speaker_id: str) -> CastMember | None:
    return next((member for member in project.scene.cast if member.speaker_id == speaker_id), None)


def off_screen_member(speaker_id: str, gain_db: float = 0.0) -> CastMember:
    return CastMember(speaker_id=speaker_id, part=Part.TALKS, gain_db=gain_db, origin="chosen")


def silenced(member: CastMember) -> CastMember:
    """A face without its voice: it listens, with the liveliness it had."""
    update = {"speaker_id": None, "part": Part.LISTENS, "gain_db": 0.0, "origin": "chosen"}
    return member.model_copy(update=update)


def _merged_cast(cast: list[CastMember], gone_id: str, kept_id: str) -> list[CastMember]:
    gone = next((member for member in cast if member.speaker_id == gone_id), None)
    kept = next((member for member in cast if member.speaker_id == kept_id), None)
    others = [member for member in cast if member.speaker_id not in (gone_id, kept_id)]
    if gone and gone.face_id and not (kept and kept.face_id):
        gain_db = kept.gain_db if kept else gone.gain_db
        update = {"speaker_id": kept_id, "gain_db": gain_db, "origin": "chosen"}
        return [*others, gone.model_copy(update=update)]
    stays = kept.model_copy(update={"origin": "chosen"}) if kept else off_screen_member(kept_id)
    return [*others, stays, *([silenced(gone)] if gone and gone.face_id else [])]
