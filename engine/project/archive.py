"""A project as a copy in another folder, or as one zip file to give away: the document, its media and its takes.

The cache stays behind, it can be computed again. ``open_zip`` (in ``unpacking``) is the way back.
"""

import contextlib
import os
import re
import shutil
import unicodedata
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import ProjectDamaged, WriteFailed
from engine.project.atomic import PART_SUFFIX, whole_file, write_bytes, write_failed
from engine.project.document import MediaRef, Project, new_id
from engine.project.reading import media_refs, read_project
from engine.project.store import PROJECT_NAME, ProjectFiles
from engine.project.takes import read_take

KEPT_OF_TAKES = frozenset({"take.json", "report.json", "report.html", "video.mp4", "video.srt", "video.vtt"})
"""The rest of a take's folder is about its rendering: the order, the log, the pictures on the way."""

_DEFLATED = frozenset({".json", ".srt", ".vtt"})

Files = dict[str, Path]
"""Where each file of a project lies, by its name inside the project, with forward slashes."""


def duplicate_project(store: ProjectFiles, folder: Path, title: str, with_takes: bool = True) -> Path:
    """A copy of the saved project in ``folder``, under its own id and ``title``; renders in progress stay behind.

    Raises WriteFailed, also where ``folder`` is there already; ProjectDamaged and UnreadableMedia as opening does.
    """
    if folder.exists():
        raise WriteFailed(f"There is something in {folder} already.", "Choose another folder.")
    project = read_project(store.folder / PROJECT_NAME)
    takes = [take for take in project.scene.takes if with_takes and take.status != "rendering"]
    project.id, project.title, project.created_at = new_id(), title, datetime.now(UTC)
    project.scene.takes = takes
    files = files_of(store, project)
    with whole_folder(folder) as part:
        for name, path in files.items():
            target = part / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        write_bytes(part / PROJECT_NAME, project.model_dump_json(indent=2).encode())
    return folder


def write_zip(store: ProjectFiles, target: Path) -> Path:
    """The saved project as one zip file, whole or not at all; takes that are being rendered stay behind.

    Raises WriteFailed; ProjectDamaged and UnreadableMedia as opening does.
    """
    content = (store.folder / PROJECT_NAME).read_bytes() if (store.folder / PROJECT_NAME).is_file() else b""
    project = read_project(store.folder / PROJECT_NAME)
    finished = [take for take in project.scene.takes if take.status != "rendering"]
    if len(finished) < len(project.scene.takes):
        project.scene.takes = finished
        content = project.model_dump_json(indent=2).encode()
    files = files_of(store, project)
    with whole_file(target) as part, zipfile.ZipFile(part, "w", strict_timestamps=False) as archive:
        archive.writestr(PROJECT_NAME, content, zipfile.ZIP_DEFLATED)
        for name, path in files.items():
            # Photos, recordings and videos are compressed already.
            method = zipfile.ZIP_DEFLATED if path.suffix in _DEFLATED else zipfile.ZIP_STORED
            archive.write(path, name, method)
    return target


def files_of(store: ProjectFiles, project: Project) -> Files:
    """Media and finished takes of ``project``, and the media that its takes were made from.

    Raises UnreadableMedia for media of the scene that are gone, ProjectDamaged for media in strange places.
    """
    files = {_media_name(ref): store.path_of(ref) for _, ref in media_refs(project)}
    for take in project.scene.takes:
        folder = store.takes_folder / take.id
        if not re.fullmatch(r"[\w-]{1,64}", take.id) or not folder.is_dir():
            continue
        for path in (folder / name for name in sorted(KEPT_OF_TAKES)):
            if path.is_file() and not path.is_symlink():
                files[f"takes/{take.id}/{path.name}"] = path
        files |= _media_of_take(store, project, folder)
    return files


def _media_of_take(store: ProjectFiles, project: Project, folder: Path) -> Files:
    """What a take was made from may have been replaced since; where it is gone, the take is still to be seen."""
    try:
        snapshot = project.model_copy(update={"scene": read_take(folder).scene})
    except ProjectDamaged:
        return {}
    present = [ref for _, ref in media_refs(snapshot) if ref.path.startswith("media/")]
    return {ref.path: store.folder / ref.path for ref in present if (store.folder / ref.path).is_file()}


def _media_name(ref: MediaRef) -> str:
    if not re.fullmatch(r"media/[\w.-]{1,120}", ref.path):
        raise ProjectDamaged(f"{ref.path!r} is no file of the project's media folder.", "Add that file again.")
    return ref.path


def plain_name(title: str) -> str:
    """A file name that is safe on any system, made from ``title``, without an ending."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or "project"


def free_folder(parent: Path, title: str) -> Path:
    """A folder name that is free in ``parent`` and safe on any system, made from ``title``."""
    name = plain_name(title)
    candidates = (parent / (name if number == 1 else f"{name}-{number}") for number in range(1, 100_000))
    return next(path for path in candidates if not path.exists())


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Yields a folder to fill; it becomes ``target`` only if the block ends well, and is removed otherwise.

    Raises WriteFailed for every OSError.
    """
    part = target.with_name(f".{target.name[:80]}.{uuid.uuid4().hex[:8]}{PART_SUFFIX}")
    try:
        part.mkdir(parents=True)
        yield part
        os.rename(part, target)
    except OSError as error:
        raise write_failed(target, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
