"""The curves themselves, on sounds made by hand: what must hold for every voice."""

from dataclasses import fields, replace

import numpy as np
import pytest

from engine.analysis.types import Phone
from engine.analysis.visemes import SpeechSounds
from engine.animatic.motion import FrameClock
from engine.animatic.performance import PerformanceSettings, _unseen_ends_s, perform
from engine.animatic.types import Performance
from engine.cast.streams import CastStream
from engine.media.types import Waveform
from engine.project.document import Face, Part

FRAME_RATE = 25.0


def make_voice(turns, duration_s, seed=0):
    """Syllable-like noise inside turns."""
    times = np.arange(round(duration_s * 16000)) / 16000
    sound = np.random.default_rng(seed).normal(size=len(times)) * (0.2 + 0.2 * np.sin(2 * np.pi * 4 * times) ** 2)
    speaking = np.zeros(len(times), bool)
    for start, end in turns:
        speaking |= (times >= start) & (times < end)
    return Waveform(np.where(speaking, sound, 0).astype(np.float32), 16000)


def gate_of(turns, num_frames):
    times = (np.arange(num_frames) + 0.5) / FRAME_RATE
    return np.max([np.zeros(num_frames)] + [(times >= s) & (times < e) for s, e in turns], axis=0).astype(np.float32)


def make_stream(name, left_px, turns, others, duration_s, **changes):
    num_frames = round(duration_s * FRAME_RATE)
    speaking = gate_of(turns, num_frames)
    stream = CastStream(
        face=Face(id=name, name=name, colour="#fff", box_px=(left_px, 100, left_px + 100, 230)),
        detail=None,
        part=Part.TALKS if turns else Part.LISTENS,
        liveliness=1.0,
        lip_strength=1.0,
        voice=make_voice(turns, duration_s),
        turns_s=tuple(turns),
        speaking_gate=speaking,
        listening_gate=np.clip(gate_of(others, num_frames) - speaking, 0, 1),
    )
    return replace(stream, **changes)


def sounds_of(labels, length_s=0.12, start_s=0.0):
    phones = [Phone(start_s + i * length_s, start_s + (i + 1) * length_s, label) for i, label in enumerate(labels)]
    return SpeechSounds(phones, phones, [])


def say(labels, length_s=0.12, **changes):
    duration_s = len(labels) * length_s
    stream = make_stream("one", 100, [(0.0, duration_s)], [], duration_s, **changes)
    return perform([stream], {"one": sounds_of(labels, length_s)}, FRAME_RATE, PerformanceSettings())[0]


def conversation(duration_s=60.0):
    """Left and right take turns of three seconds; the one in the middle listens, the last is still."""
    left = [(t, t + 2.8) for t in np.arange(0.2, duration_s - 3, 6.0)]
    right = [(t + 3, t + 5.8) for t, _ in left]
    return [
        make_stream("left", 100, left, right, duration_s),
        make_stream("right", 700, right, left, duration_s),
        make_stream("middle", 400, [], left + right, duration_s),
        make_stream("last", 900, [], left + right, duration_s, part=Part.STILL),
    ]


def run(streams, strength=1.0, seed=42):
    return perform(streams, {}, FRAME_RATE, PerformanceSettings(strength, seed))


def same(first, second):
    return all(np.array_equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(Performance))


def eye_and_brow_motion(performance, frames=slice(None)):
    """Mean movement, px per frame, of 10 brow and 12 eye points (half of them on lids) in a 224 px crop of the face."""
    px_per_degree = 0.006 * 224
    yaw, pitch, roll, brow, blink = (
        np.diff(getattr(performance, name)) for name in ("yaw", "pitch", "roll", "brow", "blink")
    )
    moved = 0.0
    for weight, own_px in ((10 / 22, -brow * 0.05 * 224), (6 / 22, blink * 0.04 * 224), (6 / 22, 0.0)):
        for side in (-1, 1):
            down = (pitch + side * roll) * px_per_degree + own_px
            moved = moved + weight / 2 * np.hypot(yaw * px_per_degree, down)
    return float(np.mean(moved[frames]))


def num_blinks(performance):
    shut = performance.blink > 0.9
    return int(np.sum(shut[1:] & ~shut[:-1]))


@pytest.mark.parametrize("length_s", [0.04, 0.07, 0.12])
@pytest.mark.parametrize("frame_rate", [24.0, 25.0, 30.0])
def test_lips_are_shut_on_every_p_b_m(length_s, frame_rate):
    labels = ["AA", "P", "IY", "B", "OW", "M", "EH", "M", "B", "AA", "L", "P", "UW", "T"] * 4
    duration_s = len(labels) * length_s
    stream = make_stream("one", 100, [(0.0, duration_s)], [], duration_s)
    num_frames = round(duration_s * frame_rate)
    stream = replace(stream, speaking_gate=np.ones(num_frames, np.float32))
    sounds = sounds_of(labels, length_s)
    mouth = perform([stream], {"one": sounds}, frame_rate, PerformanceSettings())[0]
    times = (np.arange(num_frames) + 0.5) / frame_rate
    for phone in sounds.aligned:
        if phone.label in "PBM":
            near = np.abs(times - (phone.start_s + phone.end_s) / 2) <= 0.51 / frame_rate
            assert np.any((mouth.lip_press[near] == 1) & (mouth.jaw_open[near] == 0)), phone
    assert np.mean(mouth.jaw_open > 0.05) > 0.2  # and opens in between


def test_wide_and_narrow_vowels():
    wide, narrow = say(["T", "IY", "S", "IY"] * 5), say(["T", "UW", "W", "OW"] * 5)
    assert wide.lip_width[5:-5].mean() > 0.4
    assert narrow.lip_width[5:-5].mean() < -0.6
    assert narrow.lip_round[5:-5].mean() > 0.6 > 0.1 > wide.lip_round.mean()


def test_consonants_take_the_lips_of_their_vowels():
    assert say(["UW", "T", "UW", "T"] * 4).lip_width[8:-8].max() < -0.5


def test_teeth_and_tongue_show_on_their_sounds():
    assert say(["AA", "F", "AA", "AA"] * 3).lip_tuck.max() == 1
    assert say(["AA", "TH", "AA", "AA"] * 3).tongue.max() > 0.9
    assert say(["AA", "EH", "AA", "AA"] * 3).lip_tuck.max() == 0


def test_jaw_follows_loudness():
    voice = make_voice([(0, 4.8)], 4.8)
    gain = np.where(np.arange(len(voice.samples)) < len(voice.samples) // 2, 0.15, 1.0).astype(np.float32)
    mouth = say(["AA", "T"] * 20, voice=Waveform(voice.samples * gain, 16000))
    assert mouth.jaw_open[70:110].mean() > 1.2 * mouth.jaw_open[10:50].mean()


def test_mouth_rests_in_pauses_and_outside_turns():
    streams = conversation()
    for performance, stream in list(zip(run(streams), streams, strict=True))[:2]:
        speaking = stream.speaking_gate > 0.5
        assert performance.jaw_open[speaking].mean() > 0.2
        assert performance.jaw_open[~speaking].max() == 0


def test_listener_keeps_the_mouth_shut():
    left, _, middle, _ = run(conversation())
    assert np.std(middle.jaw_open) <= 0.05 * np.std(left.jaw_open)
    assert not middle.lip_press.any()


def test_lip_strength_scales_the_mouth_but_lips_still_meet():
    full, half = say(["AA", "M"] * 8), say(["AA", "M"] * 8, lip_strength=0.5)
    assert half.jaw_open.max() == pytest.approx(full.jaw_open.max() / 2, rel=0.01)
    assert half.lip_press.max() == 1


def test_still_is_at_rest():
    performance = run(conversation(), strength=2.0)[3]
    assert same(performance, Performance.at_rest(performance.num_frames))


def test_same_seed_same_curves_another_seed_others():
    first, again, other = run(conversation()), run(conversation()), run(conversation(), seed=7)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not same(first[2], other[2])
    assert np.array_equal(first[0].jaw_open, other[0].jaw_open)  # what is said is not a matter of chance


def test_a_person_more_leaves_the_talkers_alone():
    streams = conversation()
    assert same(run(streams)[0], run([*streams[:2], streams[3]])[0])


def test_listener_is_at_rest_at_strength_0_and_talkers_blink():
    left, _, middle, _ = run(conversation(), strength=0.0)
    assert same(middle, Performance.at_rest(middle.num_frames))
    assert num_blinks(left) >= 12


def test_liveliness_0_is_at_rest():
    streams = conversation()
    streams[2] = replace(streams[2], liveliness=0.0)
    assert same(run(streams)[2], Performance.at_rest(streams[2].speaking_gate.size))


def test_listeners_move_more_with_interaction_strength_and_naturally_at_1():
    motion = {strength: eye_and_brow_motion(run(conversation(), strength)[2]) for strength in (0, 0.5, 1, 1.5, 2)}
    assert list(motion.values()) == sorted(set(motion.values()))
    assert 0.5 < motion[1] < 1.2, motion
    assert motion[0] == 0


def test_listener_turns_to_whoever_speaks_after_a_human_delay():
    listener = run(conversation())[2]
    times = (np.arange(listener.num_frames) + 0.5) / FRAME_RATE
    for start in np.arange(6.2, 50, 6):  # left begins; the right one was looked at until then
        just_after = (times > start) & (times < start + 0.25)
        later = (times > start + 1.5) & (times < start + 2.8)
        assert listener.gaze[just_after, 0].mean() > 0.2
        assert listener.gaze[later, 0].mean() < -0.2
        assert listener.yaw[later].mean() < listener.yaw[just_after].mean() - 2


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fifteen_to_twenty_blinks_a_minute(seed):
    for performance in run(conversation(300.0), seed=seed)[:3]:
        assert 15 <= num_blinks(performance) / 5 <= 20


def test_no_jumps():
    for performance in run(conversation(120.0), strength=2.0):
        for name in ("yaw", "pitch", "roll"):
            curve = getattr(performance, name)
            assert np.abs(np.diff(curve)).max() * FRAME_RATE < 60, name
            assert abs(curve[0]) < 0.2
            assert abs(curve[-1]) < 0.2
        assert np.abs(np.diff(performance.brow)).max() < 0.35
        assert np.abs(np.diff(performance.smile)).max() < 0.1


def test_values_stay_in_their_bounds_and_types():
    streams = [replace(s, liveliness=2.0, lip_strength=2.0) for s in conversation()]
    for performance in run(streams, strength=2.0):
        for field in fields(Performance):
            curve = getattr(performance, field.name)
            assert curve.dtype == np.float32
            assert np.isfinite(curve).all()
            bound = 12 if field.name in ("yaw", "pitch", "roll") else 1
            low = (
                0
                if field.name in ("jaw_open", "lip_round", "lip_press", "lip_tuck", "tongue", "smile", "blink")
                else -1
            )
            assert curve.min() >= low * bound
            assert curve.max() <= bound


@pytest.mark.parametrize("duration_s", [0.04, 0.2, 1.0])
def test_very_short_takes(duration_s):
    stream = make_stream("one", 100, [(0.0, duration_s)], [], duration_s)
    listener = make_stream("two", 400, [], [(0.0, duration_s)], duration_s)
    for performance in run([stream, listener]):
        assert performance.num_frames == round(duration_s * FRAME_RATE)
        assert all(np.isfinite(getattr(performance, f.name)).all() for f in fields(Performance))


def test_a_silent_talker_is_only_alive():
    stream = make_stream("one", 100, [(0.5, 2.0)], [], 4.0)
    stream = replace(stream, voice=Waveform(np.zeros(64000, np.float32), 16000))
    assert not run([stream])[0].jaw_open.any()


def test_listeners_live_and_answer_a_voice_that_nobody_in_the_picture_speaks():
    unseen, duration_s = [(2.0 + 5 * i, 5.0 + 5 * i) for i in range(11)], 60.0
    hearing = make_stream("one", 100, [], unseen, duration_s)
    nobody = make_stream("one", 100, [], [], duration_s)
    beside = make_stream("two", 400, [], unseen, duration_s)
    performance = run([hearing, beside])[0]
    assert 0.4 < eye_and_brow_motion(performance) < 1.2
    assert not performance.jaw_open.any()
    times_s = (np.arange(performance.num_frames) + 0.5) / FRAME_RATE
    answering = np.any([(times_s > end - 0.2) & (times_s < end + 1.5) for _, end in unseen], axis=0)
    unasked = run([nobody, make_stream("two", 400, [], [], duration_s)])[0]
    answers = np.abs(performance.brow - unasked.brow) > 0.2
    assert answers.any()
    assert not answers[~answering].any()
    assert eye_and_brow_motion(unasked) > 0.3


def test_voices_that_are_seen_have_no_unseen_ends():
    streams = conversation()
    clock = FrameClock(len(streams[0].speaking_gate), FRAME_RATE)
    assert [_unseen_ends_s(s, [o for o in streams if o is not s], clock) for s in streams] == [[], [], [], []]
    assert _unseen_ends_s(streams[2], [], clock) != []


def test_one_person_alone_with_nobody_talking():
    performance = run([make_stream("one", 100, [], [], 2.0)])[0]
    assert all(np.isfinite(getattr(performance, field.name)).all() for field in fields(Performance))
