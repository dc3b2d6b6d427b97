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
from engine.errors import StudioError, UnreadableMedia, UnusableCheckpoint
from engine.evaluation import frechet
from engine.evaluation.benchmark import SIDES, Annotation, Figures, VideoFigures, read_annotations, rows_of, weighted
from engine.evaluation.interactivity import boxes_of, detected_boxes, interactivity
from engine.evaluation.lip_sync import filled, in_spans, loudness, sync_of
from engine.evaluation.scene import SpokenTurn, Voice
from engine.evaluation.syncnet import LipNetwork, lip_distances, syncnet, syncnet_missing, syncnet_path
from engine.evaluation.video import Frame, VideoFacts, frames_of, look_at
from engine.evaluation.watching import KnownPerson, PersonCurves, Watched, watch
from engine.jobs.check_take import own_sound
from engine.jobs.check_video import people_in
from engine.jobs.events import StageProgress
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.project.document import Speaker, Turn

__all__ = ["BenchmarkOrder", "evaluate_folder", "rows_of"]

Boxes = list[list[NDArray[np.float64]]]

ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi")
SOUND_ENDINGS = (".flac", ".wav", ".mp3", ".m4a")


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
    network, missing = _lip_network()
    measured: list[VideoFigures] = []
    failed: list[tuple[str, str]] = []
    for index, path in enumerate(files):
        yield StageProgress("evaluate", f"Measuring {path.name}", index, len(files))
        try:
            if path.stem not in wanted:
                raise StudioError("The annotations do not name it.")
            measured.append(_figures_of(path, wanted[path.stem], order.annotations.parent, analyser, network))
        except StudioError as error:
            failed.append((path.name, str(error)))
    present = {path.stem for path in files}
    failed += [(name, "There is no video of this name.") for name in wanted if name not in present]
    distances, absent = _distances(order, [path for path in files if path.stem in wanted])
    name = f"{analyser.name}; the 22 points from the embedded dense mesh"
    yield Figures(measured, failed, name, *distances, [*missing, *absent])


def videos_in(folder: Path) -> list[Path]:
    """Raises UnreadableMedia where ``folder`` is none."""
    if not folder.is_dir():
        raise UnreadableMedia(f"{folder} is not a folder.", "Give a folder of videos.")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())


def _lip_network() -> tuple[LipNetwork | None, list[tuple[str, str]]]:
    """SyncNet, or why there is none."""
    path = syncnet_path()
    why = syncnet_missing() + " sync r* is the correlation of mouth and voice." if path is None else ""
    try:
        network = syncnet(path) if path else None
    except UnusableCheckpoint as error:
        network, why = None, f"{error}"
    return network, [("SyncNet's confidence (Sync-C, Sync-C*)", why)] if why else []


def _figures_of(
    path: Path, said: Annotation, beside: Path, analyser: FaceAnalyser, network: LipNetwork | None
) -> VideoFigures:
    facts = look_at(path)
    known = two_people(facts, analyser)
    watched, found = _watched(facts, known, analyser)
    missing = []
    for person in watched.people:
        if person.seen.mean() < 0.98:
            missing.append(
                f"{person.name} is not seen in {1 - person.seen.mean():.0%} of the frames; those do not count."
            )
    voices = _voices(path, said, beside, facts)
    lips = _lip_figures(facts, watched, said, voices, network) if network else (None, None)
    return VideoFigures(
        path.stem,
        _interactivity(watched, found, said, missing),
        _sync(watched, said, voices, missing),
        _identity(watched),
        tuple(missing),
        *lips,
    )


def two_people(facts: VideoFacts, analyser: FaceAnalyser) -> list[KnownPerson]:
    """The two faces of a benchmark's video, named by side. Raises StudioError for another number."""
    known = people_in(facts, analyser)
    if len(known) != 2:
        raise StudioError(f"{len(known)} faces were found at the beginning instead of 2.")
    return [KnownPerson(side, side, p.box_px, p.points_px, p.embedding) for side, p in zip(SIDES, known, strict=True)]


def _watched(facts: VideoFacts, known: list[KnownPerson], analyser: FaceAnalyser) -> tuple[Watched, Boxes]:
    """The curves with all meshes, and the benchmark's own boxes of every frame: the video is decoded once."""
    found: Boxes = []

    def noted() -> Iterator[Frame]:
        for rgb in frames_of(facts):
            found.append(detected_boxes(rgb))
            yield rgb

    *_, watched = watch(noted(), known, facts.frame_rate, analyser, keep_meshes=True)
    assert isinstance(watched, Watched)
    return watched, found


def _interactivity(watched: Watched, found: Boxes, said: Annotation, missing: list[str]) -> float | None:
    """The paper's definition over the frames in which a side is seen, as in the one before, and does not speak."""
    seen = np.stack([person.seen for person in watched.people], axis=1)
    at_s = np.arange(watched.num_frames) / watched.frame_rate
    listening = np.stack([~in_spans(said.of(side), at_s) for side in SIDES], axis=1) & seen
    listening[1:] &= seen[:-1]
    if not listening[1:].any():
        missing.append("Nobody listens in this video: it has no Interactivity.")
        return None
    points = np.stack([_held(person) for person in watched.people], axis=1)
    return interactivity(points, boxes_of(found, points), listening)


def _held(person: PersonCurves) -> NDArray[np.float32]:
    """(F, 478, 2): a face that is lost stays where it was last seen; zeros for one that never was."""
    assert person.meshes is not None
    if not person.seen.any():
        return np.zeros_like(person.meshes)
    at = np.where(person.seen, np.arange(len(person.seen)), -1)
    return person.meshes[np.maximum(np.maximum.accumulate(at), int(person.seen.argmax()))]


def _lip_figures(
    facts: VideoFacts, watched: Watched, said: Annotation, sounds: dict[str, Waveform], network: LipNetwork
) -> tuple[float | None, float | None]:
    """Sync-C* and Sync-C of the sides that speak."""
    spoken = {side: [SpokenTurn("", *span) for span in said.of(side)] for side in sounds}
    voices = [Voice(side, side, side, sounds[side], tuple(turns)) for side, turns in spoken.items() if turns]
    *_, pairs = lip_distances(facts, watched, voices, network, whole=True)
    assert isinstance(pairs, list)
    speech, whole = [], []
    for pair in pairs:
        spans = said.of(pair.face_id)
        if (found := pair.within(spans)) is not None:
            speech.append((found.confidence, sum(end - start for start, end in spans)))
        if (found := pair.within()) is not None:
            whole.append((found.confidence, 1.0))
    return weighted(speech), weighted(whole)


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
    """FID and FVD where their networks and the real videos are there, and what is missing.

    A made video that cannot be decoded is among those that failed; a real one is named here.
    """
    values: list[float | None] = []
    missing = []
    figures = ((frechet.FID, frechet.picture_features), (frechet.FVD, frechet.video_features))
    for figure, features in figures:
        value = None
        absent = [figure.missing] if figure.path is None else []
        absent += ["give the real videos with --real."] if order.real is None else []
        if figure.path is not None and order.real is not None:
            try:
                value = _distance(figure.path, features, _real_videos(order.real), made)
            except (ValueError, StudioError) as error:
                absent = [f"{error}"]
        missing += [(figure.figure, why) for why in absent]
        values.append(value)
    return (values[0], values[1]), missing


def _real_videos(folder: Path) -> list[Path]:
    found = videos_in(folder)
    if not found:
        raise UnreadableMedia(f"There is no video in {folder}.", "Give the folder of the real ones with --real.")
    return found


def _distance(
    network: Path,
    features: Callable[[Path, Iterator[Frame]], Iterator[NDArray[np.float32]]],
    real: list[Path],
    made: list[Path],
) -> float:
    def rows(paths: list[Path], all_needed: bool) -> Iterator[NDArray[np.float32]]:
        for path in paths:
            try:
                yield from features(network, frames_of(look_at(path)))
            except UnreadableMedia:
                if all_needed:
                    raise

    return frechet.frechet_distance(rows(real, True), rows(made, False))
