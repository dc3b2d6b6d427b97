"""Photos and recordings into the project: each step walks through the engine's events."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from app import texts
from engine.cast.suggest import describe, suggest
from engine.errors import NoFacesFound
from engine.jobs.events import StageProgress
from engine.project.document import Project
from engine.project.store import ProjectStore

# The engine's jobs are imported where they are used: they bring the models' libraries, which take seconds to load.


def bring_photo(store: ProjectStore, project: Project, path: Path) -> Iterator[StageProgress]:
    """Put the photo into the project and find its faces. A photo without faces is kept: they can be drawn.

    The last event's text says who is whom. Raises UnreadableMedia.
    """
    from engine.jobs.analyse import add_photo, find_faces

    yield StageProgress("read", texts.READING_FILE.format(name=path.name))
    add_photo(store, project, path)
    yield StageProgress("faces", "Looking for faces")
    remark = ""
    try:
        find_faces(store, project)
    except NoFacesFound:
        remark = texts.NO_FACE
    yield _cast_again(project, remark)


def bring_sound(
    store: ProjectStore, project: Project, paths: Sequence[Path], num_speakers: int | None
) -> Iterator[StageProgress]:
    """Put one recording, or one file per person, into the project and find who speaks when.

    Raises UnreadableMedia, NoSpeechFound, ModelMissing.
    """
    from engine.jobs.analyse import add_dialogue, add_voices

    yield StageProgress("read", texts.READING_FILE.format(name=paths[0].name))
    if len(paths) == 1:
        add_dialogue(store, project, paths[0])
    else:
        add_voices(store, project, [(path.stem[:60] or path.name, path) for path in paths])
    yield from find_speakers(store, project, num_speakers)


def find_speakers(store: ProjectStore, project: Project, num_speakers: int | None) -> Iterator[StageProgress]:
    """Find again who speaks when, with the number of people given or found, and cut out each voice to listen to."""
    from engine.jobs.analyse import find_voices

    yield StageProgress("voices", "Listening who speaks when")
    yield from find_voices(store, project, num_speakers)
    yield from prepare_players(store, project)
    yield _cast_again(project)


def bring_sample(store: ProjectStore, project: Project) -> Iterator[StageProgress]:
    """The sample's photo and recording, with its plan. Raises ModelMissing where they did not come along."""
    from engine.jobs.demo_project import open_sample

    yield from open_sample(store, project)
    yield StageProgress("analysed", describe(project.scene), 1, 1)


def prepare_players(store: ProjectStore, project: Project) -> Iterator[StageProgress]:
    """Write the sounds that the page's players will ask for: the whole conversation, and each voice."""
    from engine.jobs.evidence import voice_file
    from engine.jobs.listening import listening_file

    yield StageProgress("players", texts.PREPARING_PLAYERS)
    listening_file(store, project.scene)

    for index, speaker in enumerate(project.scene.speakers):
        yield StageProgress("players", texts.PREPARING_PLAYERS, index, len(project.scene.speakers))
        voice_file(store, project.scene, speaker.id)


def _cast_again(project: Project, remark: str = "") -> StageProgress:
    scene = project.scene
    scene.cast = suggest(scene.faces, scene.speakers, scene.cast)
    return StageProgress("analysed", remark or describe(scene), 1, 1)
