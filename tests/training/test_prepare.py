"""Videos become clips: real steps on small videos, each filter, bad input, breaks, and a full disk."""

import errno
import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from isolator_file import HERTZ, network, tone
from talking_videos import RATE, astronaut, colleague, made, one_voice, talking, two_voices, write
from typer.testing import CliRunner

from engine.analysis.backends.kim_vocal import load_isolator
from engine.analysis.diarization import default_diarizer
from engine.analysis.faces import default_analyser
from engine.errors import StudioError, WriteFailed
from engine.jobs.events import StageProgress
from engine.media.types import Image, Waveform
from engine.training.prepare.choose import badly_seen
from engine.training.prepare.drops import Reason
from engine.training.prepare.people import PeopleFound, follow_people
from engine.training.prepare.run import PrepareOrder, Tools, prepare
from engine.training.prepare.settings import PrepareSettings
from engine.training.prepare.shots import Look, Shot, ShotsFound, find_shots, people_of, quick_detector
from engine.training.prepare.speech import hear
from engine.training.shards import ShardIndex, read_clips, read_index

ONE = PrepareSettings(stage=1, height=96, width=128, look_every_s=1.0)
TWO = PrepareSettings(stage=2, height=96, width=192, look_every_s=1.0)


class Squares:
    """A codec of means: 4 frames, 8 x 8 pixels."""

    name, stride, channels = "squares", (4, 8, 8), 3

    def encode(self, frames):
        count, height, width, _ = frames.shape
        means = frames.reshape(count, height // 8, 8, width // 8, 8, 3).mean((2, 4))
        later = means[1:].reshape((count - 1) // 4, 4, *means.shape[1:]).mean(1)
        return np.concatenate([means[:1], later]).transpose(3, 0, 1, 2).astype(np.float32) / 127.5 - 1

    def decode(self, latents):
        raise NotImplementedError


class Levels:
    """How loud each frame is."""

    name, layers, channels = "levels", 1, 1

    def encode(self, waveform, frame_rate, num_frames):
        step = round(16_000 / frame_rate)
        padded = np.pad(waveform, (0, max(0, num_frames * step - len(waveform))))[: num_frames * step]
        return np.sqrt((padded.reshape(num_frames, 1, 1, step) ** 2).mean(-1)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that wait for each other on a busy machine would take most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def tools():
    analyser = default_analyser()
    return Tools(Squares(), Levels(), analyser, quick_detector(analyser), default_diarizer())


@cache
def one_talking():
    return talking(astronaut(), one_voice())


@cache
def two_talking():
    left, right, _ = two_voices()
    return np.concatenate([talking(astronaut(), left), talking(colleague(), right)], axis=2)


def last_of(steps):
    *_, last = steps
    return last


def run(source, out, settings=ONE):
    index = last_of(prepare(PrepareOrder(source, out, settings), tools()))
    assert isinstance(index, ShardIndex)
    return index


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder with one video that can be used and many that cannot."""
    folder = tmp_path_factory.mktemp("videos")
    write(folder / "good.mp4", one_talking(), one_voice())
    (folder / "good.txt").write_text("An astronaut talks.", encoding="utf-8")
    still = [astronaut()] * 80
    write(folder / "sub" / "no sound.mp4", still)
    write(folder / "sub" / "silence.mp4", still, Waveform(np.zeros(53_000, np.float32), 16_000))
    write(folder / "sub" / "short.mp4", still[:24], Waveform(one_voice().samples[:16_000], 16_000))
    write(folder / "nobody.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 72, one_voice())
    (folder / "broken.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 20)
    (folder / "empty.mp4").touch()
    (folder / "notes.doc").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def unbroken(videos, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken")
    return run(videos, out), out


def test_what_can_be_used_becomes_clips(unbroken):
    index, out = unbroken
    assert (index.num_clips, index.stage, index.codec, index.audio_encoder) == (1, 1, "squares", "levels")
    assert index.notes == {
        "lip_scores": "correlation of mouth and voice", "voices": "as recorded", "videos": "7", "videos_used": "1"
    }  # fmt: skip
    assert read_index(out) == index
    (clip,) = read_clips(out)
    assert clip.name.startswith("good-")
    assert clip.prompt == "An astronaut talks."
    assert clip.num_frames % 4 == 1
    assert 2.5 <= clip.num_frames / RATE <= 5.5
    num_latents = (clip.num_frames - 1) // 4 + 1
    assert clip.latents.shape == (3, num_latents, 12, 16)
    assert clip.first_frame.shape == (96, 128, 3)
    (person,) = clip.people
    assert person.sync_confidence > 0.5
    assert person.audio_features.shape == (clip.num_frames, 1, 1)
    assert person.audio_features.max() > 0.01
    assert person.boxes_px.shape == (clip.num_frames, 4)
    low, high = person.boxes_px[:, :2].min(0), person.boxes_px[:, 2:].max(0)
    np.testing.assert_array_equal(person.box_px, [*low, *high])


def test_boxes_and_halves_are_around_the_face(unbroken):
    (clip,) = read_clips(unbroken[1])
    assert len(clip.halves) == 2
    for half in clip.halves:
        assert half.latents.shape == (3, clip.latents.shape[1], 12, 8)
        assert half.first_frame.shape == (96, 64, 3)
        assert_face(half.first_frame, half.box_px)
    assert_face(clip.first_frame, clip.people[0].box_px)


def assert_face(picture, box_px):
    """The detector, asked again, finds the face where the box says."""
    (found,) = default_analyser().detector(Image(picture))
    x, y = (found.box_px[0] + found.box_px[2]) / 2, (found.box_px[1] + found.box_px[3]) / 2
    assert box_px[0] < x < box_px[2]
    assert box_px[1] < y < box_px[3]
    assert 0.6 < (box_px[2] - box_px[0]) / (found.box_px[2] - found.box_px[0]) < 1.9


def test_what_cannot_be_used_is_named_and_counted(unbroken):
    index, out = unbroken
    rows = [json.loads(line) for line in (out / "dropped.jsonl").read_text().splitlines()]
    by_video = {row["video"]: row["reason"] for row in rows if row["video"] != "good.mp4"}
    assert by_video == {
        "broken.mp4": "unreadable",
        "empty.mp4": "unreadable",
        "nobody.mp4": "wrong number of faces",
        "sub/no sound.mp4": "no sound",
        "sub/short.mp4": "too short",
        "sub/silence.mp4": "no speech",
    }
    assert index.dropped["unreadable"].count == 2
    assert index.dropped["no sound"].why == "The video has no sound that can be read."
    assert sum(dropped.count for dropped in index.dropped.values()) == len(rows)


def test_voices_are_freed_of_what_plays_beside_them_where_the_network_is_there(tmp_path):
    """A hum as loud as the voice; the network's place is taken by a file of its form that keeps a voice's band."""
    voice = one_voice()
    hum = 0.3 * tone(60, voice.duration_s)[: len(voice.samples)]
    (tmp_path / "videos").mkdir()
    write(tmp_path / "videos" / "hum.mp4", one_talking(), Waveform(voice.samples + hum, voice.sample_rate))
    isolator = load_isolator(network(tmp_path / "voices.onnx", (HERTZ > 100) & (HERTZ < 7000)))
    levels = {}
    for own in (None, isolator):
        order = PrepareOrder(tmp_path / "videos", tmp_path / str(own is None), ONE)
        index = last_of(prepare(order, replace(tools(), isolator=own)))
        assert index.notes["voices"] == ("as recorded" if own is None else "Kim_Vocal_2")
        (clip,) = read_clips(order.out)
        levels[own is None] = clip.people[0].audio_features.min()
    assert levels[False] < 0.2 * levels[True]
    with pytest.raises(StudioError, match="voices was 'Kim_Vocal_2' and is 'as recorded'"):
        last_of(prepare(PrepareOrder(tmp_path / "videos", tmp_path / "False", ONE), tools()))


def test_a_run_that_is_stopped_at_every_step_ends_as_an_unbroken_one(videos, unbroken, tmp_path):
    stages = ["shots", "people", "speech", "choose", "encode"]
    for number, stage in enumerate(stages):  # each run goes on from the last one, and is stopped a stage later
        steps = prepare(PrepareOrder(videos, tmp_path / "out", ONE), tools())
        seen = []
        for step in steps:
            seen.append(step)
            if isinstance(step, StageProgress) and step.stage == stage and "good" in step.text:
                break
        steps.close()
        ran = {step.stage for step in seen if isinstance(step, StageProgress) and "good" in step.text}
        assert not ran & set(stages[:2]) - set(stages[max(0, number - 1) :]), "what was found is not made again"
    (tmp_path / "out" / ".clips-000000.tar.1234.part").write_bytes(b"of a run that was killed")
    run(videos, tmp_path / "out")
    assert made(tmp_path / "out") == made(unbroken[1])


def test_a_kill_between_a_shard_and_its_list_makes_the_same_shard_again(videos, unbroken, tmp_path, monkeypatch):
    from engine.training.prepare import work

    out = tmp_path / "out"
    for name, content in made(unbroken[1]).items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    key = next(out.glob("work/good-*"))
    (out / "clips-000000.tar").rename(key / "clips.tar")
    (out / "packed.json").unlink()
    (out / "index.json").unlink()
    real = work.write_bytes

    def killed(path, content):
        if path.name == "packed.json":
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(work, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        run(videos, out)
    assert (out / "clips-000000.tar").is_file()
    monkeypatch.undo()
    run(videos, out)
    assert made(out) == made(unbroken[1])


def test_a_full_disk_is_told_and_what_is_finished_stays(videos, tmp_path, monkeypatch):
    from engine.training.prepare import run as running

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("broken.mp4", "sub/silence.mp4"):
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_bytes((videos / name).read_bytes())
    monkeypatch.setattr(running, "own_sound", full)  # its temporary file does not fit
    with pytest.raises(WriteFailed, match="disk is full"):
        run(tmp_path / "src", tmp_path / "out")
    assert len(list((tmp_path / "out" / "work").glob("*/done.json"))) == 1
    monkeypatch.setattr(running, "own_sound", lambda facts: (_ for _ in ()).throw(OSError(errno.EIO, "bad disk")))
    with pytest.raises(OSError, match="bad disk"):
        run(tmp_path / "src", tmp_path / "out")
    monkeypatch.undo()
    index = run(tmp_path / "src", tmp_path / "out")
    assert set(index.dropped) == {"unreadable", "no speech"}
    assert index.num_clips == 0
    with pytest.raises(StudioError, match="begun with other settings"):
        run(tmp_path / "src", tmp_path / "out", ONE.model_copy(update={"seed": 3}))


def test_two_people_become_clips_left_to_right(tmp_path):
    write(tmp_path / "src" / "two.mp4", two_talking(), two_voices()[2])
    index = run(tmp_path / "src", tmp_path / "out", TWO)
    assert index.num_clips >= 1, (tmp_path / "out" / "dropped.jsonl").read_text()
    speaks = np.zeros(2)
    for clip in read_clips(tmp_path / "out"):
        assert len(clip.people) == 2
        assert not clip.halves
        assert clip.prompt == "Two people are talking to each other."
        left, right = clip.people
        assert left.box_px[2] <= right.box_px[0]
        loud = np.array([person.audio_features.max() for person in clip.people])
        scores = np.array([person.sync_confidence for person in clip.people])
        assert (scores[loud > 0] > 0.4).all()
        assert (scores[loud == 0] == 0).all()
        speaks += [np.sqrt(np.square(person.audio_features.astype(float)).sum()) for person in clip.people]
    assert (speaks > 0).all(), (tmp_path / "out" / "dropped.jsonl").read_text()


def test_shots_end_at_cuts_and_where_the_camera_shakes(tmp_path):
    first, second = one_talking()[:66], colleague()
    shaken = [np.roll(astronaut(), (9 * (i % 3), 14 * (i % 2)), axis=(0, 1)) for i in range(42)]
    path = write(tmp_path / "v.mp4", [*first, *[second] * 66, *shaken], one_voice())
    found = last_of(find_shots(path, "v", ONE, tools().detector))
    assert [(shot.first, shot.last) for shot in found.shots] == [(0, 66), (66, 132)]
    assert {drop.reason for drop in found.drops} <= {Reason.CAMERA_MOVES, Reason.CUT_TOO_SHORT}
    assert found.drops


def test_people_who_change_places_are_dropped(tmp_path):
    frames = two_talking()[:72].copy()
    frames[30:] = np.concatenate([frames[30:, :, 192:], frames[30:, :, :192]], axis=2)
    path = write(tmp_path / "v.mp4", frames, two_voices()[2])
    boxes = people_of([face.box_px for face in tools().detector(Image(frames[0]))], 0.3)
    looks = [Look(frame=0, boxes_px=boxes)]
    shots = ShotsFound(frame_rate=RATE, num_frames=72, shots=[Shot(first=0, last=72, looks=looks)])
    found = last_of(follow_people(path, "v", shots, TWO, tools().analyser))
    assert isinstance(found, PeopleFound)
    (followed,) = found.followed
    assert badly_seen(followed.between(0, 29), TWO) is None
    assert badly_seen(followed, TWO)[0] is Reason.IDENTITY_CHANGES


def test_sound_without_speech_has_no_turns():
    noise = Waveform(np.random.default_rng(0).normal(scale=0.05, size=48_000).astype(np.float32), 16_000)
    assert [drop.reason for drop in hear(noise, "v", tools().diarizer).drops] == [Reason.NO_SPEECH]
    assert [drop.reason for drop in hear(None, "v").drops] == [Reason.NO_SOUND]


def test_the_command_tells_what_it_made(unbroken, videos, monkeypatch, tmp_path):
    from engine.cli import app
    from engine.training.prepare import encoders
    from engine.training.prepare import run as running

    monkeypatch.setattr(encoders, "load_encoders", lambda *_: (Squares(), Levels()))
    monkeypatch.setattr(running.Tools, "default", staticmethod(lambda codec, audio: replace(tools(), codec=codec)))
    (tmp_path / "s.toml").write_text("look_every_s = 1.0\n")
    words = ["data", "prepare", str(videos), str(unbroken[1]), "--settings", str(tmp_path / "s.toml")]
    words += ["--encoders", "tiny"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "left out, unreadable: 2 (0 s). The file is no video, damaged or empty." in result.output
    assert "1 clips" in result.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--encoders", "mine"], "There are no encoders 'mine'."),
        (["--size", "100x100"], "--size 100x100 cannot be"),
        (["--settings", "SETTINGS"], "stag: Extra inputs are not permitted"),
        (["--settings", "missing.toml"], "cannot be read"),
        ([], "There is no video in"),
    ],
)
def test_a_wrong_command_is_told_before_anything_is_loaded(tmp_path, words, told):
    from engine.cli import app

    (tmp_path / "s.toml").write_text("stag = 2\n")
    words = [str(tmp_path / "s.toml") if word == "SETTINGS" else word for word in words]
    result = CliRunner().invoke(app, ["data", "prepare", str(tmp_path), str(tmp_path / "out"), *words])
    assert isinstance(result.exception, StudioError)
    assert told in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_the_published_encoders_are_named_where_they_are_missing(tmp_path, monkeypatch):
    from engine.errors import ModelMissing
    from engine.training.prepare.encoders import load_encoders

    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    with pytest.raises(ModelMissing, match=r"Wan2\.1_VAE"):
        load_encoders("published")
