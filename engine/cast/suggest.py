"""Who could be whom: a part for every face and every voice, before the creator decides. No models, only facts."""

from collections.abc import Sequence
from itertools import zip_longest

from engine.errors import UncastSpeaker, UnknownFace
from engine.project.document import CastMember, Face, Part, Scene, Speaker


def suggest(faces: Sequence[Face], speakers: Sequence[Speaker], before: Sequence[CastMember] = ()) -> list[CastMember]:
    """A member for every face and every speaker: what the creator chose stays, so does a pair suggested ``before``
    while both are there, and the rest pairs in order.

    Faces come from left to right and speakers in order of first speech. Faces left over listen; voices left over are
    off-screen. Nobody is dropped and no face gets a voice that another one has. Liveliness and lip strength stay with
    the face, the volume with the voice.
    """
    face_ids, speaker_ids = {face.id for face in faces}, {speaker.id for speaker in speakers}
    kept = [_still_valid(member, speaker_ids) for member in before if member.origin == "chosen"]
    kept = [member for member in kept if member.face_id in face_ids or (member.face_id is None and member.speaker_id)]
    for member in before:
        if member.origin == "suggested" and _stands(member, kept, face_ids, speaker_ids):
            kept.append(member)
    cast_faces = {member.face_id for member in kept}
    cast_speakers = {member.speaker_id for member in kept}
    free_faces = [face for face in faces if face.id not in cast_faces]
    free_speakers = [speaker for speaker in speakers if speaker.id not in cast_speakers]
    return kept + [_member(face, speaker, before) for face, speaker in zip_longest(free_faces, free_speakers)]


def _still_valid(member: CastMember, speaker_ids: set[str]) -> CastMember:
    if member.speaker_id is None or member.speaker_id in speaker_ids:
        return member
    return member.model_copy(update={"speaker_id": None, "part": Part.LISTENS})


def _stands(member: CastMember, kept: Sequence[CastMember], face_ids: set[str], speaker_ids: set[str]) -> bool:
    """Whether a suggestion can go on: a face with its voice, or one that is still, if nobody else was given either."""
    paired = member.speaker_id in speaker_ids or (member.speaker_id is None and member.part is Part.STILL)
    taken = {other.face_id for other in kept} | {other.speaker_id for other in kept if other.speaker_id}
    return member.face_id in face_ids and paired and not {member.face_id, member.speaker_id} & taken


def _member(face: Face | None, speaker: Speaker | None, before: Sequence[CastMember]) -> CastMember:
    seen = next((member for member in before if face and member.face_id == face.id), None)
    heard = next((member for member in before if speaker and member.speaker_id == speaker.id), None)
    return CastMember(
        face_id=face.id if face else None,
        speaker_id=speaker.id if speaker else None,
        part=Part.TALKS if speaker else Part.LISTENS,
        liveliness=seen.liveliness if seen else 1.0,
        lip_strength=seen.lip_strength if seen else 1.0,
        gain_db=heard.gain_db if heard else 0.0,
    )


def describe(scene: Scene) -> str:
    """The cast in a sentence: "4 faces, 3 voices: Face 4 will listen."."""
    counts = f"{_count(len(scene.faces), 'face')}, {_count(len(scene.speakers), 'voice')}"
    face_names = {face.id: face.name for face in scene.faces}
    speaker_names = {speaker.id: speaker.name for speaker in scene.speakers}
    listening = [face_names[m.face_id] for m in scene.cast if m.face_id in face_names and m.part is Part.LISTENS]
    still = [face_names[m.face_id] for m in scene.cast if m.face_id in face_names and m.part is Part.STILL]
    unseen = [speaker_names[m.speaker_id] for m in scene.cast if not m.face_id and m.speaker_id in speaker_names]
    remarks = [
        f"{_names(listening)} will listen" if listening else "",
        f"{_names(still)} will stay still" if still else "",
        f"{_names(unseen)} will be heard off-screen" if unseen else "",
    ]
    said = "; ".join(remark for remark in remarks if remark)
    return f"{counts}: {said}." if said else f"{counts}: everyone talks."


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def check(scene: Scene) -> None:
    """Refuse a cast that would drop a voice or name what is not there.

    Raises:
        UnknownFace: a member names a face or a speaker that the scene does not have, or two have the same id.
        UncastSpeaker: a speaker with turns has no member, has two, or the member does not talk.
    """
    face_names = {face.id: face.name for face in scene.faces}
    speaker_names = {speaker.id: speaker.name for speaker in scene.speakers}
    for names, all_of_them in ((face_names, scene.faces), (speaker_names, scene.speakers)):
        if len(names) < len(all_of_them):
            raise UnknownFace("Two faces or two voices have the same id.", "Analyse the photo and the recording again.")
    seen: set[str] = set()
    for member in scene.cast:
        if member.face_id is not None and member.face_id not in face_names:
            raise UnknownFace(f"The cast names a face ({member.face_id}) that is not in the photo.", "Cast it again.")
        if member.speaker_id is not None and member.speaker_id not in speaker_names:
            raise UnknownFace(
                f"The cast names a voice ({member.speaker_id}) that is not there.", "Choose another voice."
            )
        for key in filter(None, (member.face_id, member.speaker_id)):
            if key in seen:
                name = face_names.get(key) or speaker_names.get(key)
                raise UncastSpeaker(f"{name} is cast twice.", "Give each voice one face, and each face one voice.")
            seen.add(key)
    talking = {member.speaker_id for member in scene.cast if member.part is Part.TALKS or member.face_id is None}
    for speaker_id in dict.fromkeys(turn.speaker_id for turn in scene.turns):
        if speaker_id not in talking:
            name = speaker_names.get(speaker_id, speaker_id)
            raise UncastSpeaker(f"{name} speaks but has no part.", "Give this voice a face, or make it off-screen.")
