"""Who speaks when, as lanes: places in per cent of the recording."""

from dataclasses import dataclass

from app import texts
from app.presenters.people import colour_of, over_others
from engine.project.document import Scene, Speaker


@dataclass(frozen=True)
class LaneTurn:
    """A stretch of a lane; ``overlapped``: the part of a turn during which somebody else speaks too."""

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
    return [_lane(scene, speaker, total_s) for speaker in scene.speakers]


def _lane(scene: Scene, speaker: Speaker, total_s: float) -> Lane:
    spoken = [(turn.start_s, turn.end_s) for turn in scene.turns if turn.speaker_id == speaker.id]
    stretches = [(*span, False) for span in spoken] + [(*span, True) for span in over_others(scene, speaker.id)]
    turns = [LaneTurn(100 * start / total_s, 100 * (end - start) / total_s, over) for start, end, over in stretches]
    talking = texts.seconds(sum(end - start for start, end in spoken))
    return Lane(speaker.name, colour_of(scene, speaker.id), texts.TALKS_FOR.format(length=talking), turns)
