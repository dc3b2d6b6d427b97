"""From older versions of the document to the present one: one small function per step.

To change the document: raise SCHEMA_VERSION, add to UPGRADES the function that turns the previous version's plain
JSON into the new one's, and keep a file of the previous version under tests/project/golden.
"""

from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import ProjectDamaged
from engine.project.document import SCHEMA_VERSION

Plain = dict[str, Any]
Upgrade = Callable[[Plain], Plain]


def _from_1(document: Plain) -> Plain:
    """Version 2 adds consent, lip strength of the scene, preview range, export and redone takes: all have defaults."""
    return document


UPGRADES: Mapping[int, Upgrade] = {1: _from_1}
"""``UPGRADES[n]`` turns version n into version n + 1."""


def version_of(document: object) -> int:
    """The schema version a parsed project.json says it has. Raises ProjectDamaged when it says none."""
    version = document.get("schema_version") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ProjectDamaged(
            "This is not a Roundtable project: it has no valid schema_version.",
            "Open the project's backup, project.json.bak, or choose another folder.",
        )
    return version


def upgrade(document: Plain, upgrades: Mapping[int, Upgrade] = UPGRADES, newest: int = SCHEMA_VERSION) -> Plain:
    """The document in version ``newest``. Raises ProjectDamaged when it is newer than that."""
    version = version_of(document)
    if version > newest:
        raise ProjectDamaged(
            f"This project was saved by a newer Roundtable (document version {version}; this one knows {newest}).",
            "Update Roundtable to open it. Nothing was changed.",
        )
    for step in range(version, newest):
        document = {**upgrades[step](document), "schema_version": step + 1}
    return document
