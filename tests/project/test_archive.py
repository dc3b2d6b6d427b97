"""Projects as copies and zips, and zips that somebody made to do harm."""

import hashlib
import io
import json
import os
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from engine.errors import ProjectDamaged, UnreadableMedia, WriteFailed
from engine.project import unpacking
from engine.project.archive import KEPT_OF_TAKES, duplicate_project, free_folder, write_zip
from engine.project.document import MediaInfo, RenderSettings, Scene, Take
from engine.project.store import ProjectFiles, ProjectStore
from engine.project.takes import read_take, write_take
from engine.project.unpacking import open_zip


@pytest.fixture
def files(tmp_path) -> ProjectFiles:
    """A saved project with a photo, a recording, a finished take of an older photo, and a take being rendered."""
    sources = {name: tmp_path / name for name in ("old.png", "new.png", "talk.wav")}
    for name, path in sources.items():
        path.write_bytes(name.encode() * 5000)
    with ProjectStore.create(tmp_path / "sofa", "Sofa") as store:
        project, image = store.load(), MediaInfo(kind="image", width=64, height=64)
        old = store.import_media(sources["old.png"], image)
        project.scene.photo = store.import_media(sources["new.png"], image)
        project.scene.dialogue = store.import_media(sources["talk.wav"], MediaInfo(kind="audio", duration_s=4.0))
        done = Take(id="done", status="done", settings=RenderSettings(), video_path="takes/done/video.mp4")
        project.scene.takes = [done, Take(id="now", settings=RenderSettings())]
        for take in project.scene.takes:
            folder = store.take_folder(take.id)
            write_take(folder, take, Scene(photo=old))
            for name in ("video.mp4", "video.srt", "report.json", "job.json", "growing.mp4", ".x.part"):
                (folder / name).write_text(f"{take.id} {name}")
        (store.cache_folder / "voice.npy").write_bytes(b"x" * 100)
        store.save(project)
        return ProjectFiles(store.folder)


def hashes(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def packed(tmp_path: Path, entries: dict[str, bytes], **attributes: object) -> Path:
    """A zip with these entries; ``attributes`` are set on the last one."""
    target = tmp_path / "made.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for index, (name, content) in enumerate(entries.items(), 1):
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in attributes.items() if index == len(entries) else ():
                setattr(info, key, value)
            archive.writestr(info, content)
    return target


@pytest.fixture
def entries(files, tmp_path) -> dict[str, bytes]:
    """What an honest zip holds, to be changed by the tests."""
    with zipfile.ZipFile(write_zip(files, tmp_path / "honest.zip")) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def refused(source: Path, tmp_path: Path, words: str) -> None:
    parent = tmp_path / "opened"
    parent.mkdir(exist_ok=True)
    with pytest.raises(ProjectDamaged, match=words) as caught:
        open_zip(source, parent)
    assert caught.value.remedy
    assert list(parent.iterdir()) == [], "something was left behind"


def test_what_was_zipped_is_there_again_byte_by_byte(files, tmp_path):
    folder = open_zip(write_zip(files, tmp_path / "sofa.zip"), tmp_path / "opened")
    assert folder == tmp_path / "opened" / "sofa"
    before, after = hashes(files.folder), hashes(folder)
    assert after == {name: before[name] for name in after if name != "project.json"} | {
        "project.json": after["project.json"]
    }
    assert set(before) - set(after) == {
        "cache/voice.npy", "project.lock", "takes/done/.x.part", "takes/done/growing.mp4", "takes/done/job.json",
        *(name for name in before if name.startswith("takes/now/")), *(n for n in before if n.endswith(".bak")),
    }  # fmt: skip
    with ProjectStore.open(folder) as store:
        project = store.load()
        assert [take.id for take in project.scene.takes] == ["done"]
        assert store.path_of(read_take(folder / "takes/done").scene.photo).read_bytes().startswith(b"old")
    again = open_zip(write_zip(ProjectFiles(folder), tmp_path / "again.zip"), tmp_path / "opened")
    assert again.name == "sofa-2"
    assert hashes(again) == {name: value for name, value in hashes(folder).items() if "lock" not in name}


def test_a_copy_is_another_project_with_the_same_files(files, tmp_path):
    folder = duplicate_project(files, tmp_path / "copy", "Sofa again")
    with ProjectStore.open(folder) as copy, ProjectStore.open(files.folder) as original:
        project, first = copy.load(), original.load()
    assert (project.title, project.id != first.id) == ("Sofa again", True)
    assert project.scene == first.scene.model_copy(update={"takes": first.scene.takes[:1]})
    before, after = hashes(files.folder), hashes(folder)
    assert {n: v for n, v in after.items() if n.startswith(("media/", "takes/"))} == {
        name: value
        for name, value in before.items()
        if name.startswith("media/") or name in {f"takes/done/{kept}" for kept in KEPT_OF_TAKES}
    }  # fmt: skip
    assert not (folder / "cache").exists()
    bare = duplicate_project(files, tmp_path / "bare", "Bare", with_takes=False)
    assert not (bare / "takes").exists()
    with pytest.raises(WriteFailed, match="already"):
        duplicate_project(files, tmp_path / "copy", "x")


def test_a_project_whose_media_are_gone_is_not_packed(files, tmp_path):
    shutil.rmtree(files.folder / "media")
    for action in (
        lambda: write_zip(files, tmp_path / "x.zip"),
        lambda: duplicate_project(files, tmp_path / "x", "X"),
    ):
        with pytest.raises(UnreadableMedia, match=r"new\.png"):
            action()
    assert not (tmp_path / "x.zip").exists()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("what", "call"), [("zip", "write"), ("copy", "copyfile"), ("open", "open")], ids=["zip", "copy", "open"]
)
def test_a_full_disk_leaves_nothing_behind(files, tmp_path, monkeypatch, what, call):
    source = write_zip(files, tmp_path / "honest.zip")
    full = OSError(28, "No space left on device")

    def fail(*arguments: object, **options: object) -> None:
        raise full

    places = {"zip": (zipfile.ZipFile, "write"), "copy": (shutil, "copyfile"), "open": (hashlib, "sha256")}
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.setattr(*places[what], fail)
    actions = {
        "zip": lambda: write_zip(files, out / "x.zip"),
        "copy": lambda: duplicate_project(files, out / "x", "X"),
        "open": lambda: open_zip(source, out),
    }
    with pytest.raises(WriteFailed, match="disk is full"):
        actions[what]()
    assert list(out.iterdir()) == []


def test_a_project_larger_than_the_disk_is_refused_before_it_is_unpacked(files, tmp_path, monkeypatch):
    source = write_zip(files, tmp_path / "x.zip")
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 9, 1024))
    with pytest.raises(WriteFailed, match="0 MB are free") as caught:
        open_zip(source, tmp_path / "opened")
    assert "Nothing was written" in caught.value.remedy
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "media/../../evil", "C:/evil", "..\\evil", "media\\evil", "a/\u202eb", "x" * 301]
)
def test_names_that_lead_out_are_refused(entries, tmp_path, name):
    refused(packed(tmp_path, {**entries, name: b"x"}), tmp_path, "could lead out")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(entries, tmp_path, kind):
    source = packed(tmp_path, {**entries, "media/link.png": b"/etc/passwd"}, external_attr=(kind | 0o777) << 16)
    refused(source, tmp_path, "link or a device")


def test_a_hidden_second_name_is_refused(entries, tmp_path):
    content = bytearray(packed(tmp_path, {**entries, "media/aXb.png": b"x"}).read_bytes())
    (tmp_path / "nul.zip").write_bytes(bytes(content).replace(b"media/aXb.png", b"media/a\0b.png"))
    refused(tmp_path / "nul.zip", tmp_path, "could lead out")


def test_a_bomb_is_refused_before_it_grows(entries, tmp_path):
    source = packed(tmp_path, {**entries, "media/bomb.png": bytes(30 * 1024**2)})
    assert source.stat().st_size < 1e6
    refused(source, tmp_path, "more than 100 times")


def test_a_file_that_is_larger_than_it_says_is_refused(entries, tmp_path):
    name = next(name for name in entries if name.endswith(".wav"))
    content = bytearray(packed(tmp_path, {**entries, name: bytes(os.urandom(60_000))}).read_bytes())
    sizes = struct.pack("<I", 60_000)
    assert content.count(sizes) == 2
    (tmp_path / "lies.zip").write_bytes(bytes(content).replace(sizes, struct.pack("<I", 20_000)))
    refused(tmp_path / "lies.zip", tmp_path, "damaged|is not the file")


def test_more_than_any_project_holds_is_refused(entries, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MAX_ENTRIES", 3)
    refused(packed(tmp_path, entries), tmp_path, "a project has up to 3")
    monkeypatch.undo()
    monkeypatch.setattr(unpacking, "MAX_UNPACKED_BYTES", 1000)
    refused(packed(tmp_path, entries), tmp_path, "unpacked it would take")
    monkeypatch.undo()
    monkeypatch.setattr(unpacking, "MAX_DIRECTORY_BYTES", 100)
    refused(packed(tmp_path, entries), tmp_path, "list of contents")
    monkeypatch.undo()
    monkeypatch.setattr(unpacking, "MAX_DOCUMENT_BYTES", 100)
    refused(packed(tmp_path, entries), tmp_path, r"project\.json is larger")


def test_files_that_share_their_content_are_refused(entries, tmp_path):
    """The other kind of bomb: thousands of entries that all point at the same bytes."""
    source = packed(tmp_path, {**entries, "media/b.png": b"same", "media/c.png": b"same"})
    with zipfile.ZipFile(source) as archive:
        first = archive.getinfo("media/b.png").header_offset
        second = archive.getinfo("media/c.png").header_offset
    content = source.read_bytes().replace(
        struct.pack("<I", second) + b"media/c.png", struct.pack("<I", first) + b"media/c.png"
    )
    source.write_bytes(content)
    refused(source, tmp_path, "share their content")


def test_two_files_of_one_name_are_refused(entries, tmp_path):
    refused(packed(tmp_path, {**entries, "MEDIA/A.png": b"x", "media/a.png": b"y"}), tmp_path, "same name")


def test_locked_and_unusual_packing_is_refused(entries, tmp_path):
    source = packed(tmp_path, {**entries, "media/l.png": b"x"})
    content = bytearray(source.read_bytes())
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"media/l.png"))
    locked = content.copy()
    locked[at + 8] |= 1
    source.write_bytes(locked)
    refused(source, tmp_path, "password")
    refused(packed(tmp_path, {**entries, "media/l.png": b"x"}, compress_type=zipfile.ZIP_LZMA), tmp_path, "unusual")


def test_what_is_no_project_is_refused(entries, tmp_path):
    photo = next(name for name in entries if name.startswith("media/"))
    refused(packed(tmp_path, {"a.txt": b"x"}), tmp_path, "no project")
    refused(packed(tmp_path, {}), tmp_path, "no project")
    refused(packed(tmp_path, {**entries, "project.json": b"{"}), tmp_path, r"made\.zip/project\.json is damaged")
    newer = json.dumps({**json.loads(entries["project.json"]), "schema_version": 99}).encode()
    refused(packed(tmp_path, {**entries, "project.json": newer}), tmp_path, "newer Roundtable")
    outside = entries["project.json"].replace(photo.encode(), b"../../etc/passwd")
    refused(packed(tmp_path, {**entries, "project.json": outside}), tmp_path, "inside the project folder")


def test_media_have_to_be_there_and_the_same(entries, tmp_path):
    photo = json.loads(entries["project.json"])["scene"]["photo"]["path"]
    refused(packed(tmp_path, {n: c for n, c in entries.items() if n != photo}), tmp_path, r"'new\.png' .* is missing")
    refused(packed(tmp_path, {**entries, photo: b"another picture"}), tmp_path, "not the file")


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"<html>" * 1000, bytes(5000)])
def test_what_is_no_zip_is_refused(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    refused(tmp_path / "x.zip", tmp_path, "no zip file|no project")


def test_a_zip_cut_anywhere_leaves_nothing(files, tmp_path):
    whole = write_zip(files, tmp_path / "whole.zip").read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        (tmp_path / "cut.zip").write_bytes(whole[:length])
        refused(tmp_path / "cut.zip", tmp_path, "damaged|no zip file")
    for at in range(0, len(whole), max(1, len(whole) // 60)):  # a byte that fell over
        broken = bytearray(whole)
        broken[at] ^= 0xFF
        (tmp_path / "bit.zip").write_bytes(broken)
        try:
            shutil.rmtree(open_zip(tmp_path / "bit.zip", tmp_path / "opened"))
        except ProjectDamaged:
            assert list((tmp_path / "opened").iterdir() if (tmp_path / "opened").exists() else []) == []
    with pytest.raises(ProjectDamaged, match="no file"):
        open_zip(tmp_path / "absent.zip", tmp_path)


def test_a_folder_packed_by_hand_opens_without_what_is_no_part_of_it(entries, tmp_path):
    by_hand = {f"My sofa/{name}": content for name, content in entries.items()}
    extra = {"__MACOSX/._x": b"x", "My sofa/.DS_Store": b"x", "My sofa/cache/a.npy": b"x", "My sofa/media/.hid": b"x"}
    folder = open_zip(packed(tmp_path, {**by_hand, **extra, "My sofa/takes/none/video.mp4": b"x"}), tmp_path / "opened")
    assert set(hashes(folder)) == set(entries)


def test_names_of_folders_are_safe_and_free(tmp_path):
    (tmp_path / "grosse-tafel").mkdir()
    assert free_folder(tmp_path, "Grosse Tafel!").name == "grosse-tafel-2"
    assert free_folder(tmp_path, "../../etc").name == "etc"
    assert free_folder(tmp_path, "円卓").name == "project"


def test_an_upload_that_is_still_open_elsewhere_is_read_only(files, tmp_path):
    source = write_zip(files, tmp_path / "x.zip")
    before = source.read_bytes()
    open_zip(source, tmp_path / "opened")
    assert source.read_bytes() == before
    assert zipfile.is_zipfile(io.BytesIO(before))
