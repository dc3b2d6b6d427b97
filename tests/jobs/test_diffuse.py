"""Previews through the whole recipe: a real photo and conversation, tiny random networks of the published form."""

import json
import multiprocessing
import random
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as PilImage
from tiny_models import HEAD_DIM, write_tiny_checkpoints

import engine.jobs.diffuse as diffuse_job
from engine.demo import compose_group_photo, demo_dialogue
from engine.dit.memory import MemoryPlan, plan_memory
from engine.errors import ModelMissing, OutOfMemory, StudioError
from engine.jobs.analyse import add_dialogue, add_photo, analyse
from engine.jobs.events import FrameReady, RoughFrame, StageProgress, TakeDone
from engine.jobs.render_scene import render_take
from engine.jobs.window_store import forget_windows
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.media.write import write_waveform
from engine.project.document import Part, Project, RenderSettings
from engine.project.store import ProjectStore

SETTINGS = RenderSettings(
    kind="preview", model="anytalker-1.3b", height=128, frame_rate=24, num_inference_steps=2, shift=3, window=17,
    overlap=5, range_s=(0.0, 1.2), captions="none", quantization="none",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ProjectStore, Project]:
    """Six faces, two voices, 3 seconds."""
    folder = tmp_path_factory.mktemp("diffuse")
    PilImage.fromarray(compose_group_photo().rgb).save(folder / "photo.png")
    call = load_waveform(demo_dialogue(), 16000)
    write_waveform(folder / "call.wav", Waveform(call.samples[int(6.5 * 16000) : int(9.5 * 16000)], 16000))
    store = ProjectStore.create(folder / "project", "call")
    project = store.load()
    add_photo(store, project, folder / "photo.png")
    add_dialogue(store, project, folder / "call.wav")
    list(analyse(store, project, num_speakers=1))
    return store, project


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tiny_checkpoints(tmp_path_factory.mktemp("models"))
    (folder / "AnyTalker" / "config.json").write_text(
        json.dumps({"_class_name": "AnyTalkerTransformer3DModel", "attention_head_dim": HEAD_DIM})
    )
    return folder


@pytest.fixture(scope="module")
def whole(made: tuple[ProjectStore, Project], checkpoints: Path) -> tuple[list[object], Project]:
    """The events of a preview that nothing disturbed, and the project after it."""
    store, project = made[0], with_somebody_still(made[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROUNDTABLE_MODELS", str(checkpoints))
        events = [_kept(event) for event in render_take(store, project, SETTINGS)]
    assert not list(store.cache_folder.glob("windows-*"))
    return events, project


def _kept(event: object) -> object:
    return FrameReady(event.index, event.rgb.copy()) if isinstance(event, FrameReady) else event


@pytest.fixture
def models(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(checkpoints))
    return checkpoints


@pytest.fixture
def store(made: tuple[ProjectStore, Project]) -> Iterator[ProjectStore]:
    yield made[0]
    forget_windows(made[0], keep=0)


@pytest.fixture
def project(made: tuple[ProjectStore, Project]) -> Project:
    return with_somebody_still(made[1])


def with_somebody_still(project: Project) -> Project:
    project = project.model_copy(deep=True)
    project.scene.cast[5].part = Part.STILL
    return project


def settings(**changes: object) -> RenderSettings:
    return SETTINGS.model_copy(update=changes)


def frames_of(events: Iterable[object]) -> np.ndarray:
    return np.stack([event.rgb.copy() for event in events if isinstance(event, FrameReady)])


def test_a_preview_is_a_video_of_the_whole_range(whole: tuple[list[object], Project]) -> None:
    events, project = whole
    done = events[-1]
    assert isinstance(done, TakeDone)
    frames = frames_of(events)
    assert frames.shape == (29, 128, 224, 3)
    assert np.abs(np.diff(frames.astype(np.float32), axis=0)).mean() > 0.01
    steps = [event for event in events if isinstance(event, StageProgress) and event.stage == "render"]
    assert [event.done for event in steps] == list(range(1, steps[-1].total + 1))
    assert steps[-1].text == "Window 2 of 2, step 2 of 2"
    assert sum(isinstance(event, RoughFrame) for event in events) == len(steps)
    take = project.scene.takes[-1]
    assert (take.status, take.model, len(take.weights_sha256)) == ("done", "anytalker-1.3b", 64)
    with av.open(str(done.video_path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 29


def test_still_people_are_the_photo_to_the_pixel(whole: tuple[list[object], Project]) -> None:
    frames, project = frames_of(whole[0]), whole[1]
    face = project.scene.face(project.scene.cast[5].face_id or "")
    x0, y0, x1, y1 = (round(value * 128 / 720) for value in face.box_px)
    still = frames[:, y0:y1, x0:x1].astype(np.int16)
    assert np.abs(np.diff(still, axis=0)).max() == 0
    assert np.abs(np.diff(frames.astype(np.int16), axis=0)).max() > 0


def test_a_killed_render_goes_on_to_the_same_frames(
    store: ProjectStore, project: Project, models: Path, whole: tuple[list[object], Project]
) -> None:
    kill_at, steps = random.randint(1, 3), 0
    with closing(render_take(store, project, SETTINGS)) as events:
        for event in events:
            steps += isinstance(event, StageProgress) and event.stage == "render"
            if steps == kill_at:
                break
    assert project.scene.takes[-1].status == "cancelled"
    events = list(render_take(store, project, SETTINGS))
    np.testing.assert_array_equal(frames_of(events), frames_of(whole[0]))
    made_again = [event for event in events if isinstance(event, StageProgress) and event.stage == "render"]
    assert len(made_again) == 4 - 2 * ((kill_at - 1) // 2)


def test_another_plan_starts_anew(store: ProjectStore, project: Project, models: Path) -> None:
    with closing(render_take(store, project, SETTINGS)) as events:
        next(event for event in events if isinstance(event, StageProgress) and event.text.startswith("Window 2"))
    with closing(render_take(store, project, settings(seed=7))) as events:
        first = next(event for event in events if isinstance(event, StageProgress) and event.stage == "render")
    assert (first.text, first.total) == ("Window 1 of 2, step 1 of 2", 4)


def test_a_damaged_window_is_made_again(
    store: ProjectStore, project: Project, models: Path, whole: tuple[list[object], Project]
) -> None:
    with closing(render_take(store, project, SETTINGS)) as events:
        next(event for event in events if isinstance(event, StageProgress) and event.text.startswith("Window 2"))
    kept = next(store.cache_folder.glob("windows-*/0000.mkv"))
    kept.write_bytes(kept.read_bytes()[:3000])
    np.testing.assert_array_equal(frames_of(render_take(store, project, SETTINGS)), frames_of(whole[0]))


def test_when_the_memory_runs_out_it_goes_on_thriftier_and_keeps_finished_windows(
    store: ProjectStore, project: Project, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[int, MemoryPlan]] = []
    real = diffuse_job.run

    def full_in_window_2(engine, conditioning, sampling, span, preview):  # type: ignore[no-untyped-def]
        tried.append((span.index, engine.plan))
        if span.index == 1 and len(tried) == 2:
            yield from ()
            raise OutOfMemory("The memory ran out while rendering.", "")
        return (yield from real(engine, conditioning, sampling, span, preview))

    def with_another_behind(*arguments):  # type: ignore[no-untyped-def]
        plan = plan_memory(*arguments)  # of so small a picture there is nothing to save
        return replace(plan, thriftier=(replace(plan, keep_keys=False, peak_bytes=plan.peak_bytes - 1),))

    monkeypatch.setattr(diffuse_job, "run", full_in_window_2)
    monkeypatch.setattr(diffuse_job, "plan_memory", with_another_behind)
    frames = frames_of(render_take(store, project, SETTINGS))
    assert len(frames) == 29
    assert [index for index, _ in tried] == [0, 1, 1]
    assert [plan.keep_keys for _, plan in tried] == [True, True, False]


def test_without_the_weights_it_says_what_is_missing_and_the_plan_stays(
    store: ProjectStore, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    before = project.model_copy(deep=True)
    with pytest.raises(ModelMissing, match=r"models get anytalker-1\.3b"):
        next(render_take(store, project, SETTINGS))
    assert project == before


def test_terms_that_somebody_tampered_with_are_not_kept_to() -> None:
    """A note in the cache is a file like any other: only what a preset could say is taken from it."""
    taken = diffuse_job._under({"format": 1, "window": 33, "quantization": "nf4"}, SETTINGS)
    assert (taken.window, taken.quantization) == (33, "nf4")
    for terms in ({"window": 10**9}, {"quantization": "rm -r"}, {"outfit": "red"}):
        assert diffuse_job._under(terms, SETTINGS) == SETTINGS


@pytest.mark.slow
def test_two_processes_give_the_video_of_one_and_end_with_it(
    store: ProjectStore, project: Project, models: Path, whole: tuple[list[object], Project]
) -> None:
    """As on two GPUs; here both share the processor."""
    alone = frames_of(whole[0]).astype(np.int16)
    together = frames_of(render_take(store, project, SETTINGS, num_gpus=2))
    assert np.abs(together - alone).max() <= 2
    assert np.abs(together - alone).mean() < 0.01
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_process_that_dies_is_told_and_finished_windows_stay(
    store: ProjectStore, project: Project, models: Path
) -> None:
    events = render_take(store, project, SETTINGS, num_gpus=2)
    next(event for event in events if isinstance(event, StageProgress) and event.text.startswith("Window 2"))
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(StudioError, match="has ended"):
        list(events)
    assert project.scene.takes[-1].status == "failed"
    assert (next(store.cache_folder.glob("windows-*")) / "0000.json").exists()
    assert not multiprocessing.active_children()
