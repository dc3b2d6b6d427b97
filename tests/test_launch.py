"""launch.py as a newcomer meets it: too old a Python, a second start, two starts at once, commands handed over."""

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from engine.launcher.environment import CARRIERS, FILES, PACKAGES, TESTS, Environment
from engine.launcher.start import command_line

ROOT = Path(__file__).resolve().parents[1]
OLD = ("2.7", "3.6", "3.8", "3.10")
OLD_PYTHONS = [path for name in OLD if (path := shutil.which(f"python{name}"))]
OLD_PYTHONS += [str(path) for name in OLD for path in Path.home().glob(f".pyenv/versions/{name}.*/bin/python")]


@pytest.fixture
def installed(tmp_path):
    """A program in a folder with an awkward name, fully set up as far as launch.py can see, that echoes its start."""
    root = tmp_path / "Mein Büro $(touch x) 'q'"
    for folder in ("engine/launcher", "assets", "app"):
        (root / folder).mkdir(parents=True)
    for name in ("launch.py", *{name for names in FILES.values() for name in names}):
        shutil.copy(ROOT / name, root / name)
    for path in (ROOT / "engine" / "launcher").glob("*.py"):
        shutil.copy(path, root / "engine" / "launcher")
    shutil.copy(ROOT / "engine" / "__init__.py", root / "engine")
    echo = "import json, os, sys; print(json.dumps([__package__, sys.argv[1:], sys.prefix, os.getcwd()]))"
    for package in ("app", "engine"):
        (root / package / "__main__.py").write_text(echo)
    (root / "app" / "__init__.py").touch()
    environment = Environment(root)
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(environment.folder)
    environment.carriers.mkdir()
    for part in FILES:
        environment.mark_done(part)
    return environment


def start(root, *arguments, cwd=None, python=sys.executable):
    command = [python, str(root / "launch.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=cwd, check=False)


@pytest.mark.parametrize("python", OLD_PYTHONS)
def test_an_old_python_is_told_in_one_line(python):
    probe = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info < (3, 11))"], capture_output=True, text=True
    )
    if probe.stdout.strip() != "True":
        pytest.skip(f"{python} does not run")
    told = subprocess.run([python, str(ROOT / "launch.py"), "demo"], capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stdout == ""
    assert told.stderr.count("\n") == 1
    assert "Python 3.11 or newer" in told.stderr


def test_the_version_is_looked_at_before_anything_else():
    code = "import sys; sys.version_info = (3, 9, 1); sys.modules['engine'] = None; exec(open('launch.py').read())"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stderr.count("\n") == 1
    assert "this is Python 3.9" in told.stderr


def test_setting_up_needs_the_standard_library_only():
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import engine.launcher.setting_up, engine.launcher.start"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_installs_nothing(tmp_path, installed):
    shutil.rmtree(installed.folder)
    shown = start(installed.root, "--help")
    assert shown.returncode == 0
    for command in ("demo", "new", "faces", "diarize", "render", "bench", "test"):
        assert f"launch.py {command}" in shown.stdout
    assert not installed.folder.exists()


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], ["-m", "app"]),
        (["--host", "0.0.0.0", "--port", "80"], ["-m", "app", "--host", "0.0.0.0", "--port", "80"]),
        (["--share"], ["-m", "app", "--share"]),
        (["studio", "--share"], ["-m", "app", "--share"]),
        (["demo"], ["-m", "engine", "demo"]),
        (["faces", "a b.png", "--json"], ["-m", "engine", "faces", "a b.png", "--json"]),
        (["test"], ["-m", "pytest", "-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"]),
        (["test", "-k", "launch"], ["-m", "pytest", "-k", "launch"]),
    ],
)
def test_commands_are_handed_over(arguments, command):
    assert command_line(arguments) == command


def test_a_second_start_is_fast_quiet_and_runs_in_the_users_folder(tmp_path, installed):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "engine.py").write_text("raise SystemExit('a file of the user was imported')")
    argument = "ein Foto; $(rm -rf x).png"
    started = time.monotonic()
    shown = start(installed.root, "faces", argument, cwd=tmp_path / "elsewhere")
    assert time.monotonic() - started < 20  # without setting anything up
    assert shown.returncode == 0, shown.stderr
    package, arguments, prefix, folder = json.loads(shown.stdout)
    assert (package, arguments) == ("engine", ["faces", argument])
    assert Path(prefix) == installed.folder
    assert Path(folder) == tmp_path / "elsewhere"
    assert json.loads(start(installed.root, "--share").stdout)[:2] == ["app", ["--share"]]


def test_a_changed_list_and_an_unfinished_step_are_noticed(installed):
    parts = [PACKAGES, CARRIERS, TESTS]
    assert installed.missing(parts) == []
    (installed.root / "requirements-dev.txt").write_text("pytest==1\n")
    assert installed.missing(parts) == [TESTS]
    (installed.root / "requirements.txt").write_text("numpy==1\n")
    assert installed.missing(parts) == [PACKAGES, TESTS]
    shutil.rmtree(installed.carriers)
    assert installed.missing(parts) == parts
    installed.mark_done(TESTS)
    assert installed.missing(parts) == [PACKAGES, CARRIERS]


def test_other_line_ends_are_no_change(installed):
    path = installed.root / "requirements.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert installed.missing([PACKAGES]) == []


@pytest.mark.parametrize("damage", ["", "{", "[]", "\x00"])
def test_a_damaged_stamp_means_set_up_again(installed, damage):
    installed.stamp.write_text(damage)
    assert installed.missing([PACKAGES, CARRIERS]) == [PACKAGES, CARRIERS]


@pytest.mark.skipif(os.name == "nt", reason="links to a Python exist on POSIX only")
def test_an_environment_that_lost_its_python_is_set_up_again(installed):
    installed.python.unlink()
    installed.python.symlink_to("/nowhere/python3")
    assert installed.missing([PACKAGES]) == [PACKAGES]


def test_everything_is_pinned():
    for name in ("requirements.txt", "requirements-dev.txt", "assets/constraints.txt"):
        for line in _entries(name):
            assert "==" in line, (name, line)
    for line in _entries("assets/carriers.txt"):
        assert "==" in line
        assert "--hash=sha256:" in line


def test_the_installed_versions_are_the_pinned_ones():
    from importlib.metadata import version

    for line in _entries("requirements.txt"):
        pin, _, condition = line.partition(";")
        if not condition:
            name, wanted = pin.strip().split("==")
            assert version(name).split("+")[0] == wanted


def _entries(name):
    lines = [line.split(" #")[0].strip() for line in (ROOT / name).read_text("utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
