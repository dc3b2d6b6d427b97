"""How fast the animatic is on this machine, and whether its memory stays flat. Figures are printed, never asserted."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from engine.cast.timeline import talking_s
from engine.demo import compose_group_photo, demo_dialogue, demo_tiles
from engine.jobs.analyse import add_dialogue, add_photo, analyse
from engine.jobs.render_scene import render_take
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.media.write import write_waveform
from engine.project.document import Project, RenderSettings
from engine.project.store import ProjectStore

SIZE = (832, 480)
TWO_TALKERS = (0, 4)  # the demo's two who talk


def bench_animatic(seconds: float = 20.0, memory: bool = False) -> None:
    """Print seconds of computing per second of 832x480, 25 fps video for 2 and for 6 people, and memory on request."""
    print(f"{os.cpu_count()} cores. Whole render of {seconds:g} s of video: voices, lips, frames, encoding.")
    print(f"{'people':>6} {'first render':>13} {'second':>7}   s of computing per s of video")
    with tempfile.TemporaryDirectory() as scratch:
        for num_people in (2, 6):
            with ProjectStore.create(Path(scratch) / str(num_people), "bench") as store:
                project = store.load()
                _fill(store, project, num_people, seconds)
                first, second = (_timed(store, project, seconds) for _ in range(2))
            print(f"{num_people:>6} {first / seconds:>13.2f} {second / seconds:>7.2f}")
    if memory:
        _compare_memory()


def _picture(num_people: int) -> PilImage.Image:
    photo = PilImage.fromarray(compose_group_photo().rgb)
    if num_people == 2:
        tiles = [demo_tiles()[index] for index in TWO_TALKERS]
        pair = PilImage.new("RGB", (tiles[0].width_px * 2, tiles[0].height_px))
        for index, tile in enumerate(tiles):
            box = (tile.x_px, tile.y_px, tile.x_px + tile.width_px, tile.y_px + tile.height_px)
            pair.paste(photo.crop(box), (index * tile.width_px, 0))
        photo = pair
    return photo.resize(SIZE, PilImage.Resampling.LANCZOS)


def _fill(store: ProjectStore, project: Project, num_people: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        picture, sound = Path(scratch) / "people.png", Path(scratch) / "talk.wav"
        _picture(num_people).save(picture)
        sample = load_waveform(demo_dialogue(), 16_000)
        repeats = int(np.ceil(seconds / sample.duration_s))
        write_waveform(sound, Waveform(np.tile(sample.samples, repeats)[: round(seconds * 16_000)], 16_000))
        add_photo(store, project, picture)
        add_dialogue(store, project, sound)
    for _ in analyse(store, project, num_speakers=2):
        pass


def _timed(store: ProjectStore, project: Project, seconds: float) -> float:
    started = time.perf_counter()
    with closing(render_take(store, project, RenderSettings(height=SIZE[1]))) as events:
        for _ in events:
            pass
    return time.perf_counter() - started


def _compare_memory() -> None:
    print("\nPeak memory of the rendering process, MiB")
    peaks = []
    for seconds in (30, 600):
        code = f"from engine.bench.animatic import render_and_report; render_and_report({seconds})"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        peaks.append(float(done.stdout.split()[-1]))
        print(f"{seconds:>6} s of dialogue: {peaks[-1]:.0f}", flush=True)
    print(f"ratio {peaks[1] / peaks[0]:.2f}")


def render_and_report(seconds: float) -> None:
    """Render in this process and print its peak memory in MiB; analysis runs in a process of its own before."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bench"
        code = f"from engine.bench.animatic import make; make({str(folder)!r}, {seconds})"
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        with ProjectStore.open(folder) as store:
            project = store.load()
            assert talking_s(project.scene.turns)
            _timed(store, project, seconds)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def make(folder: str, seconds: float) -> None:
    """A project of two people with ``seconds`` of dialogue, analysed."""
    with ProjectStore.create(Path(folder), "bench") as store:
        project = store.load()
        _fill(store, project, 2, seconds)
