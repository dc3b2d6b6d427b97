"""The pictures of a take, whichever way they are made, and what is drawn over them."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from engine.analysis.types import Word
from engine.compositing.captions import CaptionPainter, Cue, make_cues, speaker_colours
from engine.compositing.provenance import draw_mark
from engine.jobs.animate import Frame, animate
from engine.jobs.events import RenderEvent, StageProgress
from engine.jobs.scene_plan import ScenePlan, plan_scene
from engine.jobs.window_store import windows_of
from engine.media.formats import H264, VideoFormat
from engine.project.document import RenderSettings, Scene, Take, TakeKind
from engine.project.store import ProjectFiles

Frames = Generator[RenderEvent | Frame, None, None]


def planned(files: ProjectFiles, scene: Scene, settings: RenderSettings) -> Generator[StageProgress, None, ScenePlan]:
    """The last value of ``plan_scene`` as the result, the progress before it as events."""
    plan: ScenePlan | None = None
    for step in plan_scene(files, scene, settings):
        if isinstance(step, ScenePlan):
            plan = step
        else:
            yield step
    assert plan is not None
    return plan


def plain_frames(files: ProjectFiles, plan: ScenePlan, take: Take, num_gpus: int = 1) -> Frames:
    """Every frame of the plan in order, with progress between them; nothing is drawn over them yet."""
    if plan.settings.kind is not TakeKind.ANIMATIC:
        from engine.jobs.diffuse import diffuse  # brings torch and the networks, which only these takes need

        yield from diffuse(files, plan, take, num_gpus)
        return
    for index, frame in enumerate(animate(plan)):
        yield frame
        yield StageProgress("render", "Rendering", index + 1, plan.num_frames)


@dataclass(frozen=True)
class Overlay:
    """What a take's settings want drawn over every frame: burnt-in captions, the visible mark."""

    settings: RenderSettings
    painter: CaptionPainter | None

    @staticmethod
    def of(plan: ScenePlan) -> "Overlay":
        burnt = plan.settings.captions == "burnt-in"
        painter = CaptionPainter(take_cues(plan), speaker_colours(plan.scene)) if burnt else None
        return Overlay(plan.settings, painter)

    def drawn(self, frame: Frame, index: int) -> Frame:
        """Frame ``index`` of the take with what belongs over it."""
        if self.painter:
            frame = self.painter.paint(frame, (index + 0.5) / self.settings.frame_rate)
        return draw_mark(frame) if self.settings.visible_mark else frame

    def over(self, frames: Iterator[RenderEvent | Frame]) -> Frames:
        """The events as they come, the frames with what belongs over them."""
        index = 0
        for each in frames:
            if isinstance(each, RenderEvent):
                yield each
            else:
                yield self.drawn(each, index)
                index += 1


@dataclass(frozen=True)
class Footage:
    """What a take shows and whose sound it has.

    ``frames``: ``num_frames`` finished pictures in order, with progress between them; ``forget`` clears what was kept
    of them for a render that goes on. ``sound_range_s`` None = the whole recording of ``sound_scene``.
    """

    frames: Frames
    num_frames: int
    frame_rate: float
    start_s: float
    sound_scene: Scene
    sound_range_s: tuple[float, float] | None
    forget: Callable[[], None]
    format: VideoFormat = H264

    def range_s(self, num_frames: int) -> tuple[float, float]:
        """The part of the recording under the first ``num_frames`` frames."""
        return self.start_s, self.start_s + num_frames / self.frame_rate


def plain_footage(files: ProjectFiles, plan: ScenePlan, take: Take, num_gpus: int = 1) -> Footage:
    """The frames of the whole plan."""
    return Footage(
        Overlay.of(plan).over(plain_frames(files, plan, take, num_gpus)),
        plan.num_frames,
        plan.settings.frame_rate,
        plan.range_s[0],
        plan.scene,
        plan.settings.range_s,
        lambda: windows_of(files, take).clear(),
    )


def take_cues(plan: ScenePlan, range_s: tuple[float, float] | None = None) -> list[Cue]:
    """Captions of the rendered range: the recognised words of each turn, or that somebody speaks."""
    words: dict[str, list[Word]] = {}
    for turn in plan.scene.turns:
        heard = plan.sounds[turn.speaker_id].words if turn.speaker_id in plan.sounds else []
        words[turn.id] = [w for w in heard if turn.start_s - 0.1 <= (w.start_s + w.end_s) / 2 <= turn.end_s + 0.1]
    return make_cues(plan.scene.turns, plan.scene.speakers, range_s or plan.range_s, words)
