"""From an example to what the network takes: the same conditioning as in a render, from what was encoded beforehand.

Letters: C channels · F video frames · T latent frames · H W latent sides · K layers of the audio encoder · D width
· L tokens of a prompt · S tokens of the video.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.dit.coders import VideoEncoder
from engine.dit.conditioning import NEGATIVE_PROMPT
from engine.dit.masks import Box, Size, crop_px, mask_channels, token_mask, union_mask
from engine.dit.shapes import LatentShape
from engine.dit.speech import FRAMES_AROUND
from engine.dit.streams import Streams
from engine.dit.types import Person
from engine.training.dropout import Left
from engine.training.examples import Example, Part
from engine.training.flow import motion
from engine.training.pairing import generic_prompts
from engine.training.samples import AudioEncoder, Frames

_PROMPTS_AT_ONCE = 1024
NullText = Literal["negative prompt", "zeros"]
Heard = Literal["audio and face", "audio", "nothing"]


@dataclass(frozen=True, eq=False)
class TrainingEncoders:
    """``prompt``: one (L, D) for each; ``image``: (1, n, D) of a picture. ``prompts_first``: the prompts' encoder is so
    large that all prompts are to be encoded before a run begins."""

    prompt: Callable[[Sequence[str]], list[Tensor]]
    image: Callable[[Frames], Tensor]
    video: VideoEncoder
    audio: AudioEncoder
    prompts_first: bool = False


@dataclass(frozen=True)
class InputOptions:
    """``null_text``: what a left-out prompt is (the paper: zeros; the published code's guidance: the negative prompt).
    ``token_masks``, ``heard``: False, "audio" and "nothing" are for ablations. ``face_emphasis``, ``motion_emphasis``:
    how much more the loss counts where the faces are, and where anything moves (0 = the paper)."""

    null_text: NullText = "zeros"
    token_masks: bool = True
    heard: Heard = "audio and face"
    face_emphasis: float = 0.0
    motion_emphasis: float = 0.0


@dataclass(frozen=True, eq=False)
class Inputs:
    """``clean_CTHW``: what is to be learnt; the rest: what the network may look at, and how much each place counts."""

    clean_CTHW: Tensor
    condition_CTHW: Tensor
    streams: Streams
    emphasis_THW: Tensor | None


class Kept:
    """The last ``most`` of what was made, by key."""

    def __init__(self, most: int) -> None:
        self._most, self._made = most, OrderedDict[Any, Any]()

    def get(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self.put(key, make())
        self._made.move_to_end(key)
        return self._made[key]

    def put(self, key: Any, made: Any) -> None:
        self._made[key] = made
        if len(self._made) > self._most:
            self._made.popitem(last=False)


class InputMaker:
    """Examples to Inputs on ``device``. What frozen encoders make of a picture is kept for ``keep`` pictures."""

    def __init__(
        self, encoders: TrainingEncoders, options: InputOptions, device: torch.device, keep: int = 1024
    ) -> None:
        self._encoders, self._options, self._device = encoders, options, device
        self._conditions, self._stills, self._faces, self._pictures = (Kept(keep) for _ in range(4))
        self._silences, self._prompts = Kept(16), Kept(_PROMPTS_AT_ONCE)

    def encode_prompts(self, prompts: Iterable[str]) -> None:
        """Encode these, so many at a time: a large text encoder is loaded once for them, and keeps them on disk."""
        wanted = [*dict.fromkeys([*generic_prompts(), NEGATIVE_PROMPT, *prompts])]
        for first in range(0, len(wanted), _PROMPTS_AT_ONCE):
            some = wanted[first : first + _PROMPTS_AT_ONCE]
            for prompt, embeds_LD in zip(some, self._encoders.prompt(some), strict=True):
                self._prompts.put(prompt, embeds_LD)

    @torch.no_grad()
    def of(self, example: Example, left: Left) -> Inputs:
        picture, boxes = _picture_and_boxes(example.parts)
        size = (picture.shape[1], picture.shape[0])
        clean = torch.cat([self._clean(part, example.num_frames) for part in example.parts], dim=3)
        latent = LatentShape(*clean.shape[1:])
        union_HW = union_mask(boxes, size, latent)
        start = torch.cat([self._condition(part, example.num_frames) for part in example.parts], dim=3)
        condition = torch.cat([mask_channels(union_HW, latent, 1), start])
        key = tuple(part.key for part in example.parts)
        streams = Streams(
            self._text(example.prompt, left).to(self._device),
            self._pictures.get(key, lambda: self._encoders.image(picture)).to(self._device),
            self._people(example, (picture, boxes), latent, left),
            latent,
        )
        return Inputs(clean.to(self._device), condition.to(self._device), streams, self._emphasis(clean, union_HW))

    def _emphasis(self, clean: Tensor, union_HW: Tensor) -> Tensor | None:
        options = self._options
        if not options.face_emphasis and not options.motion_emphasis:
            return None
        return 1 + options.face_emphasis * union_HW + options.motion_emphasis * motion(clean)

    def _people(
        self, example: Example, where: tuple[Frames, list[Box]], latent: LatentShape, left: Left
    ) -> list[Person]:
        if self._options.heard == "nothing":
            return []
        picture, boxes = where
        size = (picture.shape[1], picture.shape[0])
        people = []
        whose = [(part, index) for part in example.parts for index in range(len(part.boxes_px))]
        for (part, index), box in zip(whose, boxes, strict=True):
            voice = part.voices[index]
            features_FKD = self._silence(example.num_frames) if voice is None else torch.tensor(voice).float()
            person = Person(
                windows_of_five(features_FKD).to(self._device),
                self._face((part.key, index), picture, box, size).to(self._device),
                token_mask(box, size, latent),
            )
            people.append(person.silenced() if left.audio else person)
        return as_heard(people, self._options.heard, self._options.token_masks)

    def _face(self, key: Any, picture: Frames, box: Box, size: Size) -> Tensor:
        x0, y0, x1, y1 = crop_px(box, size)
        embeds: Tensor = self._faces.get(key, lambda: self._encoders.image(picture[y0:y1, x0:x1]))
        return embeds

    def _text(self, prompt: str, left: Left) -> Tensor:
        if left.text and self._options.null_text == "zeros":
            return torch.zeros_like(self._prompt(prompt)[:1])
        return self._prompt(NEGATIVE_PROMPT if left.text else prompt)

    def _prompt(self, prompt: str) -> Tensor:
        return self._prompts.get(prompt, lambda: self._encoders.prompt([prompt])[0])

    def _clean(self, part: Part, num_frames: int) -> Tensor:
        if any(voice is not None for voice in part.voices):
            return torch.tensor(part.latents).float()
        return self._stills.get((part.key, num_frames), lambda: self._encoded(part, num_frames, still=True))

    def _condition(self, part: Part, num_frames: int) -> Tensor:
        return self._conditions.get((part.key, num_frames), lambda: self._encoded(part, num_frames, still=False))

    def _encoded(self, part: Part, num_frames: int, still: bool) -> Tensor:
        """The first frame held still, or with mid grey after it: not known yet."""
        frame_Chw = torch.tensor(part.first_frame).permute(2, 0, 1).float() / 127.5 - 1
        video_CFhw = frame_Chw[:, None].repeat(1, num_frames, 1, 1)
        if not still:
            video_CFhw[:, 1:] = 0
        return self._encoders.video.encode(video_CFhw).float().cpu()

    def _silence(self, num_frames: int) -> Tensor:
        nothing = np.zeros(0, np.float32)
        return self._silences.get(
            num_frames, lambda: torch.from_numpy(self._encoders.audio.encode(nothing, 24.0, num_frames)).float()
        )


def as_heard(people: Sequence[Person], heard: Heard, token_masks: bool) -> list[Person]:
    """What an ablation leaves of ``people``, in training and in rendering alike."""
    if heard == "nothing":
        return []
    return [
        replace(
            person,
            face_embeds=person.face_embeds if heard == "audio and face" else person.face_embeds[:, :0],
            token_mask_S=person.token_mask_S if token_masks else None,
        )
        for person in people
    ]


def windows_of_five(features_FKD: Tensor) -> Tensor:
    """(F, 5, K, D): every frame with its neighbours, as in a render; at the ends the outermost frame again."""
    num_frames = len(features_FKD)
    around = torch.arange(num_frames)[:, None] + torch.arange(-FRAMES_AROUND, FRAMES_AROUND + 1)
    return features_FKD[around.clamp(0, num_frames - 1)]


def _picture_and_boxes(parts: Sequence[Part]) -> tuple[NDArray[np.uint8], list[Box]]:
    """The first frames side by side, and everyone's face in them."""
    boxes, left_px = [], 0
    for part in parts:
        boxes += [(float(x0 + left_px), float(y0), float(x1 + left_px), float(y1)) for x0, y0, x1, y1 in part.boxes_px]
        left_px += part.first_frame.shape[1]
    return np.concatenate([part.first_frame for part in parts], axis=1), boxes
