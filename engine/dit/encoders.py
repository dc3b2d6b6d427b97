"""The picture's and the video's encoders, from their published files: Wan's VAE and the picture tower of CLIP.

Letters: C channels · F video frames · T latent frames · H W latent sides · h w sides in px.
"""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModel

from engine.dit.coders import moved
from engine.dit.shapes import LATENT_CHANNELS
from engine.dit.weight_files import fill, read_weights, shape_of
from engine.errors import UnusableCheckpoint

CLIP_SIDE_PX = 224
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
CLIP_HEAD_DIM = 80  # of ViT-H/14; the file does not tell
_TOWER = "visual."
_BLOCK = re.compile(r"transformer\.(\d+)\.(.+)\.(weight|bias)")
_TOWER_NAMES = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
    "attn.proj": "self_attn.out_proj",
}


class VideoCoder:
    """Video to latents and back. ``tiling`` codes large pictures in overlapping tiles, for small memories.

    Time is coded in the VAE's own steps (one frame, then four at a time), so a window of 81 frames needs little more
    than one of 5 beside the frames themselves.
    """

    def __init__(self, vae: nn.Module, device: torch.device | str = "cpu", tiling: bool = False) -> None:
        self.device = torch.device(device)
        self._vae = cast(Any, vae.eval().to(self.device))
        (self._vae.enable_tiling if tiling else self._vae.disable_tiling)()
        config, shape = self._vae.config, (1, -1, 1, 1, 1)
        self._mean = torch.tensor(config.latents_mean, device=self.device).view(shape)
        self._scale = 1 / torch.tensor(config.latents_std, device=self.device).view(shape)

    def with_tiling(self, tiling: bool) -> Self:
        """The same VAE (this coder must not be used any more), coding in tiles or not."""
        return type(self)(self._vae, self.device, tiling)

    def moved_to(self, device: torch.device | str) -> AbstractContextManager[None]:
        """The VAE's weights elsewhere for the time of the block; it codes nothing there."""
        return moved(self._vae, device, self.device)

    @torch.no_grad()
    def encode(self, video_CFhw: Tensor) -> Tensor:
        """(16, T, H, W) float32 on the CPU: the mode, normalised per channel, of (3, F, h, w) in -1..1; F = 4n+1."""
        video = video_CFhw[None].to(self.device, self._vae.dtype)
        mode = self._vae.encode(video).latent_dist.mode().float()
        return ((mode - self._mean) * self._scale)[0].cpu()

    @torch.no_grad()
    def decode(self, latents_CTHW: Tensor) -> NDArray[np.uint8]:
        """(F, h, w, 3) of normalised latents (16, T, H, W)."""
        latents = latents_CTHW[None].to(self.device, torch.float32) / self._scale + self._mean
        video_CFhw = self._vae.decode(latents.to(self._vae.dtype)).sample[0]
        frames = np.empty((*video_CFhw.shape[1:], 3), np.uint8)
        for index in range(len(frames)):  # frame by frame: no second float copy of the whole window
            frame = (video_CFhw[:, index].float() + 1) * 127.5
            frames[index] = frame.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return frames


class ImageEncoder:
    """CLIP's features of a picture or a face: what the last but one block of ViT-H/14 gives, all 257 tokens."""

    def __init__(self, model: CLIPVisionModel, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._model = model.eval().to(self.device)

    @torch.no_grad()
    def __call__(self, rgb: NDArray[np.uint8]) -> Tensor:
        """(1, 257, 1280) float32 on the CPU of a picture (h, w, 3) in its full resolution (specification, A.4)."""
        pixels = clip_pixels(rgb).to(self.device, self._model.dtype)
        return self._model(pixel_values=pixels).last_hidden_state.float().cpu()


def clip_pixels(rgb: NDArray[np.uint8]) -> Tensor:
    """(1, 3, 224, 224): the picture squeezed to a square, bicubic, no antialiasing, by CLIP's mean and deviation."""
    picture = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255
    square = functional.interpolate(picture, size=(CLIP_SIDE_PX, CLIP_SIDE_PX), mode="bicubic", align_corners=False)
    shape = (1, 3, 1, 1)
    return (square - torch.tensor(CLIP_MEAN).view(shape)) / torch.tensor(CLIP_STD).view(shape)


def load_vae(path: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Wan 2.1's VAE from its published file, or a narrower one of the same build.

    Raises ModelMissing or UnusableCheckpoint.
    """
    weights = read_weights(path)
    latent_channels = shape_of(weights, "conv2.weight", path, 5)[0]
    if latent_channels != LATENT_CHANNELS:
        raise UnusableCheckpoint(
            f"{path.name} makes latents of {latent_channels} channels; the network takes {LATENT_CHANNELS}.",
            "Use Wan2.1_VAE.pth (not the one of Wan 2.2).",
        )
    with torch.device("meta"):
        vae: Any = AutoencoderKLWan(
            base_dim=shape_of(weights, "encoder.conv1.weight", path, 5)[0],
            decoder_base_dim=shape_of(weights, "decoder.head.0.gamma", path, 4)[0],
            z_dim=latent_channels,
        )
    fill(vae, convert_wan_vae_to_diffusers(weights), path, dtype)
    return vae


def load_image_encoder(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ImageEncoder:
    """The picture tower of the published open-clip XLM-R ViT-H/14 file, or of a smaller one with the same names.

    Nothing else in the file is read from disk, and the last block, whose output is never used, is left out.
    Raises ModelMissing or UnusableCheckpoint.
    """
    weights = read_weights(path)
    tower = {name.removeprefix(_TOWER): tensor for name, tensor in weights.items() if name.startswith(_TOWER)}
    width, channels, patch, _ = shape_of(tower, "patch_embedding.weight", path, 4)
    positions = shape_of(tower, "pos_embedding", path, 3)[1]
    num_layers = len({name.split(".")[1] for name in tower if name.startswith("transformer.")}) - 1
    if num_layers < 1 or width % CLIP_HEAD_DIM or (CLIP_SIDE_PX // patch) ** 2 + 1 != positions:
        raise UnusableCheckpoint(
            f"{path.name} is not a ViT with heads of {CLIP_HEAD_DIM} over {CLIP_SIDE_PX} px: width {width}, "
            f"{num_layers + 1} blocks, patches of {patch} px, {positions} positions.",
            "Use models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth.",
        )
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=shape_of(tower, "transformer.0.mlp.0.weight", path, 2)[0],
        num_hidden_layers=num_layers,
        num_attention_heads=width // CLIP_HEAD_DIM,
        num_channels=channels,
        image_size=CLIP_SIDE_PX,
        patch_size=patch,
        hidden_act="gelu",
    )
    with torch.device("meta"):
        model = CLIPVisionModel(config)
    model.embeddings.register_buffer("position_ids", torch.arange(positions)[None], persistent=False)
    fill(model, _as_clip_vision(tower, num_layers), path, dtype)
    return ImageEncoder(model, device)


def _as_clip_vision(tower: Mapping[str, Tensor], num_layers: int) -> dict[str, Tensor]:
    """The first ``num_layers`` blocks and what comes before them, by the names of transformers' CLIPVisionModel."""
    renamed = {"embeddings.class_embedding": tower["cls_embedding"].flatten()} if "cls_embedding" in tower else {}
    for name, tensor in tower.items():
        block = _BLOCK.fullmatch(name)
        if block and int(block[1]) < num_layers:
            renamed |= _block(block[1], block[2], block[3], tensor)
        elif name == "pos_embedding":
            renamed["embeddings.position_embedding.weight"] = tensor[0]
        elif name == "patch_embedding.weight":
            renamed[f"embeddings.{name}"] = tensor
        elif name.startswith(("pre_norm.", "post_norm.")):
            renamed[name.replace("pre_norm", "pre_layrnorm").replace("post_norm", "post_layernorm")] = tensor
    return renamed


def _block(layer: str, part: str, leaf: str, tensor: Tensor) -> dict[str, Tensor]:
    name = f"encoder.layers.{layer}"
    if part == "attn.to_qkv":
        thirds = zip("qkv", tensor.chunk(3), strict=False)
        return {f"{name}.self_attn.{letter}_proj.{leaf}": third for letter, third in thirds}
    return {f"{name}.{_TOWER_NAMES.get(part, part)}.{leaf}": tensor}
