"""What every action needs first: the thing that an id names, a number, a text and a name that can be trusted."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from app import texts
from engine.errors import StudioError
from engine.project.document import Face, Project, Speaker, Turn

Changed = tuple[Project, str]
"""The changed project and a sentence about it, "" = nothing to say."""

LONGEST_NAME = 60

Named = TypeVar("Named", Face, Speaker, Turn)


def face_of(project: Project, face_id: str) -> Face:
    """Raises StudioError for an id that is not there, as all of these do."""
    return _named(project.scene.faces, face_id)


def speaker_of(project: Project, speaker_id: str) -> Speaker:
    return _named(project.scene.speakers, speaker_id)


def turn_of(project: Project, turn_id: str) -> Turn:
    return _named(project.scene.turns, turn_id)


def _named(things: Sequence[Named], wanted: str) -> Named:
    for thing in things:
        if thing.id == wanted:
            return thing
    raise StudioError(texts.NOT_THERE, texts.NOT_THERE_REMEDY)


def number(value: Any, field: str) -> float:
    """``value`` as a finite number. Raises StudioError that calls it what ``texts.FIELD_NAMES`` calls ``field``."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise StudioError(texts.NO_NUMBER.format(what=texts.FIELD_NAMES[field]), texts.NO_NUMBER_REMEDY)
    return found


def written(value: Any, field: str, longest: int, keep_lines: bool = False) -> str:
    """``value`` as text without control characters, in one line unless ``keep_lines``. Raises StudioError if longer."""
    plain = "" if value is None else str(value)
    if len(plain) > longest:
        what = texts.FIELD_NAMES[field]
        told = texts.TOO_LONG_TEXT.format(what=what, longest=longest, length=len(plain))
        raise StudioError(told, texts.TOO_LONG_TEXT_REMEDY)
    lines = [" ".join(_printable(line).split()) for line in plain.splitlines()]
    return ("\n" if keep_lines else " ").join(lines).strip()


def cleaned_name(name: Any) -> str:
    """A name of one to LONGEST_NAME letters in one line. Raises StudioError where nothing is left of it."""
    cleaned = " ".join(_printable(str(name)).split())[:LONGEST_NAME].strip()
    if not cleaned:
        raise StudioError(texts.EMPTY_NAME, texts.EMPTY_NAME_REMEDY)
    return cleaned


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
