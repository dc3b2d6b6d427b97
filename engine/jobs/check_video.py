"""Any talking video is looked at, whoever made it: faces are found in it, voices come from files or from its sound."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from engine.analysis.diarization import diarize, turns_of_voice
from engine.analysis.face_protocols import FoundMesh
from engine.analysis.faces import FaceAnalyser, default_analyser, detect_faces
from engine.analysis.rttm import read_rttm
from engine.analysis.separation import separate
from engine.analysis.types import Diarization, FaceAnalysis, FaceDetail
from engine.cast.streams import VOICE_SAMPLE_RATE
from engine.cast.timeline import within
from engine.errors import NoFacesFound, NoSpeechFound, StudioError
from engine.evaluation.judge import judge
from engine.evaluation.lip_sync import loudness
from engine.evaluation.report import Finding, TakeReport
from engine.evaluation.scene import Expected, SpokenTurn, Voice
from engine.evaluation.video import VideoFacts, frames_of, look_at
from engine.evaluation.watching import KnownPerson, Watched, watch
from engine.evaluation.whose_voice import score_matrix
from engine.jobs.check_take import frame_for_take, own_sound, watch_take
from engine.jobs.events import StageProgress
from engine.jobs.lip_figures import add_confidence
from engine.media.read import load_waveform
from engine.media.types import Image, Waveform
from engine.project.document import Face, Speaker, Turn
from engine.project.reading import read_project
from engine.project.store import PROJECT_NAME, ProjectFiles
from engine.project.takes import TakeRecord, read_take

MAX_VOICES = 20
_LOOKED_AT = (0, 4, 10)  # frames in which faces are looked for: the first one may be blurred or black
_OUTSIDE_TURNS = 0.3


@dataclass(frozen=True)
class VideoOrder:
    """``voices``: a name and a sound file for each person, from the left face to the right; ``turns``: an RTTM file.

    Without voices they are taken out of the video's own sound, and each goes to the mouth that fits it best.
    """

    path: Path
    voices: Sequence[tuple[str, Path]] = ()
    turns: Path | None = None


@dataclass(frozen=True)
class CheckedVideo:
    """The report and what it was made from."""

    facts: VideoFacts
    watched: Watched
    expected: Expected
    report: TakeReport


@dataclass(frozen=True)
class _Heard:
    """Voices not yet given to faces; ``by_place``: the first belongs to the left face, and so on."""

    voices: list[Voice]
    by_place: bool
    remarks: list[Finding] = field(default_factory=list)


def check_video(order: VideoOrder, analyser: FaceAnalyser | None = None) -> Iterator[StageProgress | CheckedVideo]:
    """Progress, then the report. Raises UnreadableMedia, NoFacesFound, and StudioError for voices that do not fit."""
    started = time.monotonic()
    analyser = analyser or default_analyser()
    yield StageProgress("check", "Looking for the faces")
    facts = look_at(order.path)
    known = people_in(facts, analyser)
    yield StageProgress("check", "Listening who speaks when")
    sound = own_sound(facts)
    heard = _heard(order, sound)
    watched: Watched | None = None
    total = max(1, round((facts.duration_s or 0) * facts.frame_rate))
    for step in watch(frames_of(facts), known, facts.frame_rate, analyser):
        if isinstance(step, Watched):
            watched = step
        elif step % 5 == 0:
            yield StageProgress("check", "Checking mouths and faces", min(step, total), total)
    assert watched is not None
    voices, remarks = _given_to_faces(heard, watched)
    watched = _named_after_voices(watched, voices) if heard.by_place else watched
    remarks += _about_the_file(facts, watched, voices)
    expected = Expected(tuple(voices), duration_s=facts.duration_s, sound=sound, remarks=tuple(remarks))
    report = judge(watched, expected)
    yield from add_confidence(report, facts, watched, expected)
    report.seconds, report.measured_by = round(time.monotonic() - started, 2), analyser.name
    yield CheckedVideo(facts, watched, expected, report)


def people_in(facts: VideoFacts, analyser: FaceAnalyser) -> list[KnownPerson]:
    """Everybody in the first frames of a video, from left to right. Raises NoFacesFound."""
    most: FaceAnalysis | None = None
    best = None
    for index, rgb in enumerate(islice(frames_of(facts), max(_LOOKED_AT) + 1)):
        if index not in _LOOKED_AT:
            continue
        found = _more_than(0 if most is None else len(most.faces), Image(rgb), analyser)
        if found:
            most, best = found, Image(rgb)
    if most is None or best is None:
        raise NoFacesFound(
            f"No face was found at the beginning of {facts.path.name!r}.",
            "Use a video that begins with everybody in the picture, with larger or better lit faces.",
        )
    return [_known(best, face, most.details.get(face.id), analyser) for face in most.faces]


def _more_than(num_faces: int, image: Image, analyser: FaceAnalyser) -> FaceAnalysis | None:
    """The faces of a frame where they are more than that; meshes and identities cost more, and are left for these."""
    boxes = analyser.detector(image)
    if len(boxes) <= num_faces:
        return None
    try:
        found = detect_faces(image, replace(analyser, detector=lambda _: boxes, embedder=_nobody))
    except NoFacesFound:
        return None
    return found if len(found.faces) > num_faces else None


def _nobody(image: Image, mesh: FoundMesh, landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


def _known(image: Image, face: Face, detail: FaceDetail | None, analyser: FaceAnalyser) -> KnownPerson:
    if detail is None:
        return KnownPerson(face.id, face.name, face.box_px)
    mesh = FoundMesh(detail.points_px, detail.blendshapes, 1.0)
    embedding = analyser.embedder(image, mesh, np.array(face.landmarks_px, np.float32))
    return KnownPerson(face.id, face.name, face.box_px, detail.points_px, embedding)


def _heard(order: VideoOrder, sound: Waveform | None) -> _Heard:
    if len(order.voices) > MAX_VOICES:
        raise StudioError(f"{len(order.voices)} voices are too many.", f"Up to {MAX_VOICES} can be checked.")
    annotated = read_rttm(order.turns) if order.turns else None
    if order.voices:
        return _from_files(order, annotated)
    if sound is None:
        sentence = "The video has no sound that can be read, so lips could not be judged."
        return _Heard([], True, [Finding(kind="sound", verdict="unknown", sentence=sentence)])
    try:
        found = annotated or diarize(sound)
    except NoSpeechFound:
        sentence = "Nobody is heard speaking in this video, so lips could not be judged."
        return _Heard([], True, [Finding(kind="sound", verdict="unknown", sentence=sentence)])
    inside = [turn for turn in found.turns if turn.start_s < sound.duration_s]
    separated = separate(sound, Diarization(found.speakers, inside)) if inside else {}
    names = {speaker.id: speaker.name for speaker in found.speakers}
    voices = [
        Voice(speaker_id, names[speaker_id], "", voice, _spoken(inside, speaker_id))
        for speaker_id, voice in separated.items()
    ]
    return _Heard(voices, False, _beyond(found.turns, sound.duration_s))


def _from_files(order: VideoOrder, annotated: Diarization | None) -> _Heard:
    sounds = [(name, load_waveform(path, VOICE_SAMPLE_RATE)) for name, path in order.voices]
    speakers = [Speaker(id=f"voice-{number}", name=name) for number, (name, _) in enumerate(sounds, start=1)]
    voices = []
    for speaker, (name, sound) in zip(speakers, sounds, strict=True):
        if annotated is None:
            turns = turns_of_voice(sound, speaker) if np.abs(sound.samples).max(initial=0) > 1e-4 else []
        else:
            turns = _annotated_for(name, annotated, [other for other, _ in sounds])
        voices.append(Voice(speaker.id, name, "", sound, _spoken(turns, None)))
    longest_s = max(sound.duration_s for _, sound in sounds)
    return _Heard(voices, True, _beyond(annotated.turns, longest_s) if annotated else [])


def _annotated_for(name: str, annotated: Diarization, names: list[str]) -> list[Turn]:
    """The turns of the annotation's speaker of that name. Raises StudioError where the names do not fit."""
    by_name = {speaker.name.casefold(): speaker.id for speaker in annotated.speakers}
    known = ", ".join(repr(speaker.name) for speaker in annotated.speakers[:8])
    if not set(by_name) <= {other.casefold() for other in names}:
        raise StudioError(
            f"The turns are of {known}; the voices are {', '.join(repr(other) for other in names[:8])}.",
            "Give each voice the name that the turns file uses: --voice NAME=FILE.",
        )
    speaker_id = by_name.get(name.casefold())
    return [turn for turn in annotated.turns if turn.speaker_id == speaker_id]


def _spoken(turns: Sequence[Turn], speaker_id: str | None) -> tuple[SpokenTurn, ...]:
    own = [turn for turn in turns if speaker_id is None or turn.speaker_id == speaker_id]
    ordered = within(own, (0.0, float("inf")))
    return tuple(SpokenTurn(turn.id, turn.start_s, turn.end_s) for turn in ordered)


def _beyond(turns: Sequence[Turn], duration_s: float) -> list[Finding]:
    last_s = max((turn.end_s for turn in turns), default=0.0)
    if last_s <= duration_s + 0.5:
        return []
    sentence = f"The turns go on until {last_s:.1f} s, the sound ends at {duration_s:.1f} s: are they of this video?"
    return [
        Finding(kind="turns", verdict="look", value=round(last_s - duration_s, 2), threshold=0.5, sentence=sentence)
    ]


def _given_to_faces(heard: _Heard, watched: Watched) -> tuple[list[Voice], list[Finding]]:
    """Voices with their faces: by place, or each to the mouth that moves with it most."""
    remarks = list(heard.remarks)
    faces = [person.face_id for person in watched.people]
    if heard.by_place:
        voices = [
            replace(voice, face_id=faces[index] if index < len(faces) else "")
            for index, voice in enumerate(heard.voices)
        ]
    else:
        voices = _best_fit(heard.voices, watched)
        if voices and len(faces) > 1:
            sentence = "Which voice is whose was guessed from the mouths: voices that are swapped throughout go unseen."
            remarks.append(Finding(kind="faces", verdict="unknown", sentence=sentence))
    without = [voice.name for voice in voices if not voice.face_id]
    if without:
        sentence = f"{len(voices)} voices, {len(faces)} faces: {', '.join(without)} is taken to be off-screen."
        remarks.append(
            Finding(kind="faces", verdict="look", value=len(voices), threshold=len(faces), sentence=sentence)
        )
    return voices, remarks


def _named_after_voices(watched: Watched, voices: list[Voice]) -> Watched:
    names = {voice.face_id: voice.name for voice in voices}
    return replace(watched, people=[replace(p, name=names.get(p.face_id, p.name)) for p in watched.people])


def _best_fit(voices: list[Voice], watched: Watched) -> list[Voice]:
    if not voices:
        return []
    mouths = [person.opening for person in watched.people]
    fits = score_matrix(mouths, [voice.sound for voice in voices], watched.frame_rate)
    rows, columns = linear_sum_assignment(-fits)
    whose = {int(row): watched.people[column].face_id for row, column in zip(rows, columns, strict=True)}
    return [replace(voice, face_id=whose.get(index, "")) for index, voice in enumerate(voices)]


def _about_the_file(facts: VideoFacts, watched: Watched, voices: list[Voice]) -> list[Finding]:
    """What was made good while reading, and voices heard where nobody is said to speak."""
    remarks = []
    if facts.uneven:
        sentence = f"The frames come at an uneven rate; it was judged at a steady {facts.frame_rate:.4g} a second."
        remarks.append(Finding(kind="file", verdict="good", sentence=sentence))
    if facts.interlaced or facts.turned:
        how = " and ".join(word for word, on in (("deinterlaced", facts.interlaced), ("turned", facts.turned)) if on)
        remarks.append(Finding(kind="file", verdict="good", sentence=f"The video was {how} before it was judged."))
    for voice in voices:
        loud = loudness(voice.sound, watched.frame_rate, watched.num_frames) > 0.35
        said = np.zeros(len(loud), bool)
        for turn in voice.turns:
            said |= (watched.at_s > turn.start_s - 0.4) & (watched.at_s < turn.end_s + 0.4)
        share = float((loud & ~said).sum() / max(1, loud.sum()))
        if share > _OUTSIDE_TURNS:
            sentence = f"{share:.0%} of what {voice.name} says lies outside the given turns: are the turns right?"
            remarks.append(
                Finding(
                    kind="turns", verdict="look", value=round(share, 3), threshold=_OUTSIDE_TURNS, sentence=sentence
                )
            )
    return remarks


def check_file_of_project(folder: Path, video: Path) -> Iterator[StageProgress | CheckedVideo]:
    """A take's own video, or a copy of it, held against the plan that it was rendered from.

    Which take: the one whose file it is, else the newest finished one. Raises StudioError where it cannot be of that
    take, ProjectDamaged, UnreadableMedia.
    """
    take_id, record = take_of_video(folder, video)
    files = ProjectFiles(folder)
    facts = look_at(video)
    wanted = frame_for_take(files, record.scene, record.take)
    if abs(facts.size[0] / facts.size[1] - wanted[0] / wanted[1]) > 0.02 * wanted[0] / wanted[1]:
        raise StudioError(
            f"{video.name!r} has another shape than take {take_id}.", "Check it without --project, or check the take."
        )
    for step in watch_take(files, record.scene, record.take, video=video):
        if isinstance(step, StageProgress):
            yield step
        else:
            watched, expected, report = step
            yield CheckedVideo(facts, watched, expected, report)


def take_of_video(folder: Path, video: Path) -> tuple[str, TakeRecord]:
    """The take that a video is of. Raises StudioError where the project has none that is finished."""
    takes = [take for take in read_project(folder / PROJECT_NAME).scene.takes if take.status == "done"]
    if not takes:
        raise StudioError("This project has no finished take.", "Render one first, or leave --project out.")
    wanted = video.resolve()
    own = [take for take in takes if (folder / take.video_path).resolve() == wanted]
    take = own[0] if own else takes[-1]
    return take.id, read_take(ProjectFiles(folder).take_folder(take.id))
