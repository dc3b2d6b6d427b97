import pytest

from app.actions import cast
from engine.cast.suggest import check, describe, suggest
from engine.errors import StudioError
from engine.project.document import Face, MediaInfo, MediaRef, Project, Scene, Speaker, Turn


@pytest.fixture
def project() -> Project:
    faces = [
        Face(id=f"face-{n}", name=f"Face {n}", colour="#e4572e", box_px=(100 * n, 50, 100 * n + 60, 130))
        for n in (1, 2, 3)
    ]
    speakers = [Speaker(id=f"speaker-{n}", name=f"Speaker {n}") for n in (1, 2)]
    turns = [Turn(speaker_id="speaker-1", start_s=0, end_s=2), Turn(speaker_id="speaker-2", start_s=2, end_s=5)]
    photo = MediaRef(path="media/x.png", sha256="0" * 64, info=MediaInfo(kind="image", width=640, height=360))
    scene = Scene(photo=photo, faces=faces, speakers=speakers, turns=turns, cast=suggest(faces, speakers))
    return Project(title="Sofa", scene=scene)


def parts(project: Project) -> dict[str, str]:
    return {face.id: cast.choice_of(project.scene.member_of_face(face.id)) for face in project.scene.faces}


def test_a_voice_leaves_the_face_that_had_it(project):
    changed, said = cast.choose_part(project, "face-3", "voice:speaker-1")
    assert parts(changed) == {"face-1": "listens", "face-2": "voice:speaker-2", "face-3": "voice:speaker-1"}
    assert said == "Face 3 talks as Speaker 1. Face 1 had this voice and listens now."
    check(changed.scene)


def test_the_voice_a_face_had_goes_off_screen_and_is_not_dropped(project):
    changed, said = cast.choose_part(project, "face-1", "still")
    assert parts(changed)["face-1"] == "still"
    assert "Speaker 1 is heard off-screen now." in said
    assert [m.speaker_id for m in changed.scene.cast if m.face_id is None] == ["speaker-1"]
    check(changed.scene)
    back, _ = cast.choose_part(changed, "face-1", "voice:speaker-1")
    assert [m for m in back.scene.cast if m.face_id is None] == []
    check(back.scene)


def test_every_sequence_of_choices_keeps_each_voice_once_and_each_face_once(project):
    choices = ["voice:speaker-1", "voice:speaker-2", "listens", "still"]
    for first in choices:
        for second in choices:
            for third in choices:
                changed = project.model_copy(deep=True)
                for face_id, choice in zip(("face-1", "face-2", "face-3"), (first, second, third), strict=True):
                    changed, _ = cast.choose_part(changed, face_id, choice)
                check(changed.scene)
                members = changed.scene.cast
                assert sorted(m.speaker_id for m in members if m.speaker_id) == ["speaker-1", "speaker-2"]
                assert sorted(m.face_id for m in members if m.face_id) == ["face-1", "face-2", "face-3"]
                assert describe(changed.scene).startswith("3 faces, 2 voices")


def test_what_was_chosen_stays_when_the_cast_is_suggested_again(project):
    changed, _ = cast.choose_part(project, "face-3", "voice:speaker-1")
    again = suggest(changed.scene.faces, changed.scene.speakers, changed.scene.cast)
    changed.scene.cast = again
    assert parts(changed)["face-3"] == "voice:speaker-1"
    assert parts(changed)["face-1"] == "listens"


def test_a_choice_that_changes_nothing_says_nothing(project):
    before = project.model_copy(deep=True)
    changed, said = cast.choose_part(project, "face-3", "listens")
    assert (changed, said) == (before, "")


@pytest.mark.parametrize(
    ("face_id", "choice"), [("face-9", "listens"), ("face-1", "voice:speaker-9"), ("face-1", "sings"), ("", "")]
)
def test_what_is_not_there_cannot_be_chosen(project, face_id, choice):
    with pytest.raises(StudioError) as caught:
        cast.choose_part(project, face_id, choice)
    assert caught.value.remedy


def test_names_are_cleaned_and_never_empty(project):
    changed, _ = cast.rename_voice(project, "speaker-1", "  Ada\n\x00 <b>Lovelace</b>  ")
    assert changed.scene.speakers[0].name == "Ada <b>Lovelace</b>"
    changed, _ = cast.rename_face(project, "face-1", "x" * 500)
    assert len(changed.scene.faces[0].name) == 60
    for action in (cast.rename_face, cast.rename_voice):
        with pytest.raises(StudioError):
            action(project, "face-1" if action is cast.rename_face else "speaker-1", " \t ")


def test_a_removed_face_leaves_its_voice_off_screen(project):
    changed, said = cast.remove_face(project, "face-1")
    assert [face.id for face in changed.scene.faces] == ["face-2", "face-3"]
    assert said == "Face 1 is removed. Speaker 1 is heard off-screen now."
    check(changed.scene)


def test_corners_in_any_order_make_one_box_inside_the_photo(project):
    assert cast.checked_box(project, (200, 120, 100, 40)) == (100, 40, 200, 120)
    assert cast.checked_box(project, (-50, -50, 2000, 100)) == (0, 0, 640, 100)


@pytest.mark.parametrize("corners", [(1, 2, None, None), (10, 10, 10, 80), (700, 10, 800, 90), (-9, -9, -1, -1)])
def test_a_box_without_area_or_outside_is_refused(project, corners):
    with pytest.raises(StudioError) as caught:
        cast.checked_box(project, corners)
    assert caught.value.remedy
