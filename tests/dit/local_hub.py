"""A small server that speaks as much of the model hub's language as fetching needs, and can misbehave on request."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LocalHub:
    """Serves ``files`` (by "owner/name/path").

    ``cut``: bytes after which every answer breaks off (None = never); ``dies_of_it``: then ``dead``: no content at all;
    ``spoil``: send wrong bytes; ``refusal``: (status, the hub's error code) of everything.
    ``requests``: (method, path, range header, with token?); ``sent``: bytes of content.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.cut: int | None = None
        self.dead = self.dies_of_it = self.spoil = False
        self.refusal: tuple[int, str] | None = None
        self.requests: list[tuple[str, str, str, bool]] = []
        self.sent = 0
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["LocalHub"]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def _answer(self, with_content: bool) -> None:
        path = self.path.partition("?")[0]
        held = self.headers.get("Range", "")
        self.hub.requests.append((self.command, path, held, "authorization" in self.headers))
        if self.hub.refusal:
            status, code = self.hub.refusal
            return self._say(status, {"X-Error-Code": code, "X-Error-Message": code})
        if path.startswith("/api/models/"):
            return self._list(path)
        name = path.lstrip("/").replace("/resolve/main/", "/")
        content = self.hub.files.get(name)
        if content is None:
            return self._say(404, {"X-Error-Code": "EntryNotFound"})
        return self._file(content, with_content, held)

    def _list(self, path: str) -> None:
        repository = "/".join(path.split("/")[3:5])
        listed = [
            {"type": "file", "path": name.removeprefix(f"{repository}/"), "size": len(content), "oid": "0" * 40}
            for name, content in self.hub.files.items()
            if name.startswith(f"{repository}/")
        ]
        self._say(200, {"Content-Type": "application/json"}, json.dumps(listed).encode())

    def _file(self, content: bytes, with_content: bool, held: str) -> None:
        first = int(held.removeprefix("bytes=").rstrip("-")) if held else 0
        headers = {"X-Repo-Commit": "1" * 40, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        if held:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        body = content[first:]
        if self.hub.spoil:
            body = bytes(byte ^ 1 for byte in body)
        if not with_content:
            return self._say(200, headers | {"Content-Length": str(len(content))})
        limit = 0 if self.hub.dead else self.hub.cut
        return self._say(206 if held else 200, headers, body, limit)

    def _say(self, status: int, headers: dict[str, str], body: bytes = b"", limit: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            kept = body if limit is None else body[:limit]
            self.hub.sent += len(kept)
            self.wfile.write(kept)
            if len(kept) < len(body):
                self.close_connection = True
                self.hub.dead = self.hub.dies_of_it

    def log_message(self, *args: Any) -> None:
        pass
