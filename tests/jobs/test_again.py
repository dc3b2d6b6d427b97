"""The sample's real recording and picture, analysed again after a person edited what was found."""

from collections.abc import Iterator

import pytest
from PIL import Image as PilImage

from app.actions import faces, turns, voices
from engine.cast.again import spoken
from engine.cast.spans import common, seconds
from engine.cast.suggest import check, suggest
from engine.demo import compose_group_photo, demo_dialogue
from engine.errors import NoFacesFound
from engine.jobs.analyse import add_dialogue, add_photo, find_faces, find_voices, redraw_face
from engine.jobs.found import remember_voices, voices_found
from engine.project.document import Project
from engine.project.store import ProjectStore


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[ProjectStore]:
    with ProjectStore.create(tmp_path_factory.mktemp("again") / "project") as store:
        yield store


@pytest.fixture(scope="module")
def heard(store) -> Project:
    project = store.load()
    add_dialogue(store, project, demo_dialogue())
    analyse_again(store, project, 2)
    return project


@pytest.fixture(scope="module")
def seen(store, tmp_path_factory) -> Project:
    project, picture = store.load(), tmp_path_factory.mktemp("picture") / "people.png"
    PilImage.fromarray(compose_group_photo().rgb).save(picture)
    add_photo(store, project, picture)
    find_faces(store, project)
    return project


def analyse_again(store: ProjectStore, project: Project, num_speakers: int | None) -> None:
    for _ in find_voices(store, project, num_speakers):
        pass
    scene = project.scene
    scene.cast = suggest(scene.faces, scene.speakers, scene.cast)
    check(scene)


def swapped(project: Project) -> Project:
    """As if the diarizer had numbered the two voices the other way round."""
    text = project.model_dump_json().replace("speaker-1", "speaker-x").replace("speaker-2", "speaker-1")
    return Project.model_validate_json(text.replace("speaker-x", "speaker-2"))


def test_names_edits_and_cast_outlive_an_analysis_that_numbers_the_voices_another_way(store, heard):
    project = swapped(heard)
    scene = project.scene
    voices.rename_voice(project, "speaker-2", "Bo")
    moved, deleted, trimmed = scene.turns[3], scene.turns[6], max(scene.turns, key=lambda turn: turn.end_s)
    turns.move_turn(project, moved.id, "speaker-1" if moved.speaker_id == "speaker-2" else "speaker-2")
    turns.delete_turn(project, deleted.id)
    turns.trim_turn(project, trimmed.id, trimmed.start_s, trimmed.end_s - 1.0)
    turns.add_turn(project, "speaker-2", 1.0, 2.0)
    before = scene.model_copy(deep=True)
    edited = [turn.model_copy(update={"overlapped": False}) for turn in scene.turns if turn.origin == "edited"]
    assert len(edited) == 3

    analyse_again(store, project, 3)
    kept = [turn for turn in scene.turns if turn.origin == "edited"]
    assert [turn.model_copy(update={"overlapped": False}) for turn in kept] == edited
    taken_out = [(deleted.start_s, deleted.end_s)]
    silent = seconds(common(spoken(before.turns)[deleted.speaker_id], taken_out))
    assert seconds(common(spoken(scene.turns)[deleted.speaker_id], taken_out)) == pytest.approx(silent, abs=0.05)
    names = {speaker.id: speaker.name for speaker in scene.speakers}
    assert (names["speaker-1"], names["speaker-2"]) == ("Speaker 2", "Bo")
    for speaker_id in ("speaker-1", "speaker-2"):  # the diarizer itself numbers them the other way round
        old, new = spoken(before.turns)[speaker_id], spoken(scene.turns)[speaker_id]
        assert seconds(common(old, new)) > 0.85 * seconds(old)


def test_a_damaged_memory_of_what_was_found_is_no_error(store, heard):
    for content in ('{"voices": [{"turn_ids": 3', "[]", '{"boxes_px": [[1]]}'):
        for path in store.cache_folder.glob("found-*.json"):
            path.write_text(content)
        assert voices_found(store, heard.scene) == {}
    remember_voices(store, heard.scene, heard.scene.turns, spoken(heard.scene.turns))
    assert voices_found(store, heard.scene) == spoken(heard.scene.turns)


def test_a_removed_face_comes_back_only_when_asked(store, seen):
    project = seen.model_copy(deep=True)
    scene = project.scene
    gone, moved = scene.faces[0], scene.faces[1]
    faces.set_consent(project, scene.faces[2].id, "by mail")
    faces.remove_face(project, gone.id)
    x0, y0, x1, y1 = moved.box_px
    faces.move_face(project, moved.id, (x0 + 4, y0 + 4, x1 + 4, y1 + 4))
    ids = [face.id for face in scene.faces]
    find_faces(store, project)
    assert [face.id for face in scene.faces] == ids
    assert scene.face(moved.id).origin == "drawn"
    assert [face.consent for face in scene.faces].count("by mail") == 1
    find_faces(store, project, with_removed=True)
    assert len(scene.faces) == len(seen.scene.faces)


def test_a_moved_face_is_looked_at_again_and_stays_who_it_is(store, seen):
    project = seen.model_copy(deep=True)
    face = project.scene.faces[0]
    face.name, face.consent = "Ada", "yes"
    x0, y0, x1, y1 = face.box_px
    box = (x0 - 8.0, y0 - 6.0, x1 + 3.0, y1 + 9.0)
    found = face.landmarks_px
    faces.move_face(project, face.id, box)
    again = redraw_face(store, project, face.id)
    assert (again.id, again.name, again.consent, again.colour) == (face.id, "Ada", "yes", face.colour)
    assert again.box_px == pytest.approx(box, abs=10)
    gaps = [abs(a - b) for p, q in zip(again.landmarks_px, found, strict=True) for a, b in zip(p, q, strict=True)]
    assert max(gaps) < 0.12 * (x1 - x0)  # on the face itself, not where the box would have carried them
    with pytest.raises(NoFacesFound):
        redraw_face(store, project, face.id, (-50, -50, -10, -10))
