"""Which mouth moves to which voice: opening of each mouth in a video against the energy of each voice."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_protocols import FaceMesher
from engine.analysis.faces import detect_faces, embedded_analyser
from engine.errors import NoFacesFound
from engine.media.types import Image, Waveform

Curve = NDArray[np.float64]
FLOOR_DB = -50.0  # below the loudest moment, a voice counts as silent


@dataclass(frozen=True)
class TrackedFaces:
    """Meshes over a video: ``points_px`` (F, people, 478, 3), people from left to right in the first frame."""

    points_px: NDArray[np.float32]

    def distance(self, a: int, b: int) -> Curve:
        return np.linalg.norm(self.points_px[:, :, a, :2] - self.points_px[:, :, b, :2], axis=-1)

    @property
    def opening(self) -> Curve:
        """(F, people) distance of the inner lips over that of the outer eye corners."""
        return self.distance(13, 14) / self.distance(33, 263)

    @property
    def mouth_width(self) -> Curve:
        return self.distance(61, 291) / self.distance(33, 263)


def track_faces(frames: Iterable[NDArray[np.uint8]], mesher: FaceMesher | None = None) -> TrackedFaces:
    """Follow the faces of the first frame through a video. Raises NoFacesFound when that has none."""
    mesher = mesher or embedded_analyser().mesher
    points: list[NDArray[np.float32]] = []
    for rgb in frames:
        image = Image(rgb)
        if points:
            points.append(np.stack([mesher.follow(image, face).points_px for face in points[-1]]))
        else:
            found = detect_faces(image)
            if not found.details:
                raise NoFacesFound("No face of the first frame can be followed.", "Use a video with larger faces.")
            points.append(
                np.stack([found.details[face.id].points_px for face in found.faces if face.id in found.details])
            )
    return TrackedFaces(np.stack(points))


def voice_energy_db(voice: Waveform, frame_rate: float, num_frames: int) -> Curve:
    """(num_frames,) energy of each frame's stretch of sound in dB below the loudest one, not under FLOOR_DB."""
    edges = np.round(np.arange(num_frames + 1) / frame_rate * voice.sample_rate).astype(int)
    power = np.concatenate([[0.0], np.cumsum(np.square(voice.samples, dtype=np.float64))])
    edges = np.minimum(edges, len(voice.samples))
    mean = np.diff(power[edges]) / np.maximum(np.diff(edges), 1)
    loudest = max(mean.max(), 1e-12)
    return np.maximum(FLOOR_DB, 10 * np.log10(np.maximum(mean / loudest, 1e-12)))


@dataclass(frozen=True)
class Agreement:
    """``r``: Pearson correlation of a mouth with a voice at ``lag_frames`` (+ = the mouth is late)."""

    r: float
    lag_frames: int


def agreement(opening: Curve, energy_db: Curve, max_lag: int = 5) -> Agreement:
    """The best correlation over small lags."""
    best = Agreement(-1.0, 0)
    for lag in range(-max_lag, max_lag + 1):
        mouth = opening[max(0, lag) : len(opening) + min(0, lag)]
        voice = energy_db[max(0, -lag) : len(energy_db) - max(0, lag)]
        r = _pearson(mouth, voice)
        if r > best.r:
            best = Agreement(r, lag)
    return best


def _pearson(a: Curve, b: Curve) -> float:
    if a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


@dataclass(frozen=True)
class MouthReport:
    """One person: own voice, worst other voice, and how open the silent mouth is against the speaking one."""

    own: Agreement
    other_r: float
    silent_over_speaking: float


def judge_mouths(
    opening: NDArray[np.float64], voices: Sequence[Waveform], speaking: Sequence[NDArray[np.bool_]], frame_rate: float
) -> list[MouthReport]:
    """A report per person. ``opening`` (F, people); ``voices`` and ``speaking`` (F,) in the order of the people."""
    energies = [voice_energy_db(voice, frame_rate, len(opening)) for voice in voices]
    reports = []
    for index, mouth in enumerate(opening.T):
        others = [_pearson(mouth, energy) for other, energy in enumerate(energies) if other != index]
        silent, loud = mouth[~speaking[index]], mouth[speaking[index]]
        ratio = float(silent.mean() / loud.mean()) if len(silent) and len(loud) and loud.mean() > 0 else 0.0
        reports.append(MouthReport(agreement(mouth, energies[index]), max(others, default=0.0), ratio))
    return reports
