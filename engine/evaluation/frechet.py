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
    """Between two sets of feature rows, which come in pieces (n, D). Raises ValueError where one has fewer than two."""
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    measure: FrechetInceptionDistance | None = None
    counts = [0, 0]
    for index, pieces in enumerate((real, made)):
        for rows in pieces:
            if measure is None:
                identity = torch.nn.Identity()
                identity.num_features = rows.shape[1]  # type: ignore[assignment]
                measure = FrechetInceptionDistance(feature=identity)
                measure.set_dtype(torch.float64)
            measure.update(torch.from_numpy(rows.astype(np.float64)), real=index == 0)
            counts[index] += len(rows)
    if measure is None or min(counts) < 2:
        whose = "real" if counts[0] < 2 else "judged"
        raise ValueError(f"the {whose} videos are too short or too few: two features of each are needed.")
    return float(measure.compute())


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
    """Raises ValueError for a file that is no TorchScript."""
    import torch

    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, EOFError) as error:
        raise ValueError(
            f"{path.name} cannot be read as TorchScript: delete it, or put the published one there."
        ) from error


def _features(network: Any, pixels: NDArray[np.uint8], **options: bool) -> NDArray[np.float32]:
    """(1, D). Raises ValueError where the network takes or gives something else than the published one."""
    import torch

    values = torch.from_numpy(np.ascontiguousarray(pixels))
    try:
        with torch.inference_mode():
            found = network(values.float() if pixels.ndim == 5 else values, **options)
    except RuntimeError as error:  # TorchScript's own word for options that it does not know, and for wrong shapes
        last = f"{error}".strip().splitlines()[-1]
        raise ValueError(f"the network is not used like the published one ({last[:200]}).") from error
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != 1:
        raise ValueError("the network does not give one row of features like the published one.")
    return np.asarray(found.float().numpy(), np.float32)
