"""The doors of the server: who comes in, how much they may bring, and which files of their projects go out."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app import texts
from app.desk import Desks
from app.presenters import board, pictures
from app.session import OpenProject
from app.visitor import COOKIE, known_visitor, new_secret
from engine.errors import StudioError
from engine.project.archive import write_zip

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_UPLOAD_BYTES = 2 * 1024**3
KEPT_FREE_BYTES = 512 * 1024**2
"""Of the disk that uploads go to: a full one would take the projects with it."""

_TAKE_FILES = {
    "video": ("video.mp4", "video/mp4"),
    "growing": ("growing.mp4", "video/mp4"),
    "frame": ("latest.jpg", "image/jpeg"),
    "vtt": ("video.vtt", "text/vtt"),
    "srt": ("video.srt", "application/x-subrip"),
    "report": ("report.html", "text/html"),
}
_YEAR_S = 365 * 24 * 3600


class Doors:
    """Gives each browser its cookie, and refuses what is too large before it is written anywhere."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        refusal = _refused(request)
        if refusal:
            await refusal(scope, receive, send)
            return
        secret = None if known_visitor(request) else new_secret()
        if secret:  # the very first request is already this visitor's
            scope["headers"] = [*scope["headers"], (b"cookie", f"{COOKIE}={secret}".encode())]

        async def marked(message: Message) -> None:
            if secret and message["type"] == "http.response.start":
                cookie = f"{COOKIE}={secret}; Path=/; Max-Age={_YEAR_S}; HttpOnly; SameSite=Lax"
                message["headers"] = [*message.get("headers", []), (b"set-cookie", cookie.encode())]
            await send(message)

        await self.app(scope, _counted(receive) if _is_upload(request) else receive, marked)


def _is_upload(request: Request) -> bool:
    return request.method == "POST" and request.url.path.rstrip("/").endswith("/upload")


def _refused(request: Request) -> Response | None:
    """The answer to an upload that says it is too large, or for which there is no room."""
    if not _is_upload(request):
        return None
    length = request.headers.get("content-length", "")
    size = int(length) if re.fullmatch(r"\d{1,15}", length) else 0
    if size > MAX_UPLOAD_BYTES:
        return JSONResponse({"detail": texts.UPLOAD_TOO_LARGE}, 413)
    if shutil.disk_usage(tempfile.gettempdir()).free < size + KEPT_FREE_BYTES:
        return JSONResponse({"detail": texts.UPLOAD_NO_ROOM}, 507)
    return None


def _counted(receive: Receive) -> Receive:
    """The same, but cut off beyond the limit: an upload need not say how large it is, or may lie."""
    came = 0

    async def counted() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > MAX_UPLOAD_BYTES:
            return {"type": "http.disconnect"}
        return message

    return counted


def app_options(desks: Desks) -> dict[str, Any]:
    """What the page's web application is made with."""
    return {"middleware": [Middleware(Doors)], "routes": routes(desks)}


def routes(desks: Desks) -> list[Route]:
    """Files of the visitor's own projects, each by the name of what it is; no path is ever taken from an address."""

    def answering(answer: Callable[[OpenProject, Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        def found(request: Request) -> Response:
            try:
                visitor = known_visitor(request)
                if visitor is None:
                    return PlainTextResponse(texts.NO_COOKIE, 403)
                return answer(desks.of(visitor).named(request.path_params["project"]), request)
            except StudioError as error:
                return PlainTextResponse(f"{error.message} {error.remedy}".strip(), 404)

        async def endpoint(request: Request) -> Response:
            return await to_thread.run_sync(found, request)

        return endpoint

    table = {
        "photo.jpg": _photo,
        "face/{face}.jpg": _face,
        "sound": _sound,
        "peaks": _peaks,
        "voice/{speaker}": _voice,
        "take/{take}/{what}": _take_file,
        "export/{name}": _export,
        "copy.zip": _copy,
    }
    return [Route(f"/desk/{{project}}/{path}", answering(answer)) for path, answer in table.items()]


def _photo(project: OpenProject, request: Request) -> Response:
    photo = project.project.scene.photo
    if photo is None:
        return _nothing()
    picture = pictures.display_jpeg(project.store.path_of(photo), photo.sha256)
    return Response(picture, media_type="image/jpeg", headers=_kept())


def _face(project: OpenProject, request: Request) -> Response:
    scene = project.project.scene
    face = next((face for face in scene.faces if face.id == request.path_params["face"]), None)
    if face is None or scene.photo is None:
        return Response(status_code=204)  # removed while its picture was on the way: no fault of anybody's
    picture = pictures.thumbnail(project.store.path_of(scene.photo), scene.photo.sha256, face)
    return Response(picture, media_type="image/jpeg", headers=_kept())


def _sound(project: OpenProject, request: Request) -> Response:
    from engine.jobs.listening import listening_file

    return FileResponse(listening_file(project.store, project.project.scene), media_type="audio/mp4", headers=_kept())


def _peaks(project: OpenProject, request: Request) -> Response:
    from engine.jobs.listening import peaks

    return Response(json.dumps(peaks(project.store, project.project.scene)), media_type="application/json")


def _voice(project: OpenProject, request: Request) -> Response:
    from engine.jobs.evidence import voice_file

    scene, wanted = project.project.scene, request.path_params["speaker"]
    if not any(speaker.id == wanted for speaker in scene.speakers):
        return _nothing()
    return FileResponse(voice_file(project.store, scene, wanted), media_type="audio/wav", headers=_kept())


def _take_file(project: OpenProject, request: Request) -> Response:
    take_id, what = request.path_params["take"], request.path_params["what"]
    known = {take.id for take in project.project.scene.takes}
    if what not in _TAKE_FILES or take_id not in known:
        return _nothing()
    name, kind = _TAKE_FILES[what]
    path = project.store.take_folder(take_id) / name
    if not path.is_file():
        return _nothing()
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    if what == "report":  # made by us, but it shows names that others typed: it may run nothing
        headers["Content-Security-Policy"] = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    if what in ("frame", "growing"):  # renewed while a render runs: read whole, so that length and content agree
        return Response(path.read_bytes(), media_type=kind, headers=headers)
    saved_as = f"{project.folder.name}-{take_id}{path.suffix}" if "save" in request.query_params else None
    return FileResponse(path, media_type=kind, headers=headers, filename=saved_as)


def _export(project: OpenProject, request: Request) -> Response:
    name = request.path_params["name"]
    path = next((path for path in board.exports(project.folder) if path.name == name), None)
    return FileResponse(path, filename=name, headers={"Cache-Control": "no-cache"}) if path else _nothing()


def _copy(project: OpenProject, request: Request) -> Response:
    folder = Path(tempfile.mkdtemp())
    try:
        with project.store.lock:
            packed = write_zip(project.store, folder / f"{project.folder.name}.zip")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    gone = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(packed, filename=packed.name, media_type="application/zip", background=gone)


def _kept() -> dict[str, str]:
    """Addresses carry a hash of what they show: what came once need not come again."""
    return {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


def _nothing() -> Response:
    return PlainTextResponse(texts.NOT_THERE, 404)


def short_hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
