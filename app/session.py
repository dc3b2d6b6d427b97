"""The open project of one running studio, shared by every browser window that looks at it."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app import projects, texts
from app.costs import Costs
from app.work import Work, WorkEnd, WorkKind, WorkView
from engine.errors import ProjectBusy, StudioError
from engine.jobs.events import RenderEvent
from engine.project.document import Project, Scene
from engine.project.store import PROJECT_NAME, ProjectStore

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


class Studio:
    """One process, one open project, one piece of work at a time. ``version`` grows with everything windows show."""

    def __init__(self, folder: Path) -> None:
        self.projects_folder = folder
        self._switching = threading.RLock()
        self._store: SharedStore | None = None
        self._project = Project()
        self._work: Work | None = None
        self._waiting: deque[Iterator[RenderEvent]] = deque()
        self.version = 1
        self.notice = Notice("")
        self.costs = Costs()

    @classmethod
    def start(cls, folder: Path, wanted: Path | None = None) -> "Studio":
        """Open ``wanted`` (made if it is no project yet), or the project that was open last, or a new one.

        A project that cannot be opened is left as it is, and a new one is opened instead. Raises WriteFailed when
        not even that can be made.
        """
        studio = cls(folder)
        chosen = wanted or projects.last_opened(folder)
        try:
            if chosen is None:
                studio.create(texts.NEW_TITLE.format(number=1))
            elif (chosen / PROJECT_NAME).exists():
                studio.open(chosen, texts.WELCOME_BACK)
            else:
                studio._hold(SharedStore.create(chosen, chosen.name))  # type: ignore[arg-type]
        except StudioError as error:
            if chosen is None:
                raise
            studio.create(texts.NEW_TITLE.format(number=len(projects.list_projects(folder)) + 1))
            studio.tell(_joined(error.message, texts.NEW_INSTEAD), error.remedy, is_problem=True)
        return studio

    @property
    def store(self) -> SharedStore:
        assert self._store is not None
        return self._store

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

    def change(self, action: Action) -> None:
        """Apply ``action`` and save, or change nothing. Raises what the action or the disk raises."""
        with self._switching, self.store.lock:  # a change made in one project must not be saved into the next
            if self._work and self._work.kind == "analysis":
                raise ProjectBusy(texts.WORKING, texts.WORKING_REMEDY)
            changed, said = action(self.project)
            if said or changed != self._project:
                self._adopt(changed)
                self.tell(said)

    def analyse(self, steps: Steps) -> None:
        """Start ``steps`` on a copy of the project; it takes the project's place when they end well.

        While another analysis runs, this one waits for it: photo and recording may be dropped at once.
        """

        def keep_at_the_end() -> Iterator[RenderEvent]:
            project = self.project
            yield from steps(self.store, project)
            self._adopt(project)

        with self._switching:
            if self._work and self._work.kind == "analysis":
                self._waiting.append(keep_at_the_end())
            else:
                self._start("analysis", keep_at_the_end())

    def render(self, steps: Steps) -> None:
        """Start ``steps`` on the project itself: a render saves its take, with whatever was changed meanwhile."""
        self._start("render", steps(self.store, self._project))

    def cancel(self) -> None:
        """Ask the running work to stop, and forget what waits for it."""
        with self._switching:
            self._waiting.clear()
            if self._work:
                self._work.cancel()

    def open(self, folder: Path, greeting: str = texts.OPENED) -> None:
        """Close this project and open another. Raises ProjectDamaged, ProjectBusy; this project then stays open."""
        with self._switching:
            self._refuse_while_working()
            if self._store and folder.absolute() == self._store.folder:
                return
            remarks = self._hold(SharedStore.open(folder))  # type: ignore[arg-type]
            self.tell(_joined(greeting.format(title=self._project.title), *remarks))

    def create(self, title: str) -> None:
        """Close this project and open a new one. Raises WriteFailed; this project then stays open."""
        with self._switching:
            self._refuse_while_working()
            self._hold(SharedStore.create(projects.new_folder(self.projects_folder, title), title))  # type: ignore[arg-type]
            self.tell(texts.CREATED.format(title=title))

    def close(self) -> None:
        """Stop what runs and let go of the project."""
        work = self._work
        self.cancel()
        if work:
            work.join(10)
        if self._store:
            self._store.close()

    def _hold(self, store: SharedStore) -> list[str]:
        try:
            found = store.load()
            project, remarks = store.recover(found)
            if project != found:
                store.save(project)
        except BaseException:
            store.close()
            raise
        if self._store:
            self._store.close()
        self._store, self._project = store, project
        projects.remember(store.folder)
        return remarks

    def _adopt(self, changed: Project) -> None:
        """Save ``changed`` with the takes there are now, then make it the document, in place: a render holds it."""
        with self.store.lock:
            changed.scene.takes = self._project.scene.takes
            self.store.save(changed)
            self._project.title = changed.title
            for field in Scene.model_fields:
                if field != "takes":
                    setattr(self._project.scene, field, getattr(changed.scene, field))
            self.version += 1

    def _start(self, kind: WorkKind, events: Iterator[RenderEvent]) -> None:
        with self._switching:
            self._refuse_while_working()
            self._work = Work(kind, events, self._ended)
            self.version += 1
            self._work.start()

    def _refuse_while_working(self) -> None:
        if self._work:
            message = texts.RENDERING if self._work.kind == "render" else texts.WORKING
            raise ProjectBusy(message, texts.WORKING_REMEDY)

    def _ended(self, end: WorkEnd) -> None:
        with self._switching:
            self._work = None
            self._tell_end(end)
            if self._waiting:
                self._start("analysis", self._waiting.popleft())

    def _tell_end(self, end: WorkEnd) -> None:
        if end.cancelled:
            self.tell(texts.RENDER_CANCELLED if end.kind == "render" else texts.ANALYSIS_CANCELLED)
        elif isinstance(end.error, StudioError):
            self.tell(end.error.message, end.error.remedy, is_problem=True)
        elif end.error:
            self.tell(texts.BUG, texts.BUG_REMEDY, is_problem=True)
        else:
            self.tell(end.remark)


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
