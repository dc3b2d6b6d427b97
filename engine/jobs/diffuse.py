"""The frames of a preview or final: window after window through the AnyTalker network, each kept once finished."""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from engine.analysis.face_protocols import Box
from engine.analysis.following import KnownFace, follow_faces
from engine.carriers import models_dir
from engine.cast.scene_prompt import suggest_prompt
from engine.compositing.colour import ColourMatch
from engine.compositing.stitch import blend_seam, keep_still
from engine.dit.catalogue import NetworkFiles, find_lora, find_model
from engine.dit.checkpoints import fingerprint, transformer_config
from engine.dit.conditioning import Direction, SceneConditioning, build_conditioning, build_scene, load_encoders
from engine.dit.crew import Share
from engine.dit.events import StepDone
from engine.dit.machine import this_machine
from engine.dit.masks import pinned_mask
from engine.dit.memory import MemoryPlan, cut_to_window, plan_memory
from engine.dit.network_size import NetworkSize
from engine.dit.pipeline import Engine, encoder_plan, free_memory, load_engine, load_shared_engine, run
from engine.dit.preview import LatentPreview
from engine.dit.sampling import Sampling
from engine.dit.shapes import LatentShape, VideoShape, whole_windows_frames
from engine.dit.types import Conditioning
from engine.dit.windows import WindowSpan, plan_windows
from engine.errors import OutOfMemory, StudioError
from engine.jobs.events import RenderEvent, RoughFrame, StageProgress
from engine.jobs.scene_plan import ScenePlan
from engine.jobs.window_store import KeptWindow, WindowStore, forget_windows, windows_of
from engine.media.types import Image
from engine.project.document import Part, RenderSettings, Take
from engine.project.store import ProjectFiles

Frame = NDArray[np.uint8]
Frames = NDArray[np.uint8]
Made = Generator[RenderEvent, None, KeptWindow]


def diffuse(
    store: ProjectFiles, plan: ScenePlan, take: Take, num_gpus: int = 1, before: Frames | None = None
) -> Generator[RenderEvent | Frame, None, None]:
    """Every frame of the take in order, with progress and rough pictures between them; over several GPUs on request.

    Each finished window is kept in the project's cache: a render of the same plan goes on from there, to the same
    frames; whoever takes the frames clears ``windows_of(store, take)`` once the take is done. ``before``: 4n+1 frames
    (k, height, width, 3) that another take has in place of the first k; this one goes on from them, not from the photo.
    Raises ModelMissing, UnusableCheckpoint, ConditioningError, OutOfMemory, WriteFailed.
    """
    _check_gpus(num_gpus)
    files = find_model(plan.settings.model)
    lora = find_lora(plan.settings.lora) if plan.settings.lora else None
    take.weights_sha256 = _weights_sha256(files, lora)
    forget_windows(store)
    kept = windows_of(store, take)
    memory = _memory_plan(plan, kept)
    kept.agree(window=memory.window, quantization=memory.quantization)
    yield StageProgress("encode", "Reading the prompt, the photo and the faces")
    scene = _scene(plan, files, memory)
    take.message = " ".join(scene.remarks)
    render = _Render(plan, scene, files, lora, kept, memory, num_gpus)
    if before is not None:
        render.before = KeptWindow(before, tuple(scene.boxes_px))
    try:
        yield from render.frames()
    finally:
        render.let_go()


def _check_gpus(wanted: int) -> None:
    """Without any GPU the processes share the processor: slower than one, but the same code."""
    present = len(this_machine().gpus) if wanted > 1 else 0
    if 0 < present < wanted:
        raise StudioError(f"{wanted} GPUs are wanted, {present} are there.", f"Write --gpus {present} or leave it out.")


def _weights_sha256(files: NetworkFiles, lora: Path | None) -> str:
    network = fingerprint(files.transformer)
    if lora is None:
        return network
    with lora.open("rb") as file:
        return hashlib.sha256(f"{network}{hashlib.file_digest(file, 'sha256').hexdigest()}".encode()).hexdigest()


def _memory_plan(plan: ScenePlan, kept: WindowStore) -> MemoryPlan:
    """The plan for this machine now; what an interrupted render had begun with is kept to."""
    width, height = plan.framing.size
    settings = _under(kept.terms(), plan.settings)
    longest = min(settings.window, whole_windows_frames(plan.num_frames))
    moving = sum(stream.part is not Part.STILL for stream in plan.streams)
    size = NetworkSize.of_config(transformer_config(find_model(settings.model).transformer))
    return plan_memory(size, VideoShape(cut_to_window(longest), height, width), moving, this_machine(), settings)


def _under(terms: Mapping[str, str | int], settings: RenderSettings) -> RenderSettings:
    """``settings`` with the terms of an interrupted render; as they are where those were tampered with."""
    try:
        return RenderSettings.model_validate(settings.model_dump() | {n: v for n, v in terms.items() if n != "format"})
    except ValidationError:
        return settings


def _scene(plan: ScenePlan, files: NetworkFiles, memory: MemoryPlan) -> SceneConditioning:
    settings = plan.settings
    direction = Direction(
        prompt=plan.scene.prompt.strip() or suggest_prompt(plan.scene),
        negative_prompt=plan.scene.negative_prompt,
        frame_rate=settings.frame_rate,
        interaction_strength=plan.scene.interaction_strength,
    )
    encoders = load_encoders(files, encoder_plan(memory), models_dir() / "prompts")
    picture, boxes_px = _full_resolution(plan)
    return build_scene(plan.streams, picture, direction, encoders, boxes_px)


def _full_resolution(plan: ScenePlan) -> tuple[Image, list[Box]]:
    """What the video shows, in the photo's own pixels where the frame is a part of the photo; and the faces in it."""
    corners = [np.array(stream.face.box_px, np.float64).reshape(2, 2) for stream in plan.streams]
    if not plan.framing.fills:
        return plan.picture, [_box(plan.framing.to_frame(each)) for each in corners]
    x0, y0, x1, y1 = plan.framing.crop_px
    return Image(np.ascontiguousarray(plan.photo.rgb[y0:y1, x0:x1])), [_box(each - (x0, y0)) for each in corners]


def _box(corners: NDArray[np.float64]) -> Box:
    (x0, y0), (x1, y1) = corners.tolist()
    return x0, y0, x1, y1


@dataclass
class _Render:
    """One take through the network. ``engine`` is loaded for the first window that has to be made; ``memory`` gets
    thriftier when the memory runs out. ``before``: what the first window goes on from."""

    plan: ScenePlan
    scene: SceneConditioning
    files: NetworkFiles
    lora: Path | None
    kept: WindowStore
    memory: MemoryPlan
    num_gpus: int = 1
    engine: Engine | None = None
    before: KeptWindow | None = None

    def let_go(self) -> None:
        """Of the network, and of the memory that it takes."""
        if self.engine:
            self.engine.close()
        self.engine = None
        free_memory()

    def frames(self) -> Generator[RenderEvent | Frame, None, None]:
        num_frames, overlap = self.plan.num_frames, self.plan.settings.overlap
        spans = plan_windows(num_frames, self.memory.window, overlap)
        steps = _Steps(self.kept.num_finished(), len(spans), self.plan.settings.num_inference_steps)
        before = self.before
        if before is not None:
            spans[0] = replace(spans[0], num_known=len(before.frames))
        for span in spans:
            window = self.kept.load(span.index)
            if window is None:
                window = yield from self._made(span, before, steps)
                self.kept.save(span.index, window.frames, window.boxes_px)
            # Its last frames wait for the next window, which blends into them.
            held_back = spans[span.index + 1].num_known if span.index + 1 < len(spans) else 0
            yield from window.frames[: min(span.num_frames - held_back, num_frames - span.first)]
            before = window

    def _made(self, span: WindowSpan, before: KeptWindow | None, steps: "_Steps") -> Made:
        start_frames = before.frames[-span.num_known :] if before is not None else None
        boxes_px = self._followed(before, start_frames)
        width, height = self.plan.framing.size
        shape = VideoShape(span.num_frames, height, width)
        conditioning = build_conditioning(self.scene, span, shape, boxes_px, start_frames)
        frames = yield from self._rendered(span, conditioning, steps)
        frames = self._finished(frames, boxes_px)
        if start_frames is not None:
            frames[: span.num_known] = blend_seam(start_frames, frames[: span.num_known])
        return KeptWindow(frames, tuple(boxes_px))

    def _rendered(
        self, span: WindowSpan, conditioning: Conditioning, steps: "_Steps"
    ) -> Generator[RenderEvent, None, Frames]:
        """The window's frames; where the memory runs out, again with a thriftier plan: no other window is lost."""
        while True:
            try:
                if self.engine is None:
                    yield StageProgress("load", "Loading the network")
                    self.engine = self._loaded(conditioning.shape)
                frames = yield from self._stepped(self.engine, span, conditioning, steps)
                return frames
            except OutOfMemory:
                thriftier = self.memory.stepped_down()
                if thriftier is None:
                    raise
            # Outside of the except block, whose error would keep the full memory alive.
            self.let_go()
            self.memory = thriftier
            self.scene = replace(self.scene, video=self.scene.video.with_tiling(thriftier.vae_tiling))
            yield StageProgress("load", "The memory ran out: going on with a thriftier plan")

    def _loaded(self, shape: VideoShape) -> Engine:
        if self.num_gpus == 1:
            return load_engine(self.files, self.scene.video, self.memory, self.lora)
        share = Share(self.num_gpus, self.files, self.memory, self.lora, shape.latent.tokens_per_frame)
        return load_shared_engine(share, self.scene.video)

    def _stepped(
        self, engine: Engine, span: WindowSpan, conditioning: Conditioning, steps: "_Steps"
    ) -> Generator[RenderEvent, None, Frames]:
        sampling = Sampling.of(self.plan.settings, keep_keys=engine.plan.keep_keys)
        preview = LatentPreview.of(self.scene.video, self.plan.picture.rgb)
        with closing(run(engine, conditioning, sampling, span, preview)) as events:
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    return end.value
                yield steps.progress(event)
                if event.preview_rgb is not None:
                    yield RoughFrame(event.preview_rgb)

    def _followed(self, before: KeptWindow | None, start_frames: Frames | None) -> list[Box]:
        """Where the faces are as the window begins, in px of the scene's picture."""
        if before is None or start_frames is None:
            return list(self.scene.boxes_px)
        scale = np.array(self.plan.framing.size) / self.scene.size
        known = [
            KnownFace(_scaled(box, scale), stream.detail.embedding if stream.detail else None)
            for box, stream in zip(before.boxes_px, self.plan.streams, strict=True)
        ]
        found = follow_faces(Image(start_frames[-1]), known)
        return [
            box if stream.part is Part.STILL else _scaled(new, 1 / scale)
            for stream, box, new in zip(self.plan.streams, self.scene.boxes_px, found, strict=True)
        ]

    def _finished(self, frames: Frames, boxes_px: Sequence[Box]) -> Frames:
        """With the photo's colours, and with its own pixels where people are still."""
        picture = self.plan.picture.rgb
        matched = ColourMatch.to(picture)(frames)
        placed = list(zip(self.plan.streams, boxes_px, strict=True))
        still = [box for stream, box in placed if stream.part is Part.STILL]
        moving = [box for stream, box in placed if stream.part is not Part.STILL]
        pixels = LatentShape(1, *picture.shape[:2])
        return keep_still(matched, picture, pinned_mask(still, moving, self.scene.size, pixels).numpy())


@dataclass(frozen=True)
class _Steps:
    """Counts steps over all windows that are left to make."""

    num_finished: int
    num_windows: int
    per_window: int

    def progress(self, event: StepDone) -> StageProgress:
        index = event.span.index
        return StageProgress(
            "render",
            f"Window {index + 1} of {self.num_windows}, step {event.step} of {event.num_steps}",
            (index - self.num_finished) * self.per_window + event.step,
            (self.num_windows - self.num_finished) * self.per_window,
        )


def _scaled(box: Box, scale: NDArray[np.float64]) -> Box:
    return _box(np.array(box, np.float64).reshape(2, 2) * scale)
