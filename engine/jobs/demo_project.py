"""The demo and the page's sample: a project of people and a conversation that arrive inside packages."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image as PilImage

from engine.demo import compose_group_photo, demo_dialogue, demo_people, demo_tiles
from engine.errors import WriteFailed
from engine.jobs.analyse import add_dialogue, add_photo, analyse
from engine.jobs.events import StageProgress
from engine.jobs.evidence import duration_s
from engine.project.document import CastMember, Document, Face, Part, Project, Scene, Speaker, Turn
from engine.project.store import PROJECT_NAME, ProjectStore

TITLE = "Roundtable demo"
DEMO_HEIGHT_PX = 720
LEAD_IN_S = 0.8
PICTURE_NAME = "roundtable-video-call.png"
SAMPLE_PLAN = Path(__file__).resolve().parents[2] / "assets" / "sample_plan.json"


def demo_store(folder: Path) -> ProjectStore:
    """A new store in ``folder``; an earlier demo there is replaced. Raises WriteFailed when it holds anything else."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / PROJECT_NAME).exists():
            raise WriteFailed(f"{folder} holds other files.", "Give the demo a folder of its own.")
        with ProjectStore.open(folder) as store:
            project = store.load()
            if project.title != TITLE or not project.scene.photo or project.scene.photo.original_name != PICTURE_NAME:
                raise WriteFailed(f"{folder} holds a project of yours.", "Give the demo a folder of its own.")
        shutil.rmtree(folder)
    return ProjectStore.create(folder, TITLE)


def fill_with_sample(store: ProjectStore, project: Project) -> Iterator[StageProgress]:
    """Put the sample's photo and recording into ``project``, analyse both, and cast them as the sample says."""
    yield StageProgress("sample", "Composing the picture")
    _bring_media(store, project)
    yield from _analysed(store, project)


def _bring_media(store: ProjectStore, project: Project) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        picture = Path(scratch) / PICTURE_NAME
        PilImage.fromarray(compose_group_photo().rgb).save(picture)
        add_photo(store, project, picture)
    add_dialogue(store, project, demo_dialogue())


def _analysed(store: ProjectStore, project: Project) -> Iterator[StageProgress]:
    yield from analyse(store, project, num_speakers=2)
    cast_as_sample(project)
    store.save(project)


class SamplePlan(Document):
    """What analysing the sample gives, kept beside the program: of which photo and recording, by content."""

    photo_sha256: str
    dialogue_sha256: str
    faces: list[Face]
    speakers: list[Speaker]
    turns: list[Turn]
    cast: list[CastMember]


def open_sample(store: ProjectStore, project: Project) -> Iterator[StageProgress]:
    """As ``fill_with_sample``, but ready in seconds: with the plan that analysing the sample gave us. Where a package
    brings another picture or recording than that plan was made of, the sample is analysed here."""
    yield StageProgress("sample", "Composing the picture")
    _bring_media(store, project)
    kept = read_sample_plan()
    scene = project.scene
    assert scene.photo is not None
    assert scene.dialogue is not None
    if kept is None or (kept.photo_sha256, kept.dialogue_sha256) != (scene.photo.sha256, scene.dialogue.sha256):
        yield from _analysed(store, project)
        return
    scene.faces, scene.speakers, scene.turns, scene.cast = kept.faces, kept.speakers, kept.turns, kept.cast


def sample_plan(scene: Scene) -> SamplePlan:
    """The plan of a project that ``fill_with_sample`` filled."""
    assert scene.photo is not None
    assert scene.dialogue is not None
    return SamplePlan(
        photo_sha256=scene.photo.sha256,
        dialogue_sha256=scene.dialogue.sha256,
        faces=scene.faces,
        speakers=scene.speakers,
        turns=scene.turns,
        cast=scene.cast,
    )


def read_sample_plan() -> SamplePlan | None:
    """None where the file is not there."""
    return SamplePlan.model_validate_json(SAMPLE_PLAN.read_bytes()) if SAMPLE_PLAN.is_file() else None


def spoken_range_s(scene: Scene) -> tuple[float, float]:
    """From just before the first word (the call begins with seconds of nothing) to the end of the recording."""
    first_s = min((turn.start_s for turn in scene.turns), default=0.0)
    return max(0.0, first_s - LEAD_IN_S), duration_s(scene)


def cast_as_sample(project: Project) -> None:
    """Names and parts of the sample's people; a face counts as a person's when it lies in that person's tile."""
    scene = project.scene
    cast = []
    for person, tile in zip(demo_people(), demo_tiles(), strict=True):
        face = next(
            (f for f in scene.faces if tile.holds((f.box_px[0] + f.box_px[2]) / 2, (f.box_px[1] + f.box_px[3]) / 2)),
            None,
        )
        if face is None:
            continue
        face.name = person.name
        speaker = scene.speakers[person.voice - 1] if person.voice and person.voice <= len(scene.speakers) else None
        if speaker:
            speaker.name = person.name
        part = Part(person.part) if speaker or person.part != Part.TALKS else Part.LISTENS
        cast.append(CastMember(face_id=face.id, speaker_id=speaker.id if speaker else None, part=part))
    named = {member.speaker_id for member in cast}
    cast += [
        CastMember(speaker_id=speaker.id, part=Part.TALKS) for speaker in scene.speakers if speaker.id not in named
    ]
    scene.cast = cast
