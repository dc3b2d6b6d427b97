import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from app import texts
from app.presenters import html, people, pictures, timeline
from app.session import Notice
from app.work import WorkView
from engine.cast.suggest import suggest
from engine.jobs.events import StageProgress
from engine.project.document import FACE_COLOURS, Face, MediaInfo, MediaRef, Scene, Speaker, Take, Turn

HOSTILE = "<img src=x onerror=alert(1)>\"'"


@pytest.fixture
def scene() -> Scene:
    faces = [
        Face(id="face-1", name=HOSTILE, colour="#e4572e", box_px=(100, 50, 160, 130)),
        Face(id="face-3", name="Face 3", colour="#f2a541", box_px=(300, 50, 360, 130)),
    ]
    speakers = [Speaker(id=f"speaker-{n}", name=name) for n, name in ((1, HOSTILE), (2, "Bo"), (3, "Cy"))]
    turns = [
        Turn(speaker_id="speaker-1", start_s=1, end_s=3),
        Turn(speaker_id="speaker-2", start_s=4, end_s=9, overlapped=True),
        Turn(speaker_id="speaker-2", start_s=12, end_s=13),
        Turn(speaker_id="speaker-3", start_s=5, end_s=6, overlapped=True),
    ]
    sound = MediaRef(path="media/x.wav", sha256="0", info=MediaInfo(kind="audio", duration_s=20))
    return Scene(dialogue=sound, faces=faces, speakers=speakers, turns=turns, cast=suggest(faces, speakers))


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    Picture.fromarray(np.full((360, 640, 3), 90, np.uint8)).save(path)
    return path


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]


def test_rows_name_everybody_once_and_say_who_is_off_screen(scene):
    rows = people.face_rows(scene)
    assert [row.number for row in rows] == [1, 3]
    assert [value for _, value in rows[0].choices] == [
        "voice:speaker-1",
        "voice:speaker-2",
        "voice:speaker-3",
        "listens",
        "still",
    ]
    assert [row.choice for row in rows] == ["voice:speaker-1", "voice:speaker-2"]
    voices = people.voice_rows(scene)
    assert [row.is_off_screen for row in voices] == [False, False, True]
    assert voices[1].talking == "talks 6.0 s, 1.0 s of it over somebody else"
    assert voices[1].best_start_s == pytest.approx(5.9), "in the longest stretch without the other, 6 to 9 s"
    assert voices[2].best_start_s == pytest.approx(4.9), "never alone: where it starts"


def test_hostile_names_become_text(scene, tmp_path):
    take = Take(settings=scene.settings, status="done", video_path="takes/x/video.mp4", message=HOSTILE)
    (tmp_path / "takes/x").mkdir(parents=True)
    for name in ("video.mp4", "video.vtt", "video.srt"):
        (tmp_path / "takes/x" / name).touch()
    written = "".join(
        [
            html.status(Notice(HOSTILE, HOSTILE, True), tmp_path),
            html.face_badge(people.face_rows(scene)[0], "data:,"),
            html.voice_player(people.voice_rows(scene)[0], tmp_path / 'a "b" #1 & <c>.wav'),
            html.timeline(scene),
            html.watch(tmp_path, take),
            html.progress(WorkView("render", StageProgress("x", HOSTILE), None, None, False)),
        ]
    )
    found = Tags(written)
    assert "onerror" not in {name for _, name, _ in found.attributes}
    assert found.tags.count("img") == 1
    assert ("img", "alt", HOSTILE) in found.attributes


def test_the_players_of_a_take_have_captions_and_downloads(scene, tmp_path):
    folder = tmp_path / "takes" / "x"
    folder.mkdir(parents=True)
    take = Take(settings=scene.settings, status="done", video_path="takes/x/video.mp4", duration_s=75)
    assert html.watch(tmp_path, take) == html.sentence(texts.NOT_THERE)
    (folder / "video.mp4").touch()
    assert "<track" not in html.watch(tmp_path, take)
    (folder / "video.vtt").touch()
    (folder / "video.srt").touch()
    found = Tags(html.watch(tmp_path, take))
    assert [name for _, name, _ in found.attributes].count("download") == 2
    assert "track" in found.tags
    assert "1 min 15 s" in html.take_title(take)


def test_lanes_lie_where_the_turns_are(scene):
    lanes = timeline.lanes(scene)
    assert [(turn.left, turn.width) for turn in lanes[1].turns] == [(20, 25), (60, 5), (25, 5)]
    assert [turn.overlapped for turn in lanes[1].turns] == [False, False, True]
    assert lanes[0].colour == "#e4572e"
    assert lanes[2].colour == people.NO_COLOUR
    assert timeline.lanes(Scene()) == []


def test_progress_tells_frames_and_the_time_left():
    view = WorkView("render", StageProgress("render", "Rendering", 120, 750), 13.7, None, False)
    assert "Rendering, frame 120 of 750, about 14 s left" in html.progress(view)
    assert 'value="120" max="750"' in html.progress(view)
    unknown = WorkView("analysis", StageProgress("faces", "Looking for faces"), None, None, False)
    assert "value" not in html.progress(unknown), "a bar without a value waits"


def test_boxes_have_the_faces_colours_and_numbers(scene, photo):
    plain = np.asarray(pictures.boxed_photo(photo, "a", []))
    boxed = np.asarray(pictures.boxed_photo(photo, "a", scene.faces))
    scale = plain.shape[1] / 640
    assert (plain == 90).all()
    for face in scene.faces:
        x0, y0, x1, y1 = (value * scale for value in face.box_px)
        wanted = tuple(int(face.colour[i : i + 2], 16) for i in (1, 3, 5))
        edge = boxed[round((y0 + y1) / 2), round(x0) - 2 : round(x0) + 5]
        assert min(np.abs(edge.astype(int) - wanted).sum(1)) < 60
        assert (boxed[round((y0 + y1) / 2), round((x0 + x1) / 2)] == 90).all(), "the face itself stays free"
    assert not (boxed == np.asarray(pictures.boxed_photo(photo, "a", scene.faces, (10, 10, 90, 90)))).all()


def test_a_click_on_the_shown_photo_is_a_place_in_the_photo(tmp_path):
    path = tmp_path / "large.png"
    Picture.fromarray(np.zeros((2000, 4000, 3), np.uint8)).save(path)
    shown = pictures.boxed_photo(path, "large", [])
    assert shown.size == (1200, 600)
    assert pictures.to_photo_px(path, "large", 600, 300) == pytest.approx((2000, 1000))


def test_thumbnails_are_square_also_at_the_border(photo):
    face = Face(id="face-1", name="A", colour="#000000", box_px=(-20, 300, 60, 360))
    uri = pictures.thumbnail(photo, "border", face)
    picture = Picture.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert picture.size == (pictures.THUMB_PX, pictures.THUMB_PX)


def test_numbers_can_be_read_on_every_face_colour():
    def luminance(colour: str) -> float:
        values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    for colour in FACE_COLOURS:
        low, high = sorted((luminance(colour), luminance(pictures.ink_on(colour))))
        assert (high + 0.05) / (low + 0.05) >= 3.0, f"{colour}: large text needs 3:1"
