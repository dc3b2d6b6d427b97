"""The command line as people meet it: every error is one sentence with a remedy, and nothing is left behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from engine.cli import show
from engine.demo import demo_dialogue
from engine.jobs.events import StageProgress


def engine(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[1]
    no_models = {"ROUNDTABLE_MODELS": str(cwd.parent / "no models")}
    environment = {**os.environ, **no_models, "PYTHONPATH": str(root), "COLUMNS": "200"}
    command = [sys.executable, "-W", "ignore", "-m", "engine", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from skimage.data import astronaut

    path = tmp_path_factory.mktemp("photo") / "It's a photo $(touch pwned) – ü.png"
    Image.fromarray(astronaut()).save(path)
    return path


def test_faces_as_json(photo: Path, tmp_path: Path) -> None:
    done = engine("faces", photo, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    faces = json.loads(done.stdout)["faces"]
    assert len(faces) == 1
    assert faces[0]["box_px"][0] < 225 < faces[0]["box_px"][2]


def test_from_media_to_a_video_with_hostile_names(photo: Path, tmp_path: Path) -> None:
    talk = tmp_path / '-talk "one"; rm.wav'
    samples, rate = soundfile.read(demo_dialogue())
    soundfile.write(talk, samples[5 * rate : 9 * rate], rate)
    project = tmp_path / "my 'project' $(x)"
    made = engine("new", project, "--photo", photo, "--dialogue", talk, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "1 face, " in made.stdout
    video = tmp_path / "out put.mp4"
    done = engine("render", project, "--range", "0:1", "--out", video, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert video.stat().st_size > 5000
    assert video.with_suffix(".srt").exists()
    assert not (tmp_path / "pwned").exists()
    planned = engine("plan", project, "--preset", "final", "--vram", 12, cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "GPU of 12 GB" in planned.stdout
    assert "models get anytalker-1.3b" in planned.stdout
    needless = engine("plan", project, "--preset", "animatic", cwd=tmp_path)
    assert needless.returncode == 1
    assert "needs no plan" in needless.stderr
    thrifty = engine("plan", project, "--preset", "low_memory", "--vram", 8, cwd=tmp_path)
    assert "384 × 384" in thrifty.stdout
    unknown = engine("render", project, "--preset", "finest", cwd=tmp_path)
    assert unknown.returncode == 1
    assert "low_memory" in unknown.stderr
    before = (project / "project.json").read_bytes()
    refused = engine("render", project, "--preset", "preview", cwd=tmp_path)
    assert refused.returncode == 1
    assert "models get anytalker-1.3b" in refused.stderr.replace("\n", " ")
    assert (project / "project.json").read_bytes() == before


def test_models_are_listed_with_what_is_missing(tmp_path: Path) -> None:
    listed = engine("models", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    lines = [line for line in listed.stdout.splitlines() if line.startswith("anytalker")]
    assert [line.split(":")[0] for line in lines] == ["anytalker-1.3b", "anytalker-14b"]
    assert all("missing" in line and "GB" in line for line in lines)


def test_diarize_writes_turns_and_voices_that_add_up(tmp_path: Path) -> None:
    done = engine("diarize", demo_dialogue(), "--out", "call.rttm", "--voices", "voices", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "call.rttm").read_text().splitlines()) > 5
    voices = [soundfile.read(path)[0] for path in sorted((tmp_path / "voices").glob("*.wav"))]
    call = soundfile.read(demo_dialogue())[0]
    assert len(voices) == 2
    assert {len(voice) for voice in voices} == {len(call)}
    loud = np.abs(np.sum(voices, axis=0)) > 0
    assert np.corrcoef(np.sum(voices, axis=0)[loud], call[loud])[0, 1] > 0.95


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("faces", "nothing.jpg"), "nothing.jpg"),
        (("faces", "text.png"), "text.png"),
        (("diarize", "silence.wav", "--out", "x.rttm"), "speech"),
        (("diarize", "text.png", "--out", "x.rttm"), "text.png"),
        (("render", "nowhere"), "nowhere"),
        (("render", "nowhere", "--out", "captions.srt"), ".mp4"),
        (("render", "."), "project"),
        (("new", "p", "--photo", "text.png", "--dialogue", "silence.wav"), "text.png"),
        (("new", "p", "--photo", "text.png"), "--dialogue"),
        (("new", "p", "--photo", "text.png", "--voice", "no-equals-sign"), "NAME=FILE"),
        (("models", "get", "no-such-network"), "no-such-network"),
        (("models", "get", "anytalker-1.3b", "--from", "nowhere"), "nowhere"),
        (("plan", "nowhere"), "nowhere"),
        (("plan", ".", "--preset", "final"), "project"),
        (("plan", "nowhere", "--vram", "0"), "--vram"),
    ],
)
def test_mistakes_are_told_in_a_sentence_and_leave_nothing(
    arguments: tuple[str, ...], words: str, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    soundfile.write(tmp_path / "silence.wav", np.zeros(32000), 16000)
    before = sorted(tmp_path.iterdir())
    done = engine(*(photo if word == "PHOTO" else word for word in arguments), cwd=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_silent_recording_makes_no_project(photo: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(32000), 16000)
    done = engine("new", "p", "--photo", photo, "--dialogue", "silence.wav", cwd=tmp_path)
    assert done.returncode == 1
    assert "speech" in done.stderr
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("range_", ["5", "8:2", "a:b"])
def test_a_wrong_range_is_explained(range_: str, tmp_path: Path) -> None:
    from engine.project.store import ProjectStore

    ProjectStore.create(tmp_path / "p").close()
    done = engine("render", "p", "--range", range_, cwd=tmp_path)
    assert done.returncode == 1
    assert "--range" in done.stderr


def test_work_that_is_interrupted_is_closed_before_the_project_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def working() -> Iterator[StageProgress]:
        try:
            yield StageProgress("render", "Rendering", 1, 2)
        finally:
            closed.append(True)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rich.progress.Progress.update", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        show(working())
    assert closed, caught  # while the error, and with it the generator, is still held
