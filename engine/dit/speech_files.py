"""The speech encoder's published folder (facebook/wav2vec2-base-960h) as a network."""

import json
from pathlib import Path

import torch
from torch import Tensor
from transformers import Wav2Vec2Config, Wav2Vec2Model

from engine.dit.weight_files import fill, read_weights
from engine.errors import ModelMissing, UnusableCheckpoint

SAMPLE_RATE = 16_000
_MAX_LAYERS = 48
_NO_TRAINING = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}
_BUILD = {
    "model_type": "wav2vec2",
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "feat_extract_norm": "group",
    "feat_extract_activation": "gelu",
    "hidden_act": "gelu",
    "do_stable_layer_norm": False,
}
"""What wav2vec2-base-960h is besides the sizes of its tensors; what config.json leaves out is this."""


def load_wav2vec2(folder: Path) -> Wav2Vec2Model:
    """The encoder of the folder in float32 on the CPU; a recognition head in it is left out.

    Raises ModelMissing where a file is not there; UnusableCheckpoint where one is damaged or of another kind.
    """
    model = _empty_model(folder)
    path = folder / "model.safetensors"
    if not path.is_file():
        path = folder / "pytorch_model.bin"
    fill(model, _renamed(read_weights(path)), path, torch.float32)
    return model


def _empty_model(folder: Path) -> Wav2Vec2Model:
    described = _json(folder / "config.json")
    prepared = _json(folder / "preprocessor_config.json")
    found = _BUILD | described
    other = [f"{name} = {found[name]!r}"[:80] for name, value in _BUILD.items() if found[name] != value]
    if not prepared.get("do_normalize", True) or prepared.get("sampling_rate", SAMPLE_RATE) != SAMPLE_RATE:
        other.append("another preparation of the sound")
    layers = described.get("num_hidden_layers", 0)
    if not isinstance(layers, int) or not 0 < layers <= _MAX_LAYERS:
        other.append(f"{layers!r} layers"[:80])
    if other:
        raise UnusableCheckpoint(
            f"{folder.name} is not the speech encoder that the network was trained with: it has {', '.join(other)}.",
            "Put facebook/wav2vec2-base-960h there.",
        )
    try:
        with torch.device("meta"):
            return Wav2Vec2Model(Wav2Vec2Config.from_dict(described | _NO_TRAINING))
    except Exception as error:  # sizes that do not go together fail anywhere in the library, with any kind of error
        raise UnusableCheckpoint(f"{folder.name}/config.json is damaged: {error}"[:300], "Fetch it again.") from error


def _json(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise ModelMissing(f"{path} is not here.", "`python launch.py models` lists what is missing and how to get it.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UnusableCheckpoint(f"{path} cannot be read: {error}", "Fetch it again.") from error
    if not isinstance(content, dict):
        raise UnusableCheckpoint(f"{path} does not describe a model.", "Fetch it again.")
    return content


def _renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The encoder alone, without what only training uses; torch's present names of a normed weight's two parts."""
    newer = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    renamed = {}
    for name, tensor in weights.items():
        short = name.removeprefix("wav2vec2.")
        for old, new in newer.items():
            short = short.replace(f"pos_conv_embed.conv.{old}", f"pos_conv_embed.conv.{new}")
        if not short.startswith("lm_head.") and short != "masked_spec_embed":
            renamed[short] = tensor
    return renamed
