"""A finished take leaves the studio: in the format, shape, loudness and with the captions that its place wants."""

import mimetypes
import shutil
import tempfile
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from engine import __version__
from engine.compositing.captions import CaptionPainter, CaptionPlace, speaker_colours, write_captions
from engine.compositing.credentials import Credentials, Ingredient, can_carry, sign_video
from engine.compositing.loudness import brought_to
from engine.compositing.provenance import draw_mark, marked_encoding
from engine.compositing.signing import identity
from engine.errors import StudioError, UnreadableMedia, WriteFailed
from engine.jobs.events import StageProgress
from engine.jobs.take_captions import Words, cues_between, heard_words
from engine.jobs.take_shape import Picture, TakeShape, shape_take
from engine.media.formats import FORMATS, H264, VideoFormat, require_format
from engine.media.frames import VideoInside, frames_of, look_into
from engine.media.remux import copy_video
from engine.media.write import Encoding, VideoWriter
from engine.project.atomic import whole_file
from engine.project.document import ExportSettings, MediaRef, Scene, Take
from engine.project.reading import is_inside
from engine.project.store import ProjectFiles


@dataclass(frozen=True)
class ExportDone:
    """What was written: the video first, then its captions; ``remarks`` are sentences for people."""

    paths: tuple[Path, ...]
    remarks: tuple[str, ...] = ()


Progress = Generator[StageProgress, None, None]
ExportEvents = Generator[StageProgress | ExportDone, None, None]


def suffix_of(format: str) -> str:
    """The ending of files of an ``ExportSettings.format``: ".mp4", ".mov" or ".webm"."""
    return FORMATS[format].suffix


def export_take(store: ProjectFiles, scene: Scene, take: Take, settings: ExportSettings, target: Path) -> ExportEvents:
    """Progress, then at last ExportDone: ``take`` written to ``target``, a path without the format's ending.

    ``scene`` is what the take was made of (the snapshot in its take.json); names and colours of captions are taken
    from it. Pictures that need no change are copied bit for bit. Nothing is there under its name before it is whole;
    closing the generator cancels and leaves nothing. Raises UnreadableMedia (no video, or cut short), WriteFailed, and
    StudioError where what is wanted cannot be had.
    """
    wanted = require_format(settings.format)
    video = _video_of(store, take)
    files = _Files(video, look_into(video), target, wanted)
    yield from _Export(store, scene, take, settings, files).events()


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


@dataclass(frozen=True)
class _Look:
    """What becomes of the take's pictures: their shape, and what is drawn over them."""

    shape: TakeShape
    painter: CaptionPainter | None
    marked: bool
    frame_rate: float

    @property
    def is_unchanged(self) -> bool:
        return self.shape.is_whole and self.painter is None and not self.marked

    def __call__(self, picture: Picture, index: int) -> Picture:
        if self.shape.reshape:
            picture = self.shape.reshape(picture, index)
        if self.painter:
            picture = self.painter.paint(picture, (index + 0.5) / self.frame_rate)
        return draw_mark(picture) if self.marked else picture


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
        written = self.files.written
        if written.resolve() == self.files.video.resolve():
            raise StudioError("The export would replace the take's own video.", "Choose another name or folder.")
        shape = shape_take(self.scene, self.take, self.settings, self.files.inside, self._range_s)
        burnt, marked = self._drawn_over(shape)
        words: Words = {}
        if self.settings.captions != "none":
            words = yield from heard_words(self.store, self.scene)
        painter = self._painter(shape, words) if burnt else None
        look = _Look(shape, painter, marked, self.files.inside.frame_rate)
        with tempfile.TemporaryDirectory(prefix="export-", dir=self.store.cache_folder) as folder:
            sound = yield from self._sound(Path(folder))
            if self._is_signed():
                unsigned = Path(folder) / f"video{self.files.format.suffix}"
                yield from self._video(unsigned, look, sound)
                yield StageProgress("sign", "Adding the content credentials")
                self._sign(unsigned)
            else:
                yield from self._video(written, look, sound)
        paths = [written]
        if self.settings.captions == "beside":
            paths += write_captions(written, cues_between(self.scene, self._range_s, words))
        yield ExportDone(tuple(paths), tuple(self.remarks))

    @property
    def _range_s(self) -> tuple[float, float]:
        """The part of the recording that the take shows."""
        start_s = self.take.settings.range_s[0] if self.take.settings.range_s else 0.0
        return start_s, start_s + self.files.inside.num_frames / self.files.inside.frame_rate

    def _drawn_over(self, shape: TakeShape) -> tuple[bool, bool]:
        """Whether captions, and whether the mark, are drawn now: not twice, and not over what a new shape would cut."""
        had, wanted = self.take.settings, self.settings
        burnt, marked = wanted.captions == "burnt-in", wanted.visible_mark
        if had.captions == "burnt-in":
            if not shape.is_whole:
                raise StudioError(
                    "This take has its captions in its pictures, which another shape would cut.",
                    "Export it in the shape of the photo, or render it again with captions beside.",
                )
            self.remarks.append("The take has its captions in its pictures already.")
            burnt = False
        if had.visible_mark and shape.is_whole:
            if not marked:
                self.remarks.append("The take has the visible mark in its pictures, where it stays.")
            marked = False
        return burnt, marked

    def _painter(self, shape: TakeShape, words: Words) -> CaptionPainter:
        place = CaptionPlace.for_size(shape.size)
        cues = cues_between(self.scene, self._range_s, words, place.line_characters)
        return CaptionPainter(cues, speaker_colours(self.scene), place)

    def _sound(self, folder: Path) -> Generator[StageProgress, None, Path | None]:
        """The sound as loud as wanted; None = as the take has it."""
        if self.settings.loudness_lufs is None or not self.files.inside.has_sound:
            return None
        yield StageProgress("loudness", "Setting the loudness")
        if brought_to(self.files.video, folder / "sound.wav", self.settings.loudness_lufs) is None:
            self.remarks.append("The recording is silent: its loudness was left as it is.")
            return None
        return folder / "sound.wav"

    def _video(self, path: Path, look: _Look, sound: Path | None) -> Progress:
        """Writes the video to ``path``, without credentials."""
        marked = marked_encoding(self.store.folder.name, __version__, self.take.model)
        copied = sound is None and self.files.format.sound_encoder == H264.sound_encoder
        encoding = Encoding(marked.metadata, marked.xmp, self.files.format, copied)
        if self.files.format == H264 and look.is_unchanged:
            yield StageProgress("export", "Writing the video")
            copy_video(self.files.video, path, encoding, sound)
        else:
            yield from self._encoded(path, look, sound, encoding)

    def _encoded(self, path: Path, look: _Look, sound: Path | None, encoding: Encoding) -> Progress:
        inside = self.files.inside
        heard = (sound or self.files.video) if inside.has_sound else None
        with (
            frames_of(self.files.video, inside) as pictures,
            VideoWriter(path, look.shape.size, inside.frame_rate, heard, encoding) as writer,
            ThreadPoolExecutor(max_workers=1) as behind,  # one frame is written while the next one is drawn
        ):
            written: Future[None] = behind.submit(lambda: None)
            for index, picture in enumerate(pictures):
                drawn = look(picture, index)
                written.result()
                written = behind.submit(writer.write, drawn)
                yield StageProgress("export", "Writing the video", index + 1, inside.num_frames)
            written.result()

    def _is_signed(self) -> bool:
        if not self.settings.credentials:
            return False
        if not can_carry(self.files.written):
            self.remarks.append(
                f"{self.files.format.suffix[1:]} files cannot carry content credentials; that the video is AI-made "
                "stands in its description."
            )
            return False
        return True

    def _sign(self, unsigned: Path) -> None:
        """Gives the video its name, with credentials; without them, and a remark, where those cannot be made."""
        try:
            sign_video(unsigned, self.files.written, self._credentials(), identity())
        except StudioError as error:
            if isinstance(error, WriteFailed) and error.message.startswith(self.files.written.name):
                raise
            self.remarks.append(f"The video has no content credentials. {error}")
            with whole_file(self.files.written) as part:
                shutil.copyfile(unsigned, part)

    def _credentials(self) -> Credentials:
        scene = self.scene
        named = [("Photo", scene.photo), ("Recording", scene.dialogue)]
        named += [(f"Recording {index + 1}", voice.media) for index, voice in enumerate(scene.voices)]
        return Credentials(
            title=self.store.folder.name,
            version=__version__,
            model=self.take.model,
            ingredients=tuple(self._ingredients(named)),
            num_people=len(scene.faces),
            num_consenting=sum(1 for face in scene.faces if face.consent.strip()),
        )

    def _ingredients(self, named: list[tuple[str, MediaRef | None]]) -> list[Ingredient]:
        """Those that are still there: a project whose photo was lost can export its takes all the same."""
        found = []
        for title, ref in named:
            mime_type = mimetypes.guess_type(ref.path)[0] if ref else None
            if ref and mime_type and (self.store.folder / ref.path).is_file():
                found.append(Ingredient(title, self.store.path_of(ref), mime_type))
        return found


def _video_of(store: ProjectFiles, take: Take) -> Path:
    """Where the take's video lies. Raises UnreadableMedia where it has none."""
    path = (store.folder / take.video_path).resolve()
    inside = is_inside(take.video_path) and path.is_relative_to(store.folder.resolve())
    if not take.video_path or not inside or not path.is_file():
        raise UnreadableMedia("This take has no video.", "Choose a finished take, or render it again.")
    return path
