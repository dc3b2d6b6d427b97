"""Step 3: who speaks when, as pieces in which one person speaks alone; where people speak at once is left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from engine.analysis.diarization import default_diarizer, diarize
from engine.analysis.overlaps import Stretch, stretches_of
from engine.analysis.types import Diarization
from engine.analysis.voice_protocols import Diarizer
from engine.errors import NoSpeechFound
from engine.evaluation.lip_sync import loudness
from engine.media.types import Waveform
from engine.project.document import Speaker, Turn
from engine.training.prepare.drops import Drop, Reason
from engine.training.prepare.settings import PrepareSettings

STEP = "speech"
_CURVE_RATE = 50.0
_SEARCH = 0.2  # of a piece's length, on both sides of its even end: the quietest moment there


class SpokenTurn(BaseModel):
    speaker_id: str
    start_s: float
    end_s: float


class SpeechFound(BaseModel):
    turns: list[SpokenTurn] = []
    drops: list[Drop] = []

    def diarization(self) -> Diarization:
        ids = list(dict.fromkeys(turn.speaker_id for turn in self.turns))
        turns = [Turn(speaker_id=t.speaker_id, start_s=t.start_s, end_s=t.end_s) for t in self.turns]
        return Diarization([Speaker(id=speaker_id, name=speaker_id) for speaker_id in ids], turns)


@dataclass(frozen=True)
class Piece:
    """About two seconds in which only ``speaker_id`` speaks."""

    start_s: float
    end_s: float
    speaker_id: str


def hear(sound: Waveform | None, name: str, diarizer: Diarizer | None = None) -> SpeechFound:
    """The turns of a whole video. Raises ModelMissing."""
    if sound is None:
        return _nothing(name, Reason.NO_SOUND, "The sound cannot be read.", 0.0)
    try:
        found = diarize(sound, diarizer or default_diarizer())
    except NoSpeechFound as error:
        return _nothing(name, Reason.NO_SPEECH, error.message, sound.duration_s)
    return SpeechFound(
        turns=[SpokenTurn(**turn.model_dump(include=set(SpokenTurn.model_fields))) for turn in found.turns]
    )


def _nothing(name: str, reason: Reason, detail: str, length_s: float) -> SpeechFound:
    return SpeechFound(drops=[Drop(video=name, step=STEP, reason=reason, detail=detail, end_s=round(length_s, 3))])


def alone_in(
    found: SpeechFound, start_s: float, end_s: float, max_overlap_s: float
) -> tuple[list[Stretch], list[Stretch]]:
    """What one person says alone between two moments, and the stretches in which people speak at once for longer than
    ``max_overlap_s``. A shorter overlap, which is mostly a turn's end heard too late, goes to who speaks on."""
    inside = [
        Turn(speaker_id=t.speaker_id, start_s=max(t.start_s, start_s), end_s=min(t.end_s, end_s))
        for t in found.turns
        if min(t.end_s, end_s) - max(t.start_s, start_s) > 0.01
    ]
    alone: list[Stretch] = []
    together: list[Stretch] = []
    for stretch in stretches_of(inside):
        if len(stretch.speaker_ids) == 1:
            alone.append(stretch)
        elif stretch.end_s - stretch.start_s > max_overlap_s:
            together.append(stretch)
    return alone, together


def pieces_of(stretches: Sequence[Stretch], sound: Waveform, piece_s: float) -> list[Piece]:
    """Long stretches cut at quiet moments into pieces of about ``piece_s``."""
    curve = loudness(sound, _CURVE_RATE, max(1, int(sound.duration_s * _CURVE_RATE)))
    pieces = []
    for stretch in stretches:
        ends = _ends(stretch, curve, piece_s)
        pieces += [Piece(a, b, stretch.speaker_ids[0]) for a, b in pairwise(ends)]
    return pieces


def _ends(stretch: Stretch, curve: NDArray[np.float64], piece_s: float) -> list[float]:
    length_s = stretch.end_s - stretch.start_s
    parts = max(1, round(length_s / piece_s))
    ends = [stretch.start_s]
    for number in range(1, parts):
        even_s, reach_s = stretch.start_s + length_s * number / parts, _SEARCH * length_s / parts
        low, high = round((even_s - reach_s) * _CURVE_RATE), round((even_s + reach_s) * _CURVE_RATE)
        near = curve[low:high]
        ends.append(round((low + int(near.argmin()) + 0.5) / _CURVE_RATE, 3) if len(near) else even_s)
    return [*ends, stretch.end_s]


def joined(
    pieces: Sequence[Piece], breaks: Sequence[Stretch], settings: PrepareSettings, rng: np.random.Generator
) -> tuple[list[list[Piece]], list[list[Piece]]]:
    """Pieces that follow each other, put together to clips of about N(mean, deviation); and those that stay too short.

    A clip ends at a long pause, where people speak at once, and in stage 1 where another voice begins.
    """
    clips: list[list[Piece]] = []
    rest = list(pieces)
    while rest:
        wanted_s = rng.normal(settings.mean_clip_s, settings.clip_deviation_s)
        wanted_s = float(np.clip(wanted_s, settings.min_clip_s, settings.max_clip_s))
        clip = [rest.pop(0)]
        while rest and _goes_on(clip[-1], rest[0], breaks, settings):
            now_s, then_s = clip[-1].end_s - clip[0].start_s, rest[0].end_s - clip[0].start_s
            if now_s >= settings.min_clip_s and abs(now_s - wanted_s) <= abs(then_s - wanted_s):
                break
            if then_s > settings.max_clip_s:
                break
            clip.append(rest.pop(0))
        clips.append(clip)
    long_enough = [clip for clip in clips if clip[-1].end_s - clip[0].start_s >= settings.min_clip_s]
    return long_enough, [clip for clip in clips if clip not in long_enough]


def _goes_on(piece: Piece, after: Piece, breaks: Sequence[Stretch], settings: PrepareSettings) -> bool:
    if after.start_s - piece.end_s > settings.max_pause_s:
        return False
    if any(piece.end_s - 0.01 <= b.start_s < after.start_s for b in breaks):
        return False
    return settings.stage == 2 or after.speaker_id == piece.speaker_id
