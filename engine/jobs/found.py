"""What analyses found before anybody edited it, kept in the project's cache: it tells what a person took out.

Without it (the cache is deleted at will) everything else of a person's edits stays, but what was taken out comes back
when the photo or the recording is analysed again.
"""

import hashlib
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from engine.cast.again import Spoken
from engine.cast.spans import Span
from engine.project.atomic import write_bytes
from engine.project.document import Scene, Turn
from engine.project.store import ProjectFiles

MOST_KEPT = 20
Box = tuple[float, float, float, float]


class _Analysis(BaseModel):
    turn_ids: list[str]
    found: dict[str, list[Span]]


class _Found(BaseModel):
    voices: list[_Analysis] = []
    boxes_px: list[Box] = []


def voices_found(store: ProjectFiles, scene: Scene) -> Spoken:
    """What the analysis found that the scene's turns come from; nothing where that is not known any more."""
    own = {turn.id for turn in scene.turns}
    analyses = _read(store, _sound_of(scene)).voices
    fitting = [(len(own & set(each.turn_ids)), index) for index, each in enumerate(analyses)]
    most, index = max(fitting, default=(0, 0))
    return analyses[index].found if most else {}


def remember_voices(store: ProjectFiles, scene: Scene, turns: Sequence[Turn], found: Spoken) -> None:
    """``turns``: the scene's after this analysis. Raises WriteFailed."""
    known = _read(store, _sound_of(scene))
    plain = {speaker_id: list(spans) for speaker_id, spans in found.items()}
    known.voices = [*known.voices, _Analysis(turn_ids=[turn.id for turn in turns], found=plain)][-MOST_KEPT:]
    _write(store, _sound_of(scene), known)


def faces_found(store: ProjectFiles, scene: Scene) -> list[Box]:
    """The boxes of all faces that were ever found in the scene's photo."""
    return _read(store, _photo_of(scene)).boxes_px


def remember_faces(store: ProjectFiles, scene: Scene, boxes_px: Sequence[Box]) -> None:
    known = _read(store, _photo_of(scene))
    known.boxes_px = [*known.boxes_px, *(box for box in boxes_px if box not in known.boxes_px)]
    _write(store, _photo_of(scene), known)


def _sound_of(scene: Scene) -> str:
    refs = [scene.dialogue] if scene.dialogue else [voice.media for voice in scene.voices]
    return "-".join(ref.sha256[:16] for ref in refs)[:120]


def _photo_of(scene: Scene) -> str:
    return scene.photo.sha256[:16] if scene.photo else ""


def _read(store: ProjectFiles, source: str) -> _Found:
    try:
        return _Found.model_validate_json((store.cache_folder / _name(source)).read_bytes())
    except (OSError, ValidationError):
        return _Found()


def _write(store: ProjectFiles, source: str, found: _Found) -> None:
    write_bytes(store.cache_folder / _name(source), found.model_dump_json().encode())


def _name(source: str) -> str:
    return f"found-{hashlib.sha256(source.encode()).hexdigest()[:16]}.json"  # a hash in project.json is not trusted
