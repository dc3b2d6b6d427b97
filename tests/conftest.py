"""What all tests share: real media that is not part of the project, and no word to any network."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import StudioError
from engine.messages import ROOT, all_messages

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the other cores have tests of their own

SHARED_MEDIA = Path(os.environ.get("ROUNDTABLE_MEDIA", Path(__file__).parents[2] / "shared" / "media"))


@pytest.fixture(scope="session")
def shared_media() -> Callable[..., Path]:
    """Path of a real photo, recording or video; skips the test where it is not at hand."""

    def path_of(*parts: str) -> Path:
        path = SHARED_MEDIA.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"needs {'/'.join(parts)}: set ROUNDTABLE_MEDIA to the folder of test media")
        return path

    return path_of


REACHED: set[tuple[str, int]] = set()
"""File and line of every place that made an error for people in this run, in the processes that run tests."""


def pytest_configure() -> None:
    """From here on, each StudioError notes where it was made."""
    make = StudioError.__init__

    def noted(self: StudioError, *arguments: Any, **named: Any) -> None:
        frame = sys._getframe(1)
        REACHED.add((frame.f_code.co_filename, frame.f_lineno))
        make(self, *arguments, **named)

    StudioError.__init__ = noted  # type: ignore[method-assign]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process that ran a share of the tests has ended: what its tests met counts too."""
    REACHED.update((name, line) for name, line in node.workeroutput.get("messages_met", []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["messages_met"] = sorted(REACHED)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """After a run of the whole suite: the messages that no test met."""
    options = config.option
    if [Path(argument) for argument in config.args] != [Path("tests")] or options.keyword or options.markexpr:
        return
    missed = unreached()
    terminalreporter.section(f"{len(missed)} messages that no test met, children of tests aside")
    for line in missed:
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def messages_met() -> tuple[set[tuple[str, int]], Callable[[], list[str]]]:
    """The notes themselves, and what names the messages that are not among them."""
    return REACHED, unreached


def unreached() -> list[str]:
    places = {(Path(name).resolve().relative_to(ROOT).as_posix(), line) for name, line in REACHED if _is_ours(name)}
    return [
        f"{message.path}:{message.line} {message.function}: {message.happened}"
        for message in all_messages()
        if not any((message.path, line) in places for line in range(message.line, message.last_line + 1))
    ]


def _is_ours(name: str) -> bool:
    return Path(name).resolve().is_relative_to(ROOT)
