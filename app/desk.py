"""A creator's desk: their projects, the one that lies open, and their renders. One server may have many desks."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from app import projects, texts
from app.costs import Costs
from app.errands import Errands
from app.session import OpenProject, SharedStore
from engine.errors import ProjectBusy, ProjectDamaged, StudioError
from engine.jobs.job_view import JobOrder, JobView
from engine.jobs.queue import RenderQueue
from engine.project.archive import free_folder
from engine.project.document import RenderSettings, Scene, Take
from engine.project.store import PROJECT_NAME

MAX_OPEN = 6  # projects a desk holds at once; the ones not looked at for longest are put away


class Desk:
    """One creator's projects folder. Every window of that creator shows ``current``."""

    def __init__(self, folder: Path, owner: str, queue: RenderQueue) -> None:
        self.folder = folder
        self.owner = owner
        self.queue = queue
        self.costs = Costs()
        self.errands = Errands()
        self._opening = threading.RLock()
        self._open: dict[Path, OpenProject] = {}
        self._current: OpenProject | None = None

    @classmethod
    def start(cls, folder: Path, owner: str, queue: RenderQueue, wanted: Path | None = None) -> "Desk":
        """With ``wanted`` open (made if it is no project yet), or the project that was open last, or a new one.

        A project that cannot be opened is left as it is, and a new one is opened instead. Raises WriteFailed when
        not even that can be made.
        """
        desk = cls(folder, owner, queue)
        chosen = wanted or projects.last_opened(folder)
        try:
            if chosen is None:
                desk.create(desk.next_title())
            elif (chosen / PROJECT_NAME).exists():
                desk.open(chosen, texts.WELCOME_BACK)
            else:
                desk._show(desk._hold(SharedStore.create(chosen, chosen.name), ""))  # type: ignore[arg-type]
        except StudioError as error:
            if chosen is None:
                raise
            desk.create(desk.next_title())
            desk.current.tell(f"{error.message} {texts.NEW_INSTEAD}".strip(), error.remedy, is_problem=True)
        return desk

    @property
    def current(self) -> OpenProject:
        assert self._current is not None
        return self._current

    @property
    def version(self) -> str:
        """Differs whenever something that windows show has changed."""
        current = self.current
        return f"{current.folder.name} {current.version} {self.queue.version}"

    def jobs(self) -> list[JobView]:
        return self.queue.jobs(self.owner)

    def job(self, job_id: str) -> JobView:
        """Raises StudioError for a job that is not there, or another visitor's."""
        for job in self.jobs():
            if job.id == job_id:
                return job
        raise StudioError(texts.NOT_THERE, texts.NOT_THERE_REMEDY)

    def may_pass(self, job_id: str) -> bool:
        """Whether a render of this desk may go before that one: nobody pushes ahead of another visitor."""
        return any(job.id == job_id for job in self.jobs())

    def render(self, project: OpenProject, scene: Scene, settings: RenderSettings, order: JobOrder) -> str:
        """Put a render at the end of the queue; its id. Raises what ``ready_to_render`` raises."""
        job_id = self.queue.add(project.folder, scene, settings, order)
        project.tell("")
        return job_id

    def open(self, folder: Path, greeting: str = texts.OPENED) -> OpenProject:
        """Put a project on the desk. Raises ProjectDamaged, ProjectBusy; what lay there then stays."""
        with self._opening:
            return self._show(self.get(folder, greeting))

    def create(self, title: str) -> OpenProject:
        """Put a new project on the desk. Raises WriteFailed; what lay there then stays."""
        with self._opening:
            store = SharedStore.create(free_folder(self.folder, title), title)
            return self._show(self._hold(store, texts.CREATED))  # type: ignore[arg-type]

    def get(self, folder: Path, greeting: str = "") -> OpenProject:
        """The project in ``folder``, opened where it is not yet, while the one on the desk stays there."""
        with self._opening:
            folder = folder.absolute()
            if folder not in self._open:
                return self._hold(SharedStore.open(folder), greeting)  # type: ignore[arg-type]
            self._open[folder] = self._open.pop(folder)  # used last
            return self._open[folder]

    def named(self, name: str) -> OpenProject:
        """The project whose folder in this desk's folder has that name. Raises ProjectDamaged where there is none."""
        for path in [*self._open, *projects.list_projects(self.folder)]:
            if path.name == name:
                return self.get(path)
        raise ProjectDamaged(texts.NO_SUCH_PROJECT.format(name=name[:60]), texts.NO_SUCH_PROJECT_REMEDY)

    def next_title(self) -> str:
        titles = {projects.title_of(path) for path in projects.list_projects(self.folder)}
        numbered = (texts.NEW_TITLE.format(number=number) for number in range(1, 100_000))
        return next(title for title in numbered if title not in titles)

    def owns(self, folder: Path) -> bool:
        return folder.absolute() in self._open or folder.absolute().parent == self.folder.absolute()

    def close(self) -> None:
        with self._opening:
            for project in self._open.values():
                project.close()
            self._open.clear()

    def _hold(self, store: SharedStore, greeting: str) -> OpenProject:
        project = OpenProject(store, greeting)
        self._open[project.folder] = project
        idle = [other for other in self._open.values() if other is not self._current and other.work is None]
        for other in idle[: max(0, len(self._open) - MAX_OPEN)]:
            if other is not project:
                del self._open[other.folder]
                other.close()
        return project

    def _show(self, project: OpenProject) -> OpenProject:
        self._current = project
        projects.remember(project.folder)
        return project


class Desks:
    """Every desk of this server. ``together``: one desk for everybody, the creator's own computer; otherwise each
    visitor has one, found by the secret in that visitor's cookie, and sees nothing of the others."""

    def __init__(self, folder: Path, together: bool = True, wanted: Path | None = None) -> None:
        self.together = together
        self._folder, self._wanted = folder, wanted
        self._lock = threading.RLock()
        self._desks: dict[str, Desk] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.queue = RenderQueue(folder, self._take_changed)

    def of(self, visitor: str) -> Desk:
        """The desk of the visitor with that secret. Raises WriteFailed."""
        owner = "" if self.together else hashlib.sha256(visitor.encode()).hexdigest()[:24]
        with self._lock:
            if owner not in self._desks:
                folder = self._folder if self.together else self._folder / "visitors" / owner
                folder.mkdir(parents=True, exist_ok=True)
                wanted = self._wanted if self.together else None
                self._desks[owner] = Desk.start(folder, owner, self.queue, wanted)
            return self._desks[owner]

    def close(self) -> None:
        """Stop what runs; what waits in the queue is there again at the next start."""
        self.queue.close()
        with self._lock:
            for desk in self._desks.values():
                desk.close()

    def _take_changed(self, folder: Path, take: Take) -> None:
        """Note a take in its project, also where no window shows that one."""
        self._in_project(folder, lambda project: project.put_take(take))

    def _in_project(self, folder: Path, work: Callable[[OpenProject], None]) -> None:
        # All of it under the lock: a desk that starts meanwhile would find its project held, and open a new one.
        with self._lock:
            desk = next((desk for desk in self._desks.values() if desk.owns(folder)), None)
            if desk:
                work(desk.get(folder))
                return
            try:
                project = OpenProject(SharedStore.open(folder))  # type: ignore[arg-type]
            except ProjectBusy:  # another program holds it: it finds the take in its folder when it opens it again
                return
            try:
                work(project)
            finally:
                project.close()
