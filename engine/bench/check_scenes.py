"""The scenes that faults are put into: animatics of photos and talks, each also with its voices swapped."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image as PilImage

from engine.analysis.faces import default_analyser, detect_faces
from engine.bench.check_faults import Frame, Points
from engine.demo import compose_group_photo, demo_dialogue, demo_tiles
from engine.evaluation.scene import Expected
from engine.evaluation.video import frames_of, look_at
from engine.evaluation.watching import KnownPerson, Watched, watch
from engine.jobs.analyse import add_dialogue, add_photo, add_voices, analyse
from engine.jobs.check_take import expected_of, known_people, own_sound, video_of
from engine.jobs.render_scene import render_take
from engine.media.read import load_image
from engine.project.document import Project, RenderSettings, Scene, Take
from engine.project.store import ProjectFiles, ProjectStore

PHOTOS = ("pair_sofa", "pair_news", "pair_car")
TALKS = (1, 2, 3, 4, 5, 6, 11)
DONORS = ("single_hat", "pair_sofa", "pair_news", "pair_car")
# Nothing was set by looking at these: pairs of the demo's portraits, and parts (s) of its telephone call.
HELD_OUT_PAIRS = ((0, 1), (2, 3), (4, 5))
HELD_OUT_PARTS_S = ((6.5, 14.0), (14.0, 21.5), (21.5, 29.5))


@dataclass(frozen=True)
class Base:
    """One animatic of a photo and a talk; ``swapped``: each mouth was given the other's voice."""

    store: ProjectFiles
    scene: Scene
    take: Take
    swapped: bool

    @cached_property
    def known(self) -> list[KnownPerson]:
        return known_people(self.store, self.scene, self.take, look_at(video_of(self.store, self.take)))

    @cached_property
    def expected(self) -> Expected:
        expected = expected_of(self.store, self.scene, self.take)
        return replace(expected, sound=own_sound(look_at(video_of(self.store, self.take))))

    @cached_property
    def watched(self) -> Watched:
        return watched_in(video_of(self.store, self.take), self.known)

    def frames(self, first: int, last: int) -> list[Frame]:
        facts = look_at(video_of(self.store, self.take))
        return list(islice(frames_of(facts), first, last))


def watched_in(video: Path, known: Sequence[KnownPerson]) -> Watched:
    facts = look_at(video)
    *_, watched = watch(frames_of(facts), known, facts.frame_rate, default_analyser())
    assert isinstance(watched, Watched)
    return watched


@dataclass
class Bench:
    """``media``: photos/, dialogues/, videos/. ``folder`` keeps the animatics for the next run."""

    media: Path
    folder: Path
    bases: list[Base] = field(default_factory=list)
    held_out: bool = False
    _donors: dict[str, list[tuple[Frame, Points]]] = field(default_factory=dict)

    def prepare(self, talks: Sequence[int], photos: Sequence[str] = PHOTOS) -> None:
        for photo in photos:
            for talk in talks:
                self.bases += self._bases_of(photo, talk)

    def prepare_held_out(self) -> None:
        for pair in HELD_OUT_PAIRS:
            for number, part_s in enumerate(HELD_OUT_PARTS_S):
                name = f"held_out_{pair[0]}_{pair[1]}_{number}"
                self.bases += self._made(name, number, partial(_bring_held_out, pair, part_s))

    def _bases_of(self, photo: str, talk: int) -> list[Base]:
        def bring(store: ProjectStore, project: Project) -> None:
            add_photo(store, project, self.media / "photos" / f"{photo}.png")
            add_voices(store, project, voices_of(self.media, talk))

        return self._made(f"{photo}_{talk}", talk, bring)

    def _made(self, name: str, seed: int, bring: Callable[[ProjectStore, Project], None]) -> list[Base]:
        """The two animatics of a scene, drawn where they are not kept from an earlier run."""
        folder = self.folder / name
        made = (folder / "project.json").exists()
        with ProjectStore.open(folder) if made else ProjectStore.create(folder) as store:
            project = store.load()
            if len(project.scene.takes) < 2:
                bring(store, project)
                list(analyse(store, project, num_speakers=2 if self.held_out else None))
                list(render_take(store, project, RenderSettings(seed=seed)))
                _swap(project.scene)
                list(render_take(store, project, RenderSettings(seed=seed + 100)))
                _swap(project.scene)
                store.save(project)
        own, swapped = project.scene.takes[:2]
        scene = project.scene.model_copy(update={"takes": []})
        return [Base(ProjectFiles(folder), scene, own, False), Base(ProjectFiles(folder), scene, swapped, True)]

    def pair(self, rng: np.random.Generator) -> tuple[Base, Base]:
        """One scene's sound animatic, and the one with its voices swapped."""
        index = 2 * int(rng.integers(len(self.bases) // 2))
        return self.bases[index], self.bases[index + 1]

    def donor(self, rng: np.random.Generator, not_from: str) -> tuple[Frame, Points]:
        """A face of another photo."""
        name = rng.choice([donor for donor in DONORS if donor not in not_from])
        if name not in self._donors:
            photo = load_image(self.media / "photos" / f"{name}.png")
            found = detect_faces(photo, default_analyser())
            self._donors[name] = [(photo.rgb, detail.points_px) for detail in found.details.values()]
        faces = self._donors[name]
        return faces[int(rng.integers(len(faces)))]


def voices_of(media: Path, talk: int) -> list[tuple[str, Path]]:
    return [(side.title(), media / "dialogues" / f"talk_{talk}_{side}.flac") for side in ("left", "right")]


def _bring_held_out(pair: tuple[int, int], part_s: tuple[float, float], store: ProjectStore, project: Project) -> None:
    """Two of the demo's tiles side by side, and a part of its call."""
    picture, tiles = compose_group_photo().rgb, demo_tiles()
    two = [picture[t.y_px : t.y_px + t.height_px, t.x_px : t.x_px + t.width_px] for t in (tiles[i] for i in pair)]
    sound, rate = soundfile.read(demo_dialogue(), dtype="float32")
    with tempfile.TemporaryDirectory() as scratch:
        photo, talk = Path(scratch) / "pair.png", Path(scratch) / "call.wav"
        PilImage.fromarray(np.hstack(two)).save(photo)
        soundfile.write(talk, sound[round(part_s[0] * rate) : round(part_s[1] * rate)], rate)
        add_photo(store, project, photo)
        add_dialogue(store, project, talk)


def _swap(scene: Scene) -> None:
    ids = [member.speaker_id for member in scene.cast]
    scene.cast = [m.model_copy(update={"speaker_id": i}) for m, i in zip(scene.cast, reversed(ids), strict=True)]
