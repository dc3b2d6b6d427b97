"""What a run writes down of every step: JSON lines that outlive a resume without repeating themselves, and TensorBoard
through accelerate."""

import json
from pathlib import Path
from typing import Any

from engine.project.atomic import write_bytes


class StepLog:
    """``path``: one JSON object a line, in order of ``step``. Opened for a run that has done ``first`` steps, later
    ones are taken out: they will be done again."""

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        if path.is_file():
            kept = [entry for entry in read_log(path) if entry["step"] <= first]
            write_bytes(path, "".join(json.dumps(entry) + "\n" for entry in kept).encode())

    def write(self, entry: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """Every whole line; a kill can leave half of one."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            entries.append(entry)
    return entries
