"""Shots: where cuts, camera moves and the number of faces end them, on pictures and looks that are known."""

import numpy as np
import pytest

from engine.evaluation.camera import Camera
from engine.training.prepare.drops import Reason
from engine.training.prepare.settings import PrepareSettings
from engine.training.prepare.shots import Cutter, Look, _Seen, _shots, people_of

ONE, TWO = PrepareSettings(stage=1, height=96, width=128), PrepareSettings(stage=2, height=96, width=192)
RATE = 24.0


def picture(seed, size=(90, 160)):
    return np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)


def blurred(seed):
    import cv2

    return cv2.GaussianBlur(picture(seed, (180, 320)), (0, 0), 3)


def test_a_cut_is_found_and_a_moving_head_is_none():
    cutter = Cutter(RATE)
    for index in range(48):
        frame = blurred(1 if index < 24 else 2).copy()
        frame[60:100, 100 + index % 5 : 140 + index % 5] = 120
        cutter.look(index, frame)
    assert cutter.cuts == [24]


def test_the_camera_is_seen_to_move_but_not_a_person_in_front_of_it():
    still = blurred(3)
    camera = Camera(still, [(120, 40, 200, 120)])
    talking = still.copy()
    talking[40:180, 110:210] = np.roll(talking[40:180, 110:210], 6, axis=1)
    assert camera.moved(still) < 0.002
    assert camera.moved(talking) < 0.005
    talking[:, 100:300] = np.roll(talking[:, 100:300], 9, axis=1)  # most of the picture is a person who moves
    assert camera.moved(talking) < 0.005
    assert camera.moved(np.roll(still, 8, axis=1)) == pytest.approx(8 / 320, abs=0.004)
    assert camera.moved(blurred(4)) > 0.015
    assert camera.moved(still[:90]) == np.inf
    assert Camera(np.full_like(still, 90)).moved(still) == 0  # a plain wall shows no move
    shoulder = np.full_like(still, 90)
    shoulder[130:, :60] = still[130:, :60]
    assert Camera(shoulder).moved(np.roll(shoulder, -20, axis=0)) == 0


def seen(num_frames, cuts=(), moves=(), faces=lambda frame: 1):
    looks = [
        Look(frame=frame, boxes_px=[(10 * i, 0, 10 * i + 9, 9) for i in range(faces(frame))])
        for frame in range(0, num_frames, 10)
    ]
    return _Seen(num_frames, list(cuts), list(moves), looks)


def reasons(found):
    return [drop.reason for drop in found.drops]


def test_shots_lie_between_cuts_and_moves_and_short_ones_are_dropped_for_what_ends_them():
    found = _shots(seen(300, cuts=[100, 130], moves=[102, 250]), "v", ONE)
    assert [(shot.first, shot.last) for shot in found.shots] == [(0, 100), (130, 250)]
    assert reasons(found) == [Reason.CUT_TOO_SHORT, Reason.CAMERA_MOVES]
    assert (found.drops[0].start_s, found.drops[0].end_s) == (round(100 / 24, 3), round(130 / 24, 3))


def test_a_shot_needs_the_right_number_of_faces_in_most_looks():
    assert _shots(seen(240, faces=lambda frame: 0 if frame == 30 else 1), "v", ONE).shots
    found = _shots(seen(240, faces=lambda frame: 1 + (frame > 150)), "v", ONE)
    assert reasons(found) == [Reason.NUM_FACES]
    assert found.drops[0].detail == "1 in 67%, 2 in 33% of looks."
    assert reasons(_shots(seen(240, faces=lambda frame: 3), "v", TWO)) == [Reason.NUM_FACES]
    assert reasons(_shots(seen(40), "v", ONE)) == [Reason.TOO_SHORT]


def test_faces_in_the_background_do_not_count():
    assert people_of([(100, 0, 200, 100), (0, 0, 80, 80), (300, 0, 320, 20)], 0.3) == [
        (0, 0, 80, 80),
        (100, 0, 200, 100),
    ]
