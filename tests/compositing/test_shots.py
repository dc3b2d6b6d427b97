"""Who is in the picture when a shape is too narrow for everybody: by rule, and over hundreds of random talks."""

import itertools

import numpy as np
import pytest

from engine.compositing.reframe import Reframer, cropped
from engine.compositing.shots import BRIEF_S, EASE_S, MIN_SHOT_S, Speaking, crop_at, plan_shots
from engine.compositing.viewfinder import Crop, Viewfinder
from engine.project.document import Face

RATE = 25.0
SIZE = (852, 480)


def face(name, x, y=150, width=90):
    return Face(id=name, name=name, colour="#ffffff", box_px=(x, y, x + width, y + width * 1.25))


APART = [face("a", 120), face("b", 380), face("c", 640)]
"""Three people of whom an upright crop (270 px wide) holds one."""


def upright(faces, max_zoom=1.2):
    return Viewfinder(SIZE, faces, 9 / 16, max_zoom)


def shots_of(turns, faces=APART, duration_s=None):
    speaking = [Speaking(*turn) for turn in turns]
    end_s = duration_s or max(end for _, _, end in turns)
    return plan_shots(speaking, upright(faces), RATE, round(end_s * RATE))


def told(shots):
    return [("".join(sorted(shot.face_ids)), round(shot.first / RATE, 2)) for shot in shots]


def test_cuts_come_at_turns_a_little_before_the_voice():
    assert told(shots_of([("a", 0, 3), ("c", 3, 6), ("b", 7, 9)])) == [("a", 0), ("c", 2.84), ("b", 6.84)]


def test_an_interjection_does_not_cut():
    assert told(shots_of([("a", 0, 3), ("b", 3, 3 + BRIEF_S - 0.1), ("a", 4, 8)])) == [("a", 0)]
    assert told(shots_of([("a", 0, 8), ("b", 3, 3.7)])) == [("a", 0)]


def test_a_video_of_interjections_alone_still_shows_who_speaks():
    assert told(shots_of([("c", 1, 1.5)], duration_s=3)) == [("c", 0)]


def test_no_speech_at_all_shows_as_many_as_fit():
    (shot,) = plan_shots([], upright(APART), RATE, 50)
    assert (shot.first, shot.end, len(shot.face_ids)) == (0, 50, 1)


def test_in_an_overlap_whoever_began_later_is_shown_unless_the_other_speaks_on():
    assert told(shots_of([("a", 0, 4), ("c", 3, 8)])) == [("a", 0), ("c", 2.84)]
    assert told(shots_of([("a", 0, 9), ("c", 3, 5)])) == [("a", 0)]


def test_people_who_fit_are_held_together_without_a_cut():
    close = [face("a", 120, width=50), face("b", 200, width=50), face("c", 640)]
    shots = shots_of([("a", 0, 3), ("b", 3, 6), ("a", 5, 8), ("c", 8, 11)], close)
    assert told(shots) == [("ab", 0), ("c", 7.84)]
    for each in close[:2]:
        assert shots[0].crop.contains(each.box_px)


def test_a_long_voice_from_outside_widens_the_picture_and_a_short_one_holds_it():
    group = [face("a", 80, width=50), face("b", 150, width=50), face("c", 640)]
    assert told(shots_of([("c", 0, 4), (None, 4, 8)], group)) == [("c", 0), ("ab", 3.84)]
    assert told(shots_of([("c", 0, 4), (None, 4, 5.5), ("c", 5.5, 9)], group)) == [("c", 0)]
    assert told(shots_of([("c", 0, 4), (None, 4, 8)])) == [("c", 0)]  # nothing is wider: it holds


def test_a_small_move_is_eased_and_a_large_one_is_cut():
    """A square of a 4:3 picture can only move by a quarter of itself: a cut between two such pictures looks broken."""
    faces = [face("a", 0, width=140), face("c", 500, width=140)]
    finder = Viewfinder((640, 480), faces, 1.0, 1.2)
    shots = plan_shots([Speaking("a", 0, 3), Speaking("c", 3, 6)], finder, RATE, 150)
    assert [shot.eased for shot in shots] == [False, True]
    lefts = np.array([crop_at(shots, index, RATE).x for index in range(150)])
    steps = np.diff(lefts)
    assert lefts[0] < 5
    assert lefts[80:].min() > 150  # it is there when the voice is
    assert 0 < np.count_nonzero(steps) <= EASE_S * RATE + 1
    assert (steps >= 0).all()
    assert steps.max() < 0.15 * 160
    assert not any(shot.eased for shot in shots_of([("a", 0, 3), ("c", 3, 6)]))


def test_nobody_elses_face_is_cut_by_the_edge_where_that_can_be_helped():
    row = [face("a", 200, width=70), face("b", 300, width=70), face("c", 400, width=70)]
    for max_zoom, allowed in ((1.0, 1), (1.6, 0)):
        crop = Viewfinder(SIZE, row, 9 / 16, max_zoom).crop_of(["a"])
        cut = [each.id for each in row if 0.02 < crop.share_of(each.box_px) < 0.98]
        assert len(cut) <= allowed
        assert crop.contains(row[0].box_px)


def conversation(rng, names):
    """Turns with pauses, interjections, overlaps and voices from outside."""
    time_s, turns = float(rng.uniform(0, 1)), []
    while time_s < 30:
        length_s = float(rng.choice([rng.uniform(0.2, 0.8), rng.uniform(0.8, 2), rng.uniform(2, 9)]))
        turns.append(
            Speaking(rng.choice([*names, None], p=[0.9 / len(names)] * len(names) + [0.1]), time_s, time_s + length_s)
        )
        time_s += length_s + float(rng.uniform(-0.8, 1.2))
    return turns


@pytest.mark.parametrize("seed", range(24))
def test_random_conversations_obey_every_rule(seed):
    rng = np.random.default_rng(seed)
    faces = [
        face(f"f{n}", float(x), float(rng.uniform(20, 300)), float(rng.uniform(30, 120)))
        for n, x in enumerate(np.sort(rng.uniform(0, 730, rng.integers(1, 10))))
    ]
    size = SIZE if seed % 2 else (480, 852)
    aspect = (9 / 16, 1.0, 16 / 9)[seed % 3]
    faces = faces if seed % 2 else [
        each.model_copy(update={"box_px": tuple(np.array(each.box_px)[[1, 0, 3, 2]].tolist())}) for each in faces
    ]  # fmt: skip
    finder = Viewfinder(size, faces, aspect, 1.2)
    assert all(finder.holds([each.id]) for each in faces)
    turns = conversation(rng, [each.id for each in faces])
    num_frames = round(turns[-1].end_s * RATE)
    shots = plan_shots(turns, finder, RATE, num_frames)
    assert (shots[0].first, shots[-1].end) == (0, num_frames)
    assert all(before.end == after.first for before, after in itertools.pairwise(shots))
    assert len(shots) == 1 or min(shot.end - shot.first for shot in shots) >= round(MIN_SHOT_S * RATE) - 1
    boxes = {each.id: each.box_px for each in faces}
    for shot in shots:
        assert all(shot.crop.contains(boxes[face_id]) for face_id in shot.face_ids)
        assert abs(shot.crop.width / shot.crop.height / aspect - 1) < 0.01
    seen = wanted = 0
    for index in range(num_frames):
        crop = crop_at(shots, index, RATE)
        assert crop.x >= 0 <= crop.y
        assert crop.x + crop.width <= size[0]
        assert crop.y + crop.height <= size[1]
        speaking = [each for each in turns if each.start_s <= index / RATE < each.end_s and each.face_id]
        alone = len(speaking) == 1 and speaking[0].end_s - speaking[0].start_s > 2 * MIN_SHOT_S
        wanted += alone
        seen += alone and crop.contains(boxes[speaking[0].face_id])
    assert seen >= 0.93 * wanted


def test_an_hour_of_talk_is_planned():
    rng = np.random.default_rng(0)
    turns = [Speaking("abc"[rng.integers(3)], start, start + 2.4) for start in np.arange(0, 3600, 2.5)]
    shots = plan_shots(turns, upright(APART), RATE, 90_000)
    assert len(shots) > 500


def test_a_crop_is_the_picture_itself_and_moves_by_parts_of_a_pixel():
    ramp = np.repeat(np.tile(np.arange(200, dtype=np.uint8), (100, 1))[..., None], 3, 2)
    assert np.array_equal(cropped(ramp, Crop(20, 0, 50, 100), (50, 100)), ramp[:, 20:70])
    for x in (20.0, 20.25, 20.5, 20.75):
        shown = cropped(ramp, Crop(x, 0, 50, 100), (100, 200)).astype(float)
        assert shown[100, 50, 0] == pytest.approx(x + 24.75, abs=0.8)
    smaller = cropped(ramp, Crop(0, 0, 200, 100), (50, 25))
    assert smaller.shape == (25, 50, 3)


def test_a_reframed_picture_shows_who_speaks():
    picture = np.zeros((480, 852, 3), np.uint8)
    for index, each in enumerate(APART):
        x0, y0, x1, y1 = (round(value) for value in each.box_px)
        picture[y0:y1, x0:x1, index] = 255
    shots = shots_of([("a", 0, 3), ("c", 3, 6), ("b", 6, 9)])
    reframe = Reframer(shots, (540, 960), RATE)
    for time_s, channel in ((1, 0), (4, 2), (8, 1)):
        sums = reframe(picture, round(time_s * RATE)).sum((0, 1), dtype=np.int64)
        assert sums.argmax() == channel
        assert sums[channel] / 255 == pytest.approx(90 * 112.5 * 4, rel=0.05)  # the whole face, twice as large
