"""A take with a part made anew: real animatics, and a preview through tiny networks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_models import HEAD_DIM, write_tiny_checkpoints

from engine.errors import StudioError
from engine.jobs.control import Control
from engine.jobs.events import FrameReady
from engine.jobs.job import Job, as_redo, new_job, write_job
from engine.jobs.redo import Renewed, redo_settings
from engine.jobs.render_scene import render_snapshot
from engine.media.frames import frames_of, look_into
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.media.write import VideoWriter, write_waveform
from engine.project.document import RenderSettings, Scene, Take
from engine.project.reading import read_project
from engine.project.store import ProjectFiles
from engine.project.takes import write_take

SECOND_TIME = 2.0  # levels that it costs at most to compress pictures once more

SETTINGS = RenderSettings(height=192, range_s=(0.5, 3.5), captions="burnt-in", visible_mark=True)


@pytest.fixture(scope="module")
def files(copied: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> ProjectFiles:
    return ProjectFiles(copied(tmp_path_factory.mktemp("redo") / "project"))


@pytest.fixture(scope="module")
def scene(files: ProjectFiles) -> Scene:
    return read_project(files.folder / "project.json").scene


@pytest.fixture(scope="module")
def old(files: ProjectFiles, scene: Scene) -> Take:
    return rendered(files, new_job(scene, SETTINGS))


def rendered(files: ProjectFiles, job: Job, stop_at: int | None = None) -> Take:
    control, take = Control(), job.take
    write_job(files, job)
    for event in render_snapshot(files, job.scene, take, control):
        if isinstance(event, FrameReady) and event.index + 1 == stop_at:
            control.ask("keep")
    take.status = "done"
    write_take(files.take_folder(take.id), take, job.scene)
    return take


def redone(files: ProjectFiles, scene: Scene, old: Take, range_s: tuple[float, float]) -> Take:
    settings, shown = redo_settings(files, scene, old.id, range_s)
    return rendered(files, as_redo(new_job(scene, settings), old.id, shown))


def frames(files: ProjectFiles, take: Take) -> np.ndarray:
    video = files.folder / take.video_path
    with frames_of(video, inside := look_into(video)) as pictures:
        assert inside.has_sound
        return np.stack(list(pictures)).astype(np.int16)


def difference(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """(num_frames,) mean level difference."""
    return np.abs(one - two).mean(axis=(1, 2, 3))


def test_only_the_range_is_new_and_everything_else_is_the_old_take(
    files: ProjectFiles, scene: Scene, old: Take
) -> None:
    take = redone(files, scene, old, (1.5, 2.5))
    assert (take.redo_of, take.redo_range_s) == (old.id, (1.5, 2.5))
    assert take.settings == old.settings.model_copy(update={"seed": old.settings.seed + 1})
    assert take.duration_s == old.duration_s == 3.0
    assert take.inputs_sha256 != old.inputs_sha256
    before, after = frames(files, old), frames(files, take)
    x0, y0, x1, y1 = (round(value * SETTINGS.height / 512) for value in scene.faces[0].box_px)
    face = np.s_[:, y0:y1, x0:x1]
    changed = difference(before[face], after[face])
    far = [*range(16), *range(59, 75)]  # 0.3 s (8 frames) and a bit around the frames 25..50
    assert changed[far].max() < SECOND_TIME
    assert changed[27:48].min() > 1.5 * SECOND_TIME
    # Nothing jumps where old meets new.
    cut = difference(before[25:50], after[25:50]).mean()
    assert difference(after[1:], after[:-1])[15:60].max() < cut / 2
    mark = np.s_[:, :14, :60]
    assert difference(before[mark], after[mark]).max() < 3
    sounds = [load_waveform(files.folder / each.video_path, 16000).samples for each in (old, take)]
    np.testing.assert_array_equal(*sounds)
    assert (files.folder / old.video_path).exists()


def test_each_redo_has_a_seed_of_its_own_also_one_of_a_redo(files: ProjectFiles, scene: Scene, old: Take) -> None:
    first = as_redo(new_job(scene, redo_settings(files, scene, old.id, None)[0]), old.id, None)
    write_job(files, first)
    again = redo_settings(files, scene, old.id, None)[0].seed
    assert len({old.settings.seed, first.take.settings.seed, again}) == 3
    shutil.rmtree(files.take_folder(first.take.id))


def test_of_a_take_that_was_stopped_only_what_it_shows(files: ProjectFiles, scene: Scene) -> None:
    old = rendered(files, new_job(scene, SETTINGS.model_copy(update={"captions": "none"})), stop_at=40)
    shown = old.duration_s
    assert 1.6 <= shown < 1.8
    take = redone(files, scene, old, (1.5, 3.5))
    assert take.redo_range_s == (1.5, 0.5 + shown)
    assert take.duration_s == shown
    assert difference(frames(files, old), frames(files, take))[:15].max() < SECOND_TIME
    with pytest.raises(StudioError, match="nothing to redo"):
        redo_settings(files, scene, old.id, (2.5, 3.0))


def test_a_take_that_is_gone_or_shows_something_else_is_refused(files: ProjectFiles, scene: Scene, old: Take) -> None:
    for take_id in ("../../etc", "nobody"):
        with pytest.raises(StudioError):
            redo_settings(files, scene, take_id, (1.5, 2.5))
    assert scene.photo
    assert scene.dialogue
    for name, ref in (("photo", scene.photo), ("dialogue", scene.dialogue)):
        other = scene.model_copy(update={name: ref.model_copy(update={"sha256": "0" * 64})})
        with pytest.raises(StudioError, match="made of another"):
            redo_settings(files, other, old.id, (1.5, 2.5))
    video = files.folder / old.video_path
    video.rename(video.with_suffix(".away"))
    try:
        with pytest.raises(StudioError, match="is gone"):
            redo_settings(files, scene, old.id, (1.5, 2.5))
    finally:
        video.with_suffix(".away").rename(video)


def test_the_blend_lies_around_the_range_and_inside_the_take() -> None:
    middle = Renewed.of((1.0, 2.0), 0.0, 25, 75)
    assert (middle.first, middle.rise, middle.fall, middle.end) == (17, 8, 8, 58)
    shares = [middle.share(index) for index in range(middle.first, middle.end)]
    assert shares[8:33] == [1.0] * 25
    assert 0 < shares[0] < shares[7] < 1
    assert 0 < shares[-1] < shares[-8] < 1
    whole = Renewed.of((0.0, 3.0), 0.0, 25, 75)
    assert [whole.share(index) for index in (0, 74)] == [1.0, 1.0]


def test_a_preview_goes_on_from_the_old_pictures(
    files: ProjectFiles, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = write_tiny_checkpoints(tmp_path / "models")
    config = {"_class_name": "AnyTalkerTransformer3DModel", "attention_head_dim": HEAD_DIM}
    (models / "AnyTalker" / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(models))
    settings = RenderSettings(
        kind="preview", model="anytalker-1.3b", height=128, frame_rate=24, num_inference_steps=1, shift=3, window=33,
        overlap=9, range_s=(0.0, 2.0), captions="none", quantization="none",
    )  # fmt: skip
    old = made_of(files, new_job(scene, settings), moving_bars(48, 128))
    take = redone(files, scene, old, (0.8, 1.2))
    before, after = frames(files, old), frames(files, take)
    assert len(before) == len(after) == 48
    changed = difference(before, after)
    assert changed[[*range(11), *range(38, 48)]].max() < SECOND_TIME
    assert changed[20:28].min() > 5 * SECOND_TIME
    assert len(take.weights_sha256) == 64
    assert not list(files.cache_folder.glob("windows-*"))


def moving_bars(num_frames: int, side: int) -> np.ndarray:
    columns = np.arange(side)[None, None, :, None] + 2 * np.arange(num_frames)[:, None, None, None]
    grey = 128 + 90 * np.sin(columns / 9)
    return np.broadcast_to(grey, (num_frames, side, side, 3)).astype(np.uint8)


def made_of(files: ProjectFiles, job: Job, pictures: np.ndarray) -> Take:
    """A finished take whose video shows ``pictures``."""
    folder, take = files.take_folder(job.take.id), job.take
    write_job(files, job)
    silence = write_waveform(folder / "silence.wav", Waveform(np.zeros(16000 * 2, np.float32), 16000))
    with VideoWriter(folder / "video.mp4", pictures.shape[2:0:-1], take.settings.frame_rate, silence) as writer:
        for picture in pictures:
            writer.write(picture)
    take.status, take.video_path = "done", f"takes/{take.id}/video.mp4"
    write_take(folder, take, job.scene)
    return take
