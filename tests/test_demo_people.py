"""The demo's picture: every person is found where the recipe puts them, large enough to speak."""

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from engine import demo
from engine.carriers import carriers_dir
from engine.errors import ModelMissing

pytestmark = pytest.mark.skipif(
    not (carriers_dir() / "comfyui_workflow_templates_media_image").is_dir(), reason="the portraits are not fetched"
)


def test_at_least_three_people_two_of_them_talking():
    people = demo.demo_people()
    assert len(people) >= 3
    assert sorted(person.voice for person in people if person.part == "talks") == [1, 2]
    assert {person.part for person in people} <= {"talks", "listens", "still"}
    assert len({person.name for person in people}) == len(people)


def test_the_picture_is_the_same_each_time():
    first, again = demo.compose_group_photo(), demo.compose_group_photo()
    assert (first.width, first.height) == (1280, 720)
    assert np.array_equal(first.rgb, again.rgb)


def test_every_face_is_found_once_in_its_own_tile_and_large():
    detect = pytest.importorskip("engine.analysis.backends.centerface").CenterFace()
    found = detect(demo.compose_group_photo())
    tiles = demo.demo_tiles()
    assert len(found) == len(tiles)
    for tile in tiles:
        inside = [face for face in found if _contains(tile, face.box_px)]
        assert len(inside) == 1, tile
        x0, y0, x1, y1 = inside[0].box_px
        assert y1 - y0 >= 150
        assert x1 - x0 >= 100


def test_faces_are_of_one_size_and_their_eyes_on_one_line():
    detect = pytest.importorskip("engine.analysis.backends.centerface").CenterFace()
    found = detect(demo.compose_group_photo())
    heights = [face.box_px[3] - face.box_px[1] for face in found]
    assert max(heights) / min(heights) < 1.25
    for row_y in {tile.y_px for tile in demo.demo_tiles()}:
        row = [tile for tile in demo.demo_tiles() if tile.y_px == row_y]
        eyes = [face.landmarks_px[:2, 1].mean() for face in found for tile in row if _contains(tile, face.box_px)]
        assert len(eyes) == len(row)
        assert np.ptp(eyes) < 25


def test_a_missing_portrait_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("ROUNDTABLE_CARRIERS", str(tmp_path))
    with pytest.raises(ModelMissing) as raised:
        demo.compose_group_photo()
    assert "launch.py" in raised.value.remedy


def test_the_conversation_is_a_recording_of_half_a_minute():
    with wave.open(str(demo.demo_dialogue())) as recording:
        assert recording.getnframes() / recording.getframerate() == pytest.approx(30, abs=0.5)


def test_the_conversation_is_found_without_importing_pyannote():
    code = (
        "import sys, engine.demo as d; d.demo_dialogue(); sys.exit(any(m.startswith('pyannote.') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(demo.__file__).parents[1], check=False).returncode == 0


def _contains(tile: demo.Tile, box: tuple[float, float, float, float]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return tile.x_px < x < tile.x_px + tile.width_px and tile.y_px < y < tile.y_px + tile.height_px
