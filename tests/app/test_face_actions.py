import pytest
from talks import parts, talk

from app.actions import faces, turns, voices
from engine.cast.suggest import check
from engine.errors import StudioError
from engine.project.document import Part, Project


@pytest.fixture
def project() -> Project:
    return talk()


def test_a_moved_face_keeps_who_it_is_and_takes_its_landmarks_along(project):
    face = project.scene.face("face-1")
    face.name, face.consent = "Ada", "yes"
    changed, said = faces.move_face(project, "face-1", (400, 250, 280, 90))
    moved = changed.scene.face("face-1")
    assert (moved.name, moved.consent, moved.colour, moved.origin) == ("Ada", "yes", face.colour, "drawn")
    assert moved.box_px == (280, 90, 400, 250)
    assert moved.landmarks_px[0] == (320, 150)  # twice as large: 20, 30 from the corner become 40, 60
    assert [f.id for f in changed.scene.faces] == ["face-2", "face-1", "face-3"]  # from left to right
    assert said == "Ada is where you put it."
    assert Project.model_validate_json(changed.model_dump_json()) == changed


def test_a_box_is_cut_at_the_photos_edge_and_refused_outside(project):
    changed, _ = faces.move_face(project, "face-1", (-50, -50, 50, 50))
    assert changed.scene.face("face-1").box_px == (0, 0, 50, 50)
    for box in ((700, 10, 800, 90), (1, 1, 2, 2), (1, 2, 3), (1, 2, 3, None), (1, 2, 3, float("nan"))):
        with pytest.raises(StudioError) as caught:
            faces.move_face(project, "face-2", box)
        assert caught.value.remedy


def test_a_face_that_is_not_moved_stays_as_it_was_found(project):
    before = project.model_copy(deep=True)
    assert faces.move_face(project, "face-1", before.scene.face("face-1").box_px) == (before, "")


def test_any_face_can_be_removed(project):
    for face_id in ("face-1", "face-2", "face-3"):
        project, _ = faces.remove_face(project, face_id)
    assert project.scene.faces == []
    assert sorted(m.speaker_id for m in project.scene.cast) == ["speaker-1", "speaker-2"]
    check(project.scene)


def test_swapped_faces_exchange_voices_and_nothing_else(project):
    faces.set_member(project, "face-1", liveliness=1.5, lip_strength=0.5)
    voices.set_gain(project, "speaker-1", 3)
    changed, said = faces.swap_voices(project, "face-1", "face-2")
    assert parts(changed) == {"face-1": "voice:speaker-2", "face-2": "voice:speaker-1", "face-3": "listens"}
    first, second = changed.scene.member_of_face("face-1"), changed.scene.member_of_face("face-2")
    assert (first.liveliness, first.lip_strength, first.gain_db, second.gain_db) == (1.5, 0.5, 0, 3)
    assert said == "Face 1 and Face 2 have swapped voices."
    check(changed.scene)
    changed, _ = faces.swap_voices(changed, "face-3", "face-1")
    assert parts(changed) == {"face-1": "listens", "face-2": "voice:speaker-1", "face-3": "voice:speaker-2"}
    check(changed.scene)


def test_a_swap_with_somebody_who_has_no_member_gives_that_one_the_voice(project):
    project.scene.cast = [m for m in project.scene.cast if m.face_id != "face-3"]
    changed, _ = faces.swap_voices(project, "face-1", "face-3")
    assert parts(changed) == {"face-1": "still", "face-2": "voice:speaker-2", "face-3": "voice:speaker-1"}
    check(changed.scene)


def test_consent_is_kept_as_it_was_written(project):
    changed, said = faces.set_consent(project, "face-1", "Agreed\x00 by mail,\r\n 3 May <ok>\n")
    assert changed.scene.face("face-1").consent == "Agreed by mail,\n3 May <ok>"
    assert said == "The consent note of Face 1 is saved."
    with pytest.raises(StudioError, match="A consent note may have up to 500 letters; this has 501"):
        faces.set_consent(project, "face-1", "x" * 501)


def test_one_persons_strengths_keep_the_documents_bounds(project):
    changed, _ = faces.set_member(project, "face-3", liveliness=0, lip_strength=2)
    member = changed.scene.member_of_face("face-3")
    assert (member.liveliness, member.lip_strength, member.part, member.origin) == (0, 2, Part.LISTENS, "chosen")
    for update in ({"liveliness": 2.1}, {"lip_strength": -0.1}, {"liveliness": float("nan")}, {"lip_strength": "x"}):
        with pytest.raises(StudioError, match="must be between 0 and 2"):
            faces.set_member(changed, "face-3", **update)


@pytest.mark.parametrize(
    "action",
    [
        lambda p: faces.move_face(p, "face-9", (1, 1, 50, 50)),
        lambda p: faces.remove_face(p, "face-9"),
        lambda p: faces.set_consent(p, "face-9", ""),
        lambda p: faces.swap_voices(p, "face-1", "face-9"),
        lambda p: faces.set_member(p, "face-9", liveliness=1),
    ],
)
def test_a_face_that_is_not_there_is_refused(project, action):
    with pytest.raises(StudioError, match="no longer part"):
        action(project)


def test_edits_of_turns_do_not_touch_the_cast(project):
    cast = project.scene.cast
    changed, _ = turns.move_turn(project, "t0", "speaker-2")
    assert changed.scene.cast == cast
