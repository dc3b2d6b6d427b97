"""A saved plan becomes a take: the same for the page and the command line."""

import shutil
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engine import __version__
from engine.cast.suggest import check
from engine.compositing.captions import write_captions
from engine.compositing.mix import VoiceSound, cut_recording, mix_voices
from engine.compositing.provenance import marked_encoding
from engine.dit.catalogue import find_lora, find_model
from engine.errors import NoFacesFound, NoSpeechFound, RenderCancelled, StudioError, WriteFailed
from engine.jobs import evidence
from engine.jobs.control import Control
from engine.jobs.events import FrameReady, RenderEvent, StageProgress, TakeBegun, TakeDone
from engine.jobs.frames import Footage, plain_footage, planned, take_cues
from engine.jobs.model_settings import settings_of_model
from engine.jobs.scene_plan import ScenePlan
from engine.media.limits import MIN_RECORDING_S
from engine.media.remux import copy_video
from engine.media.write import Encoding, VideoWriter
from engine.project.atomic import PART_SUFFIX, whole_file
from engine.project.document import Part, Project, RenderSettings, Scene, Take, TakeKind, TakeStatus
from engine.project.store import ProjectFiles, ProjectStore
from engine.project.takes import inputs_sha256, rendering, write_take


def render_take(
    store: ProjectStore, project: Project, settings: RenderSettings, num_gpus: int = 1
) -> Generator[RenderEvent, None, None]:
    """Render ``project`` into a new take and keep it in the project, which is saved at the start and at the end.

    Closing the generator cancels: the take is marked so, and the project is as it was otherwise.
    Raises the errors of ``cast.check`` before anything is computed, ModelMissing for a kind that cannot be rendered
    here, NoFacesFound, NoSpeechFound, UnreadableMedia, WriteFailed; the take then says "failed" and why.
    """
    settings = settings_of_model(settings)
    scene = project.scene.model_copy(update={"settings": settings, "takes": []}, deep=True)
    ready_to_render(scene, settings)
    take = Take(settings=settings, engine_version=__version__, inputs_sha256=inputs_sha256(scene, settings))
    before = project.scene.takes
    project.scene.takes = [*before, take]
    try:
        store.save(project)
    except WriteFailed:
        project.scene.takes = before
        raise
    take = project.scene.takes[-1]
    started = time.monotonic()
    try:
        with rendering(store.take_folder(take.id)):
            with closing(render_snapshot(store, scene, take, num_gpus=num_gpus)) as events:
                yield from events
            take.status, take.compute_s = "done", round(time.monotonic() - started, 2)
            write_take(store.take_folder(take.id), take, scene)
            store.save(project)
            yield TakeDone(take.id, store.folder / take.video_path)
    except (GeneratorExit, KeyboardInterrupt, RenderCancelled):
        _end(store, project, take, "cancelled", "Cancelled.")
        raise
    except StudioError as error:
        _end(store, project, take, "failed", str(error))
        raise
    except Exception as error:
        _end(store, project, take, "failed", f"{type(error).__name__}: {error}")
        raise


def _end(store: ProjectStore, project: Project, take: Take, status: TakeStatus, message: str) -> None:
    if take.status == "done":  # closed after the last event: nothing was lost
        return
    take.status, take.message = status, message
    store.save(project)


def ready_to_render(scene: Scene, settings: RenderSettings) -> None:
    """Refuse at once what cannot work. Raises as ``render_take`` says."""
    if settings.kind is not TakeKind.ANIMATIC:
        find_model(settings.model)
        if settings.lora:
            find_lora(settings.lora)
    if not scene.faces:
        raise NoFacesFound("The project has no faces.", "Add a photo with faces, or draw a box around each face.")
    if not scene.turns:
        raise NoSpeechFound("Nobody speaks in this project.", "Add a recording and let it be analysed.")
    check(scene)
    for label, bound in zip(("starts", "ends"), settings.range_s or (), strict=False):
        if not 0 <= bound <= evidence.duration_s(scene) + 0.05:
            raise StudioError(
                f"The range {label} at {bound:g} s; the recording is {evidence.duration_s(scene):.1f} s long.",
                "Choose a range inside the recording.",
            )
    if settings.range_s and settings.range_s[1] - settings.range_s[0] < MIN_RECORDING_S:
        raise StudioError(f"The range is shorter than {MIN_RECORDING_S} s.", "Choose a longer one.")


def render_snapshot(
    files: ProjectFiles, scene: Scene, take: Take, control: Control | None = None, num_gpus: int = 1
) -> Generator[RenderEvent, None, None]:
    """Render ``scene`` (a snapshot with its settings) into the folder of ``take``: the video and its captions.

    Nothing of the project but its media, its cache and this take's folder is touched, and no lock is asked for. What
    the render found out is noted in ``take``; its status is the caller's. ``control`` is heard between the events:
    asked to keep, the video ends with the frames that there are. Raises what ``render_take`` does, and RenderCancelled.
    """
    yield from _Rendering(files, scene, take, control or Control(), num_gpus).events()


@dataclass
class _Rendering:
    """One take in the making."""

    files: ProjectFiles
    scene: Scene
    take: Take
    control: Control
    num_gpus: int

    def events(self) -> Generator[RenderEvent, None, None]:
        settings, take = self.scene.settings, self.take
        plan = yield from self._planned()
        footage = self._footage(plan)
        take.model, take.message = settings.model, _unmoved(plan)
        folder = self.files.take_folder(take.id)
        video = folder / "video.mp4"
        with _sound_of(self.files, footage.sound_scene, footage.sound_range_s, folder) as sound:
            yield TakeBegun(footage.num_frames, settings.frame_rate, sound)
            num_frames = yield from self._written(plan, footage, video, sound)
        if num_frames < footage.num_frames:
            self._cut_sound(footage, num_frames, video)
            whole_s, there_s = (count / settings.frame_rate for count in (footage.num_frames, num_frames))
            take.message = f"{take.message} Stopped after {there_s:.1f} s of {whole_s:.1f} s.".strip()
        else:
            footage.forget()
        if settings.captions != "none":
            write_captions(video, take_cues(plan, footage.range_s(num_frames)))
        take.video_path = video.relative_to(self.files.folder).as_posix()
        take.duration_s = round(num_frames / settings.frame_rate, 3)

    def _planned(self) -> Generator[StageProgress, None, ScenePlan]:
        steps = planned(self.files, self.scene, self.scene.settings)
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            if self.control.keep_now():
                raise _nothing_to_keep()
            yield step

    def _footage(self, plan: ScenePlan) -> Footage:
        if not self.take.redo_of:
            return plain_footage(self.files, plan, self.take, self.num_gpus)
        from engine.jobs.redo import redone_footage

        return redone_footage(self.files, plan, self.take, self.num_gpus)

    def _written(
        self, plan: ScenePlan, footage: Footage, video: Path, sound: Path
    ) -> Generator[RenderEvent, None, int]:
        """Writes the video, with the whole sound; how many frames it has."""
        index = 0
        with (
            VideoWriter(video, plan.framing.size, plan.settings.frame_rate, sound, self._encoding(footage)) as writer,
            ThreadPoolExecutor(max_workers=1) as behind,  # one frame is written while the next one is drawn
            closing(footage.frames) as steps,
        ):
            written: Future[None] = behind.submit(lambda: None)
            for made in steps:
                if isinstance(made, RenderEvent):
                    yield made
                else:
                    written.result()
                    written = behind.submit(writer.write, made)
                    yield FrameReady(index, made)
                    index += 1
                if index < footage.num_frames and self.control.keep_now():
                    break
            written.result()
            if index == 0:
                raise _nothing_to_keep()
            yield StageProgress("finish", "Finishing the file", index, index)
        return index

    def _cut_sound(self, footage: Footage, num_frames: int, video: Path) -> None:
        """The sound of a video that was stopped ends with its pictures."""
        with _sound_of(self.files, footage.sound_scene, footage.range_s(num_frames), video.parent) as sound:
            copy_video(video, video, self._encoding(footage), sound)

    def _encoding(self, footage: Footage) -> Encoding:
        encoding = marked_encoding(self.files.folder.name, __version__, self.take.model)
        return replace(encoding, format=footage.format)


def _nothing_to_keep() -> RenderCancelled:
    return RenderCancelled("Stopped before the first frame was finished: there is nothing to keep.")


@contextmanager
def _sound_of(files: ProjectFiles, scene: Scene, range_s: tuple[float, float] | None, folder: Path) -> Iterator[Path]:
    """The sound of a take: the recording itself, its rendered part, or the voice files put together."""
    part = folder / f".sound.wav{PART_SUFFIX}"  # named as unfinished: a killed render's is cleared at the next start
    try:
        if scene.dialogue:
            yield cut_recording(files.path_of(scene.dialogue), part, range_s)
        else:
            gains = {member.speaker_id: member.gain_db for member in scene.cast}
            voices = [
                VoiceSound(files.path_of(voice.media), gains.get(voice.speaker_id, 0.0)) for voice in scene.voices
            ]
            yield mix_voices(voices, part, range_s)
    finally:
        part.unlink(missing_ok=True)


def _unmoved(plan: ScenePlan) -> str:
    """A sentence about people who have a part but cannot be moved, because no mesh fits their face; "" for none."""
    if plan.settings.kind is not TakeKind.ANIMATIC:  # needs no mesh
        return ""
    names = [s.face.name for s in plan.streams if s.detail is None and s.part is not Part.STILL]
    return f"No features were found in {' and '.join(names)}, who will not move. Draw the box anew." if names else ""


def export(video: Path, target: Path) -> list[Path]:
    """Copy a take's video to ``target`` (an .mp4), and the captions beside it. Raises WriteFailed."""
    written = []
    for source in [video, video.with_suffix(".srt"), video.with_suffix(".vtt")]:
        if source.exists():
            place = target if source is video else target.with_suffix(source.suffix)
            with whole_file(place) as part:
                shutil.copyfile(source, part)
            written.append(place)
    return written
