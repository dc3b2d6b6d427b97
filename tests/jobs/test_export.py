"""A take leaves the studio in every format and shape, whole or not at all, and says nothing that it should not."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image as PilImage

from engine.compositing.credentials import read_credentials
from engine.compositing.loudness import measure
from engine.compositing.provenance import read_mark
from engine.demo import demo_dialogue
from engine.errors import StudioError, UnreadableMedia, WriteFailed
from engine.export_cli import _settings
from engine.jobs.events import StageProgress
from engine.jobs.export_take import ExportDone, export_take, suffix_of
from engine.media import ffmpeg
from engine.media.frames import frames_of, look_into
from engine.media.read import load_waveform
from engine.media.write import VideoWriter
from engine.project.document import (
    CastMember,
    ExportSettings,
    Face,
    MediaInfo,
    MediaRef,
    Part,
    Project,
    RenderSettings,
    Scene,
    Speaker,
    Take,
    Turn,
)
from engine.project.store import ProjectFiles
from engine.project.takes import write_take

RATE, DURATION_S, SIZE = 25, 4.4, (480, 270)
PLAIN = {"credentials": False, "captions": "none"}
RED, BLUE = (40, 130), (350, 440)
"""Where the two people stand, across."""


def picture(index):
    """A red and a blue person far apart on grey that lightens slowly."""
    rgb = np.full((SIZE[1], SIZE[0], 3), 110 + index // 10, np.uint8)
    rgb[90:200, RED[0] : RED[1]] = (200, 40, 40)
    rgb[90:200, BLUE[0] : BLUE[1]] = (40, 60, 200)
    rgb[140 + index % 20, RED[0] : RED[1]] = 255
    return rgb


def turn(speaker, start_s, end_s, text):
    return Turn(speaker_id=speaker, start_s=start_s, end_s=end_s, text=text)


def scene_of(folder):
    def ref(name, **info):
        return MediaRef(path=f"media/{name}", sha256=name, info=MediaInfo(**info))

    def person(name, across, consent):
        return Face(id=name, name=name, colour="#e4572e", box_px=(across[0], 90, across[1], 200), consent=consent)

    photo = ref("photo.png", kind="image", width=SIZE[0], height=SIZE[1])
    talk = ref("talk.wav", kind="audio", duration_s=DURATION_S, sample_rate=16000, num_channels=1)
    return Scene(
        photo=photo,
        dialogue=talk,
        faces=[person("r", RED, "Ada signed on paper in Turin"), person("b", BLUE, "")],
        speakers=[Speaker(id="1", name="Ada <b>"), Speaker(id="2", name="Bob")],
        turns=[turn("1", 0.2, 2.0, "hello {there}"), turn("2", 2.2, 4.2, "good morning")],
        cast=[
            CastMember(face_id="r", speaker_id="1", part=Part.TALKS),
            CastMember(face_id="b", speaker_id="2", part=Part.TALKS),
        ],
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with a take, as a render leaves it: (files, scene, take)."""
    folder = tmp_path_factory.mktemp("made") / "Sofa talk"
    (folder / "media").mkdir(parents=True)
    talk = load_waveform(demo_dialogue(), 16000).samples[5 * 16000 : round((5 + DURATION_S) * 16000)]
    soundfile.write(folder / "media/talk.wav", talk, 16000)
    PilImage.fromarray(picture(0)).save(folder / "media/photo.png")
    store, scene = ProjectFiles(folder), scene_of(folder)
    take = Take(id="one", settings=RenderSettings(height=SIZE[1]), status="done", video_path="takes/one/video.mp4")
    with VideoWriter(store.take_folder("one") / "video.mp4", SIZE, RATE, folder / "media/talk.wav") as writer:
        for index in range(round(DURATION_S * RATE)):
            writer.write(picture(index))
    write_take(store.take_folder("one"), take, scene)
    project = Project(title="Sofa talk", scene=scene.model_copy(update={"takes": [take]}, deep=True))
    (folder / "project.json").write_text(project.model_dump_json())
    return store, scene, take


@pytest.fixture(autouse=True)
def own_identity(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ROUNDTABLE_SIGNING", str(tmp_path_factory.getbasetemp() / "signing"))


def exported(made, target, take=None, scene=None, **settings):
    store, snapshot, whole = made
    steps = list(export_take(store, scene or snapshot, take or whole, ExportSettings(**settings), target))
    assert isinstance(steps[-1], ExportDone)
    assert all(isinstance(step, StageProgress) for step in steps[:-1])
    return steps[-1]


def with_settings(take, **settings):
    return take.model_copy(update={"settings": take.settings.model_copy(update=settings)})


def pictures(path):
    inside = look_into(path)
    with frames_of(path, inside) as frames:
        return np.stack(list(frames))


def own_video(made):
    return made[0].folder / "takes/one/video.mp4"


def colours(frame):
    """How much of a frame is red, and how much is blue."""
    red, _, blue = (frame[..., channel].astype(int) for channel in range(3))
    return (red - blue > 80).mean(), (blue - red > 80).mean()


def test_pictures_and_sound_that_need_no_change_are_the_takes_own(made, tmp_path):
    done = exported(made, tmp_path / "talk")
    assert [path.name for path in done.paths] == ["talk.mp4", "talk.srt", "talk.vtt"]
    assert done.remarks == ()
    assert np.array_equal(pictures(done.paths[0]), pictures(own_video(made)))
    before, after = (load_waveform(path, 16000).samples for path in (own_video(made), done.paths[0]))
    assert np.array_equal(before, after)
    srt, vtt = (path.read_text() for path in done.paths[1:])
    assert "Ada ‹b›: hello (there)" in srt
    assert "<v Bob>Bob: good morning</v>" in vtt
    assert "<b>" not in vtt.replace("<v ", "")
    assert read_mark(done.paths[0])
    report = read_credentials(done.paths[0])
    assert report["validation_state"] == "Valid"
    assert "noted for 1 of 2 people" in str(report)
    titles = [each["title"] for each in report["manifests"][report["active_manifest"]]["ingredients"]]
    assert titles == ["Photo", "Recording"]
    assert b"Turin" not in done.paths[0].read_bytes()
    assert not list(made[0].cache_folder.glob("export-*"))


@pytest.mark.parametrize(
    "wanted",
    [
        ("h264", "h264", "yuv420p", "aac", "avc1"),
        ("h265", "hevc", "yuv420p", "aac", "hvc1"),
        ("prores", "prores", "yuv422p10le", "pcm_s24le", "apch"),
        ("webm", "vp9", "yuv420p", "opus", None),
    ],
    ids=lambda wanted: wanted[0],
)
def test_every_format_plays_with_its_colours_and_its_sound_in_time(made, tmp_path, wanted):
    format_name, codec, pixels, sound, tag = wanted
    done = exported(made, tmp_path / "a.b", format=format_name, captions="none", visible_mark=True)
    path = done.paths[0]
    assert path.name == f"a.b{suffix_of(format_name)}"
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0].codec_context, container.streams.audio[0].codec_context
        assert (video.name, video.pix_fmt, audio.name) == (codec, pixels, sound)
        assert tag is None or video.codec_tag == tag
        assert (video.colorspace, video.color_primaries, video.color_trc, video.color_range) == (1, 1, 1, 1)
        assert container.streams.video[0].average_rate == RATE
    shown, was = pictures(path), pictures(own_video(made))
    assert shown.shape == was.shape
    assert np.abs(shown[:, 60:].astype(int) - was[:, 60:]).mean() < 1.5
    assert read_mark(path).software == read_mark(exported(made, tmp_path / "x", **PLAIN).paths[0]).software
    heard, again = (load_waveform(each, 16000).samples for each in (own_video(made), path))
    assert abs(len(again) - len(heard)) < 1024
    lags = np.correlate(again[20000:50000], heard[19900:50100], "valid")
    assert abs(int(lags.argmax()) - 100) <= 1
    if format_name == "webm":
        assert "cannot carry content credentials" in done.remarks[0]
    else:
        assert read_credentials(path)["validation_state"] == "Valid"
        assert done.remarks == ()


def test_upright_shows_whoever_speaks_and_nothing_else(made, tmp_path):
    shown = pictures(exported(made, tmp_path / "up", aspect="9:16", **PLAIN).paths[0])
    assert shown.shape[1:3] == (540, 304)
    reds, blues = np.array([colours(frame) for frame in shown]).T
    first_blue = int(np.argmax(blues > 0.1))
    assert (reds[:first_blue] > 0.15).all()
    assert (blues[:first_blue] < 0.01).all()
    assert (blues[first_blue:] > 0.15).all()
    assert (reds[first_blue:] < 0.01).all()
    assert 2.2 - 0.3 < first_blue / RATE < 2.2  # a moment before the voice
    assert shown.max(-1).min() > 60  # no black bars


def test_upright_without_following_shows_both_before_a_soft_ground(made, tmp_path):
    shown = pictures(exported(made, tmp_path / "up", aspect="9:16", follow_speaker=False, **PLAIN).paths[0])
    assert all(min(colours(frame)) > 0.02 for frame in shown[::25])


def test_a_shape_that_holds_everybody_stands_still(made, tmp_path):
    near = made[1].model_copy(deep=True)
    near.faces[1].box_px = (160, 90, 250, 200)
    shown = pictures(exported(made, tmp_path / "sq", scene=near, aspect="1:1", **PLAIN).paths[0])
    assert shown.shape[1:3] == (404, 404)
    edges = [np.argmax((frame[200, :, 0].astype(int) - frame[200, :, 2]) > 80) for frame in shown]
    assert len(set(edges)) == 1


def test_captions_are_burnt_in_above_what_apps_cover_and_only_while_somebody_speaks(made, tmp_path):
    plain = pictures(exported(made, tmp_path / "plain", aspect="9:16", **PLAIN).paths[0]).astype(int)
    settings = {**PLAIN, "captions": "burnt-in"}
    done = exported(made, tmp_path / "burnt", aspect="9:16", **settings)
    assert len(done.paths) == 1
    changed = np.abs(pictures(done.paths[0]) - plain).max(-1) > 60
    rows = np.nonzero(changed[RATE].any(1))[0]
    assert rows.min() > 540 * 0.6
    assert rows.max() < 540 * 0.82
    assert changed[RATE].mean() > 0.02
    assert not changed[2].any()


def test_captions_and_marks_are_not_drawn_twice(made, tmp_path):
    burnt = with_settings(made[2], captions="burnt-in", visible_mark=True)
    done = exported(made, tmp_path / "a", take=burnt, captions="burnt-in", visible_mark=True, credentials=False)
    assert np.array_equal(pictures(done.paths[0]), pictures(own_video(made)))
    assert "already" in done.remarks[0]
    kept = exported(made, tmp_path / "b", take=with_settings(made[2], visible_mark=True), **PLAIN)
    assert "stays" in kept.remarks[0]
    with pytest.raises(StudioError, match="would cut"):
        exported(made, tmp_path / "c", take=burnt, aspect="9:16")
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("format_name", ["h264", "webm"])
def test_loudness_of_the_finished_file(made, tmp_path, format_name):
    done = exported(made, tmp_path / "loud", format=format_name, loudness_lufs=-16, aspect="1:1", **PLAIN)
    found = measure(done.paths[0])
    assert found.integrated_lufs == pytest.approx(-16, abs=0.5)
    assert found.peak_dbtp <= -1


def test_a_silent_recording_is_left_as_it_is(made, tmp_path):
    store, _, take = made
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    with VideoWriter(store.take_folder("silent") / "video.mp4", SIZE, RATE, tmp_path / "silent.wav") as writer:
        for index in range(RATE):
            writer.write(picture(index))
    silent = take.model_copy(update={"id": "silent", "video_path": "takes/silent/video.mp4"})
    done = exported(made, tmp_path / "s", take=silent, loudness_lufs=-14, **PLAIN)
    assert "silent" in done.remarks[0]
    assert measure(done.paths[0]).is_silent


@pytest.mark.parametrize("settings", [{"aspect": "9:16"}, {"format": "prores", "loudness_lufs": -23}])
def test_stopping_leaves_what_was_there_before(made, tmp_path, settings):
    path = tmp_path / f"v{suffix_of(settings.get('format', 'h264'))}"
    path.write_bytes(b"an older export")
    steps = export_take(*made, ExportSettings(**settings), tmp_path / "v")
    for step in steps:
        if isinstance(step, StageProgress) and step.stage == "export" and step.done == 20:
            break
    steps.close()
    assert path.read_bytes() == b"an older export"
    assert os.listdir(tmp_path) == [path.name]
    assert not list(made[0].cache_folder.glob("export-*"))


@pytest.mark.parametrize("name", ["-o", "a b'\"$(x) 日本", "%d", "concat:a.b", "x" * 240])
def test_hostile_names(made, tmp_path, name):
    (path,) = exported(made, tmp_path / name, captions="none").paths
    assert path == tmp_path / f"{name}.mp4"
    assert read_credentials(path)["validation_state"] == "Valid"
    assert os.listdir(tmp_path) == [path.name]


def test_no_folder_and_the_takes_own_video_are_refused(made, tmp_path):
    before = own_video(made).read_bytes()
    for credentials in (True, False):
        with pytest.raises(WriteFailed, match=r"v\.mp4"):
            exported(made, tmp_path / "absent" / "v", captions="none", credentials=credentials)
        with pytest.raises(StudioError, match="own video"):
            exported(made, own_video(made).with_suffix(""), credentials=credentials)
    assert own_video(made).read_bytes() == before


@pytest.mark.parametrize("path", ["", "takes/none/video.mp4", "../../etc/passwd", "/etc/passwd", "takes"])
def test_a_take_without_a_video(made, tmp_path, path):
    with pytest.raises(UnreadableMedia, match="no video"):
        exported(made, tmp_path / "v", take=made[2].model_copy(update={"video_path": path}))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("share", "aspect"), [(0.1, "photo"), (0.6, "photo"), (0.6, "9:16"), (0.97, "photo")])
def test_a_video_that_is_cut_short(made, tmp_path, share, aspect):
    store, _, take = made
    content = own_video(made).read_bytes()
    (store.take_folder("cut") / "video.mp4").write_bytes(content[: round(len(content) * share)])
    cut = take.model_copy(update={"id": "cut", "video_path": "takes/cut/video.mp4"})
    with pytest.raises(UnreadableMedia):
        exported(made, tmp_path / "v", take=cut, aspect=aspect)
    assert os.listdir(tmp_path) == []


def test_a_missing_encoder_is_told_at_once(made, tmp_path, monkeypatch):
    assert {"libx264", "libx265", "prores_ks", "libvpx-vp9", "libopus", "aac"} <= ffmpeg.encoders()
    monkeypatch.setattr(ffmpeg, "encoders", lambda: frozenset({"libx264", "aac"}))
    with pytest.raises(StudioError, match="no libx265") as caught:
        exported(made, tmp_path / "v", format="h265")
    assert caught.value.remedy == "Choose H.264."


def test_without_a_usable_certificate_the_video_comes_all_the_same(made, tmp_path, monkeypatch):
    (tmp_path / "signing").mkdir()
    (tmp_path / "signing" / "identity.pem").write_text("no key")
    monkeypatch.setenv("ROUNDTABLE_SIGNING", str(tmp_path / "signing"))
    done = exported(made, tmp_path / "v", captions="none")
    assert "no content credentials" in done.remarks[0]
    assert np.array_equal(pictures(done.paths[0]), pictures(own_video(made)))
    assert read_credentials(done.paths[0]) is None


@pytest.mark.skipif(os.name == "nt", reason="file size limits are POSIX")
@pytest.mark.parametrize("more", ["aspect='9:16'", "credentials=False", "captions='none'"])
def test_a_full_disk_leaves_the_older_export(made, tmp_path, more):
    (tmp_path / "v.mp4").write_bytes(b"an older export")
    code = f"""
        import resource, sys
        from pathlib import Path
        from engine.errors import WriteFailed
        from engine.jobs.export_take import export_take
        from engine.project.document import ExportSettings
        from engine.project.store import ProjectFiles
        from engine.project.takes import read_take
        store = ProjectFiles(Path(sys.argv[1]))
        record = read_take(store.take_folder("one"))
        size = Path(sys.argv[1], "takes/one/video.mp4").stat().st_size
        limit = size - 3000 if "aspect" not in "{more}" else 20000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            list(export_take(store, record.scene, record.take, ExportSettings({more}), Path(sys.argv[2])))
            print("written")
        except WriteFailed as error: print("refused:", error)
        """
    command = [sys.executable, "-c", textwrap.dedent(code), str(made[0].folder), str(tmp_path / "v")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("refused:"), done.stdout + done.stderr
    assert (tmp_path / "v.mp4").read_bytes() == b"an older export"
    assert os.listdir(tmp_path) == ["v.mp4"]
    assert not list(made[0].cache_folder.glob("export-*"))


def test_the_command_exports_what_it_is_told(made, tmp_path):
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-W", "ignore", "-m", "engine", "export", str(made[0].folder), "--take", "o"]
    told = ["--aspect", "1:1", "--loudness", "-23", "--captions", "none", "--no-credentials", "--out", "-my talk.mp4"]
    environment = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"}
    done = subprocess.run([*command, *told], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "-my talk.mp4"
    inside = look_into(tmp_path / "-my talk.mp4")
    assert inside.size == (404, 404)
    assert measure(tmp_path / "-my talk.mp4").integrated_lufs == pytest.approx(-23, abs=0.5)


def test_the_command_line_stands_before_the_project():
    ours = ExportSettings(format="webm", loudness_lufs=-14)
    assert _settings(ours, {"aspect": "9:16", "loudness_lufs": None}, "none").loudness_lufs is None
    assert _settings(ours, {"aspect": "9:16", "loudness_lufs": None}, None).loudness_lufs == -14
    with pytest.raises(StudioError, match="--aspect 4:3"):
        _settings(ours, {"aspect": "4:3"}, None)
