"""A project that is open twice, killed while it is saved, or on a full disk."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from engine.errors import ProjectBusy, ProjectDamaged, WriteFailed
from engine.project.document import RenderSettings, Take
from engine.project.reading import read_project
from engine.project.store import ProjectStore, restore_backup
from engine.project.takes import inputs_sha256, is_rendering, read_take, rendering, write_take

PYTHON = [sys.executable, "-c"]


def run(code: str, *arguments: object) -> subprocess.Popen:
    command = [*PYTHON, textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "my scene"


def test_two_studios_on_one_project(folder):
    ProjectStore.create(folder).close()
    other = run(
        """
        import sys, time
        from pathlib import Path
        from engine.project.store import ProjectStore
        store = ProjectStore.open(Path(sys.argv[1])); print("open", flush=True); time.sleep(60)
        """,
        folder,
    )
    try:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(ProjectBusy, match=f"process {other.pid}, since 20"):
            ProjectStore.open(folder)
        with pytest.raises(ProjectBusy):
            restore_backup(folder)
        assert read_project(folder / "project.json")  # looking without changing is always possible
    finally:
        other.kill()
        other.wait()
    ProjectStore.open(folder).close()  # the system let go of a dead process's lock


def test_same_process_cannot_open_twice(folder):
    with ProjectStore.create(folder), pytest.raises(ProjectBusy):
        ProjectStore.open(folder)
    ProjectStore.open(folder).close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks one victim per line")
def test_killed_at_any_line_of_a_save_the_file_loads(folder):
    # One victim per executed line of the code that touches files: each kills itself just before that line.
    ProjectStore.create(folder, "0").close()
    code = """
        import os, pathlib, signal, sys
        from pathlib import Path
        import engine.project.atomic, engine.project.store
        from engine.project.reading import read_project
        watched = {engine.project.atomic.__file__, engine.project.store.__file__, pathlib.__file__}

        def victim(folder, last_line):
            store = engine.project.store.ProjectStore.open(folder)
            project = store.load()
            project.title = str(last_line)
            lines = 0
            def each_line(frame, event, argument):
                nonlocal lines
                if event == "line":
                    lines += 1
                    if lines == last_line: os.kill(os.getpid(), signal.SIGKILL)
                return each_line
            sys.settrace(lambda frame, *_: each_line if frame.f_code.co_filename in watched else None)
            store.save(project)
            sys.settrace(None)
            os._exit(0)

        folder, killed, titles = Path(sys.argv[1]), 0, set()
        for last_line in range(1, 10_000):
            child = os.fork()
            if child == 0: victim(folder, last_line)
            ended = os.waitpid(child, 0)[1]
            titles.add(int(read_project(folder / "project.json").title) == last_line)
            read_project(folder / "project.json.bak")
            if ended == 0: break
            killed += 1
        print(killed, titles)
        """
    output, _ = run(code, folder).communicate(timeout=120)
    killed, _, titles = output.partition(" ")
    assert int(killed) > 30, output
    assert titles.strip() == "{False, True}"  # some died before the new state counted, some after
    with ProjectStore.open(folder) as store:
        _, sentences = store.recover(store.load())
    assert not list(folder.glob(".*.part"))
    assert sentences == ["The program stopped while it was saving; your very last change may be missing."]


def test_killed_from_outside_while_saving(folder):
    ProjectStore.create(folder).close()
    code = """
        import sys
        from pathlib import Path
        from engine.project.document import Speaker
        from engine.project.store import ProjectStore
        store = ProjectStore.open(Path(sys.argv[1])); project = store.load(); print("go", flush=True)
        for turn in range(10**6):
            project.scene.speakers = [Speaker(id=str(i), name=str(turn)) for i in range(800)]
            store.save(project)
        """
    for index in range(3):
        writer = run(code, folder)
        assert writer.stdout.readline() == "go\n"
        time.sleep(0.03 + 0.031 * index)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        with ProjectStore.open(folder) as store:
            project, sentences = store.recover(store.load())
            assert len({speaker.name for speaker in project.scene.speakers}) <= 1
            assert all("may be missing" in sentence for sentence in sentences)


@pytest.mark.skipif(os.name == "nt", reason="file size limits are POSIX")
def test_full_disk_keeps_the_saved_state(folder, tmp_path):
    # RLIMIT_FSIZE makes the system itself refuse the write half way, as a full disk does.
    ProjectStore.create(folder, "Saved").close()
    source = tmp_path / "big.wav"
    source.write_bytes(bytes(300_000))
    full = run(
        """
        import resource, sys
        from pathlib import Path
        from engine.errors import WriteFailed
        from engine.project.document import MediaInfo, Speaker
        from engine.project.store import ProjectStore
        store = ProjectStore.open(Path(sys.argv[1])); project = store.load()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        project.title = "Lost"; project.scene.speakers = [Speaker(id=str(i), name="x") for i in range(2000)]
        for action in (lambda: store.save(project),
                       lambda: store.import_media(Path(sys.argv[2]), MediaInfo(kind="audio"))):
            try: action(); print("written")
            except WriteFailed as error: print("refused:", error)
        store.close()
        """,
        folder,
        source,
    )
    output, _ = full.communicate(timeout=60)
    assert output.count("refused:") == 2, output
    assert "project.json could not be written" in output
    assert read_project(folder / "project.json").title == "Saved"
    assert read_project(folder / "project.json.bak").title == "Saved"
    assert list(folder.rglob("*.part")) == []
    assert list((folder / "media").iterdir()) == []


def test_no_space_left_is_said_in_words(folder, monkeypatch):
    with ProjectStore.create(folder, "Saved") as store:
        project = store.load()
        project.title = "Lost"

        def full(descriptor: int) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(WriteFailed, match="disk is full"):
            store.save(project)
        monkeypatch.undo()
        assert store.load().title == "Saved"


def test_unloadable_document_is_never_written(folder):
    with ProjectStore.create(folder, "Saved") as store:
        project = store.load()
        project.scene.speakers.append("not a speaker")
        with pytest.warns(UserWarning, match="serializ"), pytest.raises(ValueError, match=r"scene\.speakers\[0\]"):
            store.save(project)
        assert store.load().title == "Saved"


def test_interrupted_take_is_found_and_told(folder):
    take, done = Take(settings=RenderSettings()), Take(settings=RenderSettings(), status="done")
    with ProjectStore.create(folder) as store:
        project = store.load()
        project.scene.takes = [take, done]
        store.save(project)
        place = store.take_folder(take.id)
        worker = run(
            """
            import sys, time
            from pathlib import Path
            from engine.project.takes import rendering
            with rendering(Path(sys.argv[1])): print("on", flush=True); time.sleep(60)
            """,
            place,
        )
        try:
            assert worker.stdout.readline() == "on\n"
            (place / ".video.mp4.12345678.part").write_bytes(b"half")
            assert is_rendering(place)
            assert store.recover(project) == (project, [])
            with pytest.raises(ProjectBusy, match="rendered already"), rendering(place):
                pass
        finally:
            worker.kill()
            worker.wait()
        recovered, sentences = store.recover(project)
        assert [one.status for one in recovered.scene.takes] == ["interrupted", "done"]
        assert len(sentences) == 1
        assert "render it again" in sentences[0]
        assert not list(place.glob(".*.part"))
        assert store.recover(recovered)[1] == []


def test_take_json_holds_all_that_is_needed_to_make_it_again(folder, tmp_path):
    golden = read_project(Path(__file__).parent / "golden" / "project_v1.json")
    take = Take(settings=golden.scene.settings, inputs_sha256=inputs_sha256(golden.scene, golden.scene.settings))
    write_take(tmp_path, take, golden.scene)
    record = read_take(tmp_path)
    assert record.take == take
    assert record.scene.cast == golden.scene.cast
    assert record.scene.takes == []
    assert inputs_sha256(record.scene, record.take.settings) == take.inputs_sha256
    (tmp_path / "take.json").write_text("{")
    with pytest.raises(ProjectDamaged):
        read_take(tmp_path)
