"""What a media file is, from its header: quick, before anything is decoded."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn

from PIL import Image as PillowImage

from engine.errors import UnreadableMedia
from engine.media.ffmpeg import file_argument
from engine.media.limits import (
    CONTAINERS,
    MAX_CHANNELS,
    MAX_PHOTO_BYTES,
    MAX_PHOTO_PIXELS,
    MAX_RECORDING_S,
    MAX_SAMPLE_RATE,
    MIN_PHOTO_SIDE_PX,
    MIN_RECORDING_S,
    MIN_SAMPLE_RATE,
    PHOTO_FORMATS,
)
from engine.project.document import MediaInfo

PHOTO_REMEDY = "Use a JPEG, PNG, WebP or HEIC photo."
RECORDING_REMEDY = "Use a WAV, MP3, M4A, FLAC or Ogg recording, or a video with sound."

_EXIF_ORIENTATION = 0x0112


def probe(path: Path) -> MediaInfo:
    """What ``path`` is, by content and not by name: a photo, a recording, or a video (which may have sound).

    Raises UnreadableMedia when it is neither, or when it is outside the limits of engine.media.limits.
    """
    require_file(path)
    with contextlib.suppress(NotAPhoto):
        return probe_photo(path)
    info = _probe_container(path)
    _check_recording(path, info)
    return info


class NotAPhoto(UnreadableMedia):
    """The file is not a picture at all (rather than a picture that cannot be used)."""


def probe_photo(path: Path) -> MediaInfo:
    """Size (upright) and format of a photo. Raises NotAPhoto, or UnreadableMedia for one outside the limits."""
    with open_photo(path) as picture:
        width, height = picture.size
        if picture.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8):
            width, height = height, width
        return MediaInfo(kind="image", format=(picture.format or "").lower(), width=width, height=height)


@contextlib.contextmanager
def open_photo(path: Path) -> Iterator[PillowImage.Image]:
    """A photo within the limits, its pixels not decoded yet; what fails inside the block is told as UnreadableMedia."""
    _know_formats()
    require_file(path)
    try:
        with path.open("rb") as file:
            picture = _opened(path, file)
            _check_photo(path, picture)
            yield picture
    except UnreadableMedia:
        raise
    except OSError as error:
        raise UnreadableMedia(
            f"{path.name!r} is damaged or cut off: {error}.", "Export or copy the photo anew."
        ) from error
    except Exception as error:  # decoders of broken files raise ValueError, SyntaxError, struct.error, KeyError, …
        raise UnreadableMedia(f"{path.name!r} is damaged: {error}.", "Export or copy the photo anew.") from error


def probe_tags(path: Path) -> dict[str, str]:
    """The container's own metadata (title, comment, …). Raises UnreadableMedia."""
    with _container(path) as container:
        return dict(container.metadata)


def require_file(path: Path) -> None:
    """Raises UnreadableMedia unless ``path`` is a file with something in it (a pipe or device would block)."""
    if not path.is_file():
        raise UnreadableMedia(f"There is no file {path.name!r}.", "Choose a photo or a recording on this computer.")
    if path.stat().st_size == 0:
        raise UnreadableMedia(f"{path.name!r} is empty.", "Copy or export the file anew.")


def _know_formats() -> None:
    import pillow_heif

    PillowImage.init()  # Pillow knows only a few formats until then

    pillow_heif.register_heif_opener()


def _opened(path: Path, file: Any) -> PillowImage.Image:
    try:
        return PillowImage.open(file, formats=PHOTO_FORMATS)
    except PillowImage.UnidentifiedImageError:
        raise NotAPhoto(f"{path.name!r} is not a photo that can be read.", PHOTO_REMEDY) from None
    except PillowImage.DecompressionBombError:
        _too_large(path, "more than 170")


def _check_photo(path: Path, picture: PillowImage.Image) -> None:
    width, height = picture.size
    if width * height > MAX_PHOTO_PIXELS:
        _too_large(path, f"{width} × {height}, {width * height / 1e6:.0f}")
    if min(width, height) < MIN_PHOTO_SIDE_PX:
        raise UnreadableMedia(
            f"{path.name!r} is only {width} × {height} pixels.",
            f"Use a photo of at least {MIN_PHOTO_SIDE_PX} pixels each way; faces need some 60 pixels to look good.",
        )
    if path.stat().st_size > MAX_PHOTO_BYTES:
        raise UnreadableMedia(
            f"{path.name!r} is larger than {MAX_PHOTO_BYTES // 1024**2} MB.", "Save it as a JPEG or PNG."
        )


def _too_large(path: Path, megapixels: str) -> NoReturn:
    raise UnreadableMedia(
        f"{path.name!r} is too large: {megapixels} megapixels; up to {MAX_PHOTO_PIXELS // 1_000_000} can be used.",
        "Save a smaller copy: 4000 pixels wide is plenty.",
    )


@contextlib.contextmanager
def _container(path: Path) -> Iterator[Any]:
    import av

    require_file(path)
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        with av.open(file_argument(path), options=options, metadata_errors="replace") as container:
            yield container
    except (av.error.FFmpegError, ValueError) as error:
        raise UnreadableMedia(
            f"{path.name!r} is not a photo, recording or video that can be read.", RECORDING_REMEDY
        ) from error


def _probe_container(path: Path) -> MediaInfo:
    with _container(path) as container:
        sound = next(iter(container.streams.audio), None)
        pictures = [stream for stream in container.streams.video if not _is_cover(stream)]
        kind: Literal["audio", "video"] = "video" if pictures else "audio"
        info = MediaInfo(kind=kind, format=container.format.name, duration_s=_duration_s(container, sound))
        if pictures:
            rate = pictures[0].average_rate
            info.width, info.height = pictures[0].width, pictures[0].height
            info.frame_rate = float(rate) if rate else None
        if sound is not None:
            info.sample_rate, info.num_channels = sound.sample_rate or None, sound.channels or None
        return info


def _is_cover(stream: Any) -> bool:
    return bool(int(stream.disposition) & 0x400)  # ffmpeg's AV_DISPOSITION_ATTACHED_PIC: the album cover of a song


def _duration_s(container: Any, sound: Any) -> float | None:
    if sound is not None and sound.duration is not None:
        return float(sound.duration * sound.time_base)
    return container.duration / 1e6 if container.duration is not None else None


def _check_recording(path: Path, info: MediaInfo) -> None:
    if info.sample_rate is None or info.num_channels is None:
        raise UnreadableMedia(f"{path.name!r} has no sound.", RECORDING_REMEDY)
    if not MIN_SAMPLE_RATE <= info.sample_rate <= MAX_SAMPLE_RATE or info.num_channels > MAX_CHANNELS:
        raise UnreadableMedia(
            f"{path.name!r} says it has {info.num_channels} channels at {info.sample_rate} Hz.", RECORDING_REMEDY
        )
    if info.duration_s is not None:
        check_duration(path, info.duration_s)


def check_duration(path: Path, duration_s: float) -> None:
    """Raises UnreadableMedia when a recording of ``duration_s`` is too short or too long to be used."""
    if duration_s < MIN_RECORDING_S:
        raise UnreadableMedia(
            f"{path.name!r} lasts only {max(duration_s, 0):.1f} s.", f"Use a recording of at least {MIN_RECORDING_S} s."
        )
    if duration_s > MAX_RECORDING_S:
        raise UnreadableMedia(
            f"{path.name!r} lasts {duration_s / 60:.0f} minutes; up to {MAX_RECORDING_S // 60} can be used.",
            "Cut it into parts, and make a project of each.",
        )
