"""One open project: its document, its history, and the analysis that runs on it; shared by every window on it."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app import texts
from app.history import History
from app.work import Work, WorkEnd, WorkView
from engine.errors import ProjectBusy, StudioError
from engine.jobs.events import RenderEvent
from engine.project.document import Project, Scene, Take
from engine.project.store import ProjectStore

logger = logging.getLogger(__name__)

Action = Callable[[Project], tuple[Project, str]]
"""A project in, the changed project and a sentence about it out. The project that comes in is a copy."""

Steps = Callable[[ProjectStore, Project], Iterator[RenderEvent]]


@dataclass(frozen=True)
class Notice:
    """What the status line says; ``serial`` grows, so that each window tells a problem once."""

    text: str
    remedy: str = ""
    is_problem: bool = False
    serial: int = 0


class SharedStore(ProjectStore):
    """A store whose saves wait for one another: clicks, analyses and renders all save the same document."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        super().__init__(folder)

    def save(self, project: Project) -> None:
        with self.lock:
            super().save(project)


class OpenProject:
    """A project held by this process. ``version`` grows with everything that windows show of it."""

    def __init__(self, store: SharedStore, greeting: str = "") -> None:
        """Take over ``store``, which is closed again where its document cannot be opened. Raises ProjectDamaged."""
        self.store = store
        self._changing = threading.RLock()
        self._work: Work | None = None
        self._waiting: deque[Iterator[RenderEvent]] = deque()
        self.history = History()
        self.version = 1
        self.notice = Notice("")
        try:
            found = store.load()
            self._project, remarks = store.recover(found)
            if self._project != found:
                store.save(self._project)
        except BaseException:
            store.close()
            raise
        self.tell(_joined(greeting.format(title=self._project.title), *remarks))

    @property
    def folder(self) -> Path:
        return self.store.folder

    @property
    def project(self) -> Project:
        """A copy of the document as it is now."""
        with self.store.lock:
            return self._project.model_copy(deep=True)

    @property
    def work(self) -> WorkView | None:
        work = self._work
        return work.view() if work else None

    def tell(self, text: str, remedy: str = "", is_problem: bool = False) -> None:
        """Put a sentence into the status line of every window."""
        self.notice = Notice(text, remedy, is_problem, self.notice.serial + 1)
        self.version += 1

    def change(self, action: Action, label: str = "", joins: bool = False) -> None:
        """Apply ``action`` and save, or change nothing; ``label`` and ``joins``: see ``History.push``.

        Raises what the action or the disk raises.
        """
        with self._changing, self.store.lock:
            self._refuse_while_working()
            before = self.project
            changed, said = action(self.project)
            if changed != before:
                self._adopt(changed)
                self.history.push(before.scene, label or texts.SOME_CHANGE, joins)
            if said or changed != before:
                self.tell(said)

    def undo(self) -> None:
        """Take the last change back; takes stay. Says so when there is none."""
        self._step(self.history.undo, texts.UNDONE, texts.NOTHING_TO_UNDO)

    def redo(self) -> None:
        self._step(self.history.redo, texts.REDONE, texts.NOTHING_TO_REDO)

    def analyse(self, steps: Steps, label: str = "") -> None:
        """Start ``steps`` on a copy of the project; it takes the project's place when they end well.

        While another analysis runs, this one waits for it: photo and recording may be dropped at once.
        """

        def keep_at_the_end() -> Iterator[RenderEvent]:
            before, project = self.project, self.project
            yield from steps(self.store, project)
            self._adopt(project)
            self.history.push(before.scene, label or texts.SOME_CHANGE)

        with self._changing:
            if self._work:
                self._waiting.append(keep_at_the_end())
            else:
                self._start(keep_at_the_end())

    def put_take(self, take: Take) -> None:
        """Keep a take that a render began or ended; one with the same id is replaced."""
        with self.store.lock:
            takes = self._project.scene.takes
            places = [index for index, other in enumerate(takes) if other.id == take.id]
            kept = [other for other in takes if other.id != take.id]
            self._project.scene.takes = [*kept[: places[0]], take, *kept[places[0] :]] if places else [*takes, take]
            self.store.save(self._project)
            self.version += 1

    def drop_take(self, take_id: str) -> None:
        """Forget a take; its folder is the caller's to delete. Raises WriteFailed."""
        with self.store.lock:
            self._project.scene.takes = [take for take in self._project.scene.takes if take.id != take_id]
            self.store.save(self._project)
            self.version += 1

    def cancel(self) -> None:
        """Ask the running analysis to stop, and forget what waits for it."""
        with self._changing:
            self._waiting.clear()
            if self._work:
                self._work.cancel()

    def tell_end(self, end: WorkEnd, cancelled: str) -> None:
        """Say how work on this project ended; ``cancelled``: what to say where it was stopped."""
        if end.cancelled:
            self.tell(cancelled)
        elif isinstance(end.error, StudioError):
            self.tell(end.error.message, end.error.remedy, is_problem=True)
        elif end.error:
            self.tell(texts.BUG, texts.BUG_REMEDY, is_problem=True)
        else:
            self.tell(end.remark)

    def close(self) -> None:
        """Stop what runs and let go of the project."""
        work = self._work
        self.cancel()
        if work:
            work.join(10)
        self.store.close()

    def _step(self, step: Callable[[Scene], Scene | None], said: str, nothing: str) -> None:
        with self._changing, self.store.lock:
            self._refuse_while_working()
            project = self.project
            scene = step(project.scene)
            if scene is None:
                self.tell(nothing)
                return
            project.scene = scene
            self._adopt(project)
            self.tell(said)

    def _adopt(self, changed: Project) -> None:
        """Save ``changed`` with the takes there are now, then make it the document."""
        with self.store.lock:
            changed.scene.takes = self._project.scene.takes
            self.store.save(changed)
            self._project = changed
            self.version += 1

    def _start(self, events: Iterator[RenderEvent]) -> None:
        self._work = Work("analysis", events, self._ended)
        self.version += 1
        self._work.start()

    def _refuse_while_working(self) -> None:
        if self._work:
            raise ProjectBusy(texts.WORKING, texts.WORKING_REMEDY)

    def _ended(self, end: WorkEnd) -> None:
        with self._changing:
            self._work = None
            self.tell_end(end, texts.ANALYSIS_CANCELLED)
            if self._waiting:
                self._start(self._waiting.popleft())


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
