"""Made people: voices, faces, the animatic of both, and the measure that a run is judged by."""

import shutil

import numpy as np
import pytest

from engine.animatic.types import Performance
from engine.dit.speech_files import SAMPLE_RATE
from engine.errors import ModelMissing, StudioError
from engine.media.types import Waveform
from engine.training import faces, made_data, voices
from engine.training.faces import HEIGHT_PX, WIDTH_PX, Portrait, draw_person, load_portraits, mixed
from engine.training.made_data import FRAMES, STORED, Scene, Take, active_s, cuts, pair_scene, streams_of
from engine.training.rendered_check import CheckPlan, Rendered, drawn_openings, figures, held_out_scenes, silenced

needs_espeak = pytest.mark.skipif(shutil.which(voices.PROGRAM) is None, reason="needs espeak-ng")


@pytest.fixture(scope="module")
def portraits():
    """Two of the demo's people, found as for a run."""
    try:
        folder = faces.carriers_dir() / "comfyui_workflow_templates_media_image" / "templates"
        names = ("image_z_image_turbo-1.webp", "image_hidream_o1-1.webp")
        found = [faces.read_portrait(folder / name) for name in names]
    except (FileNotFoundError, ModelMissing):
        pytest.skip("needs the demo's portraits")
    assert all(found)
    return found


def test_portraits_lie_on_a_common_place(portraits):
    for portrait in portraits:
        assert portrait.rgb.shape == (HEIGHT_PX, WIDTH_PX, 3)
        assert portrait.points_px[list(faces.EYES), :2].mean(0) == pytest.approx(faces.EYES_PX, abs=0.5)
        assert portrait.points_px[list(faces.MOUTH), :2].mean(0) == pytest.approx(faces.MOUTH_PX, abs=0.5)


def test_a_mix_lies_between_its_two(portraits):
    first, second = portraits
    assert np.allclose(mixed(first, second, 0.0).rgb.astype(int), first.rgb, atol=2)
    middle = mixed(first, second, 0.5)
    assert np.allclose(middle.points_px, (first.points_px + second.points_px) / 2, atol=1e-3)
    one, again = (draw_person(portraits, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.rgb, again.rgb)


def test_too_few_portraits_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("ROUNDTABLE_CARRIERS", str(tmp_path))
    with pytest.raises(ModelMissing, match="portraits"):
        load_portraits(held_out=True)


def test_spans_with_sound():
    samples = np.zeros(SAMPLE_RATE, np.float32)
    samples[3200:6400] = samples[6720:8000] = 0.5  # a gap of 20 ms is none
    samples[12800:14400] = 0.5
    found = active_s(Waveform(samples, SAMPLE_RATE))
    assert np.allclose(found, [(0.2, 0.5), (0.8, 0.9)], atol=0.021)


@needs_espeak
def test_voices_are_made_and_missing_ones_are_told(monkeypatch):
    chance = np.random.default_rng(0)
    voice = made_data.made_voice(chance, held_out=False, seconds=2.0)
    assert len(voice.samples) == 2 * SAMPLE_RATE
    assert np.abs(voice.samples).max() > 0.2
    assert voices.draw_speaker(chance, held_out=True).variant in voices.HELD_OUT
    with pytest.raises(StudioError, match="No sound came from espeak-ng"):
        voices.speak("hello", voices.Speaker("xx-none", "m1", 50, 150))
    monkeypatch.setattr(voices.shutil, "which", lambda name: None)
    with pytest.raises(ModelMissing, match="not installed"):
        voices.speak("hello", voices.Speaker("en-us", "m1", 50, 150))


def test_a_take_is_cut_into_videos_with_halves():
    frames = np.random.default_rng(0).integers(0, 256, (70, 144, 192, 3), np.uint8)
    voice = Waveform(np.arange(70 * SAMPLE_RATE // 24, dtype=np.float32), SAMPLE_RATE)
    found = list(cuts(Take("take-1", frames, ((60.0, 20.0, 130.0, 120.0),), (voice,)), np.random.default_rng(1)))
    assert [cut.name for cut in found] == ["take-1-0", "take-1-1"]
    for cut in found:
        assert cut.whole.shape == (FRAMES, STORED[1], STORED[0], 3)
        assert len(cut.halves) == 2
        for half, (x0, y0, x1, y1) in cut.halves:
            assert half.shape == (FRAMES, STORED[1], STORED[0] // 2, 3)
            assert -2 <= x0 < x1 <= STORED[0] // 2 + 2
            assert 0 <= y0 < y1 <= STORED[1]
        assert len(cut.voices[0]) == pytest.approx(FRAMES / 24 * SAMPLE_RATE, abs=1)
    assert found[1].voices[0][0] - found[0].voices[0][0] >= (FRAMES - 1) / 24 * SAMPLE_RATE


@needs_espeak
def test_people_of_a_conversation_talk_in_turns(portraits):
    scene = pair_scene(portraits, np.random.default_rng(2))
    streams = streams_of(scene)
    together = np.minimum(streams[0].speaking_gate, streams[1].speaking_gate).mean()
    assert together < 0.15
    assert all(stream.listening_gate.max() == 1 for stream in streams)
    assert scene.points_px[1][:, 0].min() > scene.points_px[0][:, 0].mean()


def test_mouths_go_by_loudness_and_stay_shut_without_it():
    voice = np.zeros(2 * SAMPLE_RATE, np.float32)
    at = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    voice[SAMPLE_RATE:] = 0.5 * np.sin(2 * np.pi * 500 * at) * (at < 0.5)
    busy = Performance(**{name: np.ones(48, np.float32) for name in Performance.__dataclass_fields__})
    driven = made_data._by_loudness(busy, Waveform(voice, SAMPLE_RATE))
    assert driven.jaw_open[:20].max() < 0.01
    assert driven.jaw_open[26:34].min() > 0.7
    assert driven.jaw_open[40:].max() < 0.01
    assert not driven.lip_press.any()
    assert np.array_equal(driven.blink, busy.blink)


def test_fewer_gestures_leave_mouths_as_they_are():
    chance = np.random.default_rng(3)
    curves = {name: chance.random(48, np.float32) for name in Performance.__dataclass_fields__ if name != "gaze"}
    busy = Performance(gaze=chance.random((48, 2), np.float32), **curves)
    calm = made_data._calmed(busy, 0.2)
    for name in ("jaw_open", "lip_width", "lip_round", "lip_press", "lip_tuck", "tongue"):
        assert np.array_equal(getattr(calm, name), getattr(busy, name))
    for name in ("smile", "blink", "brow", "gaze", "yaw", "pitch", "roll"):
        assert getattr(calm, name) == pytest.approx(0.2 * getattr(busy, name))


@needs_espeak
@pytest.mark.slow
def test_the_measure_tells_own_voices_from_others(portraits):
    """On the animatic's own frames: what a perfect network would get."""
    rendered = []
    for index, scene in enumerate(held_out_scenes(portraits, CheckPlan(num_scenes=4))):
        take = made_data.animated(scene, f"x-{index}", index)
        frames = np.stack([made_data._resized(take.frames[:FRAMES], STORED)])[0]
        rendered.append(Rendered(scene, frames))
    found = figures(rendered, "drawn")
    assert found.num_people == 8
    assert found.own_r > 0.8
    assert abs(found.other_r) < 0.35  # eight short voices are alike by chance now and then
    assert figures([Rendered(silenced(each.scene), each.frames) for each in rendered], "drawn").own_r == 0


def test_openings_are_0_for_shut_and_1_for_wide(portraits):
    from dataclasses import replace

    from engine.animatic.renderer import Animator, FaceRig
    from engine.media.types import Image

    portrait: Portrait = portraits[0]
    silence = made_data.silence(1.0)
    scene = Scene(portrait.rgb, (portrait.points_px,), (silence,))
    still = Performance.at_rest(2)
    opening = replace(still, jaw_open=np.array([0, 0.8], np.float32))
    animator = Animator(Image(portrait.rgb), [FaceRig.of(portrait.rgb, portrait.points_px, True)])
    frames = np.stack([animator.frame([opening], index) for index in (0, 1)])
    assert drawn_openings(Rendered(scene, frames))[:, 0] == pytest.approx([0, 1], abs=1e-6)
