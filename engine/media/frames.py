"""The pictures of a finished video, one after the other, in the colours that they were written with."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnreadableMedia
from engine.media import ffmpeg
from engine.media.limits import CONTAINERS
from engine.media.probe import require_file

_DAMAGED_REMEDY = "Render the take again."

# swscale's quick way back to RGB is a level or two too dark, and takes untagged colours for old television's.
_TO_RGB = (
    "scale=in_color_matrix=bt709:in_range=tv:out_range=pc:"
    "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,format=rgb24"
)


@dataclass(frozen=True)
class VideoInside:
    """What a video of ours holds: ``size`` (width, height), its pictures, and whether there is sound."""

    size: tuple[int, int]
    num_frames: int
    frame_rate: float
    has_sound: bool


def look_into(path: Path) -> VideoInside:
    """What the video holds, with every picture counted. Raises UnreadableMedia when it is none or is cut short."""
    import av

    require_file(path)
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        with av.open(ffmpeg.file_argument(path), options=options, metadata_errors="replace") as container:
            stream = container.streams.video[0]
            said, there = stream.frames, sum(1 for packet in container.demux(stream) if packet.size)
            rate = float(stream.average_rate or 25)
            found = VideoInside((stream.width, stream.height), there, rate, bool(container.streams.audio))
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise UnreadableMedia(f"The video {path.name!r} is damaged or not finished.", _DAMAGED_REMEDY) from error
    if not there or there < said:
        raise UnreadableMedia(f"The video {path.name!r} is cut short: {there} of {said} pictures.", _DAMAGED_REMEDY)
    return found


@contextlib.contextmanager
def frames_of(path: Path, inside: VideoInside) -> Iterator[Iterator[NDArray[np.uint8]]]:
    """Every picture of the video, (height, width, 3) uint8 RGB; leaving the block early stops the reading.

    Raises UnreadableMedia when fewer come out than ``inside`` says.
    """
    output = ["-map", "0:v:0", "-an", "-fps_mode", "passthrough", "-vf", _TO_RGB, "-f", "rawvideo", "pipe:1"]
    arguments = ffmpeg.command(*ffmpeg.input_arguments(path), *output)
    try:
        with ffmpeg.reading_from(arguments) as stream:
            yield _pictures(stream, path, inside)
    except ffmpeg.FfmpegFailed as error:
        raise UnreadableMedia(f"{path.name!r} cannot be decoded: {error.reason}.", _DAMAGED_REMEDY) from error


def _pictures(stream: IO[bytes], path: Path, inside: VideoInside) -> Iterator[NDArray[np.uint8]]:
    width, height = inside.size
    for index in range(inside.num_frames):
        raw = stream.read(width * height * 3)
        if len(raw) < width * height * 3:
            raise UnreadableMedia(
                f"The video {path.name!r} is damaged after {index} of {inside.num_frames} pictures.", _DAMAGED_REMEDY
            )
        yield np.frombuffer(raw, np.uint8).reshape(height, width, 3)
