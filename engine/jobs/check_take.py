"""A finished take is looked at: did the right mouth move, did silent ones stay silent, is it still the same face."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.analysis.faces import default_analyser
from engine.analysis.types import FaceDetail
from engine.analysis.visemes import SpeechSounds
from engine.cast.streams import VOICE_SAMPLE_RATE
from engine.cast.timeline import within
from engine.compositing.framing import Framing
from engine.errors import StudioError, UnreadableMedia
from engine.evaluation.judge import judge
from engine.evaluation.page import write_page
from engine.evaluation.report import REPORT_NAME, TakeReport
from engine.evaluation.scene import Expected, SpokenTurn, Voice
from engine.evaluation.video import VideoFacts, frames_of, look_at
from engine.evaluation.watching import KnownPerson, Watched, watch
from engine.jobs import evidence
from engine.jobs.events import StageProgress
from engine.jobs.lip_figures import add_confidence
from engine.jobs.scene_plan import frame_for
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.project.atomic import write_bytes
from engine.project.document import Face, Part, Scene, Take, TakeKind
from engine.project.reading import is_inside
from engine.project.store import ProjectFiles

PAGE_NAME = "report.html"
CLOSED_BY = ("B", "P", "M")


def check_take(store: ProjectFiles, scene: Scene, take: Take) -> Iterator[StageProgress | TakeReport]:
    """Progress, then the report of a finished take, which is also written beside its video: as report.json, and as a
    page with curves and the worst frames.

    ``scene`` is the take's own (take.json). Raises UnreadableMedia where the video or the media cannot be read, and
    WriteFailed.
    """
    for step in watch_take(store, scene, take):
        if isinstance(step, StageProgress):
            yield step
            continue
        watched, expected, report = step
        folder = store.take_folder(take.id)
        write_bytes(folder / REPORT_NAME, report.model_dump_json(indent=2).encode())
        write_page(folder / PAGE_NAME, f"Take {take.id}", report, (watched, expected, look_at(video_of(store, take))))
        yield report


def watch_take(
    store: ProjectFiles, scene: Scene, take: Take, video: Path | None = None
) -> Iterator[StageProgress | tuple[Watched, Expected, TakeReport]]:
    """As ``check_take``, with the curves that the report was made from; writes nothing.

    ``video``: a copy of the take's own video, to be looked at in its stead.
    """
    started = time.monotonic()
    analyser = default_analyser()
    yield StageProgress("check", "Getting ready to check")
    facts = look_at(video or video_of(store, take))
    expected = replace(expected_of(store, scene, take), sound=own_sound(facts))
    known = known_people(store, scene, take, facts)
    total = max(1, round((facts.duration_s or take.duration_s) * facts.frame_rate))
    for step in watch(frames_of(facts), known, facts.frame_rate, analyser):
        if isinstance(step, Watched):
            report = judge(step, expected)
            yield from add_confidence(report, facts, step, expected)
            report.seconds, report.measured_by = round(time.monotonic() - started, 2), analyser.name
            yield step, expected, report
        elif step % 5 == 0:
            yield StageProgress("check", "Checking mouths and faces", min(step, total), total)


def own_sound(facts: VideoFacts) -> Waveform | None:
    """The sound inside a video; None where it has none, or none that can be read."""
    try:
        return load_waveform(facts.path, VOICE_SAMPLE_RATE) if facts.has_sound else None
    except UnreadableMedia:
        return None


def video_of(store: ProjectFiles, take: Take) -> Path:
    """Raises UnreadableMedia where the take has no video, or one outside the project."""
    if not take.video_path or not is_inside(take.video_path):
        raise UnreadableMedia("This take has no video to check.", "Render it again.")
    return store.folder / take.video_path


def known_people(store: ProjectFiles, scene: Scene, take: Take, facts: VideoFacts) -> list[KnownPerson]:
    """Everybody of the photo, where they are in the first frame."""
    photo = evidence.photo_of(store, scene)
    details = evidence.face_details(store, scene, photo)
    framing = frame_for((photo.width, photo.height), scene, take.settings)
    scale = facts.size[0] / framing.size[0]
    return [_known(face, details.get(face.id), framing, scale) for face in scene.faces]


def frame_for_take(store: ProjectFiles, scene: Scene, take: Take) -> tuple[int, int]:
    """Width and height of the take's video."""
    photo = evidence.photo_of(store, scene)
    return frame_for((photo.width, photo.height), scene, take.settings).size


def _known(face: Face, detail: FaceDetail | None, framing: Framing, scale: float) -> KnownPerson:
    corners = framing.to_frame(np.array(face.box_px, np.float64).reshape(2, 2)) * scale
    x0, y0, x1, y1 = (float(value) for value in corners.ravel())
    if detail is None:
        return KnownPerson(face.id, face.name, (x0, y0, x1, y1))
    points = (framing.to_frame(detail.points_px) * scale).astype(np.float32)
    return KnownPerson(face.id, face.name, (x0, y0, x1, y1), points, detail.embedding)


def expected_of(store: ProjectFiles, scene: Scene, take: Take) -> Expected:
    """Voices with their faces and turns, in the take's own time, and who is to stand still."""
    heard = evidence.voices(store, scene)
    length_s = max((voice.duration_s for voice in heard.values()), default=0.0)
    range_s = take.settings.range_s or (0.0, length_s)
    sounds = _known_sounds(store, scene, heard)
    members = {member.speaker_id: member for member in scene.cast if member.speaker_id}
    names = {speaker.id: speaker.name for speaker in scene.speakers}
    voices = []
    for speaker_id, sound in heard.items():
        member = members.get(speaker_id)
        talks = member is not None and member.part is Part.TALKS
        voices.append(
            Voice(
                speaker_id,
                names.get(speaker_id, speaker_id),
                (member.face_id or "") if member is not None and talks else "",
                sound.between(*range_s),
                _turns_of(scene, speaker_id, range_s),
                _closures(sounds.get(speaker_id), range_s),
            )
        )
    moving = {member.face_id for member in scene.cast if member.part is not Part.STILL}
    still = frozenset(face.id for face in scene.faces if face.id not in moving)
    animatic = take.settings.kind is TakeKind.ANIMATIC
    # Captions and marks that are drawn into the picture change it outside the faces on purpose.
    drawn_on = take.settings.captions == "burnt-in"
    return Expected(tuple(voices), still, range_s[0], animatic and not drawn_on, take.duration_s or None)


def _turns_of(scene: Scene, speaker_id: str, range_s: tuple[float, float]) -> tuple[SpokenTurn, ...]:
    own = within([turn for turn in scene.turns if turn.speaker_id == speaker_id], range_s)
    return tuple(SpokenTurn(turn.id, turn.start_s, turn.end_s) for turn in own)


def _known_sounds(store: ProjectFiles, scene: Scene, heard: dict[str, Waveform]) -> dict[str, SpeechSounds]:
    """Those of the render, from the cache (or made again). Without the recogniser, closures are not judged."""
    try:
        for step in evidence.speech_sounds(store, scene, heard):
            if not isinstance(step, StageProgress):
                return step
    except StudioError:
        pass
    return {}


def _closures(sounds: SpeechSounds | None, range_s: tuple[float, float]) -> tuple[tuple[float, float], ...] | None:
    if sounds is None:
        return None
    within_range = sounds.between(*range_s)
    return tuple((phone.start_s, phone.end_s) for phone in within_range.aligned if phone.label in CLOSED_BY)
