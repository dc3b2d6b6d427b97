"""Small projects that are analysed once: for the queue, the worker and the redo of turns; for bad input."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image as PilImage
from small_project import make_project

from engine.demo import demo_dialogue
from engine.jobs.analyse import add_dialogue, add_photo, analyse
from engine.jobs.scene_plan import plan_scene
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.media.write import write_waveform
from engine.project.store import ProjectStore


@pytest.fixture(scope="session")
def astronaut_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved project, closed: one face, one voice, 4 seconds; everything that a render needs is in its cache."""
    from skimage.data import astronaut

    folder = tmp_path_factory.mktemp("astronaut")
    PilImage.fromarray(astronaut()).save(folder / "photo.png")
    call = load_waveform(demo_dialogue(), 16000)
    write_waveform(folder / "call.wav", Waveform(call.samples[int(6.5 * 16000) : int(10.5 * 16000)], 16000))
    with ProjectStore.create(folder / "project", "Astronaut") as store:
        project = store.load()
        add_photo(store, project, folder / "photo.png")
        add_dialogue(store, project, folder / "call.wav")
        list(analyse(store, project, num_speakers=1))
        store.save(project)
        list(plan_scene(store, project.scene, project.scene.settings))
    return folder / "project"


@pytest.fixture(scope="session")
def copied(astronaut_project: Path) -> Callable[[Path], Path]:
    """Makes a copy of the project, as a project of its own."""
    return lambda target: Path(shutil.copytree(astronaut_project, target))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("bad"))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of its own, at a place with an awkward name."""
    return Path(shutil.copytree(made, tmp_path / "a 'b' $(c) ü"))


@pytest.fixture
def store(folder: Path) -> Iterator[ProjectStore]:
    with ProjectStore.open(folder) as store:
        yield store
