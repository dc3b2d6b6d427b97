"""Undo and redo: the scene as it was before each step. Takes are never undone, and media files are never deleted."""

import zlib
from collections import deque
from dataclasses import dataclass
from typing import Any

from app import texts
from engine.project.document import Scene

MOST_STEPS = 200


@dataclass(frozen=True)
class _Step:
    """A scene without its takes, as compressed JSON: an hour's 600 turns take some 10 kB. ``label``: what was done."""

    label: str
    packed: bytes

    @classmethod
    def of(cls, scene: Scene, label: str) -> "_Step":
        return cls(label, zlib.compress(scene.model_dump_json(exclude={"takes"}).encode(), 1))

    def scene_with(self, takes: list[Any]) -> Scene:
        scene = Scene.model_validate_json(zlib.decompress(self.packed))
        scene.takes = takes
        return scene


class History:
    """The steps of one open project. Call ``push`` with the scene before a change, once the change was made."""

    def __init__(self) -> None:
        self._past: deque[_Step] = deque(maxlen=MOST_STEPS)
        self._future: list[_Step] = []

    @property
    def undo_label(self) -> str:
        """What ``undo`` would take back, as "move a turn"; "" = nothing."""
        return self._past[-1].label if self._past else ""

    @property
    def redo_label(self) -> str:
        return self._future[-1].label if self._future else ""

    def push(self, before: Scene, label: str, joins: bool = False) -> None:
        """Remember ``before``. ``joins``: a step of the same label is one with the last (a slider being dragged)."""
        self._future.clear()
        if not (joins and self._past and self._past[-1].label == label):
            self._past.append(_Step.of(before, label))

    def undo(self, current: Scene) -> Scene | None:
        """The scene before the last step, with the takes of ``current``; None = there is nothing to undo."""
        if not self._past:
            return None
        step = self._past.pop()
        self._future.append(_Step.of(current, step.label))
        return step.scene_with(current.takes)

    def redo(self, current: Scene) -> Scene | None:
        """The scene after the step that was undone last, with the takes of ``current``; None = nothing to redo."""
        if not self._future:
            return None
        step = self._future.pop()
        self._past.append(_Step.of(current, step.label))
        return step.scene_with(current.takes)

    @property
    def num_bytes(self) -> int:
        return sum(len(step.packed) for step in [*self._past, *self._future])


def label_of(action: str) -> str:
    """What to call a step, by the name of the action's function: "move a turn"."""
    return texts.ACTION_NAMES.get(action, texts.SOME_CHANGE)
