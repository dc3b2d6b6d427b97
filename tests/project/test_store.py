import json
import os
from pathlib import Path

import pytest

from engine.errors import ProjectDamaged, UnreadableMedia, WriteFailed
from engine.project.document import MediaInfo, MediaRef, Project, RenderSettings, Speaker
from engine.project.reading import read_project
from engine.project.store import ProjectStore, restore_backup
from engine.project.takes import inputs_sha256

IMAGE = MediaInfo(kind="image", format="png", width=64, height=64)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "my scene"


def test_create_save_open(folder):
    with ProjectStore.create(folder, "Sofa") as store:
        project = store.load()
        project.scene.speakers.append(Speaker(id="speaker-1", name="Änne 🎤"))
        store.save(project)
    with ProjectStore.open(folder) as store:
        assert store.load() == project
    assert not list(folder.glob("*.part"))
    assert (folder / "project.json.bak").read_bytes() == (folder / "project.json").read_bytes()


def test_project_json_holds_no_absolute_path(folder, tmp_path):
    source = tmp_path / "p.png"
    source.write_bytes(b"x")
    with ProjectStore.create(folder) as store:
        project = store.load()
        project.scene.photo = store.import_media(source, IMAGE)
        store.save(project)
    assert str(tmp_path) not in (folder / "project.json").read_text(encoding="utf-8")


def test_create_does_not_replace_a_project(folder):
    ProjectStore.create(folder, "First").close()
    with pytest.raises(WriteFailed, match="already"):
        ProjectStore.create(folder, "Second")
    assert read_project(folder / "project.json").title == "First"


DAMAGES = {
    "empty": ("", "line 1"),
    "cut off": ('{"schema_version": 1,\n "scene": {"fac', "line 2"),
    "binary": (b"\xff\xfe\x00\x01", "not text"),
    "a list": ("[]", "schema_version"),
    "unknown field": ('{"schema_version": 1, "scene": {"fcaes": []}}', "scene.fcaes"),
    "out of bounds": ('{"schema_version": 1, "scene": {"interaction_strength": 7}}', "scene.interaction_strength"),
    "not a number": ('{"schema_version": 1, "scene": {"interaction_strength": NaN}}', "scene.interaction_strength"),
    "infinite": ('{"schema_version": 1, "scene": {"settings": {"range_s": [0, 1e999]}}}', r"range_s\[1\]"),
    "huge integer": ('{"schema_version": 1, "title": ' + "9" * 5000 + "}", "damaged"),
    "too deep": ('{"schema_version": 1, "scene": ' + "[" * 200_000, "nests too deeply"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_document_is_reported_and_left_alone(folder, name):
    ProjectStore.create(folder, "Good").close()
    content, expected = DAMAGES[name]
    content = content if isinstance(content, bytes) else content.encode()
    path = folder / "project.json"
    path.write_bytes(content)
    before = sorted(entry.name for entry in folder.iterdir())
    with pytest.raises(ProjectDamaged, match=expected) as caught:
        ProjectStore.open(folder)
    assert caught.value.remedy
    assert path.read_bytes() == content
    assert sorted(entry.name for entry in folder.iterdir()) == before


def test_damage_message_names_file_and_backup_and_restore_works(folder):
    ProjectStore.create(folder, "Good").close()
    path = folder / "project.json"
    path.write_text("{ oops")
    with pytest.raises(ProjectDamaged) as caught:
        ProjectStore.open(folder)
    assert str(path) in caught.value.message
    assert "project.json.bak" in caught.value.remedy
    aside = restore_backup(folder)
    assert aside.read_text() == "{ oops"
    with ProjectStore.open(folder) as store:
        assert store.load().title == "Good"


def test_missing_document_is_not_made_up(tmp_path):
    with pytest.raises(ProjectDamaged, match=r"no project\.json"):
        ProjectStore.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_hand_edited_document_opens_when_it_is_valid(folder):
    ProjectStore.create(folder, "Before").close()
    path = folder / "project.json"
    path.write_text("\ufeff" + path.read_text().replace("Before", "By hand"), encoding="utf-8")
    with ProjectStore.open(folder) as store:
        assert store.load().title == "By hand"


def test_change_by_another_program_is_set_aside_not_lost(folder):
    with ProjectStore.create(folder, "Mine") as store:
        project = store.load()
        path = folder / "project.json"
        path.write_text(path.read_text().replace("Mine", "Theirs"))
        project.title = "Mine, later"
        store.save(project)
    assert read_project(path).title == "Mine, later"
    (aside,) = folder.glob("project.changed-elsewhere-*.json")
    assert read_project(aside).title == "Theirs"


OUTSIDE = [
    "../secret",
    "/etc/passwd",
    "media/../../x",
    "C:\\x",
    "C:x",
    "\\\\host\\share",
    "media\\..\\x",
    "",
    ".",
    "a\0b",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_media_outside_the_folder_is_refused(folder, name):
    ProjectStore.create(folder).close()
    path = folder / "project.json"
    document = json.loads(path.read_text())
    document["scene"]["photo"] = {"path": name, "sha256": "0", "info": {"kind": "image"}}
    path.write_text(json.dumps(document))
    with pytest.raises(ProjectDamaged, match=r"scene\.photo\.path"):
        ProjectStore.open(folder)


def test_take_id_and_video_path_outside_are_refused(folder):
    ProjectStore.create(folder).close()
    path = folder / "project.json"
    for take in ({"id": "../x", "settings": {}}, {"video_path": "/tmp/v.mp4", "settings": {}}):
        document = json.loads((folder / "project.json.bak").read_text())
        document["scene"]["takes"] = [take]
        path.write_text(json.dumps(document))
        with pytest.raises(ProjectDamaged, match=r"scene\.takes\[0\]"):
            ProjectStore.open(folder)


def test_link_out_of_the_project_is_not_followed(folder, tmp_path):
    (tmp_path / "secret").write_text("s")
    with ProjectStore.create(folder) as store:
        (folder / "media").mkdir()
        (folder / "media" / "link").symlink_to(tmp_path / "secret")
        with pytest.raises(ProjectDamaged, match="inside"):
            store.path_of(MediaRef(path="media/link", sha256="0", info=IMAGE))
        with pytest.raises(ProjectDamaged, match="id of a take"):
            store.take_folder("../x")


NAMES = [
    "a b.png",
    'it\'s "quoted".png',
    "日本 🎭.PNG",
    "$(touch pwned).png",
    "-rf.png",
    "; rm x.png",
    "a..png",
    "x.sh;y",
    "n" * 200,
]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_file_names_are_imported_under_a_safe_one(folder, tmp_path, name):
    source = tmp_path / name
    source.write_bytes(b"the same bytes")
    with ProjectStore.create(folder) as store:
        ref = store.import_media(source, IMAGE)
        again = store.import_media(source, IMAGE)
        assert ref == again
        assert ref.original_name == name
        assert store.path_of(ref).read_bytes() == b"the same bytes"
        assert store.path_of(ref).name.isascii()
        project = store.load()
        project.scene.photo = ref
        store.save(project)
    assert len(list((folder / "media").iterdir())) == 1
    assert read_project(folder / "project.json").scene.photo.original_name == name


def test_import_through_dots_and_of_things_that_are_no_file(folder, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "p.png").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    with ProjectStore.create(folder) as store:
        ref = store.import_media(tmp_path / "sub" / ".." / "p.png", IMAGE)
        assert store.path_of(ref).parent == folder / "media"
        for bad in ("pipe", "sub", "absent"):
            with pytest.raises(UnreadableMedia, match=bad):
                store.import_media(tmp_path / bad, IMAGE)


def test_damaged_copy_is_replaced_and_missing_media_is_named(folder, tmp_path):
    source = tmp_path / "p.png"
    source.write_bytes(b"whole")
    with ProjectStore.create(folder) as store:
        ref = store.import_media(source, IMAGE)
        store.path_of(ref).write_bytes(b"wh")
        assert store.path_of(store.import_media(source, IMAGE)).read_bytes() == b"whole"
        store.path_of(ref).unlink()
        with pytest.raises(UnreadableMedia, match=r"'p\.png' is missing"):
            store.path_of(ref)


def test_inputs_hash_follows_what_decides_the_pixels():
    scene = read_project(Path(__file__).parent / "golden" / "project_v1.json").scene
    settings = RenderSettings()
    first = inputs_sha256(scene, settings)
    moved = scene.model_copy(deep=True)
    moved.photo.path, moved.takes = "media/elsewhere.png", []
    assert inputs_sha256(moved, settings) == first
    assert inputs_sha256(scene, RenderSettings(seed=1)) != first
    for change in ("photo", "cast", "turns"):
        other = scene.model_copy(deep=True)
        if change == "photo":
            other.photo.sha256 = "f" * 64
        elif change == "cast":
            other.cast[0].liveliness = 0.1
        else:
            other.turns[0].end_s += 0.1
        assert inputs_sha256(other, settings) != first, change


def test_new_projects_differ():
    assert Project().id != Project().id
