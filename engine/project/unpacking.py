"""A project out of a zip file that anybody may have made: nothing of it is believed before it is checked."""

import hashlib
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from engine.errors import ProjectDamaged, StudioError, WriteFailed
from engine.project.archive import KEPT_OF_TAKES, free_folder, whole_folder
from engine.project.atomic import write_failed
from engine.project.document import Project
from engine.project.reading import MAX_DOCUMENT_BYTES, is_inside, media_refs, parse_project
from engine.project.store import PROJECT_NAME

MAX_ENTRIES = 10_000
MAX_DIRECTORY_BYTES = 8 * 1024**2
MAX_UNPACKED_BYTES = 64 * 1024**3
MAX_RATIO = 100
"""Text shrinks to a twentieth; only a file made for it shrinks to a thousandth."""

SMALL_BYTES = 1024**2  # up to here the ratio tells nothing
SPARE_BYTES = 256 * 1024**2  # what stays free on the disk
CHUNK_BYTES = 1024**2

_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error, ValueError)

Entries = Mapping[str, zipfile.ZipInfo]
"""What is taken out of a zip, by its name inside the project."""


def open_zip(source: Path, parent: Path) -> Path:
    """The folder, in ``parent``, of the project that the zip ``source`` holds; only then is it there.

    Files that are no part of a project are left in the zip. Raises ProjectDamaged for everything that a zip can have
    wrong, WriteFailed where the disk is full or cannot be written.
    """
    if not source.is_file():
        raise ProjectDamaged(f"There is no file {source.name!r}.", "Choose a zip file that Roundtable saved.")
    try:
        with source.open("rb") as file:
            _check_directory(source, file)
            with zipfile.ZipFile(file) as archive:
                return _unpack(source, archive, parent)
    except StudioError:
        raise
    except _UNREADABLE as error:
        _refuse(source, f"it is damaged or no zip file ({str(error)[:80]})")
    except OSError as error:
        raise write_failed(parent, error) from error


def _check_directory(source: Path, file: object) -> None:
    """A list of contents that would fill the memory is refused before it is read.

    The standard library's own reader of the end record is used, so that both look at the same one.
    """
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    if not end:
        _refuse(source, "it is damaged or no zip file")
    if end[zipfile._ECD_SIZE] > MAX_DIRECTORY_BYTES:  # type: ignore[attr-defined]
        _refuse(source, "its list of contents is far too long for a project")


def _unpack(source: Path, archive: zipfile.ZipFile, parent: Path) -> Path:
    entries = _checked(source, archive.infolist())
    content = _read(source, archive, entries[PROJECT_NAME])
    project = parse_project(content, Path(source.name) / PROJECT_NAME)
    wanted = _wanted(source, project, entries)
    _check_room(parent, sum(entry.file_size for entry in wanted.values()))
    hashes = {ref.path: ref.sha256 for _, ref in media_refs(project)}
    target = free_folder(parent, project.title)
    with whole_folder(target) as part:
        (part / PROJECT_NAME).write_bytes(content)
        for name, entry in wanted.items():
            _write(source, archive, entry, part / name, hashes.get(name))
    return target


def _checked(source: Path, infos: Sequence[zipfile.ZipInfo]) -> Entries:
    """The entries by their name inside the project, each of them and all together looked at; project.json is there."""
    if len(infos) > MAX_ENTRIES:
        _refuse(source, f"it holds {len(infos)} files; a project has up to {MAX_ENTRIES}")
    for info in infos:
        _check_entry(source, info)
    _check_sizes(source, infos)
    files = [info for info in infos if not info.is_dir()]
    folded = [unicodedata.normalize("NFC", info.filename).casefold() for info in files]
    if len(set(folded)) < len(folded):
        _refuse(source, "two files in it have the same name")
    return _inside_project(source, files)


def _check_entry(source: Path, info: zipfile.ZipInfo) -> None:
    name = info.filename
    shown = name[:60]
    if info.orig_filename != name or not is_inside(name) or len(name) > 300 or not name.isprintable():
        _refuse(source, f"the name {shown!r} could lead out of the project's folder")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        _refuse(source, f"{shown!r} is a link or a device, no plain file")
    if info.flag_bits & 1:
        _refuse(source, "it has a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        _refuse(source, f"{shown!r} is packed in an unusual way")
    if info.file_size > SMALL_BYTES and info.file_size > MAX_RATIO * info.compress_size:
        _refuse(source, f"{shown!r} would grow to more than {MAX_RATIO} times its size")


def _check_sizes(source: Path, infos: Sequence[zipfile.ZipInfo]) -> None:
    total = sum(info.file_size for info in infos)
    if total > MAX_UNPACKED_BYTES:
        _refuse(source, f"unpacked it would take {total / 1024**3:.0f} GB")
    at = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < at:
            _refuse(source, "files in it share their content")
        at = info.header_offset + info.compress_size


def _inside_project(source: Path, files: Sequence[zipfile.ZipInfo]) -> Entries:
    """Without what is above the project: somebody may have packed the whole folder."""
    places = [info.filename for info in files if re.fullmatch(rf"([^/]+/)?{re.escape(PROJECT_NAME)}", info.filename)]
    if not places:
        _refuse(source, f"it holds no project: there is no {PROJECT_NAME} in it")
    prefix = min(places, key=len).removesuffix(PROJECT_NAME)
    return {info.filename.removeprefix(prefix): info for info in files if info.filename.startswith(prefix)}


def _wanted(source: Path, project: Project, entries: Entries) -> Entries:
    """The entries that belong to a project; all of the scene's media have to be there."""
    for _, ref in media_refs(project):
        if ref.path not in entries or not _is_media(ref.path):
            name = ref.original_name or ref.path
            _refuse(source, f"the file {name[:60]!r} of the project is missing in it")
    takes = {take.id for take in project.scene.takes}
    return {name: entry for name, entry in entries.items() if _is_media(name) or _is_of_take(name, takes)}


def _is_media(name: str) -> bool:
    return re.fullmatch(r"media/[\w-][\w.-]{0,119}", name) is not None


def _is_of_take(name: str, takes: set[str]) -> bool:
    found = re.fullmatch(r"takes/([\w-]{1,64})/([\w.]+)", name)
    return found is not None and found[1] in takes and found[2] in KEPT_OF_TAKES


def _check_room(parent: Path, num_bytes: int) -> None:
    there = next(folder for folder in (parent, *parent.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if num_bytes + SPARE_BYTES > free:
        raise WriteFailed(
            f"The project takes {num_bytes / 1024**2:.0f} MB; only {free / 1024**2:.0f} MB are free on the disk.",
            "Free some space, then open it again. Nothing was written.",
        )


def _read(source: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > MAX_DOCUMENT_BYTES:
        _refuse(source, f"its {PROJECT_NAME} is larger than {MAX_DOCUMENT_BYTES // 1024**2} MB")
    with archive.open(entry) as packed:
        return packed.read(MAX_DOCUMENT_BYTES + 1)


def _write(source: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, sha256: str | None) -> None:
    """Unpack one file, counting what really comes out of it; ``sha256`` None = not known beforehand."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, written = hashlib.sha256(), 0
    with archive.open(entry) as packed, target.open("xb") as file:
        while chunk := packed.read(CHUNK_BYTES):
            written += len(chunk)
            if written > entry.file_size:
                _refuse(source, f"{entry.filename[:60]!r} is larger than it says")
            digest.update(chunk)
            file.write(chunk)
    if written != entry.file_size:
        _refuse(source, f"{entry.filename[:60]!r} is cut short")
    if sha256 is not None and digest.hexdigest() != sha256:
        _refuse(source, f"{entry.filename[:60]!r} is not the file that the project was made with")


def _refuse(source: Path, what: str) -> NoReturn:
    raise ProjectDamaged(
        f"{source.name!r} cannot be opened: {what}.",
        "Choose a zip file that Roundtable saved, or ask for it again. Nothing was written.",
    )
