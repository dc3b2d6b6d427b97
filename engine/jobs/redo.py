"""A take once more, with a part of it made anew: the rest is the old video's own pictures, blended in at both ends."""

import contextlib
import hashlib
import json
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine import __version__
from engine.errors import ProjectDamaged, StudioError
from engine.jobs.animate import Frame, animate, passing, performances_of
from engine.jobs.events import RenderEvent, StageProgress
from engine.jobs.frames import Footage, Frames, Overlay, planned
from engine.jobs.job import JOB_NAME
from engine.jobs.scene_plan import ScenePlan, frame_for
from engine.jobs.window_store import windows_of
from engine.media.formats import H264
from engine.media.frames import VideoInside, frames_of, look_into
from engine.project.document import RenderSettings, Scene, Take, TakeKind
from engine.project.store import ProjectFiles
from engine.project.takes import TakeRecord, read_take

BLEND_S = 0.3
MIN_REDO_S = 0.2
FINER = replace(H264, video_arguments=("-preset", "veryfast", "-crf", "12", "-profile:v", "high"))
"""Old pictures are compressed once more: at the usual quality one would see it after a few redos of redos."""
MAX_SEED = 2**32 - 1


def redo_settings(
    files: ProjectFiles, scene: Scene, take_id: str, range_s: tuple[float, float] | None
) -> tuple[RenderSettings, tuple[float, float]]:
    """Settings for a redo of ``range_s`` (in the recording's time) of a take: its own with the next seed, and the part
    of the range that the take shows.

    Raises StudioError where the take's video is gone, it shows other media or another part, or nothing is to redo.
    """
    old, video = _old_take(files, take_id)
    _check_same_media(scene, old.scene)
    settings = old.take.settings.model_copy(update={"seed": _next_seed(files, old.take)}, deep=True)
    _check_same_frame(scene, old, settings)
    start_s = settings.range_s[0] if settings.range_s else 0.0
    inside = look_into(video)
    end_s = start_s + inside.num_frames / settings.frame_rate
    wanted = range_s or (start_s, end_s)
    shown = max(wanted[0], start_s), min(wanted[1], end_s)
    if shown[1] - shown[0] < MIN_REDO_S:
        raise StudioError(
            f"The take shows {start_s:.1f} to {end_s:.1f} s of the recording; there is nothing to redo in "
            f"{wanted[0]:.1f} to {wanted[1]:.1f} s.",
            "Choose a turn that the take shows.",
        )
    return settings, shown


def redone_footage(files: ProjectFiles, plan: ScenePlan, take: Take, num_gpus: int = 1) -> Footage:
    """The old take's pictures and sound, and new ones in ``take.redo_range_s``. Raises as ``redo_settings`` does."""
    old, video = _old_take(files, take.redo_of)
    _check_same_media(plan.scene, old.scene)
    _check_same_frame(plan.scene, old, plan.settings)
    inside = look_into(video)
    if inside.size != plan.framing.size:
        raise StudioError("The old take has another size than its settings say.", "Render the whole again.")
    num_frames = min(inside.num_frames, plan.num_frames)
    rate, start_s = plan.settings.frame_rate, plan.range_s[0]
    renewed = Renewed.of(take.redo_range_s or plan.range_s, start_s, rate, num_frames)
    redo = _Redo(files, plan, take, old, video, inside, renewed, num_gpus)
    whole = num_frames == plan.num_frames
    return Footage(
        redo.frames(),
        num_frames,
        rate,
        start_s,
        old.scene,  # gains and all: everything but the pictures of the part is the old take's
        plan.settings.range_s if whole else (start_s, start_s + num_frames / rate),
        lambda: windows_of(files, redo.renewed_take()).clear(),
        FINER,
    )


@dataclass(frozen=True)
class Renewed:
    """The frames first..end of a take that are made anew: the first ``rise`` blend in, the last ``fall`` out."""

    first: int
    rise: int
    fall: int
    end: int

    @staticmethod
    def of(range_s: tuple[float, float], start_s: float, frame_rate: float, num_frames: int) -> "Renewed":
        """Blended outside of the range: all of it is new."""
        low = min(max(0, round((range_s[0] - start_s) * frame_rate)), num_frames - 1)
        high = min(max(low + 1, round((range_s[1] - start_s) * frame_rate)), num_frames)
        blend = round(BLEND_S * frame_rate)
        rise, fall = min(blend, low), min(blend, num_frames - high)
        return Renewed(low - rise, rise, fall, high + fall)

    def share(self, index: int) -> float:
        """How much of frame ``index`` is new, 0..1."""
        into, out = (index - self.first + 1) / (self.rise + 1), (self.end - index) / (self.fall + 1)
        return min(1.0, into if self.rise else 1.0, out if self.fall else 1.0)

    def eased(self, num_frames: int) -> NDArray[np.float32]:
        """(num_frames,) the shares of all frames, rising and falling without a jolt; 0 outside."""
        shares = np.zeros(num_frames, np.float32)
        shares[self.first : self.end] = [self.share(index) for index in range(self.first, self.end)]
        return shares * shares * (3 - 2 * shares)


@dataclass(frozen=True)
class _Redo:
    files: ProjectFiles
    plan: ScenePlan
    take: Take
    old: TakeRecord
    video: Path
    inside: VideoInside
    renewed: Renewed
    num_gpus: int

    def frames(self) -> Frames:
        overlay, renewed = Overlay.of(self.plan), self.renewed
        with frames_of(self.video, self.inside) as old:
            for _ in range(renewed.first):
                yield next(old)
            held = [next(old) for _ in range(self._num_known())]
            index = renewed.first
            with contextlib.closing(self._new(held)) as steps:
                for made in steps:
                    if isinstance(made, RenderEvent):
                        yield made
                        continue
                    before = held[index - renewed.first] if index - renewed.first < len(held) else next(old)
                    yield _blended(before, overlay.drawn(made, index), renewed.share(index))
                    index += 1
            yield from old

    def _new(self, held: list[Frame]) -> Frames:
        """The frames renewed.first..renewed.end as they are made, with progress between them."""
        if self.plan.settings.kind is TakeKind.ANIMATIC:
            yield from self._animated()
        else:
            yield from self._diffused(held)

    def _animated(self) -> Frames:
        # Everybody performs the whole take, so that they come from somewhere and go on; only the part is drawn.
        indexes = range(self.renewed.first, self.renewed.end)
        performances = performances_of(self.plan)
        if self.old_is_known:
            then = yield from planned(self.files, self.old.scene, self.old.take.settings)
            shares = self.renewed.eased(self.plan.num_frames)
            pairs = zip(performances_of(then), performances, strict=True)
            performances = [passing(old, new, shares) for old, new in pairs]
        for done, frame in enumerate(animate(self.plan, indexes, performances), 1):
            yield frame
            yield StageProgress("render", "Rendering", done, len(indexes))

    @property
    def old_is_known(self) -> bool:
        """Whether what the faces of the old take do can be worked out: they then move over to the new, and the two
        pictures that are blended show nearly the same."""
        take = self.old.take
        same_faces = [face.id for face in self.old.scene.faces] == [face.id for face in self.plan.scene.faces]
        return take.settings.kind is TakeKind.ANIMATIC and same_faces and not take.redo_of and _is_ours(take)

    def _diffused(self, held: list[Frame]) -> Frames:
        from engine.jobs.diffuse import diffuse

        renewed_take = self.renewed_take()
        plan = yield from self._renewed_plan(renewed_take.settings)
        before = np.stack(held) if held else None
        for step in _exactly(
            diffuse(self.files, plan, renewed_take, self.num_gpus, before), self.renewed.end - self.renewed.first
        ):
            self.take.weights_sha256, self.take.message = renewed_take.weights_sha256, renewed_take.message
            yield step

    def _renewed_plan(self, settings: RenderSettings) -> Generator[StageProgress, None, ScenePlan]:
        scene = self.plan.scene.model_copy(update={"settings": settings})
        return (yield from planned(self.files, scene, settings))

    def renewed_take(self) -> Take:
        """The part as a take of its own: its windows are kept under this name."""
        rate, start_s = self.plan.settings.frame_rate, self.plan.range_s[0]
        range_s = (start_s + self.renewed.first / rate, start_s + self.renewed.end / rate)
        decides = f"{self.take.inputs_sha256} {self.take.redo_of} {self.renewed}"
        return Take(
            settings=self.plan.settings.model_copy(update={"range_s": range_s}),
            inputs_sha256=hashlib.sha256(decides.encode()).hexdigest(),
            weights_sha256=self.take.weights_sha256,
        )

    def _num_known(self) -> int:
        """Frames of the old video that a diffusion goes on from: 4n+1, no more than it takes over between windows."""
        if self.plan.settings.kind is TakeKind.ANIMATIC or not self.renewed.rise:
            return 0
        most = min(self.plan.settings.overlap, self.renewed.rise, (self.renewed.end - self.renewed.first) // 2)
        return 4 * ((max(1, most) - 1) // 4) + 1


def _is_ours(take: Take) -> bool:
    return take.engine_version == __version__


def _exactly(frames: Frames, num_frames: int) -> Frames:
    """As many frames as that: where a rounded range has one less, the last one stands."""
    count, last = 0, None
    for each in frames:
        if not isinstance(each, np.ndarray):
            yield each
        elif count < num_frames:
            count, last = count + 1, each
            yield each
    while last is not None and count < num_frames:
        count += 1
        yield last


def _blended(old: NDArray[np.uint8], new: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    if share >= 1:
        return new
    return np.rint(old + np.float32(share) * (new.astype(np.float32) - old)).astype(np.uint8)


def _old_take(files: ProjectFiles, take_id: str) -> tuple[TakeRecord, Path]:
    """The record and the video of the take that is redone."""
    remedy = "Render the whole again."
    if not re.fullmatch(r"[\w-]{1,64}", take_id):
        raise ProjectDamaged(f"{take_id!r} cannot be the id of a take.", remedy)
    folder = files.takes_folder / take_id
    video = folder / "video.mp4"
    if not video.is_file():
        raise StudioError("The video of the take that is to be redone is gone.", remedy)
    old = read_take(folder)
    if old.take.status != "done":
        raise StudioError("The take that is to be redone was never finished.", remedy)
    return old, video


def _check_same_media(scene: Scene, old: Scene) -> None:
    for what, now, then in (
        ("photo", scene.photo, old.photo),
        ("recording", scene.dialogue, old.dialogue),
    ):
        if (now and now.sha256) != (then and then.sha256):
            raise StudioError(f"The take was made of another {what}.", "Render the whole again.")
    if {(v.speaker_id, v.media.sha256) for v in scene.voices} != {(v.speaker_id, v.media.sha256) for v in old.voices}:
        raise StudioError("The take was made of other recordings.", "Render the whole again.")


def _check_same_frame(scene: Scene, old: TakeRecord, settings: RenderSettings) -> None:
    info = scene.photo.info if scene.photo else None
    if info is None or not (info.width and info.height):
        return
    size = info.width, info.height
    if frame_for(size, scene, settings) != frame_for(size, old.scene, old.take.settings):
        raise StudioError("The faces have changed so that the picture is cut differently.", "Render the whole again.")


def _next_seed(files: ProjectFiles, take: Take) -> int:
    """Another seed for each redo of the same take, and for redos of these."""
    parents = dict(_parents(files.takes_folder))
    first = _first_of(take.id, parents)
    num_redos = sum(parent != "" and _first_of(take_id, parents) == first for take_id, parent in parents.items())
    base = take.settings.seed
    if first != take.id:
        with contextlib.suppress(StudioError):
            base = read_take(files.takes_folder / first).take.settings.seed
    seed = (base + num_redos + 1) % (MAX_SEED + 1)
    return seed if seed != take.settings.seed else (seed + 1) % (MAX_SEED + 1)


def _first_of(take_id: str, parents: dict[str, str]) -> str:
    seen = {take_id}
    while (parent := parents.get(take_id, "")) and parent not in seen:
        take_id = parent
        seen.add(parent)
    return take_id


def _parents(takes_folder: Path) -> Iterator[tuple[str, str]]:
    """(id, id of the take that it redoes or "") of everything ordered or rendered."""
    for note in takes_folder.glob(f"*/{JOB_NAME}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            yield note.parent.name, str(json.loads(note.read_bytes())["take"].get("redo_of", ""))
