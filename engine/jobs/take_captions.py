"""The captions of a finished take, from what the project keeps about its sound: nothing is rendered anew."""

from collections.abc import Generator

from engine.analysis.types import Word
from engine.analysis.visemes import SpeechSounds
from engine.compositing.captions import LINE_CHARACTERS, Cue, make_cues
from engine.jobs import evidence
from engine.jobs.events import StageProgress
from engine.project.document import Scene
from engine.project.store import ProjectFiles

Words = dict[str, list[Word]]
"""The recognised words of each turn, by its id."""


def words_of(scene: Scene, sounds: dict[str, SpeechSounds]) -> Words:
    """The words that were heard within each turn."""
    words: Words = {}
    for turn in scene.turns:
        heard = sounds[turn.speaker_id].words if turn.speaker_id in sounds else []
        words[turn.id] = [w for w in heard if turn.start_s - 0.1 <= (w.start_s + w.end_s) / 2 <= turn.end_s + 0.1]
    return words


def heard_words(store: ProjectFiles, scene: Scene) -> Generator[StageProgress, None, Words]:
    """The words of a scene as the result, progress before it: at once where the cache has them, else heard anew.

    Raises UnreadableMedia when the recording is gone.
    """
    sounds: dict[str, SpeechSounds] = {}
    for step in evidence.speech_sounds(store, scene, evidence.voices(store, scene)):
        if isinstance(step, StageProgress):
            yield step
        else:
            sounds = step
    return words_of(scene, sounds)


def cues_between(
    scene: Scene, range_s: tuple[float, float], words: Words, line_characters: int = LINE_CHARACTERS
) -> list[Cue]:
    """The captions of ``range_s`` of the recording, counted from its start."""
    return make_cues(scene.turns, scene.speakers, range_s, words, line_characters)
