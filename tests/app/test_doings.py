# ruff: noqa: E501  the tables below read best with one case a line
"""What the web components may ask for, and what comes of requests that no component of ours would make."""

import json

import pytest

from app import doings, texts
from app.desk import Desks
from app.doings import CHANGES, DOINGS, do
from app.presenters.board import board
from engine.cast.suggest import suggest
from engine.errors import StudioError
from engine.project.document import Face, MediaInfo, MediaRef, Speaker, Take, Turn


@pytest.fixture(scope="module")
def desks(tmp_path_factory):
    desks = Desks(tmp_path_factory.mktemp("doings") / "projects")
    yield desks
    desks.close()


@pytest.fixture
def desk(desks):
    """With two faces, two voices and three turns, on a new project each time."""
    desk = desks.of("")
    desk.create("Talk")

    def fill(draft):
        scene = draft.scene
        info = MediaInfo(kind="image", width=640, height=360)
        scene.photo = MediaRef(path="media/a.png", sha256="1", info=info)
        scene.dialogue = MediaRef(path="media/a.wav", sha256="2", info=MediaInfo(kind="audio", duration_s=20))
        scene.faces = [
            Face(id=f"face-{n}", name=f"Face {n}", colour="#e4572e", box_px=(100 * n, 50, 100 * n + 60, 130))
            for n in (1, 2)
        ]
        scene.speakers = [Speaker(id=f"speaker-{n}", name=f"Speaker {n}") for n in (1, 2)]
        scene.turns = [
            Turn(id="a", speaker_id="speaker-1", start_s=1, end_s=3),
            Turn(id="b", speaker_id="speaker-2", start_s=4, end_s=9),
            Turn(id="c", speaker_id="speaker-1", start_s=10, end_s=12),
        ]
        scene.cast = suggest(scene.faces, scene.speakers)
        return draft, ""

    desk.current.change(fill)
    return desk


def test_every_action_of_the_components_is_one_that_exists():
    import re
    from pathlib import Path

    source = "".join(path.read_text() for path in (Path(__file__).parents[2] / "assets").glob("rt-*.js"))
    asked = set(re.findall(r'do: "(\w+)"', source)) | set(re.findall(r'button\("(\w+_job)"\)', source))
    asked |= set(re.findall(r'nameField\("(\w+)"', source))
    assert len(asked) > 20
    assert asked - {"watch_take"} <= CHANGES.keys() | DOINGS.keys()


@pytest.mark.parametrize(
    ("asked", "effect"),
    [
        ({"do": "choose_part", "face_id": "face-1", "choice": "still"}, lambda s: s.member_of_face("face-1").part == "still"),
        ({"do": "move_turns", "turn_ids": ["a", "c"], "speaker_id": "speaker-2"}, lambda s: {t.speaker_id for t in s.turns} == {"speaker-2"}),
        ({"do": "split_turn", "turn_id": "b", "at_s": 6}, lambda s: len(s.turns) == 4),
        ({"do": "merge_turns", "turn_ids": ["a", "c"]}, lambda s: len(s.turns) == 2),
        ({"do": "trim_turn", "turn_id": "a", "start_s": 0.5, "end_s": 3.5}, lambda s: s.turns[0].end_s == 3.5),
        ({"do": "delete_turns", "turn_ids": ["a", "b"]}, lambda s: [t.id for t in s.turns] == ["c"]),
        ({"do": "add_turn", "speaker_id": "speaker-2", "start_s": 14, "end_s": 15}, lambda s: s.turns[-1].speaker_id == "speaker-2"),
        ({"do": "say", "turn_id": "a", "text": "<b>Hello</b>"}, lambda s: s.turns[0].text == "<b>Hello</b>"),
        ({"do": "set_member", "face_id": "face-2", "liveliness": 1.7}, lambda s: s.member_of_face("face-2").liveliness == 1.7),
        ({"do": "set_consent", "face_id": "face-2", "text": "By mail."}, lambda s: s.faces[1].consent == "By mail."),
        ({"do": "move_face", "face_id": "face-1", "box_px": [10, 20, 90, 110]}, lambda s: s.faces[0].box_px == (10, 20, 90, 110)),
        ({"do": "merge_voices", "from_id": "speaker-2", "into_id": "speaker-1"}, lambda s: len(s.speakers) == 1),
        ({"do": "set_off_screen", "speaker_id": "speaker-1"}, lambda s: s.member_of_face("face-1").part == "listens"),
        ({"do": "set_preview_range", "range_s": [2, 6]}, lambda s: s.preview_range_s == (2, 6)),
        ({"do": "add_voice"}, lambda s: len(s.speakers) == 3),
    ],
    ids=lambda value: value["do"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_an_action_does_what_it_says_and_one_undo_takes_it_back(desk, asked, effect):
    before = desk.current.project.scene
    do(desk, asked)
    assert effect(desk.current.project.scene)
    json.dumps(board(desk.current, desk.current.project))
    do(desk, {"do": "undo"})
    assert desk.current.project.scene == before
    do(desk, {"do": "redo"})
    assert effect(desk.current.project.scene)


@pytest.mark.parametrize(
    "asked",
    [
        None, [], "undo", 7, {}, {"do": None}, {"do": "__class__"}, {"do": "create"}, {"do": ["undo"]},
        {"do": "choose_part"}, {"do": "choose_part", "face_id": "face-1"}, {"do": "undo", "more": 1},
        {"do": "choose_part", "face_id": "face-9", "choice": "still"},
        {"do": "choose_part", "face_id": {"a": 1}, "choice": "still"},
        {"do": "choose_part", "face_id": "face-1", "choice": "voice:../../x"},
        {"do": "choose_part", "face_id": "face-1", "choice": "still", "project": {}},
        {"do": "move_turns", "turn_ids": "abc", "speaker_id": "speaker-9"},
        {"do": "move_turns", "turn_ids": ["a"], "speaker_id": "speaker-9"},
        {"do": "trim_turn", "turn_id": "a", "start_s": "nan", "end_s": "inf"},
        {"do": "split_turn", "turn_id": "a", "at_s": 1e308}, {"do": "say", "turn_id": "zzz", "text": "x"},
        {"do": "move_face", "face_id": "face-1", "box_px": [1, 2, 3]},
        {"do": "move_face", "face_id": "face-1", "box_px": [float("nan")] * 4},
        {"do": "draw_face", "box_px": [9e9, 9e9, 9e9, 9e9]},
        {"do": "set_member", "face_id": "face-1", "liveliness": 99},
        {"do": "set_preview_range", "range_s": [5]}, {"do": "set_preview_range", "range_s": [50, 60]},
        {"do": "pause_job", "job_id": "none"}, {"do": "redo_turn", "take_id": "..", "turn_id": "a"},
        {"do": "delete_take", "take_id": "../.."}, {"do": "load_take", "take_id": "none"},
        {"do": "hold_queue", "on": "perhaps"}, {"do": "change", "desk": 1}, {"do": "merge_turns", "turn_ids": []},
    ],
    ids=lambda asked: json.dumps(asked, default=str)[:60],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_a_sentence_and_changes_nothing(desk, asked):
    before = desk.current.project
    with pytest.raises(StudioError) as told:
        do(desk, asked)
    assert told.value.remedy
    assert desk.current.project == before


def test_a_deleted_take_takes_its_files_along_and_no_others(desk):
    project = desk.current
    for name in ("one", "two"):
        project.put_take(Take(id=name, settings=project.project.scene.settings, status="done"))
        (project.store.take_folder(name) / "video.mp4").touch()
    do(desk, {"do": "delete_take", "take_id": "one"})
    assert [take.id for take in project.project.scene.takes] == ["two"]
    assert [path.parent.name for path in project.folder.glob("takes/*/video.mp4")] == ["two"]
    assert project.notice.text == texts.TAKE_DELETED


def test_the_queue_is_held_and_let_go(desk):
    do(desk, {"do": "hold_queue", "on": True})
    assert desk.queue.held
    do(desk, {"do": "hold_queue", "on": False})
    assert not desk.queue.held


def test_moving_and_deleting_several_turns_is_one_step(desk):
    do(desk, {"do": "move_turns", "turn_ids": ["a", "c"], "speaker_id": "speaker-2"})
    assert desk.current.history.undo_label == texts.ACTION_NAMES["move_turn"]
    assert doings.CHANGES["move_turns"] is doings.move_turns
