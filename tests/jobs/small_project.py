"""What the tests of bad input share: a project of one face and two voices, and what is on its disk."""

from pathlib import Path

import numpy as np
import soundfile
from PIL import Image as PilImage

from engine.demo import demo_dialogue
from engine.jobs.analyse import add_dialogue, add_photo, analyse
from engine.jobs.render_scene import render_take
from engine.project.document import RenderSettings
from engine.project.store import ProjectStore

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000
SETTINGS = RenderSettings(height=256)
SHORT = RenderSettings(height=256, range_s=(0.0, 0.6))


def portrait() -> np.ndarray:
    from skimage.data import astronaut

    return np.asarray(astronaut())


def talk(start_s: float, end_s: float) -> np.ndarray:
    samples, rate = soundfile.read(demo_dialogue())
    assert rate == RATE
    return samples[int(start_s * rate) : int(end_s * rate)]


def make_project(folder: Path) -> Path:
    """A project of one face and two voices, analysed, with one finished take of 0.6 s."""
    PilImage.fromarray(portrait()).save(folder / "photo.png")
    soundfile.write(folder / "call.wav", talk(5, 12), RATE)
    with ProjectStore.create(folder / "project", "Ours") as store:
        project = store.load()
        add_photo(store, project, folder / "photo.png")
        add_dialogue(store, project, folder / "call.wav")
        list(analyse(store, project, num_speakers=2))
        list(render_take(store, project, SHORT))
    return folder / "project"


def on_disk(folder: Path) -> dict[str, bytes]:
    """Every file that holds work: all but the cache and the locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != "cache" and "lock" not in path.name
    }


def unfinished(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if ".part" in path.name]
