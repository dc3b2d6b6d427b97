"""Which videos become part of a benchmark: each filter on a small video that it is there for, and one that passes."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.demo import demo_dialogue
from engine.evaluation.benchmark import FORMAT, Figures, read_annotations
from engine.evaluation.video import frames_of, look_at
from engine.jobs import make_benchmark as making
from engine.jobs.evaluate_folder import BenchmarkOrder, evaluate_folder
from engine.jobs.make_benchmark import MadeBenchmark, make_benchmark
from engine.media.read import load_image, load_waveform
from engine.media.write import VideoWriter

FACE_PX, RATE = 240, 5
NUM_FRAMES = 13  # 2.6 s; every second one is looked at for the number of faces
WIDTH = 3 * FACE_PX


def faces_at(*places: float) -> np.ndarray:
    """A picture with the same face at each of the places (0 = left, 1 = middle, 2 = right), on grey."""
    from skimage.data import astronaut

    face = astronaut()[:FACE_PX, 104 : 104 + FACE_PX]
    picture = np.full((FACE_PX, WIDTH, 3), 128, np.uint8)
    for place in places:
        x = round(place * FACE_PX)
        picture[:, x : x + FACE_PX] = face
    return picture


def panned(num_px: int) -> np.ndarray:
    return np.roll(faces_at(0.2, 1.5), num_px, axis=1)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    call = load_waveform(demo_dialogue(), 16000)
    soundfile.write(path, call.samples[int(6.5 * 16000) : int(10.5 * 16000)], 16000)
    return path


def write(path: Path, frames: Sequence[np.ndarray], sound: Path | None) -> None:
    with VideoWriter(path, (frames[0].shape[1], frames[0].shape[0]), RATE, sound) as writer:
        for frame in frames:
            writer.write(frame)


def videos() -> dict[str, tuple[list[np.ndarray], str]]:
    """File name → frames, and why it is to be left out."""
    two, one, three = faces_at(0, 1.5), faces_at(0), faces_at(0, 1, 2)
    small = two[::4, ::4]
    # Between two looks at the number of faces one of them is hidden: only following sees that.
    hidden = [one if index == 11 else two for index in range(NUM_FRAMES)]
    return {
        "short": ([small] * 5, "It lasts 1.0 s; 2 to 60 s are wanted."),
        "long": ([small] * 310, "It lasts 62.0 s; 2 to 60 s are wanted."),
        "alone": ([one] * NUM_FRAMES, "1 faces were found at the beginning instead of 2."),
        "joined": ([two] * 11 + [three] * 2, "3 faces are seen at 2.4 s instead of 2."),
        "pan": ([panned(4 * index) for index in range(NUM_FRAMES)], "The camera moves at 0.8 s."),
        "hidden": (hidden, "A face is lost in 15% of the frames."),
        "still mouths": ([two] * 20, "Which voice belongs to which face is not clear from the mouths."),
    }


@pytest.fixture(scope="module")
def left_out(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "videos").mkdir()
    for name, (frames, _) in videos().items():
        write(folder / "videos" / f"{name}.mp4", frames, speech)
    write(folder / "videos" / "silent film.mp4", videos()["short"][0] * 3, None)
    made = made_of(folder / "videos", folder / "made")
    assert made.kept == []
    return folder / "made", dict(made.left_out)


def made_of(videos: Path, target: Path) -> MadeBenchmark:
    *_, made = make_benchmark(videos, target)
    assert isinstance(made, MadeBenchmark)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", videos())
def test_a_video_is_left_out_for_the_reason_that_is_told(name: str, left_out: tuple[Path, dict[str, str]]) -> None:
    folder, why = left_out
    assert why[f"{name}.mp4"] == videos()[name][1]
    assert json.loads((folder / "annotations.json").read_text())["left_out"] == why


@pytest.mark.slow
def test_a_video_without_sound_is_left_out(left_out: tuple[Path, dict[str, str]]) -> None:
    assert left_out[1]["silent film.mp4"] == "It has no sound."


@pytest.mark.slow
def test_three_voices_are_too_many(
    shared_media: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "LOOK_EVERY_S", 2.0)  # the faces are not what this is about
    talk = []
    for number, side in ((1, "left"), (2, "right"), (5, "left")):
        samples = load_waveform(shared_media("dialogues", f"talk_{number}_{side}.flac"), 16000).samples
        heard = np.convolve(np.abs(samples), np.full(4000, 1 / 4000), "same") > 0.01
        talk.append(samples[heard][:40000])
    soundfile.write(tmp_path / "talk.wav", np.concatenate(talk), 16000)
    (tmp_path / "videos").mkdir()
    write(tmp_path / "videos" / "a.mp4", [faces_at(0, 1.5)] * 38, tmp_path / "talk.wav")
    assert made_of(tmp_path / "videos", tmp_path / "made").left_out == [
        ("a.mp4", "3 voices are heard instead of 1 or 2.")
    ]


@pytest.mark.slow
def test_a_real_talk_becomes_a_benchmark_that_evaluate_reads(shared_media: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    source = shared_media("videos", "anytalker_talk_11.mp4")
    (tmp_path / "videos" / "Ada & Bo!.mp4").write_bytes(source.read_bytes())
    folder = tmp_path / "made"
    made = made_of(tmp_path / "videos", folder)
    assert made == MadeBenchmark(["Ada_Bo"], [])
    document = json.loads((folder / "annotations.json").read_text())
    entry = document["videos"]["Ada_Bo"]
    assert document["format"] == FORMAT
    assert (entry["source"], entry["num_frames"]) == ("Ada & Bo!.mp4", 205)
    said = read_annotations(folder / "annotations.json")["Ada_Bo"]
    ((right_start, right_end),) = said.right  # the right one speaks until 4.5 s, the left one from then on
    ((left_start, left_end),) = said.left
    assert [right_start, right_end, left_start, left_end] == pytest.approx([0.2, 4.5, 4.6, 8.5], abs=0.4)
    facts = look_at(folder / "videos" / "Ada_Bo.mp4")
    first = next(iter(frames_of(facts)))
    assert np.array_equal(load_image(folder / "frames" / "Ada_Bo.png").rgb, first)
    for side, part in (("left", slice(72000, None)), ("right", slice(0, 74000))):
        voice = load_waveform(folder / "voices" / f"Ada_Bo_{side}.flac", 16000)
        assert voice.duration_s == pytest.approx(8.6, abs=0.15)
        assert np.square(voice.samples[part]).sum() > 0.95 * np.square(voice.samples).sum()
    *_, figures = evaluate_folder(BenchmarkOrder(folder / "videos", folder / "annotations.json"))
    assert isinstance(figures, Figures)
    assert figures.failed == []
    (video,) = figures.videos
    assert video.interactivity == pytest.approx(0.45, abs=0.1)
    assert video.sync_r is not None
    assert video.sync_r > 0.4
    assert video.identity is not None
    assert video.identity > 0.95
