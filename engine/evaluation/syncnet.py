"""SyncNet's confidence in a mouth and its voice, as published: the median over 31 offsets of the mean distance between
faces and sound, less the least of them ("Sync-C"; higher is better, real talk is at about 6 to 9).

The network has to be on disk: no package brings it, and it is not fetched. Differences from the published script: faces
are the followed meshes' boxes (there: S3FD's), and the crop's running median repeats the first and last box.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from engine.carriers import models_dir
from engine.evaluation.lip_sync import filled, in_spans
from engine.evaluation.mel_features import RATE_HZ, STEP, WINDOW, cepstra
from engine.evaluation.scene import Voice
from engine.evaluation.video import Frame, VideoFacts, frames_of
from engine.evaluation.watching import PersonCurves, Watched
from engine.media.types import Waveform

SYNCNET = "syncnet_v2.model"
RATE = 25.0
MAX_OFFSET = 15  # frames either way
MIN_WINDOWS = 15
FACE_PX, NUM_FRAMES, NUM_COLUMNS = 224, 5, 20
_SAMPLES = round(RATE_HZ / RATE)
_COLUMNS = _SAMPLES // STEP
_BATCH = 16 + NUM_FRAMES - 1
_ROOM, _GREY, _STEADY_FRAMES = 0.4, 110, 13  # of the crop: beside the face, outside the picture, the running median


class LipNetwork(Protocol):
    """See ``engine.analysis.backends.syncnet.SyncNet``."""

    def face(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]: ...

    def sound(self, columns: NDArray[np.float64]) -> NDArray[np.float32]: ...


def syncnet_path() -> Path | None:
    """None where the network is not on disk."""
    path = models_dir() / "metrics" / SYNCNET
    return path if path.is_file() else None


def syncnet_missing() -> str:
    return f"put {SYNCNET} into {models_dir() / 'metrics'}."


@lru_cache(maxsize=1)
def syncnet(path: Path) -> LipNetwork:
    """Raises UnusableCheckpoint."""
    from engine.analysis.backends.syncnet import load_syncnet

    return load_syncnet(path)


@dataclass(frozen=True)
class SyncConfidence:
    """``offset_frames`` at 25 a second: + = the mouth is late. ``distance``: the least mean distance ("Sync-D")."""

    confidence: float
    offset_frames: int
    distance: float

    @property
    def late_ms(self) -> float:
        return 1000 * self.offset_frames / RATE


def confidence_of(distances: NDArray[np.float32]) -> SyncConfidence | None:
    """``distances`` (N, 31): of each face from the sound 15 frames before it to that 15 frames after; rows of NaN do
    not count. None for less than MIN_WINDOWS others.
    """
    known = distances[np.isfinite(distances).all(axis=1)]
    if len(known) < MIN_WINDOWS:
        return None
    means = known.mean(axis=0, dtype=np.float64)
    best = int(means.argmin())
    return SyncConfidence(float(np.median(means) - means[best]), MAX_OFFSET - best, float(means[best]))


def distances_of(faces: NDArray[np.float32], sounds: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D) and (N + 30, D), the first of which is 15 frames before the first face → (N, 31)."""
    near = np.lib.stride_tricks.sliding_window_view(sounds, 2 * MAX_OFFSET + 1, axis=0).transpose(0, 2, 1)
    return np.asarray(np.linalg.norm(faces[:, None] - near + 1e-6, axis=-1), np.float32)


@dataclass(frozen=True)
class LipDistances:
    """One person and one of their voices. ``rows`` (N, 31): see ``confidence_of``; NaN = not looked at."""

    face_id: str
    speaker_id: str
    rows: NDArray[np.float32]

    def within(self, spans_s: Sequence[tuple[float, float]] | None = None) -> SyncConfidence | None:
        """Over the faces in ``spans_s``, None = all that were looked at."""
        at_s = np.asarray((np.arange(len(self.rows)) + NUM_FRAMES / 2) / RATE, np.float64)
        return confidence_of(self.rows if spans_s is None else self.rows[in_spans(spans_s, at_s)])


def lip_distances(
    facts: VideoFacts, watched: Watched, voices: Sequence[Voice], network: LipNetwork, whole: bool = False
) -> Iterator[int | list[LipDistances]]:
    """The number of frames seen so far, after each one; at last the distances of every voice that has a face.

    Looks at a person only while they speak; ``whole``: all the time. Memory does not grow with the pictures.
    """
    people = {person.face_id: person for person in watched.people}
    pairs = [
        _Pair.of(people[voice.face_id], voice, watched, network, whole) for voice in voices if voice.face_id in people
    ]
    if pairs:
        for index, rgb in enumerate(frames_of(replace(facts, frame_rate=RATE))):
            for pair in pairs:
                pair.look(index, rgb)
            yield index + 1
    for pair in pairs:
        pair.flush()
    yield [LipDistances(pair.face_id, pair.speaker_id, pair.rows) for pair in pairs]


@dataclass
class _Pair:
    """Gathers frames of one face that follow one another, and compares them with the voice a batch at a time."""

    face_id: str
    speaker_id: str
    boxes: NDArray[np.float64]  # (F, 4) at 25 frames a second
    looked_at: NDArray[np.bool_]  # (F,)
    heard: "_Heard"
    network: LipNetwork
    rows: NDArray[np.float32]
    _first: int = 0
    _held: list[Frame] = field(default_factory=list)

    @staticmethod
    def of(person: PersonCurves, voice: Voice, watched: Watched, network: LipNetwork, whole: bool) -> "_Pair":
        num_frames = round(watched.num_frames / watched.frame_rate * RATE)
        at_s = np.asarray((np.arange(num_frames) + 0.5) / RATE, np.float64)
        boxes = np.stack(
            [np.interp(at_s, watched.at_s, filled(side)) for side in person.boxes.T.astype(np.float64)], axis=1
        )
        boxes = median_filter(boxes, (_STEADY_FRAMES, 1), mode="nearest") if num_frames else boxes
        num_windows = max(0, min(num_frames, len(voice.sound.samples) // _SAMPLES) - NUM_FRAMES)
        wanted = np.ones(num_windows, bool) if whole else in_spans(voice.spans_s, at_s[:num_windows] + 2 / RATE)
        looked_at = np.zeros(num_frames, bool)
        for frame in range(NUM_FRAMES):
            looked_at[frame : frame + num_windows] |= wanted
        nearest = np.minimum((at_s * watched.frame_rate).astype(int), max(0, watched.num_frames - 1))
        looked_at &= person.seen[nearest] if num_frames else False
        rows = np.full((num_windows, 2 * MAX_OFFSET + 1), np.nan, np.float32)
        heard = _Heard(voice.sound, num_windows, network)
        return _Pair(person.face_id, voice.speaker_id, boxes, looked_at, heard, network, rows)

    def look(self, index: int, rgb: Frame) -> None:
        if index >= len(self.looked_at) or not self.looked_at[index]:
            self.flush()
            return
        if not self._held:
            self._first = index
        self._held.append(face_crop(rgb, self.boxes[index]))
        if len(self._held) == _BATCH:
            self._compare()
            kept = NUM_FRAMES - 1
            self._first, self._held = self._first + _BATCH - kept, self._held[-kept:]

    def flush(self) -> None:
        if len(self._held) >= NUM_FRAMES:
            self._compare()
        self._held = []

    def _compare(self) -> None:
        faces = self.network.face(np.stack(self._held))
        faces = faces[: max(0, len(self.rows) - self._first)]
        if len(faces):
            last = self._first + len(faces)
            sounds = self.heard.between(self._first - MAX_OFFSET, last + MAX_OFFSET, faces.shape[1])
            self.rows[self._first : last] = distances_of(faces, sounds)


@dataclass
class _Heard:
    """The sound's features window by window, made when asked for; what was passed is let go."""

    sound: Waveform
    num_windows: int
    network: LipNetwork
    _made: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def between(self, first: int, last: int, size: int) -> NDArray[np.float32]:
        """(last - first, ``size``); all zero before the first and after the last window, as published."""
        self._made = {index: row for index, row in self._made.items() if index >= first}
        missing = [i for i in range(max(0, first), min(last, self.num_windows)) if i not in self._made]
        if missing:
            columns = self._columns(missing[0], missing[-1] + 1)
            self._made.update(zip(range(missing[0], missing[-1] + 1), self.network.sound(columns), strict=True))
        nothing = np.zeros(size, np.float32)
        return np.stack([self._made.get(index, nothing) for index in range(first, last)])

    def _columns(self, first: int, last: int) -> NDArray[np.float64]:
        """(last - first, 13, 20) of the windows ``first`` to ``last``."""
        assert self.sound.sample_rate == RATE_HZ
        start = first * _SAMPLES
        end = (last - 1) * _SAMPLES + (NUM_COLUMNS - 1) * STEP + WINDOW
        samples = _as_integers(self.sound.samples[max(0, start - 1) : end])
        before = float(samples[0]) if start else 0.0
        found = cepstra(samples[1:] if start else samples, before)
        places = np.arange(last - first)[:, None] * _COLUMNS + np.arange(NUM_COLUMNS)
        return np.asarray(found[places].transpose(0, 2, 1))


def _as_integers(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.clip(np.rint(np.asarray(samples, np.float64) * 32768), -32768, 32767)


def face_crop(rgb: Frame, box: NDArray[np.float64]) -> Frame:
    """(224, 224, 3): the face with room beside and below it; grey where that lies outside the picture."""
    half = max(1.0, float((box[2:] - box[:2]).max()) / 2)
    x, y = (box[:2] + box[2:]) / 2
    x0, x1 = int(np.floor(x - half * (1 + _ROOM))), int(np.floor(x + half * (1 + _ROOM)))
    y0, y1 = int(np.floor(y - half)), int(np.floor(y + half * (1 + 2 * _ROOM)))
    height, width = rgb.shape[:2]
    inside = rgb[max(0, y0) : max(0, min(height, y1)), max(0, x0) : max(0, min(width, x1))]
    cut = np.full((max(1, y1 - y0), max(1, x1 - x0), 3), _GREY, np.uint8)
    top, left = max(0, -y0), max(0, -x0)
    cut[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return np.asarray(cv2.resize(cut, (FACE_PX, FACE_PX)), np.uint8)
