import pytest
from talks import parts, spans, talk, turn

from app.actions import faces, voices
from engine.cast.suggest import check
from engine.errors import StudioError
from engine.project.document import Part, Project

THREE = ((1, 0.0, 2.0), (2, 2.0, 5.0), (3, 4.0, 6.0), (1, 6.0, 7.0), (3, 8.0, 9.0))


@pytest.fixture
def project() -> Project:
    return talk(num_faces=3, turns=THREE)


def test_two_voices_that_are_one_person_become_one(project):
    changed, said = voices.merge_voices(project, "speaker-3", "speaker-2")
    assert spans(changed, "speaker-2") == [(2.0, 6.0), (8.0, 9.0)]
    assert all(turn(changed, i).origin == "edited" for i in ("t1", "t4"))
    assert turn(changed, "t0").origin == "detected"
    assert [speaker.id for speaker in changed.scene.speakers] == ["speaker-1", "speaker-2"]
    assert parts(changed) == {"face-1": "voice:speaker-1", "face-2": "voice:speaker-2", "face-3": "listens"}
    assert said == "Speaker 3 and Speaker 2 are one voice now: Speaker 2."
    assert not any(t.overlapped for t in changed.scene.turns)
    check(changed.scene)


def test_a_voice_without_a_face_takes_that_of_the_one_it_swallows(project):
    project, _ = voices.set_gain(project, "speaker-2", -6)
    project, _ = voices.set_off_screen(project, "speaker-2")
    changed, _ = voices.merge_voices(project, "speaker-3", "speaker-2")
    assert parts(changed) == {"face-1": "voice:speaker-1", "face-2": "listens", "face-3": "voice:speaker-2"}
    assert voices.member_of_voice(changed, "speaker-2").gain_db == -6
    assert [m for m in changed.scene.cast if m.face_id is None] == []
    check(changed.scene)


def test_two_unseen_voices_become_one_unseen_voice(project):
    for speaker_id in ("speaker-2", "speaker-3"):
        project, _ = voices.set_off_screen(project, speaker_id)
    changed, _ = voices.merge_voices(project, "speaker-2", "speaker-3")
    assert [m.speaker_id for m in changed.scene.cast if m.face_id is None] == ["speaker-3"]
    check(changed.scene)


def test_merging_where_nobody_is_cast_yet(project):
    project.scene.cast = []
    changed, _ = voices.merge_voices(project, "speaker-2", "speaker-1")
    assert [(m.speaker_id, m.face_id) for m in changed.scene.cast] == [("speaker-1", None)]


@pytest.mark.parametrize(("gone", "kept"), [("speaker-1", "speaker-1"), ("speaker-9", "speaker-1"), ("speaker-1", "")])
def test_a_voice_is_merged_only_with_another_one_that_is_there(project, gone, kept):
    with pytest.raises(StudioError) as caught:
        voices.merge_voices(project, gone, kept)
    assert caught.value.remedy


def test_the_volume_keeps_the_documents_bounds_and_follows_the_voice(project):
    changed, _ = voices.set_gain(project, "speaker-2", -6.5)
    changed, _ = faces.choose_part(changed, "face-3", "voice:speaker-2")
    assert changed.scene.member_of_face("face-3").gain_db == -6.5
    assert changed.scene.member_of_face("face-2").gain_db == 0
    changed, _ = voices.set_off_screen(changed, "speaker-2")
    assert voices.member_of_voice(changed, "speaker-2").gain_db == -6.5
    for value in (13, -31, float("nan"), "loud", None, True):
        with pytest.raises(StudioError, match="The volume in dB must be between -30 and 12"):
            voices.set_gain(changed, "speaker-2", value)


def test_an_off_screen_voice_leaves_its_face_listening(project):
    changed, said = voices.set_off_screen(project, "speaker-1")
    assert parts(changed)["face-1"] == "listens"
    assert said == "Speaker 1 is heard off-screen now."
    before = changed.model_copy(deep=True)
    assert voices.set_off_screen(changed, "speaker-1") == (before, "")
    check(changed.scene)


def test_a_voice_by_hand_gets_an_id_that_nobody_had(project):
    project, _ = voices.merge_voices(project, "speaker-2", "speaker-1")
    changed, said = voices.add_voice(project)
    assert (changed.scene.speakers[-1].id, changed.scene.speakers[-1].name) == ("speaker-2", "Speaker 2")
    changed, _ = voices.add_voice(changed, "  Ada ")
    assert (changed.scene.speakers[-1].id, changed.scene.speakers[-1].name) == ("speaker-4", "Ada")
    assert said.startswith("Speaker 2 is added, off-screen.")
    assert all(voices.member_of_voice(changed, i).part is Part.TALKS for i in ("speaker-2", "speaker-4"))
    check(changed.scene)
