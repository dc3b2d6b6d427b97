"""A real photo and a real talk: is the right mouth open at the right time, and are listeners alive but silent?

Measured on the finished video as AnyTalker's own output is: mouth opening of the mesh against the energy of each clean
voice. The targets are the project's own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from engine.evaluation.interactivity import face_boxes, interactivity
from engine.evaluation.mouths import TrackedFaces, judge_mouths, track_faces
from engine.jobs.analyse import add_dialogue, add_photo, analyse
from engine.jobs.events import TakeDone
from engine.jobs.render_scene import render_take
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.project.document import CastMember, RenderSettings
from engine.project.store import ProjectStore

pytestmark = pytest.mark.slow
SWITCH_S = 4.533  # the right one speaks first, then the left one (the talk's own annotation)


@dataclass(frozen=True)
class Rendered:
    frames: list[np.ndarray]
    faces: TrackedFaces
    voices: list[Waveform]
    speaking: list[np.ndarray]


@pytest.fixture(scope="module")
def rendered(shared_media: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    folder = tmp_path_factory.mktemp("pair")
    paths = [shared_media("dialogues", f"talk_11_{side}.flac") for side in ("left", "right")]
    left, right = (soundfile.read(path)[0] for path in paths)
    soundfile.write(folder / "talk.wav", left + right, soundfile.info(paths[0]).samplerate, "FLOAT")
    with ProjectStore.create(folder / "pair") as store:
        project = store.load()
        add_photo(store, project, shared_media("photos", "pair_sofa.png"))
        add_dialogue(store, project, folder / "talk.wav")
        list(analyse(store, project))
        scene = project.scene
        assert len(scene.faces) == len(scene.speakers) == 2
        scene.cast = [
            CastMember(face_id=scene.faces[side].id, speaker_id=scene.speakers[1 - side].id, part="talks")
            for side in (0, 1)
        ]
        *_, done = render_take(store, project, RenderSettings())
        assert isinstance(done, TakeDone)
        with av.open(str(done.video_path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    at_s = (np.arange(len(frames)) + 0.5) / 25
    voices = [load_waveform(path, 16000) for path in paths]
    return Rendered(frames, track_faces(frames), voices, [at_s > SWITCH_S, at_s <= SWITCH_S])


def test_each_mouth_follows_its_own_voice(rendered: Rendered) -> None:
    for report in judge_mouths(rendered.faces.opening, rendered.voices, rendered.speaking, 25):
        assert report.own.r >= 0.78
        assert abs(report.own.lag_frames) <= 1
        assert report.other_r < 0
        assert report.silent_over_speaking <= 0.10


def test_a_silent_mouth_varies_by_less_than_5_percent_of_the_speaking_one(rendered: Rendered) -> None:
    for mouth, speaking in zip(rendered.faces.opening.T, rendered.speaking, strict=True):
        settled = ~speaking & ~np.roll(speaking, 6) & ~np.roll(speaking, -6)  # not the moment in which it closes
        assert mouth[settled].var() < 0.05 * mouth[speaking].var()


def test_listeners_are_as_alive_as_people_are(rendered: Rendered) -> None:
    points = rendered.faces.points_px
    listening = ~np.stack(rendered.speaking, axis=1)
    assert 0.5 <= interactivity(points, face_boxes(rendered.frames, points), listening) <= 1.2
