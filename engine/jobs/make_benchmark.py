"""Videos of two people talking → a benchmark: first frame, one voice per person, who speaks when.

The folder that is made:

    annotations.json      {"format": "roundtable-benchmark-1", "videos": {NAME: {"left": [[start_s, end_s], …],
                          "right": […], "source": file name, "sha256": …, "frame_rate": …, "num_frames": …}},
                          "left_out": {file name: why}}                             times in decimal seconds
    frames/NAME.png       the first frame, which a method is given
    voices/NAME_left.flac, voices/NAME_right.flac     mono, 16 kHz, as long as the video: the other input
    videos/NAME.<ending>  the real video, for FID and FVD

The paper's filters: exactly two faces throughout, a steady camera, and a sure pairing of voices and faces.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage

from engine.analysis.diarization import diarize
from engine.analysis.faces import FaceAnalyser, default_analyser
from engine.analysis.separation import separate
from engine.analysis.types import Diarization
from engine.errors import StudioError
from engine.evaluation.benchmark import FORMAT, SIDES
from engine.evaluation.video import VideoFacts, frames_of, look_at
from engine.evaluation.watching import Watched, watch
from engine.evaluation.whose_voice import score_matrix
from engine.jobs.check_take import own_sound
from engine.jobs.evaluate_folder import two_people, videos_in
from engine.jobs.events import StageProgress
from engine.media.types import Image, Waveform
from engine.project.atomic import whole_file, write_bytes

MIN_S, MAX_S = 2.0, 60.0
LOOK_EVERY_S = 0.4
MAX_CAMERA_MOVE = 0.015  # of the picture's width
MIN_R, MIN_LEAD = 0.35, 0.15  # of a mouth with its own voice, and over the other's


@dataclass(frozen=True)
class MadeBenchmark:
    """``left_out``: (file name, why)."""

    kept: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Entry:
    facts: VideoFacts
    watched: Watched
    voices: dict[str, Waveform]
    spans: dict[str, list[tuple[float, float]]]


def make_benchmark(videos: Path, target: Path) -> Iterator[StageProgress | MadeBenchmark]:
    """Progress, then what was kept and left out. Raises UnreadableMedia for no folder, WriteFailed."""
    files = videos_in(videos)
    analyser = default_analyser()
    made = MadeBenchmark()
    entries: dict[str, object] = {}
    for index, path in enumerate(files):
        yield StageProgress("benchmark", f"Looking at {path.name}", index, len(files))
        name = _free_name(path.stem, entries)
        try:
            entry = _checked(path, analyser)
        except StudioError as error:
            made.left_out.append((path.name, error.message))
            continue
        entries[name] = _written(entry, target, name)
        made.kept.append(name)
    document = {"format": FORMAT, "videos": entries, "left_out": dict(made.left_out)}
    target.mkdir(parents=True, exist_ok=True)
    write_bytes(target / "annotations.json", json.dumps(document, indent=2).encode())
    yield made


def _free_name(stem: str, taken: dict[str, object]) -> str:
    """A plain file name: a video's own name may hold anything."""
    plain = re.sub(r"[^\w-]+", "_", stem, flags=re.ASCII).strip("_")[:60] or "video"
    names = (plain + (f"_{number}" if number else "") for number in range(len(taken) + 2))
    return next(name for name in names if name not in taken)


def _checked(path: Path, analyser: FaceAnalyser) -> _Entry:
    """Raises StudioError with the filter that a video does not pass."""
    facts = look_at(path)
    if facts.duration_s is not None and not MIN_S <= facts.duration_s <= MAX_S:
        raise StudioError(f"It lasts {facts.duration_s:.1f} s; {MIN_S:g} to {MAX_S:g} s are wanted.")
    sound = own_sound(facts)
    if sound is None:
        raise StudioError("It has no sound.")
    known = two_people(facts, analyser)
    _two_faces_and_a_steady_camera(facts, analyser)
    found = diarize(sound)
    if len(found.speakers) > 2:
        raise StudioError(f"{len(found.speakers)} voices are heard instead of 1 or 2.")
    *_, watched = watch(frames_of(facts), known, facts.frame_rate, analyser)
    assert isinstance(watched, Watched)
    lost = max(1 - person.seen.mean() for person in watched.people)
    if lost > 0:
        raise StudioError(f"A face is lost in {lost:.0%} of the frames.")
    voices = separate(sound, Diarization(found.speakers, found.turns))
    sides = _paired(watched, voices)
    spans = {
        side: [(t.start_s, t.end_s) for t in found.turns if t.speaker_id == speaker_id]
        for side, speaker_id in sides.items()
    }
    silent = Waveform(np.zeros_like(sound.samples), sound.sample_rate)
    return _Entry(
        facts,
        watched,
        {side: voices[sides[side]] if side in sides else silent for side in SIDES},
        {side: spans.get(side, []) for side in SIDES},
    )


def _two_faces_and_a_steady_camera(facts: VideoFacts, analyser: FaceAnalyser) -> None:
    step = max(1, round(LOOK_EVERY_S * facts.frame_rate))
    first = None
    for index, rgb in enumerate(islice(frames_of(facts), 0, None, step)):
        found = len(analyser.detector(Image(rgb)))
        at_s = index * step / facts.frame_rate
        if found != 2:
            raise StudioError(f"{found} faces are seen at {at_s:.1f} s instead of 2.")
        small = cv2.resize(rgb, (160, max(8, round(160 * rgb.shape[0] / rgb.shape[1]))), interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
        first = grey if first is None else first
        (dx, dy), _ = cv2.phaseCorrelate(first, grey, cv2.createHanningWindow(grey.shape[::-1], cv2.CV_32F))
        if np.hypot(dx, dy) > MAX_CAMERA_MOVE * 160:
            raise StudioError(f"The camera moves at {at_s:.1f} s.")


def _paired(watched: Watched, voices: dict[str, Waveform]) -> dict[str, str]:
    """Side → speaker id. Raises StudioError where mouths do not say clearly whose voice is whose."""
    scores = score_matrix([person.opening for person in watched.people], list(voices.values()), watched.frame_rate)
    sides: dict[str, str] = {}
    for speaker_id, fit in zip(voices, scores, strict=True):
        best = int(np.argmax(fit))
        if fit[best] < MIN_R or fit[best] - fit[1 - best] < MIN_LEAD or SIDES[best] in sides:
            raise StudioError("Which voice belongs to which face is not clear from the mouths.")
        sides[SIDES[best]] = speaker_id
    return sides


def _written(entry: _Entry, target: Path, name: str) -> dict[str, object]:
    import soundfile

    for folder in ("frames", "voices", "videos"):
        (target / folder).mkdir(parents=True, exist_ok=True)
    first = next(iter(frames_of(entry.facts)))
    with whole_file(target / "frames" / f"{name}.png") as part:
        PillowImage.fromarray(first).save(part, "PNG")
    for side, voice in entry.voices.items():
        with whole_file(target / "voices" / f"{name}_{side}.flac") as part:
            soundfile.write(part, voice.samples, voice.sample_rate, format="FLAC")
    source = entry.facts.path
    with whole_file(target / "videos" / f"{name}{source.suffix.lower()}") as part:
        shutil.copyfile(source, part)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    times = {side: [[round(a, 3), round(b, 3)] for a, b in spans] for side, spans in entry.spans.items()}
    rate = {"frame_rate": entry.facts.frame_rate, "num_frames": entry.watched.num_frames}
    return {**times, **rate, "source": source.name, "sha256": digest}
