"""The scene as the page's web components take it: plain values, sizes in px of the photo, times in seconds."""

import hashlib
from bisect import bisect_right
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app import texts
from app.presenters.people import FaceRow, VoiceRow, face_rows, over_others, voice_rows
from app.presenters.pictures import ink_on
from app.session import OpenProject
from engine.cast.liveliest import liveliest_range
from engine.cast.spans import Span
from engine.project.document import CastMember, Part, Project, Scene, Turn

Plain = dict[str, Any]

SMALL_FACE_PX = 48
"""Narrower faces have lips of a few pixels; what is made of them is soft."""
PREVIEW_S = 5.0


def board(open_project: OpenProject, project: Project) -> Plain:
    """What <rt-people> and <rt-timeline> show."""
    scene, name = project.scene, open_project.folder.name
    # A state that came back to what it was (refused, undone at once) must differ all the same: by then the components
    # may show what they expected.
    version = open_project.version
    if scene.photo is None and not scene.speakers:
        return {"project": name, "version": version, "photo": None, "faces": [], "voices": [], "turns": [], "length": 0}
    voices = voice_rows(scene)
    return {
        "project": name,
        "version": version,
        "photo": _photo(name, scene),
        "faces": [_face(name, scene, row) for row in face_rows(scene)],
        "voices": [_voice(name, scene, row) for row in voices],
        "turns": turns(scene),
        "length": round(length_s(scene), 3),
        "sound": address(name, "sound", _sound_hash(scene)) if scene.dialogue or scene.voices else "",
        "peaks": address(name, "peaks", _sound_hash(scene)) if scene.speakers else "",
        "preview": preview_range(scene),
    }


def preview_range(scene: Scene) -> tuple[float, float] | None:
    """What a preview renders: the creator's choice, or the liveliest exchange; None where nobody speaks."""
    if not scene.turns:
        return None
    return scene.preview_range_s or liveliest_range(scene, PREVIEW_S)


def length_s(scene: Scene) -> float:
    """How long the conversation is, as far as the document knows."""
    refs = [scene.dialogue] if scene.dialogue else [voice.media for voice in scene.voices]
    known = [ref.info.duration_s or 0.0 for ref in refs]
    return max([*known, *(turn.end_s for turn in scene.turns)], default=0.0)


def turns(scene: Scene) -> list[Plain]:
    """Every turn, with the stretches of it during which somebody else speaks too."""
    over = {speaker.id: over_others(scene, speaker.id) for speaker in scene.speakers}
    return [_turn(turn, over.get(turn.speaker_id, [])) for turn in scene.turns]


def exports(folder: Path) -> list[Path]:
    """The files that were exported from a project, the newest first."""
    found = [path for path in (folder / "exports").glob("*") if path.is_file() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def address(project: str, what: str, version: object = "") -> str:
    """Where the server gives out something of a project; relative, so that it holds behind a proxy too."""
    mark = f"?v={quote(str(version))}" if version != "" else ""
    return f"desk/{quote(project)}/{quote(what)}{mark}"


def _photo(name: str, scene: Scene) -> Plain | None:
    if scene.photo is None:
        return None
    names = ", ".join(face.name for face in scene.faces)
    return {
        "url": address(name, "photo.jpg", scene.photo.sha256[:12]),
        "width": scene.photo.info.width or 1,
        "height": scene.photo.info.height or 1,
        "alt": texts.BOXED_ALT.format(count=len(scene.faces), names=names),
    }


def _face(name: str, scene: Scene, row: FaceRow) -> Plain:
    face = row.face
    member = scene.member_of_face(face.id) or CastMember(face_id=face.id, part=Part.STILL)
    version = hashlib.sha256(f"{scene.photo and scene.photo.sha256}{face.box_px}".encode()).hexdigest()[:12]
    return {
        "id": face.id,
        "number": row.number,
        "name": face.name,
        "label": face.name,
        "colour": face.colour,
        "ink": ink_on(face.colour),
        "box": face.box_px,
        "thumb": address(name, f"face/{face.id}.jpg", version),
        "part": member.part.value,
        "choice": row.choice,
        "choices": [[value, text] for text, value in row.choices],
        "liveliness": member.liveliness,
        "lip_strength": member.lip_strength,
        "consent": face.consent,
        "note": texts.SMALL_FACE.format(name=face.name, width=round(face.width_px))
        if face.width_px < SMALL_FACE_PX and member.part is not Part.STILL
        else "",
    }


def _voice(name: str, scene: Scene, row: VoiceRow) -> Plain:
    member = next((m for m in scene.cast if m.speaker_id == row.speaker.id), None)
    spoken = [(turn.start_s, turn.end_s) for turn in scene.turns]
    version = hashlib.sha256(repr((_sound_hash(scene), spoken)).encode()).hexdigest()[:12]
    heard = any(turn.speaker_id == row.speaker.id for turn in scene.turns)
    return {
        "id": row.speaker.id,
        "number": row.number,
        "name": row.speaker.name,
        "colour": row.colour,
        "ink": ink_on(row.colour),
        "face_id": member.face_id if member else None,
        "talking": row.talking,
        "place": row.place,
        "start_s": row.best_start_s,
        "sound": address(name, f"voice/{row.speaker.id}", version) if heard else "",
    }


def _turn(turn: Turn, over: list[Span]) -> Plain:
    shared = []
    for start, end in islice(over, bisect_right(over, turn.start_s, key=lambda span: span[1]), None):
        if start >= turn.end_s:
            break
        shared.append((round(max(start, turn.start_s), 3), round(min(end, turn.end_s), 3)))
    return {
        "id": turn.id,
        "speaker": turn.speaker_id,
        "start": round(turn.start_s, 3),
        "end": round(turn.end_s, 3),
        "text": turn.text,
        "edited": turn.origin == "edited",
        "over": shared,
    }


def _sound_hash(scene: Scene) -> str:
    sources = [scene.dialogue] if scene.dialogue else [voice.media for voice in scene.voices]
    return hashlib.sha256(" ".join(source.sha256 for source in sources).encode()).hexdigest()[:12]
