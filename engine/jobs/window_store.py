"""Finished windows of a take on disk, without loss: a render that was killed goes on from there to the same frames."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine import __version__
from engine.analysis.face_protocols import Box
from engine.media.lossless import read_lossless, write_lossless
from engine.project.atomic import write_bytes
from engine.project.document import Take
from engine.project.store import ProjectFiles

FORMAT = 1
PREFIX = "windows-"
MAX_UNFINISHED = 3  # renders that were begun and never ended keep their windows, the newest ones


@dataclass(frozen=True)
class KeptWindow:
    """All frames (F, height, width, 3) uint8 of a window as they were finished, and where the faces were in it."""

    frames: NDArray[np.uint8]
    boxes_px: tuple[Box, ...]


def windows_of(store: ProjectFiles, take: Take) -> "WindowStore":
    """Where the windows of ``take``'s plan are kept: by everything that decides their pixels."""
    decides = repr([__version__, FORMAT, take.inputs_sha256, take.weights_sha256])
    return WindowStore(store.cache_folder / f"{PREFIX}{hashlib.sha256(decides.encode()).hexdigest()[:16]}")


def forget_windows(store: ProjectFiles, keep: int = MAX_UNFINISHED) -> None:
    """Remove the windows of all renders but the ``keep`` that went on last."""
    folders = sorted(store.cache_folder.glob(f"{PREFIX}*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[keep:]:
        WindowStore(folder).clear()


class WindowStore:
    """The windows of one render in ``folder``; what decides their pixels belongs into the folder's name.

    ``terms``: what was chosen when the first window was begun and has to hold for all of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def terms(self) -> dict[str, str | int]:
        """What ``agree`` wrote; empty where nothing (readable) is there yet."""
        try:
            terms = json.loads((self.folder / "terms.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return terms if isinstance(terms, dict) and terms.get("format") == FORMAT else {}

    def agree(self, **terms: str | int) -> None:
        """Begin under ``terms``; windows made under others are removed. Raises WriteFailed."""
        wanted = {"format": FORMAT, **terms}
        if self.terms() != wanted:
            self.clear()
            self.folder.mkdir(parents=True, exist_ok=True)
            write_bytes(self.folder / "terms.json", json.dumps(wanted).encode())

    def load(self, index: int) -> KeptWindow | None:
        """Window ``index``, or None where it is not there or damaged."""
        try:
            noted = json.loads(self._note(index).read_bytes())
            frames = read_lossless(self._frames(index))
            boxes = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in noted["boxes_px"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return KeptWindow(frames, boxes) if len(frames) == noted["num_frames"] else None

    def save(self, index: int, frames: NDArray[np.uint8], boxes_px: Sequence[Box]) -> None:
        """Raises WriteFailed; the window is then not there."""
        write_lossless(self._frames(index), frames)
        # The note comes last: without it the frames count as unfinished.
        noted = {"num_frames": len(frames), "boxes_px": [list(map(float, box)) for box in boxes_px]}
        write_bytes(self._note(index), json.dumps(noted).encode())

    def num_finished(self) -> int:
        """How many windows from the first on are there."""
        index = 0
        while self._note(index).exists():
            index += 1
        return index

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _frames(self, index: int) -> Path:
        return self.folder / f"{index:04}.mkv"

    def _note(self, index: int) -> Path:
        return self.folder / f"{index:04}.json"
