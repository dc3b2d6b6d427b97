"""A run on disk: checkpoints that it goes on from, and weights for others, by our names and by the published ones."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.dit.checkpoint_names import INSIDE_BLOCKS, OUTSIDE_BLOCKS
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.errors import StudioError, WriteFailed

OURS, ORIGINAL = "diffusion_pytorch_model.safetensors", "original.safetensors"
_STEP = re.compile(r"step-(\d+)")
_INSIDE = {ours: original for original, ours in INSIDE_BLOCKS.items()}
_FORM_OF_AUDIO = {"afca": "audio_emb", "legacy": "audio_proj"}


def ours_to_original(name: str, audio_form: str) -> str:
    """The published name of one of our tensors."""
    outside = {ours: original for original, ours in OUTSIDE_BLOCKS.items()}
    outside["audio_embedder"] = _FORM_OF_AUDIO[audio_form]
    parts = name.split(".")
    if parts[0] == "blocks":
        return ".".join(parts[:2] + [_renamed(parts[2:], _INSIDE)])
    return _renamed(parts, outside)


def _renamed(parts: list[str], table: Mapping[str, str]) -> str:
    for length in range(len(parts), 0, -1):
        original = table.get(".".join(parts[:length]))
        if original is not None:
            return ".".join([original, *parts[length:]])
    return ".".join(parts)


def export(network: AnyTalkerTransformer3DModel, weights: Mapping[str, Tensor], folder: Path, half: bool) -> None:
    """``weights`` (by our names) with the network's config, and again by the published names; ``half``: in bfloat16.

    Raises WriteFailed.
    """
    form = str(network.config.audio_form)  # type: ignore[attr-defined]
    tensors = {name: (tensor.bfloat16() if half else tensor).contiguous() for name, tensor in weights.items()}
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        network.save_config(part)
        save_file(tensors, part / OURS, {"format": "pt"})
        original = {ours_to_original(name, form): tensor for name, tensor in tensors.items()}
        (part / "original").mkdir()
        save_file(original, part / "original" / ORIGINAL, {"format": "pt"})
        _replace(part, folder)
    except OSError as error:
        raise WriteFailed(f"The weights could not be written to {folder}: {error}", "Free some disk space.") from error


def _replace(part: Path, folder: Path) -> None:
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


class Checkpoints:
    """``folder``/step-00000100 and so on; each is whole, or not there under that name."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def latest(self) -> tuple[int, Path] | None:
        """(steps done, where), or None for a run that has not saved yet."""
        return max(self._found(), default=None)

    def part(self, step: int) -> Path:
        """Where the checkpoint after ``step`` steps is written."""
        return self._folder / f"step-{step:08}.part"

    def finish(self, step: int) -> None:
        """Make the written checkpoint count, and drop the oldest ones."""
        try:
            _replace(self.part(step), self._folder / f"step-{step:08}")
        except OSError as error:
            raise WriteFailed(
                f"The checkpoint in {self._folder} could not be written: {error}", "Free some disk space."
            ) from error
        for _, path in sorted(self._found())[: -self._keep]:
            shutil.rmtree(path, ignore_errors=True)

    def _found(self) -> list[tuple[int, Path]]:
        paths = self._folder.iterdir() if self._folder.is_dir() else ()
        return [(int(match[1]), path) for path in paths if (match := _STEP.fullmatch(path.name))]


def check_finite(loss: float, step: int) -> None:
    """Raises StudioError before a run is lost to numbers that are none."""
    if not torch.isfinite(torch.tensor(loss)):
        raise StudioError(
            f"The loss of step {step} is no number any more.",
            "Lower optimiser.learning_rate or optimiser.clip_norm; the run goes on from its last checkpoint.",
        )
