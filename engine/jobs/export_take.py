"""A finished take leaves the studio: in the format, shape, loudness and with the captions that its place wants."""

import tempfile
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from engine import __version__
from engine.compositing.captions import CaptionPainter, CaptionPlace, speaker_colours, write_captions
from engine.compositing.loudness import brought_to
from engine.compositing.provenance import draw_mark, marked_encoding
from engine.errors import StudioError, UnreadableMedia
from engine.jobs.events import StageProgress
from engine.jobs.take_captions import Words, cues_between, heard_words
from engine.jobs.take_shape import TakeShape, shape_take
from engine.media.formats import FORMATS, H264, VideoFormat, require_format
from engine.media.frames import VideoInside, frames_of, look_into
from engine.media.remux import copy_video
from engine.media.write import Encoding, VideoWriter
from engine.project.document import ExportSettings, Scene, Take
from engine.project.reading import is_inside
from engine.project.store import ProjectFiles


@dataclass(frozen=True)
class ExportDone:
    """What was written: the video first, then its captions; ``remarks`` are sentences for people."""

    paths: tuple[Path, ...]
    remarks: tuple[str, ...] = ()


ExportEvents = Generator[StageProgress | ExportDone, None, None]


def suffix_of(format: str) -> str:
    """The ending of files of an ``ExportSettings.format``: ".mp4", ".mov" or ".webm"."""
    return FORMATS[format].suffix


def export_take(store: ProjectFiles, scene: Scene, take: Take, settings: ExportSettings, target: Path) -> ExportEvents:
    """Progress, then at last ExportDone: ``take`` written beside ``target`` (a path without suffix).

    ``scene`` is what the take was made of (the snapshot in its take.json); names and colours of captions are taken
    from it. Nothing is there under its name before it is whole; closing the generator cancels and leaves nothing.
    Raises UnreadableMedia (no video, or cut short), WriteFailed, and StudioError where the wish cannot be met.
    """
    wanted = require_format(settings.format)
    video = _video_of(store, take)
    inside = look_into(video)
    yield from _Export(store, scene, take, settings, _Files(video, inside, target, wanted)).events()


@dataclass(frozen=True)
class _Files:
    """From where to where, and as what."""

    video: Path
    inside: VideoInside
    target: Path
    format: VideoFormat

    @property
    def written(self) -> Path:
        return self.target.with_name(self.target.name + self.format.suffix)


@dataclass
class _Export:
    """One export in the making."""

    store: ProjectFiles
    scene: Scene
    take: Take
    settings: ExportSettings
    files: _Files
    remarks: list[str] = field(default_factory=list)

    def events(self) -> ExportEvents:
        if self.files.written.resolve() == self.files.video.resolve():
            raise StudioError("The export would replace the take's own video.", "Choose another name or folder.")
        shape = shape_take(self.scene, self.take, self.settings, self.files.inside, self._range_s)
        words: Words = {}
        if self.settings.captions != "none":
            words = yield from heard_words(self.store, self.scene)
        with tempfile.TemporaryDirectory(prefix="export-", dir=self.store.cache_folder) as folder:
            sound = yield from self._sound(Path(folder))
            if self._pictures_stay(shape):
                yield StageProgress("export", "Writing the video")
                copy_video(self.files.video, self.files.written, self._encoding(), sound)
            else:
                yield from self._write(shape, words, sound)
        paths = [self.files.written]
        if self.settings.captions == "beside":
            paths += write_captions(self.files.written, cues_between(self.scene, self._range_s, words))
        yield ExportDone(tuple(paths), tuple(self.remarks))

    @property
    def _range_s(self) -> tuple[float, float]:
        """The part of the recording that the take shows."""
        start_s = self.take.settings.range_s[0] if self.take.settings.range_s else 0.0
        return start_s, start_s + self.files.inside.num_frames / self.files.inside.frame_rate

    def _encoding(self) -> Encoding:
        marked = marked_encoding(self.store.folder.name, __version__, self.take.model)
        return Encoding(marked.metadata, marked.xmp, self.files.format)

    def _pictures_stay(self, shape: TakeShape) -> bool:
        """Whether the take's own pictures will do, bit for bit."""
        drawn_over = self.settings.captions == "burnt-in" or self.settings.visible_mark
        return self.files.format == H264 and shape.is_whole and not drawn_over

    def _sound(self, folder: Path) -> Generator[StageProgress, None, Path | None]:
        """The sound as loud as wanted; None = as the take has it."""
        if self.settings.loudness_lufs is None or not self.files.inside.has_sound:
            return None
        yield StageProgress("loudness", "Setting the loudness")
        found = brought_to(self.files.video, folder / "sound.wav", self.settings.loudness_lufs)
        if found is None:
            self.remarks.append("The recording is silent: its loudness was left as it is.")
            return None
        return folder / "sound.wav"

    def _write(self, shape: TakeShape, words: Words, sound: Path | None) -> Generator[StageProgress, None, None]:
        inside, encoding = self.files.inside, self._encoding()
        painter = self._painter(shape, words)
        copied = sound is None and encoding.format.sound_encoder == H264.sound_encoder
        with (
            frames_of(self.files.video, inside) as frames,
            VideoWriter(
                self.files.written,
                shape.size,
                inside.frame_rate,
                (sound or self.files.video) if inside.has_sound else None,
                Encoding(encoding.metadata, encoding.xmp, encoding.format, copied),
            ) as writer,
            ThreadPoolExecutor(max_workers=1) as behind,  # one frame is written while the next one is drawn
        ):
            written: Future[None] = behind.submit(lambda: None)
            for index, frame in enumerate(frames):
                shown = shape.reshape(frame, index) if shape.reshape else frame
                if painter:
                    shown = painter.paint(shown, (index + 0.5) / inside.frame_rate)
                if self.settings.visible_mark:
                    shown = draw_mark(shown)
                written.result()
                written = behind.submit(writer.write, shown)
                yield StageProgress("export", "Writing the video", index + 1, inside.num_frames)
            written.result()

    def _painter(self, shape: TakeShape, words: Words) -> CaptionPainter | None:
        if self.settings.captions != "burnt-in":
            return None
        place = CaptionPlace.for_size(shape.size)
        cues = cues_between(self.scene, self._range_s, words, place.line_characters)
        return CaptionPainter(cues, speaker_colours(self.scene), place)


def _video_of(store: ProjectFiles, take: Take) -> Path:
    """Where the take's video lies. Raises UnreadableMedia where it has none."""
    path = (store.folder / take.video_path).resolve()
    inside = is_inside(take.video_path) and path.is_relative_to(store.folder.resolve())
    if not take.video_path or not inside or not path.is_file():
        raise UnreadableMedia("This take has no video.", "Choose a finished take, or render it again.")
    return path
