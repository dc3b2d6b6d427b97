"""A studio process of its own and a Chromium to look at it, for the tests that drive the page."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
PATIENCE_MS = 90_000
CUT_OFF_BY_A_RELOAD = ("AbortError: signal is aborted", "Unexpected error Connection errored out")


class Server:
    """A studio on a free port of this computer, with projects and settings in a folder of its own."""

    def __init__(self, projects: Path, *arguments: str) -> None:
        self.projects = projects
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = projects.parent / f"studio-{self.port}.log"
        folders = {
            "ROUNDTABLE_PROJECTS": str(projects),
            "ROUNDTABLE_MODELS": str(projects.parent / "no models"),
            "ROUNDTABLE_CONFIG": str(projects.parent / "config"),
        }
        environment = {**os.environ, **folders, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "app", "--port", str(self.port), *arguments]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, cwd=projects.parent, stdout=log, stderr=log)
        self._wait()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def saved(self) -> dict:
        """The project that was saved last."""
        newest = max(self.projects.glob("*/project.json"), key=lambda path: path.stat().st_mtime)
        return json.loads(newest.read_text())

    def scene(self) -> dict:
        return self.saved()["scene"]

    def worker(self) -> int | None:
        """The process that renders, by its number."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and b"engine.jobs.worker" in (folder / "cmdline").read_bytes():
                    return int(folder.name)
        return None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(30)

    def _wait(self) -> None:
        for _ in range(900):
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)
        raise AssertionError("the studio did not start: " + self.log.read_text())


@contextlib.contextmanager
def chromium():
    """Debian's Chromium; the test is skipped where it or playwright is missing."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: python launch.py test installs it")
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--autoplay-policy=no-user-gesture-required",
    ]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def open_page(browser, server: Server, **options):
    """A window on the studio: (page, what the browser complains about, and what it asks of others than the studio)."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("response", lambda reply: complaints.append(f"{reply.status} {reply.url}") if reply.status >= 400 else None)
    own = (server.address, "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(own) else complaints.append(f"asked elsewhere: {r.url}"))
    page.goto(server.address)
    page.locator(".rt-status").wait_for()
    return page, complaints


def unexpected(complaints: list[str]) -> list[str]:
    return [text for text in complaints if not text.startswith(CUT_OFF_BY_A_RELOAD)]


def drop(page, where: str, *files: Path) -> None:
    page.locator(f"#{where} input[type=file]").set_input_files([str(file) for file in files])


def wait_until(holds: Callable[[], object], what: str = "") -> None:
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain {what}"
        time.sleep(0.1)


def told(page, text: str) -> None:
    """Wait until the status line says so."""
    page.locator(".rt-status", has_text=text).wait_for()
