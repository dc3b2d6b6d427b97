"""project.json → Project, trusting nothing: every way in which the file can be wrong becomes one ProjectDamaged."""

import json
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NoReturn

from pydantic import ValidationError

from engine.errors import ProjectDamaged
from engine.project.document import MediaRef, Project
from engine.project.migrations import upgrade, version_of

MAX_DOCUMENT_BYTES = 64 * 1024**2
"""Hours of dialogue make a few hundred kilobytes; anything near this is not a project."""


def read_project(path: Path) -> Project:
    """The project saved in ``path`` (a project.json), upgraded to the present version.

    Raises ProjectDamaged, with the line or the field at fault, when it is missing, unreadable, made by a newer
    version, or names files outside its folder. The file is never touched.
    """
    return parse_project(_read_bytes(path), path)


def parse_project(content: bytes, path: Path) -> Project:
    """The project in ``content``; ``path`` is where it came from. Raises ProjectDamaged."""
    document = _parse_json(content, path)
    version_of(document)
    _refuse_non_finite(document, path)
    try:
        project = Project.model_validate_json(json.dumps(upgrade(document)))
    except ValidationError as error:
        _damaged(path, _describe(error))
    for field, name in _stored_paths(project):
        if not is_inside(name):
            _damaged(path, f"{field}: {name!r} does not lie inside the project folder")
    return project


def is_inside(name: str) -> bool:
    """Whether ``name`` is a plain relative path with forward slashes that cannot leave its folder, on any system."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    odd = "\\" in name or "\0" in name or ":" in name
    return bool(posix.parts) and not (odd or posix.is_absolute() or windows.drive or ".." in posix.parts)


def media_refs(project: Project) -> Iterator[tuple[str, MediaRef]]:
    """Every file the scene uses, each with the name of its field."""
    scene = project.scene
    if scene.photo is not None:
        yield "scene.photo", scene.photo
    if scene.dialogue is not None:
        yield "scene.dialogue", scene.dialogue
    for index, voice in enumerate(scene.voices):
        yield f"scene.voices[{index}].media", voice.media


def _stored_paths(project: Project) -> Iterator[tuple[str, str]]:
    for field, ref in media_refs(project):
        yield f"{field}.path", ref.path
    for index, take in enumerate(project.scene.takes):
        yield f"scene.takes[{index}].id", take.id
        if take.video_path:
            yield f"scene.takes[{index}].video_path", take.video_path


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        if _backup_of(path).is_file():
            _damaged(path, "it is missing")
        raise ProjectDamaged(
            f"There is no {path.name} in {path.parent}.", "Choose the folder of a project, or make a new project."
        )
    try:
        with path.open("rb") as file:
            content = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        _damaged(path, f"the disk says {error.strerror or error}")
    if len(content) > MAX_DOCUMENT_BYTES:
        _damaged(path, f"it is larger than {MAX_DOCUMENT_BYTES // 1024**2} MB")
    return content


def _parse_json(content: bytes, path: Path) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        _damaged(path, f"line {error.lineno}, column {error.colno}: {error.msg}")
    except UnicodeDecodeError as error:
        _damaged(path, f"byte {error.start} is not text")
    except (ValueError, RecursionError) as error:
        _damaged(path, "it nests too deeply" if isinstance(error, RecursionError) else str(error))


def _refuse_non_finite(value: Any, path: Path, field: str = "") -> None:
    # JSON as Python reads it allows NaN, Infinity and 1e999, and one of them in a time or a box poisons every stage.
    if isinstance(value, float) and not math.isfinite(value):
        _damaged(path, f"{field.lstrip('.')}: {value} is not a number that can be used")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_non_finite(item, path, f"{field}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_non_finite(item, path, f"{field}[{index}]")


def _describe(error: ValidationError) -> str:
    """The first three faults as "scene.faces[1].box_px: Field required"."""
    faults = error.errors(include_url=False, include_input=False)
    lines = [f"{_field_name(fault['loc'])}: {fault['msg']}" for fault in faults[:3]]
    more = len(faults) - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more else "")


def _field_name(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".") or "document"


def _damaged(path: Path, what: str) -> NoReturn:
    backup = _backup_of(path)
    remedy = (
        f"The last good save is beside it as {backup.name}: restore the backup, or correct the file by hand."
        if backup.is_file()
        else "Correct the file by hand, or restore it from a copy."
    )
    raise ProjectDamaged(f"{path} is damaged: {what}.", f"{remedy} It was left as it is.")


def _backup_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.bak")
