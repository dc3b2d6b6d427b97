"""Who is asking: the secret in a visitor's cookie, or the key that a program sends along."""

import re
import secrets
from collections.abc import Mapping
from typing import Any, Protocol

from app import texts
from engine.errors import StudioError

COOKIE = "roundtable"
HEADER = "x-roundtable-key"
_SECRET = re.compile(r"[A-Za-z0-9_-]{22,128}")


class Asking(Protocol):
    """What a starlette request and gradio's have in common."""

    @property
    def cookies(self) -> Mapping[str, str]: ...

    @property
    def headers(self) -> Any: ...


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def known_visitor(request: Asking) -> str | None:
    """The visitor's secret; None where the request brings none that could be one."""
    for value in (request.headers.get(HEADER), request.cookies.get(COOKIE)):
        if value and _SECRET.fullmatch(value):
            return str(value)
    return None


def visitor_of(request: Asking) -> str:
    """The visitor's secret. Raises StudioError for a request without one."""
    visitor = known_visitor(request)
    if visitor is None:
        raise StudioError(texts.NO_COOKIE, texts.NO_COOKIE_REMEDY)
    return visitor
