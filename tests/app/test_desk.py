"""A creator's desk: projects that open, change, undo, analyse, and never get lost. The render queue is a real one."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app import projects, texts
from app.actions.cast import rename_project
from app.actions.lively import set_strength
from app.desk import MAX_OPEN, Desk, Desks
from app.session import OpenProject
from engine.errors import ProjectBusy, ProjectDamaged, StudioError
from engine.jobs.events import StageProgress
from engine.project.archive import free_folder
from engine.project.document import Take
from engine.project.store import ProjectStore


@pytest.fixture
def desks(tmp_path):
    desks = Desks(tmp_path / "projects")
    yield desks
    desks.close()


@pytest.fixture
def desk(desks) -> Desk:
    return desks.of("")


def wait(project: OpenProject, timeout_s: float = 20) -> None:
    end_s = time.monotonic() + timeout_s
    while project.work:
        assert time.monotonic() < end_s, "the work did not end"
        time.sleep(0.01)


def saved(project: OpenProject) -> dict:
    return json.loads((project.folder / "project.json").read_text())


def renamed(title: str):
    return lambda project: rename_project(project, title)


def test_every_change_is_on_disk_at_once_and_found_again(tmp_path, desks, desk):
    desk.current.change(renamed("Sofa"))
    assert saved(desk.current)["title"] == "Sofa"
    desks.close()
    again = Desks(tmp_path / "projects")
    assert again.of("").current.project.title == "Sofa"
    assert again.of("").current.notice.text == "Welcome back to Sofa."
    again.close()


def test_a_failed_change_changes_nothing(desk):
    before, version = desk.current.project, desk.version
    with pytest.raises(StudioError):
        desk.current.change(renamed("  "))
    assert (desk.current.project, desk.version) == (before, version)


def test_undo_and_redo_walk_through_every_change_and_leave_takes_alone(desk):
    project = desk.current
    for strength in (0.2, 1.4):
        project.change(lambda draft, strength=strength: set_strength(draft, strength), f"to {strength}")
    project.put_take(Take(id="made", settings=project.project.scene.settings, status="done"))
    assert project.history.undo_label == "to 1.4"
    project.undo()
    assert project.project.scene.interaction_strength == 0.2
    project.undo()
    assert (project.project.scene.interaction_strength, saved(project)["scene"]["interaction_strength"]) == (1.0, 1.0)
    project.undo()
    assert project.notice.text == texts.NOTHING_TO_UNDO
    project.redo()
    project.redo()
    assert project.project.scene.interaction_strength == 1.4
    project.redo()
    assert project.notice.text == texts.NOTHING_TO_REDO
    assert [take.id for take in project.project.scene.takes] == ["made"]


def test_the_project_opened_last_comes_back_not_the_one_saved_last(tmp_path, desks, desk):
    first = desk.current.folder
    other = desk.create("Other").folder
    desk.open(first)
    (other / "project.json").touch()
    desks.close()
    again = Desks(tmp_path / "projects")
    assert again.of("").current.folder == first
    again.close()


def test_a_second_studio_gets_a_new_project_and_a_sentence(tmp_path, desk):
    code = (
        "import sys, pathlib; from app.desk import Desks; d = Desks(pathlib.Path(sys.argv[1])); c = d.of('').current;"
    )
    code += "print(c.folder.name); print(c.notice.text); d.close()"
    command = [sys.executable, "-c", code, tmp_path / "projects"]
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    name, said = second.stdout.strip().splitlines()
    assert name != desk.current.folder.name
    assert "open elsewhere" in said
    assert texts.NEW_INSTEAD in said


def test_a_damaged_project_is_left_as_it_is(tmp_path):
    folder = tmp_path / "projects" / "broken"
    ProjectStore.create(folder, "Broken").close()
    (folder / "project.json").write_text('{"schema_version": 1, "title":')
    desks = Desks(tmp_path / "projects")
    desk = desks.of("")
    assert desk.current.folder != folder
    assert desk.current.notice.is_problem
    assert "project.json" in desk.current.notice.text
    assert (folder / "project.json").read_text() == '{"schema_version": 1, "title":'
    with pytest.raises(StudioError):
        desk.open(folder)
    assert desk.current.folder != folder
    desks.close()


def test_changes_from_many_windows_are_all_kept(desk):
    project = desk.current

    def add(draft):
        draft.scene.prompt += "x"
        return draft, ""

    threads = [threading.Thread(target=lambda: [project.change(add) for _ in range(10)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert project.project.scene.prompt == "x" * 80
    assert saved(project)["scene"]["prompt"] == "x" * 80


def test_an_analysis_takes_effect_only_when_it_ends_well_and_can_be_undone(desk):
    project = desk.current

    def fails(store, draft):
        draft.title = "Half done"
        yield StageProgress("faces", "Looking")
        raise StudioError("No luck.", "Try again.")

    def works(store, draft):
        yield StageProgress("faces", "Looking")
        draft.scene.prompt = "found"
        yield StageProgress("faces", "Found.", 1, 1)

    project.analyse(fails)
    wait(project)
    assert project.project.title != "Half done"
    assert (project.notice.text, project.notice.remedy, project.notice.is_problem) == ("No luck.", "Try again.", True)
    project.analyse(works, "analyse again")
    wait(project)
    assert (project.project.scene.prompt, project.notice.text) == ("found", "Found.")
    assert project.history.undo_label == "analyse again"
    project.undo()
    assert project.project.scene.prompt == ""


def test_while_an_analysis_runs_the_next_one_waits_and_edits_are_refused(desk):
    project, go = desk.current, threading.Event()

    def step(letter):
        def work(store, draft):
            yield StageProgress("voices", "Listening")
            assert go.wait(10)
            draft.scene.prompt += letter
            yield StageProgress("voices", f"{letter} is here.", 1, 1)

        return work

    project.analyse(step("1"))
    project.analyse(step("2"))
    for refused in (lambda: project.change(renamed("No")), project.undo):
        with pytest.raises(ProjectBusy):
            refused()
    go.set()
    wait(project)
    assert project.project.scene.prompt == "12"
    assert project.notice.text == "2 is here."


def test_a_cancelled_analysis_changes_nothing(desk):
    project, stopped = desk.current, threading.Event()

    def endless(store, draft):
        draft.title = "Half done"
        try:
            while True:
                yield StageProgress("faces", "Looking")
                time.sleep(0.01)
        finally:
            stopped.set()

    project.analyse(endless)
    project.analyse(endless)
    project.cancel()
    wait(project)
    assert stopped.is_set()
    assert project.project.title != "Half done"
    assert project.notice.text == texts.ANALYSIS_CANCELLED


def test_a_bug_in_the_engine_is_told_as_one(desk, caplog):
    def broken(store, draft):
        yield StageProgress("faces", "Looking")
        raise ZeroDivisionError("a detail nobody should see")

    desk.current.analyse(broken)
    wait(desk.current)
    assert desk.current.notice.text == texts.BUG
    assert "ZeroDivisionError" in caplog.text


def test_an_analysis_goes_on_in_its_project_while_another_lies_on_the_desk(desk):
    first, go = desk.current, threading.Event()

    def slow(store, draft):
        yield StageProgress("voices", "Listening")
        assert go.wait(10)
        draft.scene.prompt = "mine"
        yield StageProgress("voices", "Done.", 1, 1)

    first.analyse(slow)
    other = desk.create("Other")
    go.set()
    wait(first)
    assert (saved(first)["scene"]["prompt"], saved(other)["scene"]["prompt"]) == ("mine", "")
    assert desk.current is other


def test_takes_of_renders_reach_projects_that_are_open_closed_and_locked(tmp_path, desks, desk):
    take = Take(id="take1", settings=desk.current.project.scene.settings, status="done")
    desks._take_changed(desk.current.folder, take)
    desks._take_changed(desk.current.folder, take.model_copy(update={"compute_s": 3.0}))
    assert [(t.id, t.compute_s) for t in desk.current.project.scene.takes] == [("take1", 3.0)]
    closed = tmp_path / "elsewhere"
    ProjectStore.create(closed, "Closed").close()
    desks._take_changed(closed, take)
    with ProjectStore.open(closed) as store:
        assert [t.id for t in store.load().scene.takes] == ["take1"]
        desks._take_changed(closed, take.model_copy(update={"id": "take2"}))  # held: it is found in its folder later
        assert [t.id for t in store.load().scene.takes] == ["take1"]


def test_a_take_that_ends_while_the_studio_starts_does_not_keep_the_project_from_it(tmp_path):
    first = tmp_path / "projects" / "first"
    ProjectStore.create(first, "First").close()
    desks, started = Desks(tmp_path / "projects"), threading.Event()

    def slow(project):
        started.set()
        time.sleep(0.5)
        project.put_take(Take(id="late", settings=project.project.scene.settings, status="done"))

    noting = threading.Thread(target=desks._in_project, args=(first, slow))
    noting.start()
    assert started.wait(10)
    assert desks.of("").current.folder == first
    noting.join()
    assert [take.id for take in desks.of("").current.project.scene.takes] == ["late"]
    desks.close()


def test_a_desk_holds_no_more_projects_than_it_may_and_finds_the_others_again(desk):
    first = desk.current.folder.name
    for number in range(MAX_OPEN + 2):
        desk.create(f"More {number}")
    assert len(desk._open) <= MAX_OPEN
    assert desk.named(first).folder.name == first
    with pytest.raises(ProjectDamaged):
        desk.named("../" + first)


def test_visitors_have_desks_of_their_own(tmp_path):
    desks = Desks(tmp_path / "projects", together=False)
    ada, bo = desks.of("a" * 43), desks.of("b" * 43)
    assert ada is desks.of("a" * 43)
    assert ada.current.folder.parent != bo.current.folder.parent
    ada.current.change(renamed("Secret"))
    assert [projects.title_of(path) for path in projects.list_projects(bo.folder)] == ["Project 1"]
    other = ada.create("Only Ada's")
    with pytest.raises(ProjectDamaged):
        bo.named(other.folder.name)
    assert not any("a" * 43 in str(path) for path in Path(tmp_path).rglob("*")), "the secret is not on disk"
    desks.close()


@pytest.mark.parametrize("title", ["../../etc", "CON", "a/b\\c", "$(rm -rf ~)", "日本語", "", "x" * 500, "-rf"])
def test_folder_names_are_plain_whatever_the_title(tmp_path, title):
    folder = free_folder(tmp_path, title)
    assert folder.parent == tmp_path
    assert folder.name.replace("-", "").isalnum()
    assert folder.name.isascii()
    assert len(folder.name) <= 48


def test_titles_of_hostile_projects_are_not_trusted(tmp_path):
    for name, content in (("list", "[]"), ("number", '{"title": 7}'), ("deep", "[" * 100_000), ("binary", "\0\1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "project.json").write_text(content)
        assert projects.title_of(tmp_path / name) is None
    assert len(projects.list_projects(tmp_path)) == 4
