"""The page in a real Chromium, on a real studio process with real inputs: the demo's people, six seconds of talk."""

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

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
PATIENCE_MS = 60_000
CUT_OFF_BY_A_RELOAD = ("AbortError: signal is aborted", "Unexpected error Connection errored out")


class Server:
    """A studio process of its own, on a free port of this computer."""

    def __init__(self, projects: Path) -> None:
        self.projects = projects
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = projects.parent / f"studio-{self.port}.log"
        folders = {"ROUNDTABLE_PROJECTS": str(projects), "ROUNDTABLE_MODELS": str(projects.parent / "no models")}
        environment = {**os.environ, **folders, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "app", "--port", str(self.port)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, cwd=projects.parent, stdout=log, stderr=log)
        self._wait()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def _wait(self) -> None:
        for _ in range(900):
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)
        raise AssertionError("the studio did not start: " + self.log.read_text())

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(30)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple[Path, Path]:
    """A photo of six people, and 6.3 s in which two talk."""
    import soundfile
    from PIL import Image as Picture

    from engine.demo import compose_group_photo, demo_dialogue

    folder = tmp_path_factory.mktemp("inputs")
    photo, sound = folder / "our people & friends.png", folder / "a 'talk' (1).wav"
    Picture.fromarray(compose_group_photo().rgb).save(photo)
    samples, rate = soundfile.read(demo_dialogue())
    soundfile.write(sound, samples[int(6.5 * rate) : int(12.8 * rate)], rate)
    return photo, sound


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("studio") / "projects")
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: python launch.py test installs it")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    """A window that notes what a browser complains about and what it asks of others than the studio."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
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
    yield page
    context.close()
    assert [text for text in complaints if not text.startswith(CUT_OFF_BY_A_RELOAD)] == []


def drop(page, where: str, *files: Path) -> None:
    page.locator(f"#{where} input[type=file]").set_input_files([str(file) for file in files])


def saved(server: Server) -> dict:
    newest = max(server.projects.glob("*/project.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(newest.read_text())


def turn_ids(server: Server) -> set[str]:
    return {turn["id"] for turn in saved(server)["scene"]["turns"]}


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def part_of(page, name: str):
    return page.get_by_label(f"{name}: part", exact=True)


def choose(page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option).click()


def test_photo_and_recording_become_a_plan_by_themselves(page, server, inputs):
    photo, sound = inputs
    drop(page, "photo", photo)
    page.locator(".rt-progress").first.wait_for()
    drop(page, "sound", sound)
    page.get_by_text("6 faces, ").first.wait_for()
    page.get_by_text("6 faces, ").first.wait_for()
    wait_until(lambda: turn_ids(server))
    found = turn_ids(server)
    page.get_by_role("button", name="How many people speak").click()
    choose(page, "People in the recording", "2")
    wait_until(lambda: turn_ids(server) - found)  # listened again: until then every change is refused
    page.locator(".rt-progress").first.wait_for(state="hidden")
    page.get_by_text("6 faces, 2 voices").first.wait_for()
    page.locator(".rt-face").nth(5).wait_for()
    page.locator(".rt-voice audio").nth(1).wait_for()
    scene = saved(server)["scene"]
    assert [scene["photo"]["original_name"], scene["dialogue"]["original_name"]] == [photo.name, sound.name]
    assert page.locator("#boxed img").get_attribute("alt").startswith("The photo with 6 numbered faces: Face 1")
    assert "will listen" in page.locator(".rt-sentence").first.inner_text()


def test_a_voice_moves_to_another_face_and_is_saved(page, server):
    part_of(page, "Face 3").wait_for()
    assert part_of(page, "Face 1").input_value().startswith("Talks: Speaker 1")
    choose(page, "Face 3: part", "Talks: Speaker 1")
    page.get_by_text("Face 3 talks as Speaker 1. Face 1 had this voice and listens now.").wait_for()
    page.wait_for_function("document.querySelectorAll('.rt-voice')[0].innerText.includes('Face 3')")
    assert part_of(page, "Face 1").input_value() == "Listens"
    parts = {m["face_id"]: (m["part"], m["speaker_id"]) for m in saved(server)["scene"]["cast"]}
    assert parts["face-3"] == ("talks", "speaker-1")
    assert parts["face-1"] == ("listens", None)


def test_previews_say_what_they_lack_and_the_animatic_stays(page):
    page.get_by_text("python launch.py models get anytalker-1.3b").wait_for()
    assert "GB" in page.locator("#costs").inner_text()
    for name, possible in (("Render animatic", True), ("Preview", False), ("Final", False)):
        assert page.get_by_role("button", name=name, exact=True).is_enabled() is possible


def test_a_name_is_kept_and_a_second_window_sees_it(page, browser, server):
    name = page.get_by_label("Name of voice 1", exact=True)
    name.fill("Ada <i>L</i>")
    name.press("Enter")
    other = browser.new_context().new_page()
    other.goto(server.address)
    other.wait_for_function("[...document.querySelectorAll('input,textarea')].some(i => i.value === 'Ada <i>L</i>')")
    other.context.close()
    assert saved(server)["scene"]["speakers"][0]["name"] == "Ada <i>L</i>"


def test_a_voice_can_be_listened_to(page):
    player = page.locator(".rt-voice audio").first
    player.wait_for()
    player.evaluate("p => { p.muted = true; return p.play(); }")
    page.wait_for_function("document.querySelector('.rt-voice audio').currentTime > 0.3")
    assert player.evaluate("p => p.duration") == pytest.approx(6.3, abs=0.05)


def test_a_cancelled_render_leaves_the_plan(page, server):
    before = saved(server)["scene"]
    page.get_by_role("button", name="Render animatic", exact=True).click()
    page.locator(".rt-progress").wait_for()
    page.locator("button:visible", has_text="Cancel").click()
    page.get_by_text("Cancelled. Your plan is as it was.").wait_for()
    after = saved(server)["scene"]
    assert [take["status"] for take in after.pop("takes")] == ["cancelled"]
    before.pop("takes")
    assert after == before
    assert not list(server.projects.glob("*/takes/*/video.mp4"))


def test_render_watch_download_and_find_it_again_after_a_reload(page, server):
    page.get_by_role("button", name="Render animatic", exact=True).click()
    page.get_by_text("The animatic is ready").wait_for()
    for _ in range(2):
        video = page.locator("#watch video")
        video.wait_for()
        page.wait_for_function("document.querySelector('#watch video').duration > 0")
        assert video.evaluate("v => v.duration") == pytest.approx(6.3, abs=0.05)
        video.evaluate("v => { v.muted = true; return v.play(); }")
        page.wait_for_function("document.querySelector('#watch video').currentTime > 0.5")
        assert video.evaluate("v => v.videoWidth * v.videoHeight") > 100_000
        page.reload()
    page.locator("#watch video").wait_for()
    with page.expect_download() as download:
        page.get_by_text("Download captions (SRT)").click()
    assert "Ada" in Path(download.value.path()).read_text()
    with page.expect_download() as download:
        page.get_by_text("Download video").click()
    assert download.value.suggested_filename == "video.mp4"
    assert saved(server)["scene"]["takes"][-1]["status"] == "done"


def test_files_that_were_brought_are_not_given_out(page, server):
    media = next(server.projects.glob("*/media/*"))
    document = next(server.projects.glob("*/project.json"))
    context = page.context
    for path in (media, document, Path("/etc/hostname")):
        assert context.request.get(f"{server.address}gradio_api/file={path}").status == 403
    video = next(server.projects.glob("*/takes/*/video.mp4"))
    assert context.request.get(f"{server.address}gradio_api/file={video}").status == 200


def test_a_hostile_upload_is_a_sentence_and_changes_nothing(page, server, tmp_path):
    before = saved(server)
    bad = tmp_path / "holiday.png"
    bad.write_bytes(b"<script>alert(1)</script>" * 50)
    drop(page, "photo", bad)
    page.locator(".rt-problem").wait_for()
    assert "holiday.png" in page.locator(".rt-problem").inner_text()
    page.get_by_test_id("toast-body").wait_for()
    assert saved(server) == before


def test_a_face_can_be_marked_by_two_clicks(page, server):
    page.get_by_role("button", name="A face is missing?").click()
    photo = page.locator("#boxed img")
    box = photo.bounding_box()
    photo.click(position={"x": box["width"] * 0.02, "y": box["height"] * 0.03})
    page.wait_for_function("document.querySelectorAll('input[type=number]')[0].value !== ''")
    photo.click(position={"x": box["width"] * 0.09, "y": box["height"] * 0.25})
    bottom = page.get_by_label("Bottom, px")
    page.wait_for_function("e => e.value !== ''", arg=bottom.element_handle())
    assert float(page.get_by_label("Right, px").input_value()) == pytest.approx(0.09 * 1280, abs=12)
    page.get_by_role("button", name="Mark this face").click()
    page.get_by_text("Face 7 is marked").wait_for()
    assert [face["origin"] for face in saved(server)["scene"]["faces"]].count("drawn") == 1
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_text("Face 7 is removed.").wait_for()
    assert len(saved(server)["scene"]["faces"]) == 6


def test_after_a_kill_the_project_is_there_again(page, server, browser):
    title = saved(server)["title"]
    page.context.close()
    server.stop(signal.SIGKILL)
    again = Server(server.projects)
    try:
        window = browser.new_page()
        window.goto(again.address)
        window.get_by_text(f"Welcome back to {title}").wait_for(timeout=PATIENCE_MS)
        window.locator("#watch video").wait_for(timeout=PATIENCE_MS)
        window.close()
    finally:
        again.stop()
