"""SyncNet v2 (Chung and Zisserman, "Out of time", 2016; published as ``syncnet_v2.model`` by joonson/syncnet_python).

Two towers give 1024 numbers each: five frames of a face (25 fps, 224 x 224, BGR 0..255) and the 0.2 s of sound that
belong to them (20 columns of 13 mel cepstra). The nearer the two, the better mouth and sound fit. The file is a plain
state dict; its names are the ones below. Every layer of the face's tower but the first looks at one frame at a time.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.errors import UnusableCheckpoint

FACE_PX, NUM_FRAMES, NUM_COLUMNS, NUM_FEATURES = 224, 5, 20, 1024
_COUNTERS = "num_batches_tracked"  # of batch norms: files of 2017 have none, and nothing here reads them


class SyncNet(nn.Module):
    """``face``: (N, 3, 5, 224, 224); ``sound``: (N, 1, 13, 20); both give (N, 1024)."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_flat(1, 64), nn.Identity(),  # a pool of size 1 in the published network
            *_flat(64, 192), nn.MaxPool2d(3, (1, 2)),
            *_flat(192, 384), *_flat(384, 256), *_flat(256, 256), nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 512, (5, 4)), nn.BatchNorm2d(512), nn.ReLU(),
        )  # fmt: skip
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_deep(3, 96, (NUM_FRAMES, 7, 7), 2, 0), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(96, 256, (1, 5, 5), 2, 1), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), 1, 1), *_deep(256, 256, (1, 3, 3), 1, 1), *_deep(256, 256, (1, 3, 3), 1, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(256, 512, (1, 6, 6), 1, 0),
        )  # fmt: skip

    @torch.inference_mode()
    def face(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(T, 224, 224, 3) RGB frames that follow one another → (T - 4, 1024): of frames 0 to 4, of 1 to 5, ..."""
        bgr = torch.from_numpy(np.ascontiguousarray(frames[..., ::-1].transpose(3, 0, 1, 2)))[None].float()
        seen = self.netcnnlip(bgr)[0, :, :, 0, 0].T
        return np.asarray(self.netfclip(seen).numpy(), np.float32)

    @torch.inference_mode()
    def sound(self, columns: NDArray[np.float64]) -> NDArray[np.float32]:
        """(N, 13, 20) → (N, 1024)."""
        heard = self.netcnnaud(torch.from_numpy(columns).float()[:, None]).flatten(1)
        return np.asarray(self.netfcaud(heard).numpy(), np.float32)


def _flat(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


def _deep(before: int, after: int, size: tuple[int, int, int], stride: int, padding: int) -> list[nn.Module]:
    place = (0, padding, padding)
    convolution = nn.Conv3d(before, after, size, (1, stride, stride), place)
    return [convolution, nn.BatchNorm3d(after), nn.ReLU(inplace=True)]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, NUM_FEATURES))


def load_syncnet(path: Path) -> SyncNet:
    """Raises UnusableCheckpoint for anything but SyncNet v2's own weights; code in the file is never run."""
    remedy = f"Delete {path}, or put the published syncnet_v2.model there."
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises nearly every kind for a file that is none of its own
        raise UnusableCheckpoint(f"{path.name} cannot be read as weights.", remedy) from error
    network = SyncNet()
    named = stored.items() if isinstance(stored, dict) else ()
    given = {str(name): value for name, value in named if not str(name).endswith(_COUNTERS)}
    wanted = {name: value for name, value in network.state_dict().items() if not name.endswith(_COUNTERS)}
    wrong = [name for name, value in wanted.items() if getattr(given.get(name), "shape", None) != value.shape]
    wrong += sorted(given.keys() - wanted.keys())
    if wrong:
        raise UnusableCheckpoint(
            f"{path.name} holds another network than SyncNet v2 ({len(wrong)} tensors differ, {wrong[0]!r} first).",
            remedy,
        )
    network.load_state_dict(given, strict=False)
    return network.eval()
