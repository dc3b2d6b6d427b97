"""Memory does not grow with the length of a talk: measured as the peak of a process of its own."""

import json
import multiprocessing
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut
from tiny_models import HEAD_DIM, write_tiny_checkpoints

from engine.demo import demo_dialogue
from engine.jobs.events import FrameReady
from engine.jobs.render_scene import render_take
from engine.media.importing import import_photo, import_recording
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.media.write import write_waveform
from engine.project.document import CastMember, Face, Part, RenderSettings, Speaker, Turn, VoiceFile
from engine.project.store import ProjectStore


def render_in(folder: Path, length_s: float) -> tuple[int, int]:
    """(frames, peak KiB) of a preview of ``length_s`` seconds: one face, one voice."""
    from PIL import Image

    os.environ["ROUNDTABLE_MODELS"] = str(folder / "models")
    Image.fromarray(astronaut()).save(folder / "photo.png")
    call = load_waveform(demo_dialogue(), 16000).samples[5 * 16000 :]
    talk = np.tile(call, 3)[: round(length_s * 16000)]
    write_waveform(folder / f"talk-{length_s:g}.wav", Waveform(talk, 16000))
    settings = RenderSettings(
        kind="preview", model="anytalker-1.3b", height=128, aspect="1:1", frame_rate=8, num_inference_steps=1,
        window=17, overlap=5, guidance_scale=1, captions="none", quantization="none",
    )  # fmt: skip
    with ProjectStore.create(folder / f"project-{length_s:g}") as store:
        project = store.load()
        scene = project.scene
        scene.photo = import_photo(store, folder / "photo.png")
        recording = import_recording(store, folder / f"talk-{length_s:g}.wav")
        scene.voices = [VoiceFile(speaker_id="one", media=recording)]
        scene.speakers = [Speaker(id="one", name="One")]
        scene.faces = [Face(id="face-1", name="One", colour="#fff", box_px=(170, 50, 280, 200))]
        scene.turns = [Turn(speaker_id="one", start_s=0, end_s=1.5)]  # lips are read for captions only
        scene.cast = [CastMember(face_id="face-1", speaker_id="one", part=Part.TALKS)]
        frames = sum(isinstance(event, FrameReady) for event in render_take(store, project, settings))
    return frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.slow
def test_three_times_as_long_a_talk_takes_the_same_memory(tmp_path: Path) -> None:
    write_tiny_checkpoints(tmp_path / "models")
    note = {"_class_name": "AnyTalkerTransformer3DModel", "attention_head_dim": HEAD_DIM}
    (tmp_path / "models" / "AnyTalker" / "config.json").write_text(json.dumps(note))
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as apart:
        (short, short_peak), (long, long_peak) = [apart.apply(render_in, (tmp_path, length)) for length in (4.0, 12.0)]
    assert (short, long) == (32, 96)
    print(f"peak {short_peak / 1024:.0f} MiB for {short} frames, {long_peak / 1024:.0f} MiB for {long}")
    assert long_peak < 1.1 * short_peak
