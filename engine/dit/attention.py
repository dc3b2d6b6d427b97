"""Cross attention to prompt, picture, voices and faces, as processors on diffusers' Wan attention.

Letters: S tokens of the video that are here · D width · H heads · d width of a head · n keys.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor, nn

from engine.dit.attention_rows import RowBatch
from engine.dit.streams import StreamTokens, woven

KeysValues = tuple[Tensor, Tensor]
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


class StreamProcessor:
    """Text, image and, where ``attn`` has the weights, audio-face attention with one query and one output projection:

    W_o (text + image + sum over people of mask * gain * softmax(q K^T / sqrt d) V), where a person's keys are those
    of the face and the voice together (paper, equation 2; spec A.7).
    """

    _attention_backend = None
    _parallel_config = None  # set by diffusers; unused: queries are the tokens here, keys are whole everywhere

    def __call__(
        self,
        attn: "StreamAttention",
        hidden_states: Tensor,
        encoder_hidden_states: StreamTokens,
        attention_mask: None = None,
        rotary_emb: None = None,
    ) -> Tensor:
        query_BSHd = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        text, image, people = encoder_hidden_states.keys(attn, lambda: attn.keys(encoder_hidden_states))
        attended = self.attend(query_BSHd, *text) + self.attend(query_BSHd, *image)
        attended_BSD = attended.flatten(2).type_as(hidden_states)
        if people is not None:
            add_rows(attended_BSD[0], query_BSHd[0], people, encoder_hidden_states.rows, self.attend)
        return attn.to_out[1](attn.to_out[0](attended_BSD))

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return dispatch_attention_fn(query, key, value, backend=self._attention_backend)


def add_rows(
    total_SD: Tensor, query_SHd: Tensor, people: KeysValues, rows: tuple[RowBatch, ...], attend: Attend
) -> None:
    """Add to ``total_SD`` what the people's keys and values (n, H, d) give for ``rows`` of the queries."""
    for batch in rows:
        query, key, value = (
            _taken(source, positions).unflatten(0, (batch.num_rows, -1))
            for source, positions in ((query_SHd, batch.queries), (people[0], batch.keys), (people[1], batch.keys))
        )
        attended_ND = attend(query, key, value).flatten(0, 1).flatten(1).type_as(total_SD)
        for part in batch.contributions:
            total_SD.index_add_(0, part.target_M, attended_ND.index_select(0, part.source_M) * part.weight_M1)


def _taken(source: Tensor, positions: Tensor | slice) -> Tensor:
    return source[positions] if isinstance(positions, slice) else source.index_select(0, positions)


class StreamAttention(WanAttention):
    """Wan's cross attention, with what a network of streams attends to in a :class:`StreamTokens`.

    ``audio_faces``: with the keys and values of the audio-face attention (the 1.3B); without them it is the cross
    attention of the legacy form, whose voices and faces have a module of their own.
    """

    _default_processor_cls = StreamProcessor  # type: ignore[assignment]
    _available_processors = [StreamProcessor]  # type: ignore[list-item] # noqa: RUF012 - diffusers' class attribute
    _supports_qkv_fusion = False  # keys are made once per window: there is nothing to gain

    def __init__(self, dim: int, heads: int, eps: float, audio_faces: bool) -> None:
        dim_head = dim // heads
        super().__init__(
            dim, heads, dim_head, eps, added_kv_proj_dim=dim, cross_attention_dim_head=dim_head,
            processor=StreamProcessor(),
        )  # fmt: skip
        self.audio_faces = audio_faces
        if audio_faces:
            self.to_k_audio, self.to_v_audio = nn.Linear(dim, dim), nn.Linear(dim, dim)
            self.to_k_face, self.to_v_face = nn.Linear(dim, dim), nn.Linear(dim, dim)
            self.norm_k_audio, self.norm_k_face = nn.RMSNorm(dim, eps=eps), nn.RMSNorm(dim, eps=eps)

    def keys(self, tokens: StreamTokens) -> tuple[KeysValues, KeysValues, KeysValues | None]:
        """Keys and values (1, n, H, d) of text and image, and (n, H, d) of all people or None without any."""
        text = self._split(self.norm_k(self.to_k(tokens.text)), self.to_v(tokens.text))
        assert self.add_k_proj is not None
        assert self.add_v_proj is not None
        image = self._split(self.norm_added_k(self.add_k_proj(tokens.image)), self.add_v_proj(tokens.image))
        if not self.audio_faces or not tokens.people:
            return text, image, None
        face_key = self.norm_k_face(self.to_k_face(tokens.face))
        audio_key = self.norm_k_audio(self.to_k_audio(tokens.audio))
        key_nD = woven(face_key, audio_key, tokens.people)
        value_nD = woven(self.to_v_face(tokens.face), self.to_v_audio(tokens.audio), tokens.people)
        return text, image, self._split(key_nD, value_nD)

    def _split(self, key: Tensor, value: Tensor) -> KeysValues:
        return key.unflatten(-1, (self.heads, -1)), value.unflatten(-1, (self.heads, -1))


class LegacyAudioProcessor:
    """Audio-face attention of the legacy form: each latent frame to its own 32 audio tokens and the face, one output
    projection for the sum over people (spec A.8)."""

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self, attn: "LegacyAudioAttention", hidden_states: Tensor, tokens: StreamTokens, num_here: int
    ) -> Tensor:
        query_UHd = attn.to_q(hidden_states)[0].unflatten(-1, (attn.heads, -1))
        keys_values = tokens.keys(attn, lambda: attn.keys(tokens))
        total_UD = torch.zeros_like(query_UHd).flatten(1)
        add_rows(total_UD, query_UHd, keys_values, tokens.rows, self.attend)
        # The projection's bias reaches every token. The row of zeros is that bias, whatever layer stands there.
        projected = attn.to_out(torch.cat([torch.zeros_like(total_UD[:1]), total_UD]))
        everywhere_SD = projected[:1].expand(num_here, -1)
        return everywhere_SD.index_copy(0, tokens.covered, projected[1:])[None]

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return dispatch_attention_fn(query, key, value, backend=self._attention_backend)


class LegacyAudioAttention(nn.Module, AttentionModuleMixin):
    """The audio cross attention of the 14B: queries, keys and output of its own, nothing normalised."""

    _default_processor_cls = LegacyAudioProcessor  # type: ignore[assignment]
    _available_processors = [LegacyAudioProcessor]  # noqa: RUF012
    _supports_qkv_fusion = False
    is_cross_attention = True

    def __init__(self, dim: int, heads: int, audio_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.to_kv_audio = nn.Linear(audio_dim, 2 * dim)
        self.to_k_face, self.to_v_face = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.set_processor(LegacyAudioProcessor())  # type: ignore[arg-type]

    def keys(self, tokens: StreamTokens) -> KeysValues:
        """Keys and values (n, H, d) of all people."""
        audio_key, audio_value = self.to_kv_audio(tokens.audio).chunk(2, dim=-1)
        key_nD = woven(self.to_k_face(tokens.face), audio_key, tokens.people)
        value_nD = woven(self.to_v_face(tokens.face), audio_value, tokens.people)
        return key_nD.unflatten(-1, (self.heads, -1)), value_nD.unflatten(-1, (self.heads, -1))

    def forward(self, hidden_states: Tensor, encoder_hidden_states: StreamTokens, num_here: int) -> Tensor:
        """(1, num_here, D) for all tokens here, from the normalised ones that any person touches (1, U, D)."""
        processor: Any = self.processor
        return processor(self, hidden_states, encoder_hidden_states, num_here)
