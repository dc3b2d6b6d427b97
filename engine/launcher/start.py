"""From the command line to a running program: set up what is missing, then hand over."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from engine.launcher.environment import CARRIERS, PACKAGES, TESTS, Environment, SetupError

# A process for each core, as most tests keep to one; what a file's tests share is made once.
WHOLE_SUITE = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"]
ROOM_FOR_BYTECODE = 200_000_000  # bytes free on the disk of the environment

HELP = """Roundtable: one group photo and one recorded conversation become a video in which everyone talks.

  python launch.py                                       the studio page  [--host H] [--port P] [--share] [--window]
  python launch.py demo                                  a finished video of the demo's people
  python launch.py new PROJECT --photo P --dialogue D    a new project    [--speakers N] [--voice NAME=FILE ...]
  python launch.py faces PHOTO [--json]                  who is in a photo
  python launch.py diarize AUDIO --out X.rttm            who speaks when  [--voices DIR]
  python launch.py render PROJECT                        the video   [--preset P] [--range A:B] [--out FILE] [--gpus N]
  python launch.py check VIDEO [--project P]             right mouths, in time, same faces? [--voices NAME=FILE ...]
  python launch.py export PROJECT [--aspect 9:16]        a take for where it is shown [--format F] [--captions C]
  python launch.py evaluate --videos DIR                 the paper's benchmark  [--annotations FILE]
  python launch.py messages                              everything that can be told, and what to do
  python launch.py models                                the networks of previews and finals [get NAME [--from DIR]]
  python launch.py plan PROJECT [--preset P]             what a final takes: memory, time  [--vram GB] [--range A:B]
  python launch.py bench animatic                        how fast this computer is
  python launch.py test [PYTEST OPTIONS]                 the tests

A command followed by --help tells its options.
The first start downloads what is needed into .venv; later ones work offline.
"""


def main(arguments: list[str]) -> int:
    """Sets up what is missing and runs the command; gives its exit code (on POSIX it replaces this process)."""
    if arguments in (["-h"], ["--help"], ["help"]):
        print(HELP)
        return 0
    environment = Environment(Path(__file__).resolve().parents[2])
    for_tests = arguments[:1] == ["test"]
    try:
        _set_up(environment, [PACKAGES, CARRIERS, *([TESTS] if for_tests else [])])
    except SetupError as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The next start goes on from here.", file=sys.stderr)
        return 130
    return hand_over(environment, command_line(arguments), environment.root if for_tests else None)


def command_line(arguments: list[str]) -> list[str]:
    """What the environment's Python is to run: the page, pytest, or one of the engine's commands."""
    if not arguments or arguments[0].startswith("-"):
        return ["-m", "app", *arguments]
    if arguments[0] == "studio":
        return ["-m", "app", *arguments[1:]]
    if arguments[0] == "test":
        return ["-m", "pytest", *(arguments[1:] or WHOLE_SUITE)]
    return ["-m", "engine", *arguments]


def hand_over(environment: Environment, command: list[str], folder: Path | None) -> int:
    """Runs ``command`` with the environment's Python, in ``folder`` or where the user is."""
    # Safe path: a file named like one of ours in the folder where the user happens to be is not imported.
    path = os.pathsep.join(filter(None, [str(environment.root), os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    if variables.pop("PYTHONDONTWRITEBYTECODE", None):
        # No files beside the sources, as asked, but some place: starts take ten seconds more without bytecode.
        variables.setdefault("PYTHONPYCACHEPREFIX", str(environment.folder / "bytecode"))
    if shutil.disk_usage(environment.folder).free < ROOM_FOR_BYTECODE:
        # Before 3.12.8 Python keeps bytecode that a full disk cut short, and fails on it at every later start.
        variables["PYTHONDONTWRITEBYTECODE"] = "1"
    program = [str(environment.python), *command]
    sys.stdout.flush()
    if os.name != "nt":
        _replace_this_process(program, variables, folder)
    process = subprocess.Popen(program, env=variables, cwd=folder)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the program was told too, and is closing down


def _replace_this_process(program: list[str], variables: dict[str, str], folder: Path | None) -> NoReturn:
    if folder:
        os.chdir(folder)
    os.execve(program[0], program, variables)


def _set_up(environment: Environment, parts: list[str]) -> None:
    if not environment.missing(parts):
        return
    from engine.launcher.setting_up import set_up  # only then: every start pays for what is imported here

    set_up(environment, parts)
