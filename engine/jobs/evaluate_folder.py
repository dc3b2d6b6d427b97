"""The paper's benchmark on a folder of videos, ours or anybody's; every video that fails is counted and named."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.analysis.faces import FaceAnalyser, default_analyser
from engine.analysis.separation import separate
from engine.analysis.types import Diarization
from engine.cast.streams import VOICE_SAMPLE_RATE
from engine.errors import StudioError, UnreadableMedia
from engine.evaluation import frechet
from engine.evaluation.benchmark import SIDES, Annotation, Figures, VideoFigures, read_annotations, rows_of, weighted
from engine.evaluation.interactivity import face_boxes, interactivity
from engine.evaluation.lip_sync import filled, in_spans, loudness, sync_of
from engine.evaluation.video import Frame, VideoFacts, frames_of, look_at
from engine.evaluation.watching import KnownPerson, PersonCurves, Watched, watch
from engine.jobs.check_take import own_sound
from engine.jobs.check_video import people_in
from engine.jobs.events import StageProgress
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.project.document import Speaker, Turn

__all__ = ["BenchmarkOrder", "evaluate_folder", "rows_of"]

ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi")
SOUND_ENDINGS = (".flac", ".wav", ".mp3", ".m4a")
SYNCNET = "Sync-C* needs SyncNet's network, which no package brings; sync r* is the correlation of mouth and voice."


@dataclass(frozen=True)
class BenchmarkOrder:
    """``annotations``: see ``read_annotations``; voices lie beside it (or in voices/) as NAME_left.flac and so on.

    ``real``: the real videos, for FID and FVD.
    """

    videos: Path
    annotations: Path
    real: Path | None = None


def evaluate_folder(order: BenchmarkOrder) -> Iterator[StageProgress | Figures]:
    """Progress, then the figures. Raises UnreadableMedia where there is nothing to evaluate."""
    wanted = read_annotations(order.annotations)
    files = videos_in(order.videos)
    if not files:
        raise UnreadableMedia(f"There is no video in {order.videos}.", "Give the folder with --videos.")
    analyser = default_analyser()
    measured: list[VideoFigures] = []
    failed: list[tuple[str, str]] = []
    for index, path in enumerate(files):
        yield StageProgress("evaluate", f"Measuring {path.name}", index, len(files))
        try:
            if path.stem not in wanted:
                raise StudioError("The annotations do not name it.")
            measured.append(_figures_of(path, wanted[path.stem], order.annotations.parent, analyser))
        except StudioError as error:
            failed.append((path.name, str(error)))
    present = {path.stem for path in files}
    failed += [(name, "There is no video of this name.") for name in wanted if name not in present]
    distances, missing = _distances(order, [path for path in files if path.stem in wanted])
    name = f"{analyser.name}; the 22 points from the embedded dense mesh"
    yield Figures(measured, failed, name, *distances, [("Sync-C*", SYNCNET), *missing])


def videos_in(folder: Path) -> list[Path]:
    """Raises UnreadableMedia where ``folder`` is none."""
    if not folder.is_dir():
        raise UnreadableMedia(f"{folder} is not a folder.", "Give a folder of videos.")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())


def _figures_of(path: Path, said: Annotation, beside: Path, analyser: FaceAnalyser) -> VideoFigures:
    facts = look_at(path)
    known = two_people(facts, analyser)
    watched = _watched(facts, known, analyser)
    missing = []
    for person in watched.people:
        if person.seen.mean() < 0.98:
            missing.append(
                f"{person.name} is not seen in {1 - person.seen.mean():.0%} of the frames; those do not count."
            )
    voices = _voices(path, said, beside, facts)
    return VideoFigures(
        path.stem,
        _interactivity(facts, known, watched, said, analyser, missing),
        _sync(watched, said, voices, missing),
        _identity(watched),
        tuple(missing),
    )


def two_people(facts: VideoFacts, analyser: FaceAnalyser) -> list[KnownPerson]:
    """The two faces of a benchmark's video, named by side. Raises StudioError for another number."""
    known = people_in(facts, analyser)
    if len(known) != 2:
        raise StudioError(f"{len(known)} faces were found at the beginning instead of 2.")
    return [KnownPerson(side, side, p.box_px, p.points_px, p.embedding) for side, p in zip(SIDES, known, strict=True)]


def _watched(facts: VideoFacts, known: list[KnownPerson], analyser: FaceAnalyser) -> Watched:
    *_, watched = watch(frames_of(facts), known, facts.frame_rate, analyser)
    assert isinstance(watched, Watched)
    return watched


def _interactivity(
    facts: VideoFacts,
    known: list[KnownPerson],
    watched: Watched,
    said: Annotation,
    analyser: FaceAnalyser,
    missing: list[str],
) -> float | None:
    """The paper's definition over the frames in which a side is seen and does not speak."""
    points = _meshes(frames_of(facts), known, analyser)
    boxes = face_boxes(frames_of(facts), points)
    at_s = np.arange(len(points)) / facts.frame_rate
    listening = np.stack([~in_spans(said.of(side), at_s) for side in SIDES], axis=1)
    listening &= np.stack([person.seen[: len(points)] for person in watched.people], axis=1)
    try:
        return interactivity(points, boxes, listening)
    except ValueError:
        missing.append("Nobody listens in this video: it has no Interactivity.")
        return None


def _meshes(frames: Iterator[Frame], known: list[KnownPerson], analyser: FaceAnalyser) -> NDArray[np.float32]:
    """(F, 2, 478, 3): every point, which the rule about jumping faces needs."""
    from engine.media.types import Image

    points: list[NDArray[np.float32]] = []
    for rgb in frames:
        image = Image(rgb)
        if not points:
            meshes = [analyser.mesher(image, person.box_px) for person in known]
        else:
            meshes = [analyser.mesher.follow(image, face) for face in points[-1]]
        points.append(np.stack([mesh.points_px for mesh in meshes]))
    return np.stack(points)


def _voices(path: Path, said: Annotation, beside: Path, facts: VideoFacts) -> dict[str, Waveform]:
    """By side: files beside the annotations, else the video's own sound split by its turns; empty without sound."""
    files = {side: _voice_file(beside, f"{path.stem}_{side}") for side in SIDES}
    if all(files.values()):
        return {side: load_waveform(file, VOICE_SAMPLE_RATE) for side, file in files.items() if file}
    sound = own_sound(facts)
    if sound is None:
        return {}
    speakers = [Speaker(id=side, name=side) for side in SIDES]
    turns = [Turn(speaker_id=side, start_s=a, end_s=b) for side in SIDES for a, b in said.of(side)]
    inside = sorted((turn for turn in turns if turn.start_s < sound.duration_s), key=lambda turn: turn.start_s)
    return separate(sound, Diarization(speakers, inside)) if inside else {}


def _voice_file(beside: Path, name: str) -> Path | None:
    places = [beside / folder / f"{name}{ending}" for folder in ("", "voices", "audio") for ending in SOUND_ENDINGS]
    return next((place for place in places if place.is_file()), None)


def _sync(watched: Watched, said: Annotation, voices: dict[str, Waveform], missing: list[str]) -> float | None:
    """Correlation of each mouth with its own voice, weighted by how long each side speaks (the paper's Sync-C*)."""
    if not voices:
        missing.append("It has no sound: no sync.")
        return None
    values = []
    for person in watched.people:
        spans = said.of(person.face_id)
        where = in_spans(spans, watched.at_s, 0.3)
        if where.sum() > 12:
            loud = loudness(voices[person.face_id], watched.frame_rate, watched.num_frames)
            sync = sync_of(filled(person.opening)[where], loud[where], max(1, round(0.2 * watched.frame_rate)))
            values.append((sync.r, sum(end - start for start, end in spans)))
    return weighted(values)


def _identity(watched: Watched) -> float | None:
    """Mean cosine of each face with that of its first frame: 1 = the same picture."""
    distances = np.concatenate([_known(person) for person in watched.people])
    return float(np.mean(1 - np.square(distances) / 2)) if len(distances) else None


def _known(person: PersonCurves) -> NDArray[np.float64]:
    return person.identity[np.isfinite(person.identity)]


def _distances(
    order: BenchmarkOrder, made: list[Path]
) -> tuple[tuple[float | None, float | None], list[tuple[str, str]]]:
    """FID and FVD where their networks and the real videos are there, and what is missing."""
    values: list[float | None] = []
    missing = []
    figures = ((frechet.FID, frechet.picture_features), (frechet.FVD, frechet.video_features))
    for figure, features in figures:
        value = None
        if figure.path is None:
            missing.append((figure.figure, figure.missing))
        elif order.real is None:
            missing.append((figure.figure, "give the real videos with --real."))
        else:
            try:
                value = _distance(figure.path, features, videos_in(order.real), made)
            except (ValueError, RuntimeError, StudioError) as error:
                missing.append((figure.figure, f"{error}"))
        values.append(value)
    return (values[0], values[1]), missing


def _distance(
    network: Path,
    features: Callable[[Path, Iterator[Frame]], Iterator[NDArray[np.float32]]],
    real: list[Path],
    made: list[Path],
) -> float:
    def rows(paths: list[Path]) -> Iterator[NDArray[np.float32]]:
        for path in paths:
            yield from features(network, frames_of(look_at(path)))

    return frechet.frechet_distance(rows(real), rows(made))
