"""A saved plan becomes a take: the same for the page and the command line."""

import shutil
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from engine import __version__
from engine.analysis.types import Word
from engine.cast.suggest import check
from engine.compositing.captions import CaptionPainter, Cue, make_cues, speaker_colours, write_captions
from engine.compositing.mix import VoiceSound, cut_recording, mix_voices
from engine.compositing.provenance import draw_mark, marked_encoding
from engine.dit.catalogue import find_lora, find_model
from engine.errors import NoFacesFound, NoSpeechFound, RenderCancelled, StudioError, WriteFailed
from engine.jobs import evidence
from engine.jobs.animate import Frame, animate
from engine.jobs.events import FrameReady, RenderEvent, StageProgress, TakeDone
from engine.jobs.scene_plan import ScenePlan, plan_scene
from engine.jobs.window_store import windows_of
from engine.media.limits import MIN_RECORDING_S
from engine.media.write import VideoWriter
from engine.project.atomic import PART_SUFFIX, whole_file
from engine.project.document import Part, Project, RenderSettings, Scene, Take, TakeKind, TakeStatus
from engine.project.store import ProjectStore
from engine.project.takes import inputs_sha256, rendering, write_take


def render_take(
    store: ProjectStore, project: Project, settings: RenderSettings, num_gpus: int = 1
) -> Generator[RenderEvent, None, None]:
    """Render ``project`` into a new take and keep it in the project, which is saved at the start and at the end.

    Closing the generator cancels: the take is marked so, and the project is as it was otherwise.
    Raises the errors of ``cast.check`` before anything is computed, ModelMissing for a kind that cannot be rendered
    here, NoFacesFound, NoSpeechFound, UnreadableMedia, WriteFailed; the take then says "failed" and why.
    """
    settings = settings.model_copy(deep=True)
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
            with closing(_render(store, scene, take, num_gpus)) as events:
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


def _render(store: ProjectStore, scene: Scene, take: Take, num_gpus: int) -> Generator[RenderEvent, None, None]:
    settings = scene.settings
    plan: ScenePlan | None = None
    for step in plan_scene(store, scene, settings):
        if isinstance(step, ScenePlan):
            plan = step
        else:
            yield step
    assert plan is not None
    take.model, take.message = settings.model, _unmoved(plan)
    folder = store.take_folder(take.id)
    video = folder / "video.mp4"
    cues = take_cues(plan)
    painter = CaptionPainter(cues, speaker_colours(scene)) if settings.captions == "burnt-in" else None
    encoding = marked_encoding(store.folder.name, __version__, take.model)
    with (
        _sound_of(store, plan, folder) as sound,
        VideoWriter(video, plan.framing.size, settings.frame_rate, sound, encoding) as writer,
        ThreadPoolExecutor(max_workers=1) as behind,  # one frame is written while the next one is drawn
        closing(_frames(store, plan, take, num_gpus)) as steps,
    ):
        written: Future[None] = behind.submit(lambda: None)
        index = 0
        for drawn in steps:
            if not isinstance(drawn, np.ndarray):
                yield drawn
                continue
            frame = painter.paint(drawn, (index + 0.5) / settings.frame_rate) if painter else drawn
            if settings.visible_mark:
                frame = draw_mark(frame)
            written.result()
            written = behind.submit(writer.write, frame)
            yield FrameReady(index, frame)
            index += 1
        written.result()
        yield StageProgress("finish", "Finishing the file", plan.num_frames, plan.num_frames)
    windows_of(store, take).clear()
    if settings.captions != "none":
        write_captions(video, cues)
    take.video_path = video.relative_to(store.folder).as_posix()
    take.duration_s = round(plan.num_frames / settings.frame_rate, 3)


def _frames(
    store: ProjectStore, plan: ScenePlan, take: Take, num_gpus: int
) -> Generator[RenderEvent | Frame, None, None]:
    """Every frame of the take in order, with progress between them."""
    if plan.settings.kind is not TakeKind.ANIMATIC:
        from engine.jobs.diffuse import diffuse  # brings torch and the networks, which only these takes need

        yield from diffuse(store, plan, take, num_gpus)
        return
    for index, frame in enumerate(animate(plan)):
        yield frame
        yield StageProgress("render", "Rendering", index + 1, plan.num_frames)


@contextmanager
def _sound_of(store: ProjectStore, plan: ScenePlan, folder: Path) -> Iterator[Path]:
    """The sound of the take: the recording itself, its rendered part, or the voice files put together."""
    scene, range_s = plan.scene, plan.settings.range_s
    part = folder / f".sound.wav{PART_SUFFIX}"  # named as unfinished: a killed render's is cleared at the next start
    try:
        if scene.dialogue:
            yield cut_recording(store.path_of(scene.dialogue), part, range_s)
        else:
            gains = {member.speaker_id: member.gain_db for member in scene.cast}
            voices = [
                VoiceSound(store.path_of(voice.media), gains.get(voice.speaker_id, 0.0)) for voice in scene.voices
            ]
            yield mix_voices(voices, part, range_s)
    finally:
        part.unlink(missing_ok=True)


def take_cues(plan: ScenePlan) -> list[Cue]:
    """Captions of the rendered range: the recognised words of each turn, or that somebody speaks."""
    words: dict[str, list[Word]] = {}
    for turn in plan.scene.turns:
        heard = plan.sounds[turn.speaker_id].words if turn.speaker_id in plan.sounds else []
        words[turn.id] = [w for w in heard if turn.start_s - 0.1 <= (w.start_s + w.end_s) / 2 <= turn.end_s + 0.1]
    return make_cues(plan.scene.turns, plan.scene.speakers, plan.range_s, words)


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
