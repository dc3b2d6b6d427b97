"""Known sounds, heard by the recogniser, performed, drawn, and measured in the picture by the face mesh."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import pytest
from known_speech import SENTENCES, needs_whisper, said

from engine.analysis.faces import detect_faces
from engine.analysis.types import Phone
from engine.analysis.visemes import listen
from engine.animatic.performance import PerformanceSettings, perform
from engine.animatic.renderer import Animator, FaceRig
from engine.cast.streams import CastStream
from engine.evaluation.mouths import TrackedFaces, track_faces
from engine.media.types import Image
from engine.project.document import Part

pytestmark = pytest.mark.slow
FRAME_RATE = 25.0
NARROW, WIDE = ("u:", "oU", "w"), ("i:", "eI", "E", "I")


@dataclass(frozen=True)
class Spoken:
    faces: TrackedFaces
    phones: list[Phone]

    def during(self, phone: Phone, margin_s: float = 0.0) -> np.ndarray:
        at_s = (np.arange(len(self.faces.points_px)) + 0.5) / FRAME_RATE
        return (at_s > phone.start_s - margin_s) & (at_s < phone.end_s + margin_s)


@cache
def spoken(sentence: str) -> Spoken:
    from skimage.data import astronaut

    voice, phones = said(sentence)
    photo = Image(cv2.resize(astronaut(), (384, 384), interpolation=cv2.INTER_AREA))
    found = detect_faces(photo)
    face = found.faces[0]
    num_frames = int(voice.duration_s * FRAME_RATE)
    gate, turns = np.ones(num_frames, np.float32), ((0.0, voice.duration_s),)
    stream = CastStream(face, found.details[face.id], Part.TALKS, 1.0, 1.0, voice, turns, gate, 1 - gate)
    performances = perform([stream], {face.id: listen(voice, list(turns))}, FRAME_RATE, PerformanceSettings())
    animator = Animator(photo, [FaceRig.of(photo.rgb, found.details[face.id].points_px, speaks=True)])
    frames = [animator.frame(performances, index) for index in range(num_frames)]
    return Spoken(track_faces(frames), phones)


def test_lips_are_seen_closed_on_p_b_m() -> None:
    needs_whisper()
    closed = []
    for sentence in SENTENCES:
        heard = spoken(sentence)
        opening = heard.faces.opening[:, 0]
        shut = opening < 0.2 * np.percentile(opening, 90)
        closed += [shut[heard.during(p, 0.06)].any() for p in heard.phones if p.label in ("p", "b", "m")]
    assert len(closed) > 20
    assert np.mean(closed) >= 0.9


def test_the_mouth_is_seen_15_percent_narrower_on_u_o_w_than_on_i_e() -> None:
    needs_whisper()
    widths: dict[tuple[str, ...], list[float]] = {NARROW: [], WIDE: []}
    for sentence in SENTENCES:
        heard = spoken(sentence)
        for labels, seen in widths.items():
            for phone in heard.phones:
                inside = heard.during(phone)
                if phone.label in labels and inside.any():
                    seen.append(float(heard.faces.mouth_width[inside, 0].mean()))
    narrow, wide = (np.mean(widths[labels]) for labels in (NARROW, WIDE))
    assert narrow <= 0.85 * wide
