"""Messages that no other test meets, each where a creator would meet it."""

import os

import pytest

from app.actions import export, faces
from engine.bench.checking import _in_child
from engine.cast.suggest import check
from engine.errors import ProjectDamaged, StudioError, UnknownFace, UnreadableMedia
from engine.media.limits import MAX_PHOTO_BYTES
from engine.media.probe import probe
from engine.project.archive import write_zip
from engine.project.document import CastMember, Face, MediaInfo, MediaRef, Project, Scene, Speaker
from engine.project.store import ProjectStore


def test_nothing_can_be_marked_before_there_is_a_photo_or_a_recording():
    with pytest.raises(StudioError, match="no recording") as caught:
        export.set_preview_range(Project(), (0, 5))
    assert caught.value.remedy == "Bring a recording first."
    with pytest.raises(StudioError, match="no photo"):
        faces.checked_box(Project(), (1, 2, 3, 4))


def test_a_cast_edited_by_hand_into_nonsense_is_refused():
    face = Face(id="face-1", name="Ada", colour="#fff", box_px=(0, 0, 9, 9))
    with pytest.raises(UnknownFace, match="same id"):
        check(Scene(faces=[face, face]))
    with pytest.raises(UnknownFace, match="voice"):
        check(Scene(faces=[face], speakers=[Speaker(id="a", name="A")], cast=[CastMember(speaker_id="b")]))


def test_media_outside_their_folder_are_not_packed(tmp_path):
    with ProjectStore.create(tmp_path / "p") as store:
        project = store.load()
        (store.folder / "photo.png").write_bytes(b"x")
        project.scene.photo = MediaRef(path="photo.png", sha256="0" * 64, info=MediaInfo(kind="image"))
        store.save(project)
        with pytest.raises(ProjectDamaged, match="no file of the project's media folder"):
            write_zip(store, tmp_path / "x.zip")


def test_a_project_folder_that_goes_away_is_told(tmp_path):
    with ProjectStore.create(tmp_path / "p") as store:
        (store.folder / "project.json").rename(tmp_path / "elsewhere.json")
        with pytest.raises(ProjectDamaged, match="cannot be read") as caught:
            store.load()
        assert caught.value.remedy == "Put the folder back."


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not hold this user back")
def test_a_file_that_may_not_be_read_is_told(tmp_path):
    source = tmp_path / "secret.png"
    source.write_bytes(b"x")
    source.chmod(0)
    with ProjectStore.create(tmp_path / "p") as store, pytest.raises(UnreadableMedia, match="cannot be read"):
        store.import_media(source, MediaInfo(kind="image"))


def test_a_photo_that_is_larger_than_any_photo_is_not_opened(tmp_path):
    from PIL import Image

    path = tmp_path / "large.bmp"
    Image.new("RGB", (64, 64)).save(path)
    with path.open("r+b") as file:
        file.truncate(MAX_PHOTO_BYTES + 1)  # a hole: takes no place on the disk
    with pytest.raises(UnreadableMedia, match="larger than 512 MB"):
        probe(path)


def test_a_video_that_cannot_be_checked_is_told_by_the_bench_of_the_check(tmp_path):
    with pytest.raises(StudioError, match="could not be checked") as caught:
        _in_child(tmp_path / "gone.mp4", [])
    assert "launch.py check" in caught.value.remedy
