"""A real animatic of a real photo and talk through the whole check, as the studio and the command line run it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from engine.check_cli import check_app
from engine.errors import NoFacesFound, StudioError, UnreadableMedia
from engine.evaluation.report import TakeReport
from engine.jobs.analyse import add_photo, add_voices, analyse
from engine.jobs.check_take import check_take
from engine.jobs.check_video import CheckedVideo, VideoOrder, check_video
from engine.jobs.events import StageProgress
from engine.jobs.render_scene import render_take
from engine.media.write import VideoWriter
from engine.project.document import RenderSettings
from engine.project.store import ProjectFiles, ProjectStore
from engine.project.takes import TakeRecord, read_take

RANGE_S = (3.0, 6.6)  # the right one ends, the left one begins
HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def rendered(shared_media: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TakeRecord]:
    folder = tmp_path_factory.mktemp("check") / "pair"
    voices = [(side, shared_media("dialogues", f"talk_11_{side}.flac")) for side in ("left", "right")]
    with ProjectStore.create(folder) as store:
        project = store.load()
        add_photo(store, project, shared_media("photos", "pair_news.png"))
        add_voices(store, project, [(HOSTILE, voices[0][1]), ("Bo", voices[1][1])])
        list(analyse(store, project))
        project.scene.faces[0].name = HOSTILE
        list(render_take(store, project, RenderSettings(height=360, range_s=RANGE_S)))
        take = project.scene.takes[-1]
    return folder, read_take(ProjectFiles(folder).take_folder(take.id))


def checked(folder: Path, record: TakeRecord) -> TakeReport:
    *steps, report = check_take(ProjectFiles(folder), record.scene, record.take)
    assert all(isinstance(step, StageProgress) for step in steps)
    assert isinstance(report, TakeReport)
    return report


@pytest.mark.slow
def test_a_sound_take_is_good_and_one_with_its_voices_swapped_is_not(rendered: tuple[Path, TakeRecord]) -> None:
    folder, record = rendered
    report = checked(folder, record)
    assert report.verdict == "good", report.sentence
    assert [turn.face_id for turn in report.turns] == ["face-2", "face-1"]
    assert report.turns[0].start_s == pytest.approx(RANGE_S[0], abs=0.05)  # in the recording's time
    beside = ProjectFiles(folder).take_folder(record.take.id) / "report.json"
    assert TakeReport.model_validate_json(beside.read_bytes()) == report
    wrong = record.scene.model_copy(deep=True)
    ids = [member.speaker_id for member in wrong.cast]
    for member, other in zip(wrong.cast, reversed(ids), strict=True):
        member.speaker_id = other
    report = checked(folder, record.model_copy(update={"scene": wrong}))
    assert report.verdict == "redo"
    kinds = {finding.kind for finding in report.every_finding() if finding.verdict == "redo"}
    assert {"lip-sync", "silent-mouth"} <= kinds


@pytest.mark.slow
def test_the_command_writes_a_table_json_and_a_page_that_trusts_nobody(
    rendered: tuple[Path, TakeRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    folder, record = rendered
    video = folder / record.take.video_path
    run = CliRunner().invoke(check_app, ["check", str(video), "--project", str(folder), "--out", str(tmp_path)])
    assert run.exit_code == 0, run.output
    assert "Lips and voice" in run.output
    assert "SyncNet's confidence was not measured: put syncnet_v2.model into" in run.output
    report = TakeReport.model_validate_json((tmp_path / "video.check.json").read_bytes())
    page = (tmp_path / "video.check.html").read_text()
    assert report.verdict == "good"
    assert page.count("<svg") == 2
    assert "data:image/jpeg" in page
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


@pytest.mark.slow
def test_a_take_without_a_video_is_refused(rendered: tuple[Path, TakeRecord]) -> None:
    folder, record = rendered
    for path in ("", "../elsewhere.mp4", "takes/none/video.mp4"):
        take = record.take.model_copy(update={"video_path": path})
        with pytest.raises(UnreadableMedia):
            list(check_take(ProjectFiles(folder), record.scene, take))


def frames_to(path: Path, frames: list[np.ndarray]) -> Path:
    with VideoWriter(path, (frames[0].shape[1], frames[0].shape[0]), 25) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def test_a_video_without_faces_or_that_is_none_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (180, 320, 3), np.uint8)
    with pytest.raises(NoFacesFound, match="beginning"):
        list(check_video(VideoOrder(frames_to(tmp_path / "noise.mp4", [noise] * 30))))
    (tmp_path / "no.mp4").write_text("hello")
    with pytest.raises(UnreadableMedia):
        list(check_video(VideoOrder(tmp_path / "no.mp4")))


def test_no_sound_and_too_many_voices_are_named(tmp_path: Path) -> None:
    from skimage.data import astronaut

    face = np.ascontiguousarray(astronaut()[:360, 60:420])
    video = frames_to(tmp_path / "still.mp4", [face] * 40)
    *_, checked = check_video(VideoOrder(video))
    assert isinstance(checked, CheckedVideo)
    kinds = {finding.kind: finding for finding in checked.report.every_finding()}
    assert kinds["sound"].verdict == "unknown"
    assert "no sound" in kinds["sound"].sentence
    assert kinds["freeze"].verdict == "redo"
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(1).normal(size=32000) * 0.05, 16000)
    voices = [(name, tmp_path / f"{name}.wav") for name in ("a", "b")]
    turns = tmp_path / "turns.rttm"
    turns.write_text("SPEAKER x 1 0.2 1.2 <NA> <NA> a <NA> <NA>\nSPEAKER x 1 30 9 <NA> <NA> b <NA> <NA>\n")
    *_, checked = check_video(VideoOrder(video, voices, turns))
    assert isinstance(checked, CheckedVideo)
    sentences = " ".join(finding.sentence for finding in checked.report.every_finding())
    assert "2 voices, 1 faces: b is taken to be off-screen" in sentences
    assert "go on until 39.0 s" in sentences
    turns.write_text("SPEAKER x 1 0.2 1.2 <NA> <NA> somebody <NA> <NA>\n")
    with pytest.raises(StudioError, match="somebody"):
        list(check_video(VideoOrder(video, voices, turns)))


def test_what_evaluate_refuses_and_names(tmp_path: Path) -> None:
    run = CliRunner().invoke(check_app, ["evaluate", "--benchmark", "other"])
    assert isinstance(run.exception, StudioError)
    (tmp_path / "videos").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (180, 320, 3), np.uint8)
    frames_to(tmp_path / "videos" / "noise.mp4", [noise] * 20)
    annotations = tmp_path / "a.json"
    annotations.write_text(json.dumps({"noise": {"left": [[0.0, 0.5]], "right": []}, "gone": {"left": [[0, 1]]}}))
    arguments = ["evaluate", "--videos", str(tmp_path / "videos"), "--annotations", str(annotations)]
    run = CliRunner().invoke(check_app, arguments)
    assert run.exit_code == 0, run.output
    assert "0 of 2 videos" in run.output
    assert "FAILED noise.mp4: No face" in run.output
    assert "FAILED gone" in run.output
    run = CliRunner().invoke(
        check_app, ["evaluate", "make-benchmark", str(tmp_path / "videos"), "--out", str(tmp_path / "made")]
    )
    assert "0 of 1 videos" in run.output
    assert json.loads((tmp_path / "made" / "annotations.json").read_text())["left_out"]["noise.mp4"]
