"""A project on disk: project.json (decisions), media/ (originals), cache/ (derivable), takes/<id>/ (renders)."""

import contextlib
import getpass
import hashlib
import json
import logging
import os
import platform
import re
import shutil
from datetime import datetime
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from engine.errors import ProjectBusy, ProjectDamaged, UnreadableMedia, WriteFailed
from engine.project.atomic import PART_SUFFIX, whole_file, write_bytes, write_failed
from engine.project.document import SCHEMA_VERSION, MediaInfo, MediaRef, Project
from engine.project.migrations import version_of
from engine.project.reading import is_inside, parse_project, read_project
from engine.project.takes import is_any_rendering, recover_takes, remove_parts

PROJECT_NAME = "project.json"
BACKUP_NAME = "project.json.bak"
LOCK_NAME = "project.lock"
HOLDER_NAME = "project.lock.json"

logger = logging.getLogger(__name__)


class ProjectFiles:
    """Where the files of a project lie, without its lock: a render needs no more, and the studio may go on saving."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def path_of(self, ref: MediaRef) -> Path:
        """Where the file of ``ref`` lies. Raises UnreadableMedia when it is gone, ProjectDamaged when it is outside."""
        path = (self.folder / ref.path).resolve()
        if not is_inside(ref.path) or not path.is_relative_to(self.folder.resolve()):
            raise ProjectDamaged(f"{ref.path!r} does not lie inside the project folder.", "Add the file again.")
        if not path.is_file():
            name = ref.original_name or ref.path
            raise UnreadableMedia(f"The file {name!r} is missing from the project.", "Add it again, or put it back.")
        return path

    @property
    def cache_folder(self) -> Path:
        """For whatever can be computed again; deleted at will."""
        return self._made(self.folder / "cache")

    @property
    def takes_folder(self) -> Path:
        return self.folder / "takes"

    def take_folder(self, take_id: str) -> Path:
        """The folder of one take, made if needed. Raises ProjectDamaged for an id that is no plain name."""
        if not re.fullmatch(r"[\w-]{1,64}", take_id):
            raise ProjectDamaged(f"{take_id!r} cannot be the id of a take.", "Remove that take from project.json.")
        return self._made(self.takes_folder / take_id)

    def _made(self, folder: Path) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_failed(folder, error) from error
        return folder


class ProjectStore(ProjectFiles):
    """One project folder, held by this process until ``close``; use it as a context manager.

    Make it with ``create`` or ``open``. ``load`` gives the document, ``save`` keeps one.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lock = FileLock(self.folder / LOCK_NAME, timeout=0, thread_local=False)
        self._last_bytes = b""
        self._hold()

    @classmethod
    def create(cls, folder: Path, title: str = "Untitled") -> "ProjectStore":
        """A new project in ``folder`` (made if needed). Raises WriteFailed, also where a project is already."""
        if (folder / PROJECT_NAME).exists():
            raise WriteFailed(f"There is a project in {folder} already.", "Open it, or choose another folder.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_failed(folder, error) from error
        store = cls(folder)
        try:
            store.save(Project(title=title))
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open(cls, folder: Path) -> "ProjectStore":
        """The project in ``folder``. Raises ProjectDamaged (missing, unreadable, newer) or ProjectBusy."""
        read_project(folder / PROJECT_NAME)  # before the lock, so that a folder that is no project stays untouched
        store = cls(folder)
        try:
            store.load()
        except BaseException:
            store.close()
            raise
        return store

    def load(self) -> Project:
        """The document as last saved. Raises ProjectDamaged."""
        path = self.folder / PROJECT_NAME
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ProjectDamaged(f"{path} cannot be read: {error.strerror}.", "Put the folder back.") from error
        project = parse_project(content, path)
        version = version_of(json.loads(content.decode("utf-8-sig")))
        if version < SCHEMA_VERSION:
            write_bytes(self.folder / f"project.v{version}.json", content)
        self._last_bytes = content
        return project

    def save(self, project: Project) -> None:
        """Save the document: at any moment the file on disk is the old one or the new one, whole.

        Raises WriteFailed (disk full, no permission; the saved state stays) and ValueError for a document that could
        not be opened again. A project.json that something else changed meanwhile is set aside, not lost.
        """
        path = self.folder / PROJECT_NAME
        content = (project.model_dump_json(indent=2) + "\n").encode()
        _check_reopens(content, path)
        self._set_aside_foreign_edit(path)
        write_bytes(path, content)
        self._last_bytes = content
        try:
            write_bytes(self.folder / BACKUP_NAME, content)
        except WriteFailed as error:
            logger.warning("The project is saved; its backup is not: %s", error)

    def import_media(self, source: Path, info: MediaInfo) -> MediaRef:
        """Copy ``source`` into media/ under a name made from its content, once; ``info`` is what media.probe found.

        Raises UnreadableMedia when ``source`` cannot be read, WriteFailed when the copy cannot be written.
        """
        digest = _sha256(source)
        target = self._made(self.folder / "media") / f"{digest[:16]}{_safe_suffix(source)}"
        if not (target.is_file() and _sha256(target) == digest):
            with whole_file(target) as part:
                shutil.copyfile(source, part)
        return MediaRef(path=f"media/{target.name}", sha256=digest, info=info, original_name=source.name)

    def recover(self, project: Project) -> tuple[Project, list[str]]:
        """After a start: the project with what a killed program left unfinished marked so, and a sentence for each.

        Nothing is saved here. Unfinished files are removed; only the holder of the project may call this.
        """
        project, sentences = recover_takes(project, self.takes_folder)
        unsaved = any(self.folder.glob(f".{PROJECT_NAME}.????????{PART_SUFFIX}"))
        remove_parts(self.folder)
        if not is_any_rendering(self.takes_folder):  # a queued render may be at work here while nobody looks
            for folder in [self.folder / "cache", *(self.folder / "cache").glob("*/")]:
                remove_parts(folder)
        if unsaved:
            sentences.insert(0, "The program stopped while it was saving; your very last change may be missing.")
        if remove_parts(self.folder / "media"):
            sentences.insert(0, "The program stopped while a file was being added; add that file again.")
        return project, sentences

    def close(self) -> None:
        """Let go of the project; safe to call twice."""
        if self._lock.is_locked:
            (self.folder / HOLDER_NAME).unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> "ProjectStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hold(self) -> None:
        try:
            self._lock.acquire()
        except Timeout:
            raise ProjectBusy(
                f"The project in {self.folder} is open elsewhere ({_holder(self.folder / HOLDER_NAME)}).",
                "Close it there, or go on in that window.",
            ) from None
        except OSError as error:
            raise write_failed(self.folder / LOCK_NAME, error) from error
        holder = {"user": _user(), "computer": platform.node(), "process": os.getpid(), "since": _now()}
        # The note only serves another window's message: a full disk must not keep anyone from opening a project.
        with contextlib.suppress(OSError):
            (self.folder / HOLDER_NAME).write_text(json.dumps(holder), encoding="utf-8")

    def _set_aside_foreign_edit(self, path: Path) -> None:
        if not self._last_bytes or not path.is_file() or path.read_bytes() == self._last_bytes:
            return
        aside = path.with_name(f"project.changed-elsewhere-{_now().replace(':', '-')}.json")
        write_bytes(aside, path.read_bytes())
        logger.warning("%s was changed by another program; that version is kept as %s", path, aside.name)


def restore_backup(folder: Path) -> Path:
    """Put the last good save back as project.json; the damaged file is kept, and its new path given.

    Raises ProjectDamaged when the backup is no better, ProjectBusy when the project is open.
    """
    backup, path = folder / BACKUP_NAME, folder / PROJECT_NAME
    read_project(backup)
    with ProjectStore(folder):
        aside = folder / f"project.damaged-{_now().replace(':', '-')}.json"
        if path.exists():
            with whole_file(aside) as part:
                shutil.copyfile(path, part)
        write_bytes(path, backup.read_bytes())
    return aside


def _check_reopens(content: bytes, path: Path) -> None:
    try:
        parse_project(content, path)
    except ProjectDamaged as error:
        raise ValueError(f"refusing to save a document that could not be opened again: {error.message}") from error


def _sha256(source: Path) -> str:
    if not source.is_file():
        raise UnreadableMedia(f"There is no file {source.name!r}.", "Choose a photo or a recording on this computer.")
    try:
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableMedia(f"{source.name!r} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _safe_suffix(source: Path) -> str:
    """The file's ending where it is a plain one; nothing reads meaning into it, content decides."""
    suffix = source.suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,5}", suffix) else ""


def _holder(note: Path) -> str:
    try:
        holder = json.loads(note.read_text(encoding="utf-8")[:2000])
        return f"by {holder['user']} on {holder['computer']}, process {holder['process']}, since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "by another window or program"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "someone"


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
