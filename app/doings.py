"""What the page's web components ask for, by name: the one door through which their actions come in.

Whatever a browser sends is hostile: names are looked up in a table, arguments are checked against the function's own
signature, and each function checks that what it is told to change is there.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import ConfigDict, ValidationError, validate_call

from app import texts
from app.actions import export, faces, lively, turns, voices
from app.actions.drawing import mark_face
from app.actions.lookup import Changed, turn_of
from app.desk import Desk
from app.history import label_of
from engine.errors import StudioError
from engine.jobs.job_view import JobOrder
from engine.project.document import Project, Take
from engine.project.takes import read_take, remove_take

REDO_ROOM_S = 0.4
"""Before and after a turn that is made again: mouths open before the voice and close after it."""


def move_turns(project: Project, turn_ids: list[str], speaker_id: str) -> Changed:
    """Give several turns to one voice; one step to undo."""
    said = ""
    for turn_id in turn_ids:
        if any(turn.id == turn_id for turn in project.scene.turns):  # may have joined an earlier one
            project, said = turns.move_turn(project, turn_id, speaker_id)
    return project, said


def delete_turns(project: Project, turn_ids: list[str]) -> Changed:
    said = ""
    for turn_id in turn_ids:
        project, said = turns.delete_turn(project, turn_id)
    return project, said


CHANGES: Mapping[str, Callable[..., Changed]] = {
    function.__name__: function
    for function in (
        *(turns.split_turn, turns.merge_turns, turns.trim_turn, turns.add_turn, turns.say),
        *(voices.rename_voice, voices.merge_voices, voices.set_gain, voices.set_off_screen, voices.add_voice),
        *(faces.rename_face, faces.remove_face, faces.set_consent, faces.choose_part, faces.swap_voices),
        *(faces.set_member, export.set_preview_range, move_turns, delete_turns),
    )
}
"""Changes of the document: undone with one step each."""

_LABELS = {"move_turns": "move_turn", "delete_turns": "delete_turn"}


def change(desk: Desk, name: str, /, **values: Any) -> None:
    """Apply one of CHANGES to the project on the desk. Raises StudioError."""
    function = _checked(CHANGES[name])
    desk.current.change(lambda project: _called(function, project, **values), label_of(_LABELS.get(name, name)))


def draw_face(desk: Desk, box_px: tuple[float, float, float, float]) -> None:
    """A face where a box was drawn: the engine looks at it, which takes a moment."""
    faces.checked_box(desk.current.project, box_px)
    desk.current.analyse(lambda store, project: mark_face(store, project, box_px), label_of("mark_face"))


def move_face(desk: Desk, face_id: str, box_px: tuple[float, float, float, float]) -> None:
    """The mesh is fitted anew where it is needed next: at the render."""
    desk.current.change(lambda project: faces.move_face(project, face_id, box_px), label_of("move_face"))


def undo(desk: Desk) -> None:
    desk.current.undo()


def redo(desk: Desk) -> None:
    desk.current.redo()


def load_take(desk: Desk, take_id: str) -> None:
    """Compute the next takes as that one was."""
    desk.current.change(lambda project: lively.load_settings(project, take_id), label_of("load_settings"))


def delete_take(desk: Desk, take_id: str) -> None:
    """Forget a take and delete its files."""
    take = _take(desk, take_id)
    if any(job.take_id == take_id and job.status in ("running", "paused", "stopping") for job in desk.jobs()):
        raise StudioError(texts.TAKE_IN_WORK, texts.TAKE_IN_WORK_REMEDY)
    project = desk.current
    project.drop_take(take.id)
    remove_take(project.store.takes_folder / take.id)
    project.tell(texts.TAKE_DELETED)


def redo_turn(desk: Desk, take_id: str, turn_id: str) -> None:
    """A new take like that one, but for one turn, which is made again with another seed."""
    take, project = _take(desk, take_id), desk.current
    record = read_take(project.store.takes_folder / take.id)
    turn = turn_of(Project(scene=record.scene), turn_id)
    first, last = take.settings.range_s or (0.0, take.duration_s)
    range_s = (max(first, turn.start_s - REDO_ROOM_S), min(last, turn.end_s + REDO_ROOM_S))
    title = texts.REDONE_FROM.format(start=texts.seconds(turn.start_s))
    desk.render(project, record.scene, take.settings, JobOrder(title, desk.owner, take.id, range_s))


def _take(desk: Desk, take_id: str) -> Take:
    for take in desk.current.project.scene.takes:
        if take.id == take_id:
            return take
    raise StudioError(texts.NOT_THERE, texts.NOT_THERE_REMEDY)


def hold_queue(desk: Desk, on: bool) -> None:
    desk.queue.hold(on)


def pause_job(desk: Desk, job_id: str) -> None:
    desk.queue.pause(desk.job(job_id).id)


def resume_job(desk: Desk, job_id: str) -> None:
    desk.queue.resume(desk.job(job_id).id)


def keep_job(desk: Desk, job_id: str) -> None:
    desk.queue.stop_and_keep(desk.job(job_id).id)


def cancel_job(desk: Desk, job_id: str) -> None:
    desk.queue.cancel(desk.job(job_id).id)


def duplicate_job(desk: Desk, job_id: str) -> None:
    desk.queue.duplicate(desk.job(job_id).id)


def remove_job(desk: Desk, job_id: str) -> None:
    desk.queue.remove(desk.job(job_id).id)


def earlier_job(desk: Desk, job_id: str) -> None:
    _shift(desk, job_id, -1)


def later_job(desk: Desk, job_id: str) -> None:
    _shift(desk, job_id, 1)


def _shift(desk: Desk, job_id: str, by: int) -> None:
    """Among all that wait, also those of others: who may go first is a matter of the whole queue."""
    waiting = [job.id for job in desk.queue.jobs() if job.status == "waiting"]
    if desk.job(job_id).id in waiting:
        place = waiting.index(job_id) + by
        if 0 <= place < len(waiting) and desk.may_pass(waiting[place]):
            desk.queue.move(job_id, place)


DOINGS: Mapping[str, Callable[..., None]] = {
    function.__name__: function
    for function in (
        *(draw_face, move_face, undo, redo, load_take, delete_take, redo_turn, hold_queue),
        *(pause_job, resume_job, keep_job, cancel_job, duplicate_job, remove_job, earlier_job, later_job),
    )
}


def do(desk: Desk, asked: Any) -> None:
    """Do what a component asks for: {"do": name, argument: value, …}. Raises StudioError."""
    values = dict(asked) if isinstance(asked, dict) else {}
    name = values.pop("do", None)
    if not isinstance(name, str):
        name = ""
    if name in CHANGES:
        change(desk, name, **values)
    elif name in DOINGS:
        _called(_checked(DOINGS[name]), desk, **values)
    else:
        raise StudioError(texts.NOT_THERE, texts.NOT_THERE_REMEDY)


@lru_cache(maxsize=128)
def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    return validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)


def _called(function: Callable[..., Any], *fixed: Any, **values: Any) -> Any:
    try:
        return function(*fixed, **values)
    except ValidationError as error:
        raise StudioError(texts.NOT_UNDERSTOOD, texts.NOT_THERE_REMEDY) from error
