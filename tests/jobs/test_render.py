"""From a photo and a recording to a take, through the real models: an astronaut and a telephone call."""

import itertools
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as PilImage

from engine.compositing.provenance import read_mark
from engine.demo import demo_dialogue
from engine.errors import ModelMissing, NoFacesFound, NoSpeechFound, StudioError, UncastSpeaker, UnreadableMedia
from engine.jobs.analyse import add_dialogue, add_photo, analyse, draw_face
from engine.jobs.animate import animate
from engine.jobs.events import FrameReady, StageProgress, TakeDone
from engine.jobs.render_scene import render_take
from engine.jobs.scene_plan import ScenePlan, plan_scene
from engine.media.probe import probe
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.media.write import write_waveform
from engine.project.document import Part, Project, RenderSettings
from engine.project.store import ProjectStore
from engine.project.takes import read_take

SETTINGS = RenderSettings(height=256)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ProjectStore, Project]:
    """One face, two voices, 9 seconds; the second voice is off-screen."""
    from skimage.data import astronaut

    folder = tmp_path_factory.mktemp("render")
    PilImage.fromarray(astronaut()).save(folder / "photo.png")
    call = load_waveform(demo_dialogue(), 16000)
    write_waveform(folder / "call.wav", Waveform(call.samples[5 * 16000 : 14 * 16000], 16000))
    store = ProjectStore.create(folder / "project", "astronaut")
    project = store.load()
    add_photo(store, project, folder / "photo.png")
    add_dialogue(store, project, folder / "call.wav")
    list(analyse(store, project, num_speakers=2))
    return store, project


@pytest.fixture
def store(made: tuple[ProjectStore, Project]) -> ProjectStore:
    return made[0]


@pytest.fixture
def project(made: tuple[ProjectStore, Project]) -> Project:
    return made[1].model_copy(deep=True)


def ranged(start_s: float, end_s: float) -> RenderSettings:
    return SETTINGS.model_copy(update={"range_s": (start_s, end_s)})


def planned(store: ProjectStore, project: Project, settings: RenderSettings) -> ScenePlan:
    scene = project.scene.model_copy(update={"settings": settings}, deep=True)
    plan = list(plan_scene(store, scene, settings))[-1]
    assert isinstance(plan, ScenePlan)
    return plan


def test_analysis_casts_everybody(project: Project) -> None:
    scene = project.scene
    assert len(scene.faces) == 1
    assert len(scene.speakers) == 2
    assert [member.face_id for member in scene.cast] == ["face-1", None]
    assert {turn.speaker_id for turn in scene.turns} == {"speaker-1", "speaker-2"}


def test_a_take_is_a_video_with_the_whole_sound_and_says_how_it_was_made(store: ProjectStore, project: Project) -> None:
    events = list(render_take(store, project, SETTINGS))
    done = events[-1]
    assert isinstance(done, TakeDone)
    frames = [event for event in events if isinstance(event, FrameReady)]
    assert len(frames) == 225
    assert {event.stage for event in events if isinstance(event, StageProgress)} >= {"separate", "listen", "render"}
    info = probe(done.video_path)
    assert (info.width, info.height, info.frame_rate) == (256, 256, 25)
    assert info.duration_s == pytest.approx(9.0, abs=0.04)
    assert info.sample_rate == 16000
    assert read_mark(done.video_path)
    assert "Speaker 1" in done.video_path.with_suffix(".srt").read_text()
    record = read_take(done.video_path.parent)
    assert record.take.status == "done"
    assert record.take.inputs_sha256
    assert record.scene.turns == project.scene.turns
    assert store.load().scene.takes[-1].id == done.take_id
    with av.open(str(done.video_path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 225


def test_same_plan_same_frames_bit_for_bit(store: ProjectStore, project: Project) -> None:
    plan = planned(store, project, ranged(0, 2))
    first, second = (list(animate(plan)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    other = planned(store, project, ranged(0, 2).model_copy(update={"seed": 7}))
    assert any(not np.array_equal(a, b) for a, b in zip(first, animate(other), strict=True))


def test_still_people_do_not_move_by_a_pixel(store: ProjectStore, project: Project) -> None:
    project.scene.cast[0].part, project.scene.cast[0].speaker_id = Part.STILL, None
    project.scene.cast += [project.scene.cast[1].model_copy(update={"id": "x", "speaker_id": "speaker-1"})]
    plan = planned(store, project, ranged(0, 2))
    assert all(np.array_equal(frame, plan.picture.rgb) for frame in animate(plan))


def test_a_listener_at_interaction_strength_0_does_not_move(store: ProjectStore, project: Project) -> None:
    project.scene.cast[0].part, project.scene.cast[0].speaker_id = Part.LISTENS, None
    project.scene.cast += [project.scene.cast[1].model_copy(update={"id": "x", "speaker_id": "speaker-1"})]
    project.scene.interaction_strength = 0
    plan = planned(store, project, ranged(0, 2))
    assert all(np.array_equal(frame, plan.picture.rgb) for frame in animate(plan))
    project.scene.interaction_strength = 1
    assert any(not np.array_equal(f, plan.picture.rgb) for f in animate(planned(store, project, ranged(0, 2))))


def test_cancelling_leaves_no_video_and_the_project_as_it_was(store: ProjectStore, project: Project) -> None:
    before = project.scene.model_copy(deep=True)
    with closing(render_take(store, project, SETTINGS)) as events:
        for event in events:
            if isinstance(event, FrameReady) and event.index == 10:
                break
    take = store.load().scene.takes[-1]
    assert take.status == "cancelled"
    assert not [path for path in store.take_folder(take.id).iterdir() if path.suffix in (".mp4", ".wav", ".part")]
    project.scene.takes = before.takes
    assert project.scene == before


@pytest.mark.parametrize("kind", ["preview", "final"])
def test_kinds_that_cannot_be_rendered_here_are_refused_at_once(
    store: ProjectStore, project: Project, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    with pytest.raises(ModelMissing, match=r"AnyTalker-1\.3B"):
        next(render_take(store, project, RenderSettings(kind=kind, model="anytalker-1.3b")))
    assert project.scene.takes == []


def test_what_is_missing_is_said_before_anything_is_computed(store: ProjectStore, project: Project) -> None:
    for field, error in (("faces", NoFacesFound), ("turns", NoSpeechFound)):
        broken = project.model_copy(deep=True)
        setattr(broken.scene, field, [])
        with pytest.raises(error):
            next(render_take(store, broken, SETTINGS))
    project.scene.cast = project.scene.cast[:1]
    with pytest.raises(UncastSpeaker):
        next(render_take(store, project, SETTINGS))


@pytest.mark.parametrize("range_s", [(8.0, 30.0), (3.0, 3.1)])
def test_a_range_outside_the_recording_is_refused(
    store: ProjectStore, project: Project, range_s: tuple[float, float]
) -> None:
    with pytest.raises(StudioError, match=r"range|Range"):
        next(render_take(store, project, ranged(*range_s)))


def test_a_lost_photo_fails_the_take_and_keeps_the_project(tmp_path: Path, project: Project) -> None:
    with ProjectStore.create(tmp_path / "elsewhere") as bare:
        with pytest.raises(UnreadableMedia):
            list(render_take(bare, project, SETTINGS))
        take = bare.load().scene.takes[-1]
        assert (take.status, bool(take.message)) == ("failed", True)


def test_a_drawn_face_joins_and_stays_when_analysis_runs_again(store: ProjectStore, project: Project) -> None:
    face = draw_face(store, project, (20, 300, 120, 420))
    assert face.origin == "drawn"
    assert [member.part for member in project.scene.cast if member.face_id == face.id] == [Part.LISTENS]
    list(analyse(store, project, num_speakers=2))
    assert [f.origin for f in project.scene.faces if f.id == face.id] == ["drawn"]
    assert len({f.id for f in project.scene.faces}) == 2
    events = list(itertools.islice(render_take(store, project, ranged(0, 1)), 60))
    assert any(isinstance(event, FrameReady) for event in events)


def test_a_talker_whose_features_are_not_found_is_named(store: ProjectStore, project: Project) -> None:
    scene = project.scene
    nowhere = scene.faces[0].model_copy(update={"id": "face-9", "name": "Wall", "box_px": (430, 20, 500, 110)})
    scene.faces = [*scene.faces, nowhere]
    scene.cast[1].face_id = "face-9"
    plan = planned(store, project, ranged(0, 1))
    assert plan.streams[1].detail is None
    *_, done = render_take(store, project, ranged(0, 1))
    assert isinstance(done, TakeDone)
    assert "Wall" in project.scene.takes[-1].message
