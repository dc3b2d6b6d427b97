"""One thing to learn from: what a prepared video, or several joined, asks of the network.

Letters: F video frames · T latent frames · C channels · K layers of the audio encoder · D width · h w latent sides.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.dit.shapes import TIME_STRIDE, latent_frames
from engine.training.samples import Clip, Frames, Half

Latents = NDArray[np.float16]
Features = NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Part:
    """What lies side by side in an example: a whole picture, or a half of it. ``key``: the same for the same picture.

    ``boxes_px``: the faces in ``first_frame``; ``voices`` (F, K, D) each, None = silent, and then ``latents`` are not
    looked at: the picture stands still.
    """

    key: str
    latents: Latents
    first_frame: Frames
    boxes_px: tuple[tuple[int, int, int, int], ...]
    voices: tuple[Features | None, ...]


@dataclass(frozen=True, eq=False)
class Example:
    """Parts from left to right, all of one size and ``num_frames`` frames (4n+1)."""

    prompt: str
    num_frames: int
    parts: tuple[Part, ...]

    @property
    def num_people(self) -> int:
        return sum(len(part.boxes_px) for part in self.parts)


def whole(clip: Clip, max_frames: int) -> Example:
    """A prepared video as it is, with the one or two people in it."""
    num_frames = cut_frames(clip.num_frames, max_frames)
    boxes = tuple(_box(person.box_px) for person in clip.people)
    voices = tuple(person.audio_features[:num_frames] for person in clip.people)
    latents = clip.latents[:, : latent_frames(num_frames)]
    return Example(clip.prompt, num_frames, (Part(clip.name, latents, clip.first_frame, boxes, voices),))


def side(clip: Clip, half_index: int) -> Part:
    """One of the windows around the single person of ``clip``."""
    half: Half = clip.halves[half_index]
    voice = clip.people[0].audio_features
    return Part(f"{clip.name}/{half_index}", half.latents, half.first_frame, (_box(half.box_px),), (voice,))


def joined(sides: list[Part], prompt: str, num_frames: int) -> Example:
    """Sides beside one another, cut to the same length."""
    return Example(prompt, num_frames, tuple(_cut(part, num_frames) for part in sides))


def silent(part: Part) -> Part:
    return replace(part, voices=(None,) * len(part.voices))


def cut_frames(num_frames: int, max_frames: int) -> int:
    """The greatest 4n+1 within both."""
    return TIME_STRIDE * ((min(num_frames, max_frames) - 1) // TIME_STRIDE) + 1


def _cut(part: Part, num_frames: int) -> Part:
    voices = tuple(None if voice is None else voice[:num_frames] for voice in part.voices)
    return replace(part, latents=part.latents[:, : latent_frames(num_frames)], voices=voices)


def _box(box_px: NDArray[np.int64]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (int(edge) for edge in box_px)
    return x0, y0, x1, y1
