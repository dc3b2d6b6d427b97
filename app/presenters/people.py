"""Faces and voices as rows: what each is called, what it may be, who has it."""

from dataclasses import dataclass

from app import texts
from app.actions.cast import VOICE, choice_of
from app.presenters.pictures import number_of
from engine.cast.spans import Span, common, minus
from engine.cast.timeline import talking_s
from engine.project.document import CastMember, Face, Part, Scene, Speaker, Turn

NO_COLOUR = "#8a8f98"


@dataclass(frozen=True)
class FaceRow:
    face: Face
    number: int
    choice: str
    choices: list[tuple[str, str]]
    """(text, value) for the dropdown: every voice, listens, still."""


@dataclass(frozen=True)
class VoiceRow:
    speaker: Speaker
    number: int
    colour: str
    talking: str
    """Seconds of talk, and how much of it over others, in words."""
    place: str
    """Whose mouth speaks it, or off-screen."""
    is_off_screen: bool
    best_start_s: float
    """Where this voice talks longest alone: where its player starts."""


def face_rows(scene: Scene) -> list[FaceRow]:
    """A row per face, from left to right."""
    lengths = talking_s(scene.turns)
    voices = [
        (
            texts.TALKS_AS.format(voice=speaker.name, length=texts.seconds(lengths.get(speaker.id, 0.0))),
            VOICE + speaker.id,
        )
        for speaker in scene.speakers
    ]
    silent = [(texts.LISTENS, Part.LISTENS.value), (texts.STILL, Part.STILL.value)]
    return [
        FaceRow(face, number_of(scene.faces, face), choice_of(scene.member_of_face(face.id)), voices + silent)
        for face in scene.faces
    ]


def voice_rows(scene: Scene) -> list[VoiceRow]:
    """A row per voice, in order of first speech."""
    return [_voice_row(scene, number, speaker) for number, speaker in enumerate(scene.speakers, 1)]


def colour_of(scene: Scene, speaker_id: str) -> str:
    """The colour of the face that speaks with this voice; grey off-screen."""
    face = _face_of(scene, speaker_id)
    return face.colour if face else NO_COLOUR


def over_others(scene: Scene, speaker_id: str) -> list[Span]:
    """When this voice talks while somebody else does, seconds; sorted, each moment once."""
    own = [(turn.start_s, turn.end_s) for turn in scene.turns if turn.speaker_id == speaker_id]
    return common(own, ((turn.start_s, turn.end_s) for turn in scene.turns if turn.speaker_id != speaker_id))


def _voice_row(scene: Scene, number: int, speaker: Speaker) -> VoiceRow:
    turns = [turn for turn in scene.turns if turn.speaker_id == speaker.id]
    shared = over_others(scene, speaker.id)
    over_s = sum(end_s - start_s for start_s, end_s in shared)
    talking = texts.TALKS_FOR.format(length=texts.seconds(talking_s(turns).get(speaker.id, 0.0)))
    if over_s >= 0.1:
        talking += ", " + texts.OVERLAPS.format(length=texts.seconds(over_s))
    face = _face_of(scene, speaker.id)
    place = texts.SPOKEN_BY.format(face=face.name) if face else texts.OFF_SCREEN
    start_s = max(0.0, _longest_alone_s(turns, shared) - 0.1)
    return VoiceRow(speaker, number, face.colour if face else NO_COLOUR, talking, place, face is None, start_s)


def _longest_alone_s(turns: list[Turn], shared: list[Span]) -> float:
    """Where the longest stretch starts in which this voice is heard alone; its first turn where there is none."""
    alone = minus(((turn.start_s, turn.end_s) for turn in turns), shared)
    longest = max(alone, key=lambda span: span[1] - span[0], default=None)
    return longest[0] if longest else min((turn.start_s for turn in turns), default=0.0)


def _face_of(scene: Scene, speaker_id: str) -> Face | None:
    member: CastMember | None = next((m for m in scene.cast if m.speaker_id == speaker_id and m.face_id), None)
    return next((face for face in scene.faces if member and face.id == member.face_id), None)
