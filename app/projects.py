"""Where projects live, which there are, and which was open last."""

import contextlib
import json
import os
from pathlib import Path

import platformdirs

from engine.project.store import PROJECT_NAME

LAST_NAME = ".last-opened"
MAX_TITLE_BYTES = 64 * 1024**2


def projects_folder() -> Path:
    """ROUNDTABLE_PROJECTS, or a folder Roundtable among the user's documents."""
    asked = os.environ.get("ROUNDTABLE_PROJECTS")
    return Path(asked).absolute() if asked else platformdirs.user_documents_path() / "Roundtable"


def list_projects(folder: Path) -> list[Path]:
    """The project folders in ``folder``, the one changed last first."""
    with contextlib.suppress(OSError):
        found = [path.parent for path in folder.glob(f"*/{PROJECT_NAME}") if path.is_file()]
        return sorted(found, key=_changed_at, reverse=True)
    return []


def title_of(folder: Path) -> str | None:
    """The title in the folder's project.json, None where it cannot be read. Nothing else of it is trusted or used."""
    path = folder / PROJECT_NAME
    try:
        if path.stat().st_size > MAX_TITLE_BYTES:
            return None
        title = json.loads(path.read_bytes())["title"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return title if isinstance(title, str) else None


def remember(folder: Path) -> None:
    """Note in the parent folder that ``folder`` was open last; where that cannot be written, the newest is taken."""
    with contextlib.suppress(OSError):
        (folder.parent / LAST_NAME).write_text(folder.name, encoding="utf-8")


def last_opened(folder: Path) -> Path | None:
    """The project that was open last, else the one changed last."""
    projects = list_projects(folder)
    name = ""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        name = (folder / LAST_NAME).read_text(encoding="utf-8").strip()
    return next((path for path in projects if path.name == name), projects[0] if projects else None)


def _changed_at(folder: Path) -> float:
    with contextlib.suppress(OSError):
        return (folder / PROJECT_NAME).stat().st_mtime
    return 0.0
