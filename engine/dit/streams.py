"""What one window's denoising attends to besides the video itself: prompt, picture, and everyone's voice and face.

None of it depends on the timestep. It is embedded when the network first needs it (so that offloading can bring the
embedders' weights in at that moment), and kept for the other steps, on request with the keys and values of every block.

Letters: L prompt tokens · P people · S tokens of the video · D width of what stands beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from engine.dit.attention_rows import AudioForm, PersonKeys, RowBatch, row_batches
from engine.dit.shapes import LatentShape
from engine.dit.types import Person
from engine.errors import ConditioningError


class Streams:
    """Prompt, picture and people of one window in one guidance branch (for the other branch: another prompt and
    ``Person.silenced()``).

    ``prompt_embeds_LD`` (L, D) or (1, L, D): as the text encoder gives them, up to the network's text length;
    ``image_embeds`` (1, 257, 1280); ``keep_keys`` False: keys and values are made anew in every step, for small
    memories. A person with nothing to say anywhere (empty mask, or gain 0) is left out.

    Raises ConditioningError where a mask or gain does not fit ``latent``.
    """

    def __init__(
        self,
        prompt_embeds_LD: Tensor,
        image_embeds: Tensor,
        people: Sequence[Person],
        latent: LatentShape,
        keep_keys: bool = True,
    ) -> None:
        self.prompt_embeds = prompt_embeds_LD if prompt_embeds_LD.ndim == 3 else prompt_embeds_LD[None]
        self.image_embeds = image_embeds if image_embeds.ndim == 3 else image_embeds[None]
        self.latent, self.keep_keys = latent, keep_keys
        self.clock_frames = len(people[0].audio_features) if people else 0  # the reference reads it off the first voice
        weighted = [(person, _weights(person, latent)) for person in people]
        present = [(person, weights_S) for person, weights_S in weighted if weights_S.any()]
        self.people = tuple(person for person, _ in present)
        self.weights_PS = torch.stack([w for _, w in present]) if present else torch.zeros(0, latent.num_tokens)
        self._embedded: tuple[Any, StreamTokens] | None = None

    def tokens(self, wanted: Any, embed: Callable[["Streams"], "StreamTokens"]) -> "StreamTokens":
        """What ``embed`` makes of this, kept for as long as ``wanted`` (network, device, dtype, ...) stays the same;
        made anew wherever gradients flow."""
        if torch.is_grad_enabled():
            return embed(self)
        if self._embedded is None or self._embedded[0] != wanted:
            self._embedded = (wanted, embed(self))
        return self._embedded[1]

    def forget(self) -> None:
        """Let go of everything kept; the next step makes it again."""
        self._embedded = None


def _weights(person: Person, latent: LatentShape) -> Tensor:
    """(S,): mask times gain."""
    mask_S = torch.ones(latent.num_tokens) if person.token_mask_S is None else person.token_mask_S.flatten().float()
    gain_T = torch.ones(latent.num_frames) if person.gain_T is None else person.gain_T.flatten().float()
    if len(mask_S) != latent.num_tokens or len(gain_T) != latent.num_frames:
        raise ConditioningError(
            f"A person comes with a mask of {len(mask_S)} tokens and a gain of {len(gain_T)} latent frames; the window "
            f"has {latent.num_tokens} and {latent.num_frames}.",
            "Make them for this window's shape.",
        )
    return mask_S * gain_T.to(mask_S.device).repeat_interleave(latent.tokens_per_frame)


@dataclass(frozen=True, eq=False)
class StreamTokens:
    """Embedded streams as the blocks take them, for the tokens of the video from ``first`` on that are here.

    ``text``, ``image`` (1, n, D); ``audio``, ``face`` (1, n, D): of all people one after the other, or None without
    people. ``rows``: for afca positions count the tokens here, for legacy those of ``covered``: the tokens here that
    any person touches. ``eq=False``: a record of what is kept, hashed by identity.
    """

    text: Tensor
    image: Tensor
    audio: Tensor | None = None
    face: Tensor | None = None
    people: tuple[PersonKeys, ...] = ()
    rows: tuple[RowBatch, ...] = ()
    covered: Tensor | None = None
    keep_keys: bool = True
    _kept: dict[nn.Module, Any] = field(default_factory=dict)

    def keys(self, attention: nn.Module, make: Callable[[], Any]) -> Any:
        """What ``make`` gives for this ``attention``, made once where keys are kept."""
        if not self.keep_keys or torch.is_grad_enabled():
            return make()
        if attention not in self._kept:
            self._kept[attention] = make()
        return self._kept[attention]


@dataclass(frozen=True)
class VoicesAndFaces:
    """Everyone's tokens: ``audio`` one (1, frames, tokens, D) and ``face`` one (1, n, D) per person."""

    audio: tuple[Tensor, ...]
    face: tuple[Tensor, ...]

    def joined(self, clock_frames: int) -> tuple[Tensor, Tensor, tuple[PersonKeys, ...]]:
        """(audio, face) of all people in one row each, and where each person's keys lie once they are woven together
        by :func:`woven`."""
        layout: list[PersonKeys] = []
        for audio, face in zip(self.audio, self.face, strict=True):
            first = layout[-1].end if layout else 0
            num_frames, per_frame = audio.shape[1:3]
            layout.append(PersonKeys(first, face.shape[1], num_frames, per_frame, num_frames == clock_frames))
        return torch.cat([audio.flatten(1, 2) for audio in self.audio], 1), torch.cat(self.face, 1), tuple(layout)


def woven(face: Tensor, audio: Tensor, people: Sequence[PersonKeys]) -> Tensor:
    """(n, D): each person's face tokens, then that person's audio tokens, from (1, n, D) of everyone's."""
    faces = face[0].split([person.num_face for person in people])
    voices = audio[0].split([person.num_frames * person.tokens_per_frame for person in people])
    return torch.cat([part for pair in zip(faces, voices, strict=True) for part in pair])


def rows_here(
    streams: Streams, people: Sequence[PersonKeys], form: AudioForm, here: slice, like: Tensor
) -> tuple[tuple[RowBatch, ...], Tensor | None]:
    """(rows, covered) of :class:`StreamTokens` for the tokens ``here``, on the device and in the dtype of ``like``."""
    frame_S = torch.arange(streams.latent.num_tokens)[here] // streams.latent.tokens_per_frame
    weights_PS = streams.weights_PS[:, here].to(like.device)
    if form == "afca":
        return row_batches(weights_PS, frame_S, people, form, like.dtype), None
    covered = weights_PS.ne(0).any(0).nonzero()[:, 0]
    return row_batches(weights_PS[:, covered], frame_S[covered.cpu()], people, form, like.dtype), covered
