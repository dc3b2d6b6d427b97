import json
import subprocess
import sys
import threading
import time

import pytest

from app import projects, texts
from app.actions.cast import rename_project
from app.session import Studio
from engine.errors import ProjectBusy, StudioError
from engine.jobs.events import StageProgress, TakeDone
from engine.project.document import Take
from engine.project.store import ProjectStore


@pytest.fixture
def studio(tmp_path):
    studio = Studio.start(tmp_path)
    yield studio
    studio.close()


def wait(studio: Studio, timeout_s: float = 20) -> None:
    end_s = time.monotonic() + timeout_s
    while studio.work:
        assert time.monotonic() < end_s, "the work did not end"
        time.sleep(0.01)


def renamed(title: str):
    return lambda project: rename_project(project, title)


def test_every_change_is_on_disk_at_once_and_found_again(tmp_path, studio):
    studio.change(renamed("Sofa"))
    assert json.loads((studio.store.folder / "project.json").read_text())["title"] == "Sofa"
    studio.close()
    again = Studio.start(tmp_path)
    assert again.project.title == "Sofa"
    assert again.notice.text == "Welcome back to Sofa."
    again.close()


def test_a_failed_change_changes_nothing(studio):
    before, version = studio.project, studio.version
    with pytest.raises(StudioError):
        studio.change(renamed("  "))
    assert (studio.project, studio.version) == (before, version)


def test_the_project_opened_last_comes_back_not_the_one_saved_last(tmp_path, studio):
    first = studio.store.folder
    studio.create("Other")
    studio.open(first)
    (tmp_path / "other" / "project.json").touch()
    studio.close()
    again = Studio.start(tmp_path)
    assert again.store.folder == first
    again.close()


def test_a_second_studio_gets_a_new_project_and_a_sentence(tmp_path, studio):
    code = "import sys, pathlib; from app.session import Studio; s = Studio.start(pathlib.Path(sys.argv[1]));"
    code += "print(s.store.folder.name); print(s.notice.text); s.close()"
    second = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    name, said = second.stdout.strip().splitlines()
    assert name != studio.store.folder.name
    assert "open elsewhere" in said
    assert texts.NEW_INSTEAD in said


def test_a_damaged_project_is_left_as_it_is(tmp_path):
    folder = tmp_path / "broken"
    ProjectStore.create(folder, "Broken").close()
    (folder / "project.json").write_text('{"schema_version": 1, "title":')
    studio = Studio.start(tmp_path)
    assert studio.store.folder != folder
    assert studio.notice.is_problem
    assert "project.json" in studio.notice.text
    assert (folder / "project.json").read_text() == '{"schema_version": 1, "title":'
    with pytest.raises(StudioError):
        studio.open(folder)
    assert studio.store.folder != folder
    studio.close()


def test_what_was_unfinished_is_said(tmp_path):
    with ProjectStore.create(tmp_path / "sofa", "Sofa") as store:
        project = store.load()
        project.scene.takes.append(Take(settings=project.scene.settings, status="rendering"))
        store.save(project)
    studio = Studio.start(tmp_path)
    assert "The program stopped while this animatic was being rendered." in studio.notice.text
    assert studio.project.scene.takes[0].status == "interrupted"
    assert json.loads((tmp_path / "sofa" / "project.json").read_text())["scene"]["takes"][0]["status"] == "interrupted"
    studio.close()


def test_changes_from_many_windows_are_all_kept(studio):
    def add(project):
        project.scene.prompt += "x"
        return project, ""

    threads = [threading.Thread(target=lambda: [studio.change(add) for _ in range(10)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert studio.project.scene.prompt == "x" * 80
    assert json.loads((studio.store.folder / "project.json").read_text())["scene"]["prompt"] == "x" * 80


def test_an_analysis_takes_effect_only_when_it_ends_well(studio):
    def fails(store, project):
        project.title = "Half done"
        yield StageProgress("faces", "Looking")
        raise StudioError("No luck.", "Try again.")

    studio.analyse(fails)
    wait(studio)
    assert studio.project.title != "Half done"
    assert (studio.notice.text, studio.notice.remedy, studio.notice.is_problem) == ("No luck.", "Try again.", True)


def test_two_analyses_follow_one_another_and_changes_wait(studio):
    go = threading.Event()

    def first(store, project):
        yield StageProgress("faces", "Looking")
        assert go.wait(10)
        project.scene.prompt += "1"

    def second(store, project):
        yield StageProgress("voices", "Listening")
        project.scene.prompt += "2"
        yield StageProgress("voices", "Both are here.")

    studio.analyse(first)
    studio.analyse(second)
    with pytest.raises(ProjectBusy):
        studio.change(renamed("Meanwhile"))
    with pytest.raises(ProjectBusy):
        studio.create("Another")
    go.set()
    wait(studio)
    assert studio.project.scene.prompt == "12"
    assert studio.notice.text == "Both are here."


def test_a_cancelled_analysis_changes_nothing(studio):
    stopped = threading.Event()

    def endless(store, project):
        project.title = "Half done"
        try:
            while True:
                yield StageProgress("faces", "Looking")
                time.sleep(0.01)
        finally:
            stopped.set()

    studio.analyse(endless)
    studio.analyse(endless)
    studio.cancel()
    wait(studio)
    assert stopped.is_set()
    assert studio.project.title != "Half done"
    assert studio.notice.text == texts.ANALYSIS_CANCELLED


def test_a_render_keeps_what_was_changed_meanwhile(studio):
    go = threading.Event()

    def renders(store, project):
        project.scene.takes = [*project.scene.takes, Take(settings=project.scene.settings)]
        store.save(project)
        yield StageProgress("render", "Rendering", 1, 2)
        assert go.wait(10)
        project.scene.takes[-1].status = "done"
        store.save(project)

    studio.render(renders)
    studio.change(renamed("Changed while rendering"))
    go.set()
    wait(studio)
    saved = json.loads((studio.store.folder / "project.json").read_text())
    assert saved["title"] == "Changed while rendering"
    assert [take["status"] for take in saved["scene"]["takes"]] == ["done"]


def test_a_cancel_that_comes_after_the_take_is_too_late(studio, tmp_path):
    go = threading.Event()

    def renders(store, project):
        assert go.wait(10)
        yield TakeDone("take", tmp_path / "video.mp4")
        yield StageProgress("done", "The animatic is ready.", 1, 1)

    studio.render(renders)
    studio.cancel()
    go.set()
    wait(studio)
    assert studio.notice.text == "The animatic is ready."


def test_a_change_never_lands_in_the_project_that_is_opened_meanwhile(studio):
    changing, first = threading.Event(), studio.store.folder

    def slow(project):
        changing.set()
        time.sleep(0.3)
        return rename_project(project, "Mine")

    changer = threading.Thread(target=studio.change, args=(slow,))
    changer.start()
    assert changing.wait(10)
    studio.create("Other")
    changer.join()
    assert studio.project.title == "Other"
    assert json.loads((studio.store.folder / "project.json").read_text())["title"] == "Other"
    assert json.loads((first / "project.json").read_text())["title"] == "Mine"


def test_a_bug_in_the_engine_is_told_as_one(studio, caplog):
    def broken(store, project):
        yield StageProgress("faces", "Looking")
        raise ZeroDivisionError("a detail nobody should see")

    studio.analyse(broken)
    wait(studio)
    assert studio.notice.text == texts.BUG
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("title", ["../../etc", "CON", "a/b\\c", "$(rm -rf ~)", "日本語", "", "x" * 500, "-rf"])
def test_folder_names_are_plain_whatever_the_title(tmp_path, title):
    folder = projects.new_folder(tmp_path, title)
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
