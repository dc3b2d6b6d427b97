"""Writes a complete set of small random models with the published files' layout and tensor names.

Everything fits together as the published files do: what each encoder gives is as wide as what the transformer takes.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import sentencepiece
import torch
from golden_vectors import below, read
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

WAN_FOLDER = "Wan2.1-Fun-V1.1-1.3B-InP"
T5_FILE = f"{WAN_FOLDER}/models_t5_umt5-xxl-enc-bf16.pth"
VAE_FILE = f"{WAN_FOLDER}/Wan2.1_VAE.pth"
CLIP_FILE = f"{WAN_FOLDER}/models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
TOKENIZER_FOLDER = f"{WAN_FOLDER}/google/umt5-xxl"
SPEECH_FOLDER = "wav2vec2-base-960h"
TRANSFORMER_FILES = {"afca": "AnyTalker/1_3B-single-v1.pth", "legacy": "AnyTalker/14B-multi-v1.pth"}

HEAD_DIM, WIDTH, FEED_FORWARD, TEXT_WIDTH, IMAGE_WIDTH, SPEECH_WIDTH = 32, 96, 128, 64, 80, 32
AUDIO_HIDDEN, AUDIO_TOKENS, LEGACY_AUDIO_WIDTH = 16, 32, 64
SPEECH_LAYERS, SPEECH_WINDOW = 12, 5
SENTENCES = (
    "Two people sit at a table and talk about the weather.",
    "A woman with a red scarf listens and nods.",
    "They laugh, look at each other, and speak in turns.",
    "The camera does not move; warm light falls through the window.",
    "Three friends in a kitchen tell old stories.",
    "subtitles, blurry picture, frozen expression, mouth out of time",
)


def write_tiny_checkpoints(folder: Path, form: str = "afca", num_layers: int = 2) -> Path:
    """A folder laid out like the published ``checkpoints/``, for a transformer of ``form`` "afca" or "legacy".

    The transformer has 3 heads of 32, not of 128: its loader has to be told ``head_dim=32``.
    """
    for name, tensors in {
        T5_FILE: text_encoder_tensors(),
        VAE_FILE: below(read("vae_tiny")[0], "sd."),
        CLIP_FILE: image_encoder_tensors(),
    }.items():
        save_pth(folder / name, tensors)
    save_pth(folder / TRANSFORMER_FILES[form], {"model": transformer_tensors(form, num_layers)})
    write_tokenizer(folder / TOKENIZER_FOLDER)
    write_speech_encoder(folder / SPEECH_FOLDER)
    return folder


def save_pth(path: Path, content: Mapping[str, object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(content), path)
    return path


def transformer_tensors(form: str = "afca", num_layers: int = 2, seed: int = 1) -> dict[str, Tensor]:
    """A random AnyTalker transformer by its published names (specification, A.9)."""
    linears = {
        "patch_embedding": (WIDTH, 36, 1, 2, 2),
        "text_embedding.0": (WIDTH, TEXT_WIDTH),
        "text_embedding.2": (WIDTH, WIDTH),
        "time_embedding.0": (WIDTH, 256),
        "time_embedding.2": (WIDTH, WIDTH),
        "time_projection.1": (6 * WIDTH, WIDTH),
        "head.head": (64, WIDTH),
    }
    scales: dict[str, int] = {}
    for embedder in ("img_emb", "audio_ref_emb"):
        linears |= {
            f"{embedder}.proj.1": (IMAGE_WIDTH, IMAGE_WIDTH),
            f"{embedder}.proj.3": (WIDTH, IMAGE_WIDTH),
        }
        scales |= {f"{embedder}.proj.0": IMAGE_WIDTH, f"{embedder}.proj.4": WIDTH}
    _add_audio_projection(form, linears, scales)
    for block in range(num_layers):
        _add_block(form, f"blocks.{block}", linears, scales)
    tables = {"head.modulation": (1, 2, WIDTH)}
    tables |= {f"blocks.{block}.modulation": (1, 6, WIDTH) for block in range(num_layers)}
    return _random(linears, scales, tables, seed)


def _add_audio_projection(form: str, linears: dict[str, tuple[int, ...]], scales: dict[str, int]) -> None:
    frame = SPEECH_LAYERS * SPEECH_WIDTH
    name, width = ("audio_emb", WIDTH) if form == "afca" else ("audio_proj", LEGACY_AUDIO_WIDTH)
    linears |= {
        f"{name}.proj1": (AUDIO_HIDDEN, SPEECH_WINDOW * frame),
        f"{name}.proj2": (AUDIO_HIDDEN, AUDIO_HIDDEN),
        f"{name}.proj3": (AUDIO_TOKENS * width, AUDIO_HIDDEN),
    }
    if form == "legacy":
        linears[f"{name}.proj1_vf"] = (AUDIO_HIDDEN, 8 * frame)
    scales[f"{name}.norm"] = width


def _add_block(form: str, name: str, linears: dict[str, tuple[int, ...]], scales: dict[str, int]) -> None:
    square = (WIDTH, WIDTH)
    linears |= {f"{name}.self_attn.{part}": square for part in "qkvo"}
    linears |= {f"{name}.cross_attn.{part}": square for part in ("q", "k", "v", "o", "k_img", "v_img")}
    linears |= {f"{name}.ffn.0": (FEED_FORWARD, WIDTH), f"{name}.ffn.2": (WIDTH, FEED_FORWARD)}
    scales[f"{name}.norm3"] = WIDTH
    bare = [f"{name}.self_attn.norm_{part}" for part in "qk"]
    bare += [f"{name}.cross_attn.norm_{part}" for part in ("q", "k", "k_img")]
    if form == "afca":
        linears |= {f"{name}.cross_attn.{part}": square for part in ("k_audio", "v_audio", "k_face", "v_face")}
        bare += [f"{name}.cross_attn.norm_{part}" for part in ("k_audio", "k_face")]
    else:
        linears |= {f"{name}.audio_cross_attn.{part}": square for part in ("q_linear", "k_face", "v_face", "proj")}
        linears[f"{name}.audio_cross_attn.kv_linear"] = (2 * WIDTH, LEGACY_AUDIO_WIDTH)
        scales[f"{name}.norm_x"] = WIDTH
    scales |= {f"{norm}!": WIDTH for norm in bare}  # "!": a scale without a shift


def image_encoder_tensors(num_layers: int = 3, width: int = IMAGE_WIDTH, seed: int = 2) -> dict[str, Tensor]:
    """A random CLIP as the XLM-R ViT-H/14 file has it: the picture tower, a few tensors of the text tower, a scale."""
    linears: dict[str, tuple[int, ...]] = {}
    scales = {"visual.pre_norm": width, "visual.post_norm": width}
    for layer in range(num_layers):
        name = f"visual.transformer.{layer}"
        linears |= {
            f"{name}.attn.to_qkv": (3 * width, width),
            f"{name}.attn.proj": (width, width),
            f"{name}.mlp.0": (2 * width, width),
            f"{name}.mlp.2": (width, 2 * width),
        }
        scales |= {f"{name}.norm1": width, f"{name}.norm2": width}
    tables = {
        "visual.patch_embedding.weight": (width, 3, 14, 14),
        "visual.cls_embedding": (1, 1, width),
        "visual.pos_embedding": (1, 257, width),
        "visual.head": (width, 24),
        "textual.token_embedding.weight": (40, 16),
    }
    return _random(linears, scales, tables, seed) | {"log_scale": torch.tensor(2.66)}


def text_encoder_tensors(num_layers: int = 2, num_heads: int = 4, seed: int = 3) -> dict[str, Tensor]:
    """A random umT5 encoder by the published names, in bfloat16 as the published file is."""
    tables: dict[str, tuple[int, ...]] = {"token_embedding.weight": (192, TEXT_WIDTH)}
    scales = {"norm!": TEXT_WIDTH}
    for layer in range(num_layers):
        name = f"blocks.{layer}"
        tables |= {f"{name}.attn.{part}.weight": (TEXT_WIDTH, TEXT_WIDTH) for part in "qkvo"}
        tables |= {f"{name}.ffn.{part}.weight": (FEED_FORWARD, TEXT_WIDTH) for part in ("gate.0", "fc1")}
        tables[f"{name}.ffn.fc2.weight"] = (TEXT_WIDTH, FEED_FORWARD)
        tables[f"{name}.pos_embedding.embedding.weight"] = (32, num_heads)
        scales |= {f"{name}.norm1!": TEXT_WIDTH, f"{name}.norm2!": TEXT_WIDTH}
    return {name: tensor.bfloat16() for name, tensor in _random({}, scales, tables, seed).items()}


def write_tokenizer(folder: Path) -> None:
    """A real sentencepiece model, trained on a few sentences, with umT5's special tokens and in both its forms."""
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=trained,
        vocab_size=80,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        minloglevel=2,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spiece.model").write_bytes(trained.getvalue())
    _as_rules(sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer"}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": "</s>", "pad_token": "<pad>"}))


def _as_rules(pieces: sentencepiece.SentencePieceProcessor) -> Tokenizer:
    """The same as a tokenizer.json has it."""
    scored = [(pieces.id_to_piece(index), pieces.get_score(index)) for index in range(pieces.get_piece_size())]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=pieces.unk_id()))
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    end = ("</s>", pieces.eos_id())
    tokenizer.post_processor = processors.TemplateProcessing(single=["$A", "</s>"], special_tokens=[end])
    return tokenizer


def write_speech_encoder(folder: Path) -> None:
    """The golden vectors' wav2vec2 as wav2vec2-base-960h is laid out: recognition head, older names of weight norm."""
    tensors, described = read("wav2vec_features")
    older = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    renamed = {"lm_head.weight": torch.randn(32, SPEECH_WIDTH), "lm_head.bias": torch.zeros(32)}
    for name, tensor in below(tensors, "sd.").items():
        for new, old in older.items():
            name = name.replace(new, old)
        renamed[f"wav2vec2.{name}"] = tensor
    folder.mkdir(parents=True, exist_ok=True)
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})
    config = described["config"] | {"model_type": "wav2vec2", "architectures": ["Wav2Vec2ForCTC"]}
    (folder / "config.json").write_text(json.dumps(config))
    prepared = described["feature_extractor"] | {"feature_extractor_type": "Wav2Vec2FeatureExtractor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared))


def _random(
    linears: Mapping[str, tuple[int, ...]],
    scales: Mapping[str, int],
    tables: Mapping[str, tuple[int, ...]],
    seed: int,
) -> dict[str, Tensor]:
    """Weights and biases for ``linears``, near-one scales (with shifts) for ``scales``, plain tables."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float) -> Tensor:
        return scale * torch.randn(*shape, generator=generator)

    tensors = {}
    for name, shape in linears.items():
        tensors[f"{name}.weight"] = normal(*shape, scale=torch.Size(shape[1:]).numel() ** -0.5)
        tensors[f"{name}.bias"] = normal(shape[0], scale=0.1)
    for name, width in scales.items():
        tensors[f"{name.rstrip('!')}.weight"] = 1 + normal(width, scale=0.1)
        if not name.endswith("!"):
            tensors[f"{name}.bias"] = normal(width, scale=0.1)
    for name, shape in tables.items():
        tensors[name] = normal(*shape, scale=torch.Size(shape[1:]).numel() ** -0.5)
    return tensors
