"""Step 4: pieces become clips, and every clip is held against the filters."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel

from engine.analysis.overlaps import Stretch
from engine.evaluation.lip_sync import filled, in_spans, mean_motion, speech_motion
from engine.media.types import Waveform
from engine.training.prepare.drops import Drop, Reason
from engine.training.prepare.framing import Boxes, fits_half, union_of, whole_frame
from engine.training.prepare.people import Followed
from engine.training.prepare.scores import LipScores, paired, told
from engine.training.prepare.settings import PrepareSettings
from engine.training.prepare.speech import Piece, SpeechFound, alone_in, joined, pieces_of

STEP = "choose"
MIN_VOICE_S = 0.6  # a voice of less is a cough, or an error of the diarizer


class ChosenClip(BaseModel):
    """``num_frames`` (4n+1) frames from ``first`` on; for each person, left to right, who speaks (None = silent) and
    the score of mouth and voice (0 for the silent)."""

    name: str
    shot: int
    first: int
    num_frames: int
    speaker_ids: list[str | None]
    scores: list[float]


class ClipsChosen(BaseModel):
    clips: list[ChosenClip] = []
    drops: list[Drop] = []


@dataclass(frozen=True)
class Heard:
    """A video's sound, its turns, and one voice for each speaker, as long as the video."""

    sound: Waveform
    speech: SpeechFound
    voices: Mapping[str, Waveform]


@dataclass
class _Choosing:
    """One video's way through the filters."""

    video: str
    key: str
    video_size: tuple[int, int]
    settings: PrepareSettings
    found: ClipsChosen = field(default_factory=ClipsChosen)

    def drop(self, start_s: float, end_s: float, reason: Reason, detail: str) -> None:
        span = {"start_s": round(start_s, 3), "end_s": round(end_s, 3)}
        self.found.drops.append(Drop(video=self.video, step=STEP, reason=reason, detail=detail, **span))


def choose_clips(
    video: tuple[str, str, tuple[int, int]],
    followed: Sequence[Followed],
    heard: Heard,
    settings: PrepareSettings,
    scores: Sequence[LipScores],
) -> ClipsChosen:
    """``video``: its name, its key (the beginning of its clips' names), and its size; ``scores``: of each shot."""
    choosing = _Choosing(*video, settings)
    for shot, (one, own) in enumerate(zip(followed, scores, strict=True)):
        _choose_in_shot(choosing, shot, one, heard, own)
    return choosing.found


def _choose_in_shot(choosing: _Choosing, shot: int, followed: Followed, heard: Heard, scores: LipScores) -> None:
    settings, rate = choosing.settings, choosing.settings.frame_rate
    start_s, end_s = followed.first / rate, followed.last / rate
    alone, together = alone_in(heard.speech, start_s, end_s, settings.max_overlap_s)
    for stretch in together:
        choosing.drop(stretch.start_s, stretch.end_s, Reason.OVERLAP, f"{len(stretch.speaker_ids)} voices at once.")
    alone = [stretch for stretch in alone if stretch.speaker_ids[0] in _speaking(alone)]
    speakers = _speaking(alone)
    if not speakers:
        choosing.drop(start_s, end_s, Reason.NO_SPEECH, "Nobody speaks alone in this shot.")
        return
    order: list[int | None] | None = [None]
    if settings.stage == 2:
        order = _order(choosing, followed, speakers, scores)
    if order is None:
        return
    rng = np.random.default_rng(_seed(settings.seed, choosing.key, shot))
    clips, short = joined(pieces_of(alone, heard.sound, settings.piece_s), together, settings, rng)
    for pieces in short:
        length_s = pieces[-1].end_s - pieces[0].start_s
        choosing.drop(pieces[0].start_s, pieces[-1].end_s, Reason.PIECE_TOO_SHORT, f"{length_s:.1f} s in a row.")
    for number, pieces in enumerate(clips):
        own = [pieces[0].speaker_id] if settings.stage == 1 else [None if v is None else speakers[v] for v in order]
        clip = _clip(f"{choosing.key}-{shot:02}-{number:03}", shot, pieces, own, rate)
        wrong = _wrong(clip, followed, pieces, scores, choosing)
        if wrong is None:
            choosing.found.clips.append(clip)
        else:
            choosing.drop(clip.first / rate, (clip.first + clip.num_frames) / rate, *wrong)


def _speaking(alone: Sequence[Stretch]) -> list[str]:
    """Who says enough to count, in order of first speech."""
    said: dict[str, float] = {}
    for stretch in alone:
        speaker_id = stretch.speaker_ids[0]
        said[speaker_id] = said.get(speaker_id, 0.0) + stretch.end_s - stretch.start_s
    return [speaker_id for speaker_id, seconds in said.items() if seconds >= MIN_VOICE_S]


def _seed(seed: int, key: str, shot: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}|{key}|{shot}".encode()).digest()[:8], "big")


def _order(
    choosing: _Choosing, followed: Followed, speakers: list[str], scores: LipScores
) -> list[int | None] | None:  # fmt: skip
    """For each of two people, which of ``speakers`` they are; None (and a drop of the shot) where that is not clear."""
    start_s, end_s = followed.first / choosing.settings.frame_rate, followed.last / choosing.settings.frame_rate
    if len(speakers) > 2:
        choosing.drop(start_s, end_s, Reason.NUM_VOICES, f"{len(speakers)} voices are heard.")
        return None
    matrix = scores.matrix(followed.first, followed.last, speakers)
    order = paired(matrix, scores.lead)
    if order is None:
        choosing.drop(start_s, end_s, Reason.PAIRING, told(matrix))
    return order


def _clip(name: str, shot: int, pieces: Sequence[Piece], own: Sequence[str | None], rate: float) -> ChosenClip:
    first, last = int(np.ceil(pieces[0].start_s * rate)), int(pieces[-1].end_s * rate)
    num_frames = (last - first - 1) // 4 * 4 + 1
    return ChosenClip(
        name=name, shot=shot, first=first, num_frames=num_frames, speaker_ids=list(own), scores=[0.0] * len(own)
    )


def _wrong(
    clip: ChosenClip, followed: Followed, pieces: Sequence[Piece], scores: LipScores, choosing: _Choosing
) -> tuple[Reason, str] | None:
    """Why a clip is left out; its scores are set on the way."""
    last = clip.first + clip.num_frames
    if clip.first < followed.first or last > followed.last:
        return Reason.FACE_LOST, "It goes beyond the frames that were followed."
    own = followed.between(clip.first, last)
    return (
        badly_seen(own, choosing.settings)
        or _out_of_frame(own, choosing)
        or _out_of_time(clip, {piece.speaker_id for piece in pieces}, scores)
        or _other_mouth(clip, own, pieces, choosing.settings.frame_rate)
    )


def badly_seen(own: Followed, settings: PrepareSettings) -> tuple[Reason, str] | None:
    """Faces lost, small, in changing order, or of somebody else."""
    lost = float((~np.isfinite(own.opening)).any(axis=0).mean())
    if lost > settings.max_lost:
        return Reason.FACE_LOST, f"Not seen in {lost:.0%} of the frames."
    boxes = whole_boxes(own)
    widths = np.median(boxes[..., 2] - boxes[..., 0], axis=1)
    if widths.min() < settings.min_face_px:
        return Reason.FACE_SMALL, f"{widths.min():.0f} px wide."
    if len(boxes) == 2 and (boxes[0, :, 0] + boxes[0, :, 2] >= boxes[1, :, 0] + boxes[1, :, 2]).any():
        return Reason.ORDER_CHANGES, "The left face comes to the right of the other."
    seen = np.isfinite(own.identity)
    others = (np.where(seen, own.identity, 0) > 1).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    if others.max(initial=0) > settings.max_other_identity:
        return Reason.IDENTITY_CHANGES, f"Another person in {others.max():.0%} of the looks."
    return None


def whole_boxes(own: Followed) -> Boxes:
    """(P, F, 4) with the frames in which a face was lost bridged by straight lines."""
    flat = own.boxes_px.transpose(0, 2, 1).reshape(-1, own.boxes_px.shape[1]).astype(np.float64)
    whole = np.stack([filled(curve) for curve in flat])
    return whole.reshape(len(own.boxes_px), 4, -1).transpose(0, 2, 1)


def _out_of_frame(own: Followed, choosing: _Choosing) -> tuple[Reason, str] | None:
    settings, face_px = choosing.settings, union_of(whole_boxes(own))
    if whole_frame(choosing.video_size, face_px, (settings.width, settings.height)) is None:
        return Reason.OUT_OF_FRAME, f"The faces are cut off at {settings.width} x {settings.height}."
    half = settings.width // 2, settings.height
    if settings.stage == 1 and settings.halves and not fits_half(choosing.video_size, face_px, half):
        return Reason.OUT_OF_FRAME, "The face is larger than half a frame."
    return None


def _out_of_time(clip: ChosenClip, speaking: set[str], scores: LipScores) -> tuple[Reason, str] | None:
    """The clip's own matrix, with the voices that are heard in it."""
    heard = [speaker_id for speaker_id in clip.speaker_ids if speaker_id in speaking]
    if not heard:
        return Reason.PAIRING, "Neither face's voice is heard."
    places = [clip.speaker_ids.index(speaker_id) for speaker_id in heard]
    matrix = scores.matrix(clip.first, clip.first + clip.num_frames, [s for s in heard if s is not None])
    for row, place in enumerate(places):
        clip.scores[place] = round(float(matrix[row, place]), 4)
    lowest = min(clip.scores[place] for place in places)
    if lowest < scores.least:
        return Reason.OUT_OF_TIME, f"{lowest:+.2f}; {scores.least:g} is needed."
    wanted = [places.index(place) if place in places else None for place in range(len(clip.speaker_ids))]
    if len(wanted) > 1 and paired(matrix, scores.lead) != wanted:
        return Reason.PAIRING, told(matrix)
    return None


def _other_mouth(
    clip: ChosenClip, own: Followed, pieces: Sequence[Piece], rate: float
) -> tuple[Reason, str] | None:  # fmt: skip
    """While somebody speaks, no other mouth may move more: two voices were taken for one, or the order is wrong."""
    if len(own.opening) < 2:
        return None
    motions = [speech_motion(opening, rate) for opening in own.opening]
    at_s = np.asarray((np.arange(clip.num_frames) + clip.first + 0.5) / rate, np.float64)
    for piece in pieces:
        during = in_spans([(piece.start_s, piece.end_s)], at_s)
        if piece.end_s - piece.start_s < MIN_VOICE_S or not during.any():
            continue
        moved = [mean_motion(motion, during) for motion in motions]
        place = clip.speaker_ids.index(piece.speaker_id)
        if max(moved) > moved[place]:
            side = ("left", "right")[place]
            return Reason.PAIRING, f"The {side} one is said to speak at {piece.start_s:.1f} s; the other mouth moves."
    return None
