"""The folder .venv: where things are in it, and how a start knows in milliseconds that nothing has changed."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

PACKAGES, CARRIERS, TESTS = "packages", "carriers", "tests"
FILES = {
    PACKAGES: ("requirements.txt", "assets/constraints.txt", "assets/overrides.txt"),
    CARRIERS: ("assets/carriers.txt", "assets/carriers.toml"),
    TESTS: ("requirements.txt", "requirements-dev.txt", "assets/constraints.txt", "assets/overrides.txt"),
}


class SetupError(Exception):
    """Why the program cannot be set up, and what to do: one line for the person who started it."""


@dataclass(frozen=True)
class Environment:
    """The virtual environment of the program in ``root``."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def carriers(self) -> Path:
        return self.folder / "carriers"

    @property
    def stamp(self) -> Path:
        return self.folder / "installed.json"

    @property
    def installing(self) -> Path:
        """There while packages are being installed: left over, some may lack files though they seem complete."""
        return self.folder / "installing"

    def missing(self, parts: list[str]) -> list[str]:
        """Those of ``parts`` that are not installed, not completely, or from lists that have changed since."""
        if not self.python.exists():  # also a link to a Python that was removed
            return parts
        done = self._done()
        if not self.carriers.is_dir():
            done.pop(CARRIERS, None)
        return [part for part in parts if done.get(part) != self.fingerprint(part)]

    def fingerprint(self, part: str) -> str:
        """Of the lists that ``part`` is installed from, and of the environment's Python."""
        digest = hashlib.sha256()
        for path in (self.folder / "pyvenv.cfg", *(self.root / name for name in FILES[part])):
            # Line by line: a checkout with other line ends is no change.
            lines = path.read_text("utf-8").splitlines() if path.is_file() else []
            digest.update("\n".join([path.name, *lines, "\0"]).encode())
        return digest.hexdigest()

    def mark_done(self, part: str) -> None:
        """Notes that ``part`` is installed; before that, an interrupted start is taken up again by the next one."""
        text = json.dumps({**self._done(), part: self.fingerprint(part)}, indent=1)
        unfinished = self.stamp.with_suffix(".part")
        unfinished.write_text(text, "utf-8")
        os.replace(unfinished, self.stamp)

    def _done(self) -> dict[str, str]:
        try:
            done = json.loads(self.stamp.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return done if isinstance(done, dict) else {}
