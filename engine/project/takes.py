"""A take on disk: takes/<id>/ with its video, its take.json, and the lock of the process that renders it."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from engine.errors import ProjectBusy, ProjectDamaged
from engine.project.atomic import PART_SUFFIX, write_bytes, write_failed
from engine.project.document import Document, Project, RenderSettings, Scene, Take

TAKE_NAME = "take.json"
LOCK_NAME = "rendering.lock"


class TakeRecord(Document):
    """take.json: the take, and the whole scene as it was when the take was rendered (without its other takes)."""

    take: Take
    scene: Scene


def inputs_sha256(scene: Scene, settings: RenderSettings) -> str:
    """Hash of everything that decides a take's pixels: media by content, faces, turns, cast, controls, settings."""
    wanted = scene.model_dump(mode="json", exclude={"takes", "settings", "photo", "dialogue", "voices"})
    wanted["photo"] = scene.photo and scene.photo.sha256
    wanted["dialogue"] = scene.dialogue and scene.dialogue.sha256
    wanted["voices"] = [[voice.speaker_id, voice.media.sha256] for voice in scene.voices]
    canonical = json.dumps([wanted, settings.model_dump(mode="json")], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_take(folder: Path, take: Take, scene: Scene) -> Path:
    """Write take.json into the take's folder. Raises WriteFailed."""
    record = TakeRecord(take=take, scene=scene.model_copy(update={"takes": []}, deep=True))
    target = folder / TAKE_NAME
    write_bytes(target, record.model_dump_json(indent=2).encode())
    return target


def read_take(folder: Path) -> TakeRecord:
    """The record in the take's folder. Raises ProjectDamaged."""
    path = folder / TAKE_NAME
    try:
        return TakeRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ProjectDamaged(f"{path} cannot be read.", "Render the take again from the project.") from error


@contextlib.contextmanager
def rendering(folder: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Held by the process that renders the take in ``folder``; the system lets go of it if that process dies.

    Raises ProjectBusy when another process renders this take and still does after ``wait_s``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_NAME, timeout=wait_s, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise ProjectBusy(f"Take {folder.name} is being rendered already.", "Wait for it, or cancel it.") from None
    except OSError as error:
        raise write_failed(folder / LOCK_NAME, error) from error
    try:
        yield
    finally:
        lock.release()


def is_rendering(folder: Path) -> bool:
    """Whether a live process renders the take in ``folder``."""
    if not (folder / LOCK_NAME).exists():
        return False
    try:
        with rendering(folder):
            return False
    except ProjectBusy:
        return True


def is_any_rendering(takes_folder: Path) -> bool:
    """Whether a live process renders any take of a project: of its cache, too, nothing may be cleared then."""
    return any(is_rendering(note.parent) for note in takes_folder.glob(f"*/{LOCK_NAME}"))


def recover_takes(project: Project, takes_folder: Path) -> tuple[Project, list[str]]:
    """The project with every abandoned render marked as interrupted, and a sentence about each.

    A take is abandoned when it says "rendering" and no live process holds its lock; its unfinished files are removed.
    A take that was finished, but not noted any more before the program stopped, becomes one of the project's.
    """
    project, sentences = project.model_copy(deep=True), []
    finished = _unnoted(project, takes_folder)
    for index, take in enumerate(project.scene.takes):
        folder = takes_folder / take.id
        if take.id in finished:
            project.scene.takes[index] = finished.pop(take.id)
            continue
        if take.status != "rendering" or is_rendering(folder):
            continue
        remove_parts(folder)
        take.status = "interrupted"
        take.message = f"The program stopped while this {take.settings.kind} was being rendered."
        sentences.append(f"{take.message} Its settings are kept; render it again. (Take {take.id}.)")
    adopted = sorted(finished.values(), key=lambda take: take.made_at)
    project.scene.takes = [*project.scene.takes, *adopted]
    return project, sentences


def _unnoted(project: Project, takes_folder: Path) -> dict[str, Take]:
    """By id, the takes whose folders say that they are done, while the project does not (know them)."""
    ended = {take.id for take in project.scene.takes if take.status not in ("rendering", "interrupted")}
    found: dict[str, Take] = {}
    for note in sorted(takes_folder.glob(f"*/{TAKE_NAME}")):
        folder = note.parent
        if folder.name in ended:
            continue
        with contextlib.suppress(ProjectDamaged):  # somebody's experiments in the folder concern nobody
            take = read_take(folder).take
            whole = take.status == "done" and take.video_path == f"{takes_folder.name}/{folder.name}/video.mp4"
            if whole and take.id == folder.name and (folder / "video.mp4").is_file():
                found[take.id] = take
    return found


def remove_take(folder: Path) -> None:
    """Remove a take from the disk: a folder that stayed would be taken for an unnoted take at the next start.

    Raises ProjectBusy while it is being rendered, WriteFailed.
    """
    if not folder.is_dir():
        return
    if is_rendering(folder):
        raise ProjectBusy(f"Take {folder.name} is being rendered.", "Cancel the render first.")
    try:
        (folder / TAKE_NAME).unlink(missing_ok=True)  # first: without it nothing adopts what else stays
        shutil.rmtree(folder)
    except OSError as error:
        raise write_failed(folder, error) from error


def remove_parts(folder: Path) -> int:
    """Remove the unfinished files of ``folder``; how many there were."""
    parts = list(folder.glob(f".*{PART_SUFFIX}")) if folder.is_dir() else []
    for part in parts:
        with contextlib.suppress(OSError):
            part.unlink()
    return len(parts)
