"""Who speaks when, as lanes: places in per cent of the recording."""

from dataclasses import dataclass

from app import texts
from app.presenters.people import colour_of
from engine.cast.timeline import talking_s
from engine.project.document import Scene


@dataclass(frozen=True)
class LaneTurn:
    left: float
    width: float
    overlapped: bool


@dataclass(frozen=True)
class Lane:
    name: str
    colour: str
    summary: str
    turns: list[LaneTurn]


def length_s(scene: Scene) -> float:
    """How long the conversation is, as far as the document knows."""
    refs = [scene.dialogue] if scene.dialogue else [voice.media for voice in scene.voices]
    known = [ref.info.duration_s or 0.0 for ref in refs]
    return max([*known, *(turn.end_s for turn in scene.turns)], default=0.0)


def lanes(scene: Scene) -> list[Lane]:
    """A lane per voice; none where nobody speaks."""
    total_s = length_s(scene)
    if not scene.turns or total_s <= 0:
        return []
    talking = talking_s(scene.turns)
    return [
        Lane(
            speaker.name,
            colour_of(scene, speaker.id),
            texts.TALKS_FOR.format(length=texts.seconds(talking.get(speaker.id, 0.0))),
            [
                LaneTurn(100 * turn.start_s / total_s, 100 * (turn.end_s - turn.start_s) / total_s, turn.overlapped)
                for turn in scene.turns
                if turn.speaker_id == speaker.id
            ],
        )
        for speaker in scene.speakers
    ]
