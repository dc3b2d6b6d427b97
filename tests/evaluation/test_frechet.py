"""FID and FVD of whole folders, through small TorchScript networks that are used like the published ones."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn

from engine.evaluation.benchmark import Figures, rows_of
from engine.evaluation.frechet import FVD_FRAMES, I3D, INCEPTION
from engine.evaluation.video import frames_of, look_at
from engine.jobs.evaluate_folder import BenchmarkOrder, evaluate_folder
from engine.media.write import VideoWriter

pytestmark = pytest.mark.slow  # torchmetrics takes long to import


class Pictures(nn.Module):
    """As inception-2015-12-05.pt: uint8 (N, 3, H, W) of any size; here 12 numbers a picture."""

    def forward(
        self, img: Tensor, return_features: bool = False, use_fp16: bool = False, no_output_bias: bool = False
    ) -> Tensor:
        assert img.dtype == torch.uint8
        assert return_features
        return nn.functional.adaptive_avg_pool2d(img.float() / 255, [2, 2]).flatten(1)


class Videos(nn.Module):
    """As i3d_torchscript.pt: float (N, 3, T, 224, 224) in 0..255; here 6 numbers a video."""

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        assert x.dtype == torch.float32
        assert x.shape[2] == 16
        assert x.shape[3] == 224 or resize
        assert return_features
        assert rescale
        x = x / 127.5 - 1
        return torch.cat([x.mean((2, 3, 4)), x.std((2, 3, 4))], 1)


class NoOptions(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Odd(nn.Module):
    def forward(self, img: Tensor, return_features: bool = False) -> Tensor:
        return img


def save(network: nn.Module, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.script(network).save(str(path))


def videos(folder: Path, seed: int, count: int, num_frames: int = 40) -> list[Path]:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    paths = [folder / f"{index}.mp4" for index in range(count)]
    for path in paths:
        with VideoWriter(path, (64, 48), 25) as writer:
            base = rng.uniform(20, 200, (4, 6, 3))
            for _ in range(num_frames):
                base = np.clip(base + rng.normal(scale=8, size=base.shape), 0, 255)
                writer.write(np.kron(base, np.ones((12, 11, 1)))[:48, :64].astype(np.uint8))
    return paths


def annotated(folder: Path, names: list[str]) -> Path:
    path = folder / "a.json"
    path.write_text(json.dumps({name: {"left": [[0.0, 0.5]], "right": []} for name in names}))
    return path


def between(real: np.ndarray, made: np.ndarray) -> float:
    """The distance as scipy finds it."""
    root = scipy.linalg.sqrtm(np.cov(real, rowvar=False) @ np.cov(made, rowvar=False))
    apart = np.square(real.mean(0) - made.mean(0)).sum()
    return float(apart + np.trace(np.cov(real, rowvar=False) + np.cov(made, rowvar=False) - 2 * np.real(root)))


def features(paths: list[Path], one: Callable[[np.ndarray], list[Tensor]]) -> np.ndarray:
    return torch.cat([row for path in paths for row in one(np.stack(list(frames_of(look_at(path)))))]).numpy()


def by_picture(frames: np.ndarray) -> list[Tensor]:
    return [Pictures()(torch.from_numpy(rgb.transpose(2, 0, 1)[None].copy()), True) for rgb in frames]


def by_video(frames: np.ndarray) -> list[Tensor]:
    import cv2

    large = np.stack([cv2.resize(rgb, (224, 224), interpolation=cv2.INTER_AREA) for rgb in frames])
    parts = [large[start : start + FVD_FRAMES] for start in range(0, len(large) - FVD_FRAMES + 1, FVD_FRAMES)]
    return [Videos()(torch.from_numpy(part.transpose(3, 0, 1, 2)[None]).float(), True, False, True) for part in parts]


def evaluated(order: BenchmarkOrder) -> Figures:
    *_, figures = evaluate_folder(order)
    assert isinstance(figures, Figures)
    return figures


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], list[Path]]:
    folder = tmp_path_factory.mktemp("sets")
    return folder, videos(folder / "made", 1, 4), videos(folder / "real", 2, 5)


def test_the_figures_are_those_of_the_networks_features(
    sets: tuple[Path, list[Path], list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, made, real = sets
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    save(Pictures(), tmp_path / "metrics" / INCEPTION)
    save(Videos(), tmp_path / "metrics" / I3D)
    annotations = annotated(tmp_path, [path.stem for path in made])
    figures = evaluated(BenchmarkOrder(folder / "made", annotations, folder / "real"))
    assert len(figures.failed) == 4  # nobody is in them; they count all the same
    assert figures.fid == pytest.approx(between(features(real, by_picture), features(made, by_picture)), rel=1e-4)
    assert figures.fvd == pytest.approx(between(features(real, by_video), features(made, by_video)), rel=1e-3)
    assert not {"FID", "FVD"} & {figure for figure, _ in figures.not_measured}
    row = next(line for line in rows_of(figures) if line.startswith("these videos"))
    assert row.endswith(f"{figures.fid:8.2f} {figures.fvd:8.2f}")
    same = evaluated(BenchmarkOrder(folder / "made", annotations, folder / "made"))
    assert same.fid == pytest.approx(0, abs=1e-6)
    assert same.fvd == pytest.approx(0, abs=1e-6)


def told(order: BenchmarkOrder) -> dict[str, str]:
    figures = evaluated(order)
    assert figures.fid is None
    said = "\n".join(rows_of(figures))
    assert all(f"{figure} was not measured: {why}" in said for figure, why in figures.not_measured)
    return {figure: why for figure, why in figures.not_measured if figure in ("FID", "FVD")}


def test_what_is_missing_or_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path / "models"))
    made = videos(tmp_path / "made", 1, 1, num_frames=17)
    (tmp_path / "made" / "broken.mp4").write_text("no")
    annotations = annotated(tmp_path, ["0", "broken"])
    metrics = tmp_path / "models" / "metrics"
    order = BenchmarkOrder(tmp_path / "made", annotations)
    assert "--real" in told(order)["FVD"]
    save(Pictures(), metrics / INCEPTION)
    save(Videos(), metrics / I3D)
    assert set(told(order).values()) == {"give the real videos with --real."}
    assert "is not a folder" in told(BenchmarkOrder(order.videos, annotations, tmp_path / "none"))["FID"]
    (tmp_path / "real").mkdir()
    with_real = BenchmarkOrder(order.videos, annotations, tmp_path / "real")
    assert "There is no video in" in told(with_real)["FID"]
    (tmp_path / "real" / "x.mp4").write_text("no")
    assert "'x.mp4' is not a video" in told(with_real)["FID"]
    (tmp_path / "real" / "x.mp4").write_bytes(made[0].read_bytes())
    figures = evaluated(with_real)  # the broken one is named as failed, the other measured
    assert figures.fid == pytest.approx(0, abs=1e-6)
    assert "the real videos are too short or too few" in dict(figures.not_measured)["FVD"]
    for network, words in ((NoOptions(), "not used like the published"), (Odd(), "one row of features")):
        save(network, metrics / INCEPTION)
        assert words in told(with_real)["FID"]
    (metrics / INCEPTION).write_bytes(b"no network")
    assert "cannot be read as TorchScript" in told(with_real)["FID"]
