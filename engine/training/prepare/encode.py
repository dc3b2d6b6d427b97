"""Step 5: the chosen clips are read, framed and encoded, once."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.video import VideoFacts, frames_of
from engine.media.types import Waveform
from engine.training.prepare.choose import ChosenClip, whole_boxes
from engine.training.prepare.framing import Boxes, Framed, half_frame, union_of, whole_frame
from engine.training.prepare.people import Followed
from engine.training.prepare.settings import PrepareSettings
from engine.training.samples import AudioEncoder, Clip, Codec, Half, Person

PROMPTS = {1: "A person is talking to the camera.", 2: "Two people are talking to each other."}
MAX_PROMPT = 2000

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class Encoding:
    """How clips are encoded, and what is said of them."""

    codec: Codec
    audio: AudioEncoder
    settings: PrepareSettings
    prompt: str


def prompt_for(path: Path, stage: int) -> str:
    """The caption beside the video (NAME.txt), in one line; else a plain sentence."""
    try:
        said = path.with_suffix(".txt").read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        said = ""
    return " ".join(said.split())[:MAX_PROMPT] or PROMPTS[stage]


def encoded_clips(
    facts: VideoFacts,
    chosen: Sequence[ChosenClip],
    followed: Sequence[Followed],
    voices: Mapping[str, Waveform],
    encoding: Encoding,
) -> Iterator[Clip]:
    """In the order in which they come in the video, which is read once. Raises UnreadableMedia."""
    frames, at = frames_of(facts), 0
    for clip in sorted(chosen, key=lambda clip: clip.first):
        last = clip.first + clip.num_frames
        own = followed[clip.shot].between(clip.first, last)
        for _ in islice(frames, max(0, clip.first - at)):
            pass
        yield _encoded(clip, islice(frames, clip.num_frames), facts.size, own, voices, encoding)
        at = last


def _encoded(
    clip: ChosenClip,
    frames: Iterator[Pictures],
    video_size: tuple[int, int],
    own: Followed,
    voices: Mapping[str, Waveform],
    encoding: Encoding,
) -> Clip:
    settings, boxes_px = encoding.settings, whole_boxes(own)
    framed = _framings(clip.name, video_size, union_of(boxes_px), settings)
    pictures = [np.empty((clip.num_frames, one.size[1], one.size[0], 3), np.uint8) for one in framed]
    num_frames = 0
    for num_frames, rgb in enumerate(frames, start=1):
        for one, where in zip(framed, pictures, strict=True):
            where[num_frames - 1] = one.picture(rgb)
    for where in pictures:
        where[num_frames:] = where[max(0, num_frames - 1)]  # the file gave a frame less than the first time
    whole, *halves = pictures
    return Clip(
        name=clip.name,
        frame_rate=settings.frame_rate,
        num_frames=clip.num_frames,
        height=settings.height,
        width=settings.width,
        prompt=encoding.prompt,
        people=tuple(_people(clip, framed[0].boxes(boxes_px), voices, encoding)),
        latents=encoding.codec.encode(whole).astype(np.float16),
        first_frame=whole[0],
        halves=tuple(
            Half(encoding.codec.encode(half).astype(np.float16), half[0], one.boxes(union_of(boxes_px)))
            for one, half in zip(framed[1:], halves, strict=True)
        ),
    )


def _framings(name: str, video_size: tuple[int, int], face_px: Boxes, settings: PrepareSettings) -> list[Framed]:
    """The whole frame, then the halves of stage 1."""
    whole = whole_frame(video_size, face_px, (settings.width, settings.height))
    assert whole is not None, "clips whose faces do not fit were left out"
    if settings.stage == 2:
        return [whole]
    seed = hashlib.sha256(f"{settings.seed}|{name}|halves".encode()).digest()[:8]
    rng = np.random.default_rng(int.from_bytes(seed, "big"))
    size = settings.width // 2, settings.height
    return [whole, *(half_frame(video_size, face_px, size, rng) for _ in range(settings.halves))]


def _people(
    clip: ChosenClip, boxes_px: NDArray[np.int64], voices: Mapping[str, Waveform], encoding: Encoding
) -> Iterator[Person]:
    rate = encoding.settings.frame_rate
    start_s, end_s = clip.first / rate, (clip.first + clip.num_frames) / rate
    some = next(iter(voices.values()))
    for speaker_id, score, own in zip(clip.speaker_ids, clip.scores, boxes_px, strict=True):
        samples = voices[speaker_id or next(iter(voices))].between(start_s, end_s).samples
        voice = np.array(samples, np.float32) if speaker_id else np.zeros(len(samples), np.float32)
        features = encoding.audio.encode(voice, rate, clip.num_frames).astype(np.float16)
        yield Person(union_of(own).astype(np.int64), own, features, score)
        some.let_go()
