"""The prompt as umT5 understands it, by the published encoder; kept on disk: 11 GB are loaded once per new prompt.

Letters: L tokens of the prompt · D width.
"""

import contextlib
import hashlib
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ftfy
import safetensors.torch
import torch
from safetensors import SafetensorError
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from engine.dit.quantization import quantize_
from engine.dit.weight_files import fill, read_weights, shape_of
from engine.errors import ModelMissing, UnusableCheckpoint, WriteFailed
from engine.project.atomic import write_bytes

MAX_TOKENS = 512
_CACHE_FORMAT = "1"
_ENTRY = "prompt_embeds_LD"
_END_BYTES = 1 << 20  # of a weights file: a .pth ends with the checksums of all its tensors, a .safetensors starts with
#                       its table of contents
_LAYER = re.compile(r"blocks\.(\d+)\.(.+)")
_LAYER_NAMES = {
    "norm1.weight": "layer.0.layer_norm.weight",
    "norm2.weight": "layer.1.layer_norm.weight",
    "pos_embedding.embedding.weight": "layer.0.SelfAttention.relative_attention_bias.weight",
    "ffn.gate.0.weight": "layer.1.DenseReluDense.wi_0.weight",
    "ffn.fc1.weight": "layer.1.DenseReluDense.wi_1.weight",
    "ffn.fc2.weight": "layer.1.DenseReluDense.wo.weight",
} | {f"attn.{part}.weight": f"layer.0.SelfAttention.{part}.weight" for part in "qkvo"}
_CAST_BY_THE_LIBRARY = ("wo",)  # umT5 brings its input to the precision of that weight, which a packed one has not


@dataclass(frozen=True)
class TextModel:
    """Which encoder to use, and how: its file, its tokenizer's folder, where it runs and how it is stored there.

    ``dtype`` None: as in the file (bfloat16 in the published one); ``quantization`` as in RenderSettings, not "auto".
    """

    encoder: Path
    tokenizer: Path
    device: torch.device | str = "cpu"
    dtype: torch.dtype | None = None
    quantization: str = "none"


class PromptEncoder:
    """Prompts to (L, 4096). The encoder is loaded for prompts that are not in ``cache_dir``, and let go at once."""

    def __init__(self, model: TextModel, cache_dir: Path) -> None:
        self._model = model
        self._cache_dir = cache_dir

    def __call__(self, prompt: str) -> Tensor:
        """(L, D) float32 on the CPU, L <= 512, the end token included."""
        return self.encode([prompt])[0]

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """One (L, D) per prompt; however many of them are new, the encoder is loaded once.

        Raises ModelMissing or UnusableCheckpoint, for new prompts only: known ones need no encoder.
        """
        wanted = [cleaned(prompt) for prompt in prompts]
        paths = {prompt: self._cache_dir / f"{self._key(prompt)}.safetensors" for prompt in wanted}
        known = {prompt: _read_entry(path) for prompt, path in paths.items()}
        new = [prompt for prompt, embeds_LD in known.items() if embeds_LD is None]
        made = dict(zip(new, self._encode_new(new), strict=True)) if new else {}
        for prompt, embeds_LD in made.items():
            _write_entry(paths[prompt], embeds_LD, prompt)
        return [made[prompt] if prompt in made else known[prompt] for prompt in wanted]  # type: ignore[misc]

    def _key(self, prompt: str) -> str:
        """Everything that decides the numbers, hashed."""
        model = self._model
        told = [_CACHE_FORMAT, prompt, model.quantization, str(model.dtype), MAX_TOKENS]
        told += [_identity(model.encoder), *(_identity(path) for path in _tokenizer_files(model.tokenizer))]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:40]

    @torch.no_grad()
    def _encode_new(self, prompts: Sequence[str]) -> list[Tensor]:
        """Without the padding to 512 tokens of the published encoder: it is masked there, and cut off afterwards."""
        tokenizer = load_tokenizer(self._model.tokenizer)
        encoder: Any = load_text_encoder(self._model)
        made = []
        for prompt in prompts:
            ids = torch.tensor([tokenizer(prompt)], device=self._model.device)
            if int(ids.max()) >= encoder.config.vocab_size:
                raise UnusableCheckpoint(
                    f"The tokenizer knows more words than {self._model.encoder.name} ({encoder.config.vocab_size}).",
                    "Fetch both again; they belong together.",
                )
            made.append(encoder(input_ids=ids).last_hidden_state[0].float().cpu())
        return made


def cleaned(prompt: str) -> str:
    """The prompt as the network learnt to read prompts: mended characters, no HTML entities, single spaces."""
    unescaped = html.unescape(html.unescape(ftfy.fix_text(prompt)))
    return re.sub(r"\s+", " ", unescaped).strip()


def load_prompt_encoder(model: TextModel, cache_dir: Path) -> PromptEncoder:
    """Nothing is read from disk before the first prompt."""
    return PromptEncoder(model, cache_dir)


def load_tokenizer(folder: Path) -> Callable[[str], list[int]]:
    """The tokenizer of a folder laid out like google/umt5-xxl: a cleaned prompt to at most MAX_TOKENS ids with an end.

    The files' own rules are followed: transformers' T5Tokenizer would make its own from the vocabulary, in which an
    unknown character is token 2, as in T5; umT5 has another token there. Raises ModelMissing or UnusableCheckpoint.
    """
    path = _tokenizer_files(folder)[0]
    try:
        return _by_rules(path) if path.suffix == ".json" else _by_pieces(path)
    except Exception as error:  # a hostile or cut file fails in the tokenizer's compiled part, with any kind of error
        raise UnusableCheckpoint(
            f"The tokenizer in {folder} cannot be read: {str(error)[:200]}", "Fetch the folder google/umt5-xxl again."
        ) from error


def _by_rules(path: Path) -> Callable[[str], list[int]]:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return lambda prompt: tokenizer.encode(prompt).ids


def _by_pieces(path: Path) -> Callable[[str], list[int]]:
    pieces: Any = SentencePieceProcessor(model_file=str(path))
    return lambda prompt: [*pieces.encode(prompt)[: MAX_TOKENS - 1], pieces.eos_id()]


def load_text_encoder(model: TextModel) -> UMT5EncoderModel:
    """umT5's encoder, of any size, from its published file onto the device, tensor by tensor.

    Raises ModelMissing or UnusableCheckpoint.
    """
    path = model.encoder
    weights = read_weights(path)
    vocabulary, width = shape_of(weights, "token_embedding.weight", path, 2)
    buckets, num_heads = shape_of(weights, "blocks.0.pos_embedding.embedding.weight", path, 2)
    inner = shape_of(weights, "blocks.0.attn.q.weight", path, 2)[0]
    config = UMT5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=inner // max(1, num_heads),
        d_ff=shape_of(weights, "blocks.0.ffn.fc1.weight", path, 2)[0],
        num_layers=len({match[1] for match in map(_LAYER.match, weights) if match}),
        num_heads=num_heads,
        relative_attention_num_buckets=buckets,
        feed_forward_proj="gated-gelu",
    )
    with torch.device("meta"):
        encoder: Any = UMT5EncoderModel(config)
    fill(encoder, _as_umt5(weights), path, model.dtype)
    encoder.tie_weights()
    encoder.eval()
    for block in encoder.encoder.block:  # one after the other, so that no more than one is on the device unpacked
        quantize_(block.to(model.device), model.quantization, encoder.dtype, keep=_CAST_BY_THE_LIBRARY)
    return encoder.to(model.device)


def _as_umt5(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By the names of transformers' UMT5EncoderModel; unknown names stay, to be told of."""
    renamed = {}
    for name, tensor in weights.items():
        layer = _LAYER.fullmatch(name)
        if layer:
            renamed[f"encoder.block.{layer[1]}.{_LAYER_NAMES.get(layer[2], layer[2])}"] = tensor
        elif name == "token_embedding.weight":
            renamed["shared.weight"] = renamed["encoder.embed_tokens.weight"] = tensor
        else:
            renamed["encoder.final_layer_norm.weight" if name == "norm.weight" else name] = tensor
    return renamed


def _tokenizer_files(folder: Path) -> list[Path]:
    present = [path for path in (folder / "tokenizer.json", folder / "spiece.model") if path.is_file()]
    if not present:
        raise ModelMissing(
            f"{folder} holds no tokenizer (tokenizer.json or spiece.model).",
            "`python launch.py models` lists what is missing and how to get it.",
        )
    return present


def _identity(path: Path) -> str:
    """What tells this file from another, without reading 11 GB."""
    if not path.is_file():
        raise ModelMissing(f"{path} is not here.", "`python launch.py models` lists what is missing and how to get it.")
    size = path.stat().st_size
    with path.open("rb") as file:
        hashed = hashlib.sha256(file.read(_END_BYTES))
        file.seek(max(0, size - _END_BYTES))
        hashed.update(file.read(_END_BYTES))
    return f"{size}-{hashed.hexdigest()}"


def _read_entry(path: Path) -> Tensor | None:
    """None where there is no entry, or a damaged one: it is made anew."""
    try:
        embeds_LD = safetensors.torch.load(path.read_bytes())[_ENTRY]
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    usable = embeds_LD.ndim == 2 and 0 < len(embeds_LD) <= MAX_TOKENS and embeds_LD.dtype == torch.float32
    return embeds_LD if usable and bool(torch.isfinite(embeds_LD).all()) else None


def _write_entry(path: Path, embeds_LD: Tensor, prompt: str) -> None:
    # A cache that cannot be written costs time at the next render; it is no reason to end this one.
    with contextlib.suppress(WriteFailed, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, safetensors.torch.save({_ENTRY: embeds_LD.contiguous()}, {"prompt": prompt}))
