"""The doors of the server, asked as a browser asks, without one: cookies, uploads, files, nothing of others."""

import http.client
import io
import json
import zipfile

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app import server, texts
from app.desk import Desks
from app.visitor import COOKIE, HEADER
from engine.demo import compose_group_photo, demo_dialogue
from engine.jobs.analyse import add_dialogue, add_photo
from engine.project.document import Face, Speaker, Take, Turn


async def _upload(request: Request) -> JSONResponse:
    return JSONResponse({"came": len(await request.body())})


@pytest.fixture(scope="module")
def desks(tmp_path_factory):
    desks = Desks(tmp_path_factory.mktemp("server") / "projects", together=False)
    yield desks
    desks.close()


@pytest.fixture
def visit(desks):
    """A new browser each time it is called."""
    options = server.app_options(desks)
    routes = [*options["routes"], Route("/gradio_api/upload", _upload, methods=["POST"])]
    app = Starlette(routes=routes, middleware=options["middleware"])
    return lambda **headers: TestClient(app, headers=headers)


@pytest.fixture(scope="module")
def ada(desks, tmp_path_factory) -> tuple[str, str]:
    """A visitor with a photo, a recording, a turn and a finished take: (secret, name of the project)."""
    from PIL import Image as Picture

    secret = "a" * 43
    project = desks.of(secret).current
    picture = tmp_path_factory.mktemp("in") / "people.png"
    Picture.fromarray(compose_group_photo().rgb).save(picture)

    def fill(draft):
        add_photo(project.store, draft, picture)
        add_dialogue(project.store, draft, demo_dialogue())
        scene = draft.scene
        scene.faces = [Face(id="face-1", name="Ada", colour="#e4572e", box_px=(40, 40, 140, 160))]
        scene.speakers = [Speaker(id="speaker-1", name="Ada")]
        scene.turns = [Turn(speaker_id="speaker-1", start_s=1, end_s=2)]
        return draft, ""

    project.change(fill)
    project.put_take(Take(id="take1", settings=project.project.scene.settings, status="done"))
    folder = project.store.take_folder("take1")
    (folder / "video.mp4").write_bytes(b"0123456789")
    (folder / "take.json").write_text("{}")
    (folder / "report.html").write_text("<script>alert(1)</script>")
    exports = project.folder / "exports"
    exports.mkdir()
    (exports / "ada.mp4").write_bytes(b"exported")
    return secret, project.folder.name


def test_each_browser_gets_a_secret_cookie_once(visit):
    browser = visit()
    first = browser.get("/desk/x/sound")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "set-cookie" not in browser.get("/desk/x/sound").headers
    for bad in ("short", "a" * 500, "../../etc/passwd", "a b" * 20):
        assert "set-cookie" in visit(cookie=f"{COOKIE}={bad}").get("/desk/x/sound").headers, bad


def test_what_a_project_shows_comes_out_and_parts_of_it_too(visit, ada):
    secret, name = ada
    browser = visit(**{HEADER: secret})
    for what, kind in (("photo.jpg", "image/jpeg"), ("face/face-1.jpg", "image/jpeg"), ("sound", "audio/mp4")):
        reply = browser.get(f"/desk/{name}/{what}")
        assert (reply.status_code, reply.headers["content-type"]) == (200, kind)
        assert reply.headers["x-content-type-options"] == "nosniff"
    peaks = browser.get(f"/desk/{name}/peaks").json()
    assert len(peaks) == 40 * 30
    assert max(peaks) == 255
    part = browser.get(f"/desk/{name}/take/take1/video", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234"), "a player jumps"
    saved = browser.get(f"/desk/{name}/take/take1/video?save=1")
    assert "attachment" in saved.headers["content-disposition"]
    assert browser.get(f"/desk/{name}/export/ada.mp4").content == b"exported"
    report = browser.get(f"/desk/{name}/take/take1/report")
    assert "default-src 'none'" in report.headers["content-security-policy"], "the report runs no script"


def test_nothing_else_comes_out(visit, ada):
    secret, name = ada
    browser = visit(**{HEADER: secret})
    for path in (
        *(f"{name}/take/take1/{what}" for what in ("take.json", "..", "%2e%2e%2fproject.json", "video.mp4", "job")),
        *(f"{name}/take/{take}/video" for take in ("none", "..", "%2e%2e")),
        *(f"{name}/export/{file}" for file in ("..", "%2e%2e%2fproject.json", ".hidden", "none.mp4")),
        *(f"{name}/voice/{voice}" for voice in ("none", "..", "%2e%2e%2f%2e%2e")),
        f"{name}/face/..%2f...jpg",
        *(f"{project}/photo.jpg" for project in ("..", "%2e%2e", "none", "%2fetc", f"{name}%2f..", f"{name}%00")),
        f"{name}/media",
        f"{name}/project.json",
    ):
        assert browser.get(f"/desk/{path}").status_code in (404, 400), path
    gone = browser.get(f"/desk/{name}/face/none.jpg")
    assert (gone.status_code, gone.content) == (204, b"")


def test_another_visitor_sees_nothing_of_it(visit, ada):
    _, name = ada
    other = visit(**{HEADER: "b" * 43})
    other.get("/desk/x/sound")
    for what in ("photo.jpg", "sound", "take/take1/video", "export/ada.mp4"):
        assert other.get(f"/desk/{name}/{what}").status_code == 404, what
    own = other.get(f"/desk/{name}/copy.zip")  # a project of the same name, but their own
    with zipfile.ZipFile(io.BytesIO(own.content)) as packed:
        assert all("Ada" not in packed.read(entry).decode("utf-8", "ignore") for entry in packed.namelist())


def test_a_project_can_be_carried_away_whole(visit, ada):
    secret, name = ada
    reply = visit(**{HEADER: secret}).get(f"/desk/{name}/copy.zip")
    assert reply.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(reply.content)) as packed:
        project = next(entry for entry in packed.namelist() if entry.endswith("project.json"))
        assert json.loads(packed.read(project))["scene"]["faces"][0]["name"] == "Ada"


def test_too_large_an_upload_is_refused_before_it_is_read(visit, monkeypatch):
    browser = visit()
    assert browser.post("/gradio_api/upload", content=b"x" * 1000).json() == {"came": 1000}
    told = browser.post("/gradio_api/upload", content=b"", headers={"content-length": str(server.MAX_UPLOAD_BYTES + 1)})
    assert (told.status_code, told.json()["detail"]) == (413, texts.UPLOAD_TOO_LARGE)
    monkeypatch.setattr(server, "MAX_UPLOAD_BYTES", 5000)

    def endless():
        for _ in range(100):
            yield b"x" * 1000

    with pytest.raises(Exception):  # noqa: B017, PT011  cut off: what the framework makes of that is its own affair
        assert browser.post("/gradio_api/upload", content=endless()).json() == {}


def test_an_upload_never_fills_the_disk(visit, monkeypatch):
    monkeypatch.setattr(server, "KEPT_FREE_BYTES", 1 << 60)
    reply = visit().post("/gradio_api/upload", content=b"x")
    assert reply.status_code == http.client.INSUFFICIENT_STORAGE
    assert reply.json()["detail"] == texts.UPLOAD_NO_ROOM
