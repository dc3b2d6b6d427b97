import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from app.presenters import board, html, people, pictures, takes
from app.session import Notice, OpenProject, SharedStore
from app.work import WorkView
from engine.cast.suggest import suggest
from engine.jobs.events import StageProgress
from engine.jobs.job_view import JobView
from engine.jobs.models import ModelRow
from engine.project.document import (
    FACE_COLOURS,
    Face,
    MediaInfo,
    MediaRef,
    Part,
    Scene,
    Speaker,
    Take,
    TakeKind,
    Turn,
)

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


@pytest.fixture
def project(tmp_path, scene):
    store = SharedStore.create(tmp_path / "project", HOSTILE)
    document = store.load()
    document.scene = scene
    store.save(document)
    project = OpenProject(store)
    yield project
    project.close()


def test_hostile_names_become_text(tmp_path):
    view = WorkView("analysis", StageProgress("x", HOSTILE), None, False)
    row = ModelRow(HOSTILE, HOSTILE, 1, 1, True, ((HOSTILE, HOSTILE, HOSTILE),))
    written = "".join(
        [
            html.status(Notice(HOSTILE, HOSTILE, True), tmp_path, HOSTILE),
            html.status(Notice(""), tmp_path, HOSTILE),
            html.progress(view),
            html.link(f"x?{HOSTILE}", HOSTILE),
            html.exported([(HOSTILE, HOSTILE)]),
            html.networks([row]),
            html.machine(HOSTILE),
            html.sentence(HOSTILE) + html.hint(HOSTILE) + html.what_is_there(HOSTILE, True) + html.heading(1, HOSTILE),
        ]
    )
    found = Tags(written)
    assert "onerror" not in {name for _, name, _ in found.attributes}
    assert found.tags.count("img") == 0


def test_progress_tells_the_time_left():
    view = WorkView("analysis", StageProgress("render", "Exporting", 120, 750), 13.7, False)
    assert "Exporting, about 14 s left" in html.progress(view)
    assert 'value="120" max="750"' in html.progress(view)
    unknown = WorkView("analysis", StageProgress("faces", "Looking for faces"), None, False)
    assert "value" not in html.progress(unknown), "a bar without a value waits"


def test_the_board_says_who_is_who_and_where_turns_overlap(project):
    shown = board.board(project, project.project)
    json.dumps(shown)
    assert [face["number"] for face in shown["faces"]] == [1, 3]
    assert shown["faces"][0]["name"] == HOSTILE, "text; the page makes no markup of it"
    assert [voice["face_id"] for voice in shown["voices"]] == ["face-1", "face-3", None]
    assert shown["voices"][2]["colour"] == people.NO_COLOUR
    assert [turn["over"] for turn in shown["turns"]] == [[], [(5, 6)], [], [(5, 6)]]
    assert shown["length"] == 20
    assert shown["preview"][1] - shown["preview"][0] == pytest.approx(5)


def test_small_faces_are_warned_about_unless_they_stay_still(project, scene):
    document = project.project
    document.scene.faces[0].box_px = (100, 50, 130, 90)
    first = board.board(project, document)["faces"][0]
    assert "only 30 px wide" in first["note"]
    document.scene.member_of_face("face-1").part = Part.STILL
    assert board.board(project, document)["faces"][0]["note"] == ""


def test_an_empty_project_has_a_board_too(tmp_path):
    project = OpenProject(SharedStore.create(tmp_path / "empty", "Empty"))
    assert board.board(project, project.project)["faces"] == []
    project.close()


def test_takes_come_with_their_files_and_what_the_check_said(project, scene):
    report = {
        "verdict": "redo",
        "sentence": "One turn went wrong.",
        "people": [{"face_id": "face-1", "name": "x", "verdict": "redo", "findings": []}],
        "turns": [
            {
                "turn_id": "t",
                "face_id": "face-1",
                "speaker_id": "speaker-2",
                "start_s": 4.0,
                "end_s": 9.0,
                "verdict": "redo",
                "findings": [{"verdict": "good", "sentence": "a"}, {"verdict": "redo", "sentence": "b"}],
            }
        ],
    }
    settings = scene.settings.model_copy(update={"range_s": (3.0, 10.0)})
    take = Take(
        id="abc", settings=settings, status="done", duration_s=75, report=report, video_path="takes/abc/video.mp4"
    )
    document = project.project
    document.scene.takes = [take, Take(settings=settings, status="failed")]
    assert takes.takes(project, document)["takes"][0]["video"] == "", "its file is gone"
    folder = project.store.take_folder("abc")
    for name in ("video.mp4", "video.vtt", "video.srt"):
        (folder / name).touch()
    shown = takes.takes(project, document)["takes"]
    json.dumps(shown)
    assert [item["id"] for item in shown] == ["abc"]
    assert "1 min 15 s" in shown[0]["title"]
    assert shown[0]["video"].startswith("desk/project/take/abc/video")
    assert shown[0]["captions"]
    assert shown[0]["srt"]
    (turn,) = shown[0]["turns"]
    assert (turn["name"], turn["start"], turn["end"], turn["sentence"]) == ("Bo", 1.0, 6.0, "b"), "in the video's time"


def test_a_take_without_a_report_or_with_an_old_one_is_shown(project, scene):
    document = project.project
    for report in ({}, {"lip_sync": {"face-1": 0.8}}, {"turns": "?"}):
        document.scene.takes = [Take(settings=scene.settings, status="done", report=report)]
        assert takes.takes(project, document)["takes"][0]["verdict"] == ""


def test_jobs_offer_what_can_be_done_with_them(tmp_path):
    base = JobView(
        id="j", owner="", project_folder=tmp_path / "p", title="T", kind=TakeKind.ANIMATIC, range_s=None, take_id="t",
        status="running", progress=StageProgress("render", "Rendering", 30, 100), left_s=12.0, frame=None, growing=None,
        message="", remedy="",
    )  # fmt: skip
    running = takes.queue([base], held=False)["jobs"][0]
    assert running["text"] == "Rendering · frame 30 of 100 · about 12 s left"
    assert {"pause_job", "keep_job", "cancel_job"} <= set(running["can"])
    failed = takes.queue([replace(base, status="failed", message="Lost.", remedy="Again.")], held=True)["jobs"][0]
    assert (failed["text"], failed["message"]) == ("Failed", "Lost. Again.")
    assert "cancel_job" not in failed["can"]


def test_pictures_are_shown_upright_at_a_fitting_size(tmp_path, photo):
    path = tmp_path / "large.png"
    Picture.fromarray(np.zeros((2000, 4000, 3), np.uint8)).save(path)
    assert Picture.open(io.BytesIO(pictures.display_jpeg(path, "large"))).size == (1600, 800)
    assert Picture.open(io.BytesIO(pictures.display_jpeg(photo, "small"))).size == (640, 360)


def test_thumbnails_are_square_also_at_the_border(photo):
    face = Face(id="face-1", name="A", colour="#000000", box_px=(-20, 300, 60, 360))
    picture = Picture.open(io.BytesIO(pictures.thumbnail(photo, "border", face)))
    assert picture.size == (pictures.THUMB_PX, pictures.THUMB_PX)


def test_numbers_can_be_read_on_every_face_colour():
    def luminance(colour: str) -> float:
        values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    for colour in FACE_COLOURS:
        low, high = sorted((luminance(colour), luminance(pictures.ink_on(colour))))
        assert (high + 0.05) / (low + 0.05) >= 3.0, f"{colour}: large text needs 3:1"
