"""FID and FVD by torchmetrics, with networks that have to be on disk: they come with no package and are not fetched.

Both are TorchScript files that other projects publish: Inception of StyleGAN's metrics (2048 numbers a picture) and
I3D of StyleGAN-V's (400 numbers a video).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.carriers import models_dir

INCEPTION, I3D = "inception-2015-12-05.pt", "i3d_torchscript.pt"
FVD_FRAMES, FVD_PX = 16, 224

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class FrechetFile:
    """Where a figure's network has to lie; ``path`` None = it does not."""

    figure: str
    name: str

    @property
    def path(self) -> Path | None:
        path = models_dir() / "metrics" / self.name
        return path if path.is_file() else None

    @property
    def missing(self) -> str:
        return f"put {self.name} into {models_dir() / 'metrics'}."


FID, FVD = FrechetFile("FID", INCEPTION), FrechetFile("FVD", I3D)


def frechet_distance(real: Iterable[NDArray[np.float32]], made: Iterable[NDArray[np.float32]]) -> float:
    """Between two sets of feature rows (N, D). Raises ValueError where one has fewer than two rows."""
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    rows = [
        np.concatenate([*part]) if (part := list(parts)) else np.zeros((0, 1), np.float32) for parts in (real, made)
    ]
    if min(len(part) for part in rows) < 2:
        raise ValueError("a distance of distributions needs two features of each")
    identity = torch.nn.Identity()
    identity.num_features = rows[0].shape[1]  # type: ignore[assignment]
    measure = FrechetInceptionDistance(feature=identity)
    for features, is_real in zip(rows, (True, False), strict=True):
        measure.update(torch.from_numpy(features), real=is_real)
    return float(measure.compute())


def _listed(*sets: Iterable[NDArray[np.float32]]) -> list[list[NDArray[np.float32]]]:
    return [list(rows) or [np.zeros((0, 1), np.float32)] for rows in sets]


def picture_features(path: Path, frames: Iterable[Frame]) -> Iterator[NDArray[np.float32]]:
    """(1, 2048) of every frame."""
    network = _network(path)
    for rgb in frames:
        yield _features(network, np.asarray(np.moveaxis(rgb, -1, 0)[None], np.uint8), return_features=True)


def video_features(path: Path, frames: Iterable[Frame]) -> Iterator[NDArray[np.float32]]:
    """(1, 400) of every 16 frames that follow one another."""
    network, held = _network(path), []
    for rgb in frames:
        held.append(cv2.resize(rgb, (FVD_PX, FVD_PX), interpolation=cv2.INTER_AREA))
        if len(held) == FVD_FRAMES:
            video = np.asarray(np.moveaxis(np.stack(held), -1, 0)[None], np.uint8)
            yield _features(network, video, rescale=True, resize=False, return_features=True)
            held = []


def _network(path: Path) -> Any:
    import torch

    return torch.jit.load(str(path), map_location="cpu").eval()


def _features(network: Any, pixels: NDArray[np.uint8], **options: bool) -> NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        values = torch.from_numpy(np.ascontiguousarray(pixels))
        return np.asarray(network(values.float() if pixels.ndim == 5 else values, **options).numpy(), np.float32)
