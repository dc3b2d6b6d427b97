"""The AnyTalker network (arXiv 2511.23475): Wan's video transformer with audio-face cross attention.

Two published forms: "afca" (1.3B), where voices and faces are attended to inside Wan's cross attention, and "legacy"
(14B), where they have an attention of their own in every block (spec A.7, A.8).

Letters: B batch (1) · C channels · T latent frames · H W latent sides · S tokens · D width.
"""

from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry
from diffusers.models._modeling_parallel import ContextParallelConfig, ParallelConfig, TensorParallelConfig
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.normalization import FP32LayerNorm
from diffusers.models.transformers.transformer_wan import (
    WanImageEmbedding,
    WanTransformer3DModel,
    WanTransformerBlock,
)
from torch import Tensor, nn
from torch.nn import functional as F

from engine.dit.attention import LegacyAudioAttention, StreamAttention
from engine.dit.attention_rows import AudioForm
from engine.dit.audio_projection import AudioProjection, LatentAudioProjection
from engine.dit.parallel import on_processors, tokens_here
from engine.dit.streams import Streams, StreamTokens, VoicesAndFaces, rows_here
from engine.dit.types import Person
from engine.errors import ConditioningError

_WAN = WanTransformer3DModel
_FLOATS = (torch.float32, torch.bfloat16, torch.float16)


class LegacyAudioBlock(WanTransformerBlock):
    """Wan's block with an audio-face attention between cross attention and feed-forward.

    ``norm_audio``: its own LayerNorm, with weights. Without people both are passed by.
    """

    def __init__(self, dim: int, ffn_dim: int, num_heads: int, eps: float, audio_dim: int) -> None:
        super().__init__(dim, ffn_dim, num_heads, cross_attn_norm=True, eps=eps)
        self.audio_attn = LegacyAudioAttention(dim, num_heads, audio_dim)
        self.norm_audio = FP32LayerNorm(dim, eps, elementwise_affine=True)

    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        encoder_hidden_states: StreamTokens,
        temb: Tensor,
        rotary_emb: tuple[Tensor, Tensor],
    ) -> Tensor:
        """``hidden_states`` (1, S, D) to the same; ``temb`` (1, 6, D): shift, scale, gate, twice."""
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = (self.scale_shift_table + temb.float()).chunk(6, dim=1)
        states = hidden_states
        attended = self.attn1(_modulated(self.norm1, states, shift, scale), None, None, rotary_emb)
        states = _gated(states, attended, gate)
        states = states + self.attn2(self.norm2(states.float()).type_as(states), encoder_hidden_states, None, None)
        if encoder_hidden_states.people:
            touched = self.norm_audio(states[:, encoder_hidden_states.covered].float()).type_as(states)
            states = states + self.audio_attn(touched, encoder_hidden_states, states.shape[1])
        return _gated(states, self.ffn(_modulated(self.norm3, states, ffn_shift, ffn_scale)), ffn_gate)


def _modulated(norm: nn.Module, states: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return (norm(states.float()) * (1 + scale) + shift).type_as(states)


def _gated(states: Tensor, change: Tensor, gate: Tensor) -> Tensor:
    return (states.float() + change.float() * gate).type_as(states)


TransformerBlockRegistry.register(LegacyAudioBlock, TransformerBlockMetadata(return_hidden_states_index=0))


class AnyTalkerTransformer3DModel(WanTransformer3DModel):
    """Velocity of the latents, given a timestep and the streams of a window.

    Besides Wan's own arguments: ``audio_form``; ``text_len``: prompts are filled up with zeros to it, and the filling
    is attended to; ``audio_window_dim``: width of a frame's speech features, flattened; ``audio_hidden_dim``;
    ``num_audio_tokens`` per frame; ``audio_token_dim``: the width of D where None; ``audio_norm``: whether the audio
    tokens are normalised.
    """

    _no_split_modules = ["WanTransformerBlock", "LegacyAudioBlock"]  # noqa: RUF012 - diffusers reads class attributes
    _repeated_blocks = ["WanTransformerBlock", "LegacyAudioBlock"]  # noqa: RUF012
    _skip_layerwise_casting_patterns = _WAN._skip_layerwise_casting_patterns + ["audio_embedder", "face_embedder"]
    _keep_in_fp32_modules = _WAN._keep_in_fp32_modules + ["time_proj", "norm_audio"]
    _cp_plan = {name: plan for name, plan in _WAN._cp_plan.items() if name}  # noqa: RUF012 - our timestep is one for all

    @register_to_config
    def __init__(  # noqa: PLR0913 - a diffusers config is the constructor's arguments
        self,
        patch_size: tuple[int, ...] = (1, 2, 2),
        num_attention_heads: int = 12,
        attention_head_dim: int = 128,
        in_channels: int = 36,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 8960,
        num_layers: int = 30,
        cross_attn_norm: bool = True,
        qk_norm: str = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int = 1280,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        audio_form: AudioForm = "afca",
        text_len: int = 512,
        audio_window_dim: int = 46080,
        audio_hidden_dim: int = 512,
        num_audio_tokens: int = 32,
        audio_token_dim: int | None = None,
        audio_norm: bool = True,
    ) -> None:
        dim = num_attention_heads * attention_head_dim
        super().__init__(
            patch_size, num_attention_heads, attention_head_dim, in_channels, out_channels, text_dim, freq_dim, ffn_dim,
            0, cross_attn_norm, qk_norm, eps, image_dim, dim, rope_max_seq_len, pos_embed_seq_len,
        )  # fmt: skip
        # Wan's constructor has noted its own arguments, with no layers: the blocks are ours.
        self.register_to_config(num_layers=num_layers, added_kv_proj_dim=dim)
        token_dim = audio_token_dim or dim
        projection = AudioProjection if audio_form == "afca" else LatentAudioProjection
        self.audio_embedder = projection(audio_window_dim, audio_hidden_dim, num_audio_tokens, token_dim, audio_norm)
        self.face_embedder = WanImageEmbedding(image_dim, dim)
        self.blocks = nn.ModuleList(self._block(token_dim) for _ in range(num_layers))

    @property
    def _settings(self) -> Any:  # diffusers types its config as a plain dict
        return self.config

    def _block(self, audio_dim: int) -> WanTransformerBlock:
        config = self._settings
        heads, dim = config.num_attention_heads, config.num_attention_heads * config.attention_head_dim
        afca = config.audio_form == "afca"
        if afca:
            block = WanTransformerBlock(dim, config.ffn_dim, heads, config.qk_norm, config.cross_attn_norm, config.eps)
        else:
            block = LegacyAudioBlock(dim, config.ffn_dim, heads, config.eps, audio_dim)
        block.attn2 = StreamAttention(dim, heads, config.eps, audio_faces=afca)
        return block

    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Streams,
        return_dict: bool = True,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """``hidden_states`` (1, 36, T, H, W): noise (16), mask (4), condition (16); ``timestep`` (1,); the sample is
        (1, 16, T, H, W). Raises ConditioningError where the streams do not fit the network."""
        num_frames, height, width = hidden_states.shape[2:]
        rotary_emb = self.rope(hidden_states)
        states = self.patch_embedding(hidden_states.to(self.patch_embedding.weight.dtype)).flatten(2).transpose(1, 2)
        states = states.contiguous()
        temb_BD, modulation_B6D = self._embed_time(timestep.to(states.device))
        tokens = self._stream_tokens(encoder_hidden_states, states)
        for block in self.blocks:
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                states = self._gradient_checkpointing_func(block, states, tokens, modulation_B6D, rotary_emb)
            else:
                states = block(states, tokens, modulation_B6D, rotary_emb)
        shift, scale = (self.scale_shift_table + temb_BD[:, None]).chunk(2, dim=1)
        patches = self.proj_out(_modulated(self.norm_out, states, shift, scale))
        sample = self._unpatched(patches, (num_frames, height, width))
        return Transformer2DModelOutput(sample=sample) if return_dict else (sample,)

    def _embed_time(self, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """(time embedding (1, D), modulation (1, 6, D)), in float32 as in the reference."""
        embedder = self.condition_embedder
        angles = embedder.timesteps_proj(timestep)
        temb = embedder.time_embedder(angles.to(_dtype_of(embedder.time_embedder))).float()
        modulation = embedder.time_proj(F.silu(temb).to(_dtype_of(embedder.time_proj))).float()
        return temb, modulation.unflatten(1, (6, -1))

    def _stream_tokens(self, streams: Streams, states: Tensor) -> StreamTokens:
        here = tokens_here(self._parallel_config, streams.latent.num_tokens)
        wanted = (id(self), here.start, here.stop, states.dtype, states.device)
        return streams.tokens(wanted, lambda streams: self._embed_streams(streams, here, states))

    def _embed_streams(self, streams: Streams, here: slice, like: Tensor) -> StreamTokens:
        text, image = self._embed_prompt(streams, like)
        if not streams.people:
            return StreamTokens(text, image, keep_keys=streams.keep_keys)
        voices = tuple(self._embed_voice(person, streams, like) for person in streams.people)
        faces = tuple(self._embed_face(person, like) for person in streams.people)
        audio, face, people = VoicesAndFaces(voices, faces).joined(streams.clock_frames)
        rows, covered = rows_here(streams, people, self._settings.audio_form, here, like)
        return StreamTokens(text, image, audio, face, people, rows, covered, streams.keep_keys)

    def _embed_prompt(self, streams: Streams, like: Tensor) -> tuple[Tensor, Tensor]:
        prompt, text_len = streams.prompt_embeds, self._settings.text_len
        if prompt.shape[1] > text_len:
            raise ConditioningError(
                f"The prompt has {prompt.shape[1]} tokens; the network takes {text_len}.", "Shorten the prompt."
            )
        text = self.condition_embedder.text_embedder(F.pad(prompt, (0, 0, 0, text_len - prompt.shape[1])).to(like))
        assert self.condition_embedder.image_embedder is not None
        image = self.condition_embedder.image_embedder(streams.image_embeds.to(like))
        # The legacy text branch sees the picture's tokens too, through the keys and values of the text.
        return (text if self._settings.audio_form == "afca" else torch.cat([image, text], dim=1)), image

    def _embed_voice(self, person: Person, streams: Streams, like: Tensor) -> Tensor:
        audio = self.audio_embedder(person.audio_features.to(like))
        if self._settings.audio_form == "legacy" and audio.shape[1] != streams.latent.num_frames:
            raise ConditioningError(
                f"A voice spans {audio.shape[1]} latent frames, the window {streams.latent.num_frames}.",
                "Cut or extend the voice to the window.",
            )
        return audio

    def _embed_face(self, person: Person, like: Tensor) -> Tensor:
        face = self.face_embedder(person.face_embeds.to(like))
        wanted = self._settings.num_audio_tokens
        if self._settings.audio_form == "legacy" and face.shape[1] < wanted:
            # The reference repeats a short face until it is as long as a frame's audio.
            return face.repeat(1, -(-wanted // face.shape[1]), 1)[:, :wanted]
        return face

    def _unpatched(self, patches: Tensor, sides: tuple[int, int, int]) -> Tensor:
        steps = self._settings.patch_size
        counts = [side // step for side, step in zip(sides, steps, strict=True)]
        grid = patches.reshape(1, *counts, *steps, -1)
        return grid.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(1, -1, *sides)

    def _resolve_parallel_config(
        self, config: ParallelConfig | ContextParallelConfig | TensorParallelConfig
    ) -> ParallelConfig:
        if torch.accelerator.is_available():
            return super()._resolve_parallel_config(config)
        self._parallel_config = on_processors(config)
        return self._parallel_config


def _dtype_of(module: nn.Module) -> torch.dtype:
    """The dtype that ``module`` computes in; quantized weights do not tell it, their biases do."""
    return next((each.dtype for each in module.parameters() if each.dtype in _FLOATS), torch.float32)
