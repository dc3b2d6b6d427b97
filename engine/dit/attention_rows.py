"""Which tokens attend to which keys of which person: the audio-face attention without its zeros.

The paper attends from every token to every audio and face key of every person, with a mask on the scores and a factor
on the result. All but about one percent of that is masked out or multiplied by zero. Here every row is one person in
one latent frame: the tokens of that face, and the keys that they may see. Rows of like size make a batch, and a batch
is one call of attention. The result is the dense formula's, to rounding (spec A.7, "exact shortcut").

Letters: P people · S tokens · R rows of a batch · N tokens of its largest row · K keys of a row · M real tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from engine.dit.shapes import TIME_STRIDE

AudioForm = Literal["afca", "legacy"]
MAX_BATCH_KEYS = 2**14  # bounds what a batch copies: 335 MB of keys and values at the 14B's width
MAX_BATCH_KEYS_CPU = 2**9  # a processor has nothing of large batches, and copies best what its cache holds


@dataclass(frozen=True)
class PersonKeys:
    """One person's keys among those of all people: from ``first`` on ``num_face`` keys of the face, then
    ``num_frames`` x ``tokens_per_frame`` of the voice. ``temporal``: the voice is on the video's clock, so that a
    latent frame sees its own part of it; otherwise every latent frame sees it all."""

    first: int
    num_face: int
    num_frames: int
    tokens_per_frame: int
    temporal: bool = True

    @property
    def end(self) -> int:
        return self.first + self.num_face + self.num_frames * self.tokens_per_frame

    def seen_from(self, latent_frame: int, form: AudioForm) -> Tensor:
        """Positions of the keys that tokens of ``latent_frame`` see (spec A.7 and A.8)."""
        start, stop = self._heard_frames(latent_frame, form)
        audio = self.first + self.num_face
        return torch.cat([
            torch.arange(self.first, audio),
            torch.arange(audio + start * self.tokens_per_frame, audio + stop * self.tokens_per_frame),
        ])  # fmt: skip

    def _heard_frames(self, latent_frame: int, form: AudioForm) -> tuple[int, int]:
        if form == "legacy":
            return latent_frame, latent_frame + 1
        if not self.temporal or latent_frame == 0:
            return 0, self.num_frames
        start = min(TIME_STRIDE * (latent_frame - 1) + 1, self.num_frames)
        return start, min(start + TIME_STRIDE, self.num_frames)


@dataclass(frozen=True)
class Contribution:
    """``weight_M1`` times the attended tokens ``source_M`` of a batch belong to the tokens ``target_M``, of which none
    stands there twice: so adding them gives the same bits every time, on a GPU too."""

    source_M: Tensor
    target_M: Tensor
    weight_M1: Tensor


@dataclass(frozen=True)
class RowBatch:
    """Rows that go through attention together. ``queries``: R * N tokens, shorter rows filled up; ``keys``: R * K
    positions, as a slice where they follow one another."""

    num_rows: int
    queries: Tensor
    keys: Tensor | slice
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True)
class _Row:
    tokens: Tensor
    weights: Tensor
    keys: Tensor


def row_batches(
    weights_PS: Tensor, frame_S: Tensor, people: Sequence[PersonKeys], form: AudioForm, dtype: torch.dtype
) -> tuple[RowBatch, ...]:
    """The attention that ``weights_PS`` (mask times gain, 0 = nothing to do) asks for, on the device of the weights.

    ``frame_S``: the latent frame of every token. Tokens may be any part of the video's, in any order.
    """
    most_keys = MAX_BATCH_KEYS_CPU if weights_PS.device.type == "cpu" else MAX_BATCH_KEYS
    alike: dict[tuple[int, int], list[_Row]] = {}
    for weights_S, person in zip(weights_PS.cpu(), people, strict=True):
        for row in _rows(weights_S, frame_S.cpu(), person, form):
            alike.setdefault((len(row.keys), (len(row.tokens) - 1).bit_length()), []).append(row)
    batches = []
    for (num_keys, _), rows in alike.items():
        step = max(1, most_keys // num_keys)
        for start in range(0, len(rows), step):
            batches.append(_batch(rows[start : start + step], weights_PS.device, dtype))
    return tuple(batches)


def _rows(weights_S: Tensor, frame_S: Tensor, person: PersonKeys, form: AudioForm) -> list[_Row]:
    tokens = weights_S.nonzero()[:, 0]
    frames = frame_S[tokens]
    rows = []
    for frame in frames.unique().tolist():
        own = tokens[frames == frame]
        rows.append(_Row(own, weights_S[own], person.seen_from(frame, form)))
    return rows


def _batch(rows: Sequence[_Row], device: torch.device, dtype: torch.dtype) -> RowBatch:
    width = max(len(row.tokens) for row in rows)
    filled = [torch.cat([row.tokens, row.tokens[:1].expand(width - len(row.tokens))]) for row in rows]
    sources = torch.cat([torch.arange(len(row.tokens)) + index * width for index, row in enumerate(rows)])
    targets = torch.cat([row.tokens for row in rows])
    weights = torch.cat([row.weights for row in rows]).to(dtype)
    nth = _occurrence(targets)
    contributions = [
        Contribution(sources[own].to(device), targets[own].to(device), weights[own, None].to(device))
        for own in (nth == index for index in range(int(nth.max()) + 1))
    ]
    keys = torch.cat([row.keys for row in rows])
    return RowBatch(len(rows), torch.cat(filled).to(device), _as_slice(keys, device), tuple(contributions))


def _occurrence(values: Tensor) -> Tensor:
    """How often each value stands before itself."""
    order = values.argsort(stable=True)
    ranked = values[order]
    starts = torch.cat([torch.ones(1, dtype=torch.bool), ranked[1:] != ranked[:-1]])
    positions = torch.arange(len(values))
    nth = torch.empty_like(values)
    nth[order] = positions - torch.where(starts, positions, 0).cummax(0).values
    return nth


def _as_slice(positions: Tensor, device: torch.device) -> Tensor | slice:
    first = int(positions[0])
    if torch.equal(positions, torch.arange(first, first + len(positions))):
        return slice(first, first + len(positions))
    return positions.to(device)
