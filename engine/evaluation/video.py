"""The frames of any video file, one after the other: upright, progressive, at a steady rate, never too large."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnreadableMedia
from engine.media import ffmpeg
from engine.media.limits import CONTAINERS, MAX_RECORDING_S
from engine.media.probe import require_file

Frame = NDArray[np.uint8]
REMEDY = "Use an mp4, mov, mkv or webm video."
MAX_SHORT_SIDE_PX = 720  # more shows nothing that the face mesh (256 px) would see
MAX_RATE = 30.0
_MIN_SIDE_PX, _MAX_SIDE_PX = 32, 8192
_LOOKED_AT_PACKETS = 1500


@dataclass(frozen=True)
class VideoFacts:
    """A video as it will be read: ``size`` (width, height) upright and scaled; ``frame_rate`` steady.

    ``duration_s``: what the file says the pictures last; None = it does not say. ``uneven``: the frames of the file do
    not come at a steady rate. ``interlaced``, ``turned``: made good while reading.
    """

    path: Path
    size: tuple[int, int]
    frame_rate: float
    duration_s: float | None
    has_sound: bool
    uneven: bool = False
    interlaced: bool = False
    turned: bool = False


def look_at(path: Path) -> VideoFacts:
    """What ``path`` is, from its header and first frame. Raises UnreadableMedia when it cannot be read."""
    import av

    require_file(path)
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        with av.open(ffmpeg.file_argument(path), options=options, metadata_errors="replace") as container:
            streams = [stream for stream in container.streams.video if not int(stream.disposition) & 0x400]
            if not streams:
                raise UnreadableMedia(f"{path.name!r} has no pictures.", REMEDY)
            return _facts(path, container, streams[0])
    except (av.error.FFmpegError, ValueError) as error:
        raise UnreadableMedia(f"{path.name!r} is not a video that can be read.", REMEDY) from error


def _facts(path: Path, container: Any, stream: Any) -> VideoFacts:
    first = next(iter(container.decode(stream)), None)
    if first is None:
        raise UnreadableMedia(f"{path.name!r} holds no picture that can be decoded.", REMEDY)
    width, height = first.width * float(stream.sample_aspect_ratio or 1), float(first.height)
    turned = round(getattr(first, "rotation", 0)) % 180 == 90
    width, height = (height, width) if turned else (width, height)
    if not _MIN_SIDE_PX <= min(width, height) <= max(width, height) <= _MAX_SIDE_PX:
        raise UnreadableMedia(f"{path.name!r} is {width:.0f} × {height:.0f} pixels.", "Use a video of ordinary size.")
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    duration_s = float(stream.duration * stream.time_base) if stream.duration else None
    if duration_s is None and container.duration:
        duration_s = container.duration / 1e6
    if duration_s and duration_s > MAX_RECORDING_S:
        raise UnreadableMedia(f"{path.name!r} lasts {duration_s / 60:.0f} minutes.", "Cut it into parts.")
    scale = min(1.0, MAX_SHORT_SIDE_PX / min(width, height))
    size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
    while rate > MAX_RATE * 1.01:
        rate /= 2
    return VideoFacts(
        path,
        size,
        max(rate, 5.0),
        duration_s,
        bool(container.streams.audio),
        _is_uneven(container, stream),
        bool(first.interlaced_frame),
        bool(round(getattr(first, "rotation", 0))),
    )


def _is_uneven(container: Any, stream: Any) -> bool:
    container.seek(0)
    times = sorted(p.pts for p in islice(container.demux(stream), _LOOKED_AT_PACKETS) if p.pts is not None)
    gaps = np.diff(times)
    gaps = gaps[gaps > 0]
    return len(gaps) > 2 and float(gaps.max()) > 1.6 * float(gaps.min())


def frames_of(facts: VideoFacts, start_s: float = 0.0) -> Iterator[Frame]:
    """(height, width, 3) uint8 RGB frames of ``facts.size`` at ``facts.frame_rate`` from ``start_s`` on, one at a time.

    A file that ends too early gives what there is. Raises UnreadableMedia when nothing can be decoded.
    """
    width, height = facts.size
    # The steady rate comes first: deinterlacing and scaling then see only the frames that are kept.
    filters = [f"fps={facts.frame_rate:.6f}"]
    filters += ["bwdif=mode=send_frame"] if facts.interlaced else []
    filters += [f"scale={width}:{height}:flags=bicubic"]
    arguments = ffmpeg.command(
        *(["-ss", f"{start_s:.3f}"] if start_s > 0 else []),
        *ffmpeg.input_arguments(facts.path),
        *("-map", "0:v:0", "-an", "-sn", "-vf", ",".join(filters), "-t", str(MAX_RECORDING_S)),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"),
    )
    num_bytes = width * height * 3
    num_frames = 0
    try:
        with ffmpeg.reading_from(arguments) as stream:
            while len(block := stream.read(num_bytes)) == num_bytes:
                num_frames += 1
                yield np.frombuffer(block, np.uint8).reshape(height, width, 3)
    except ffmpeg.FfmpegFailed as error:
        if not num_frames:
            raise UnreadableMedia(f"{facts.path.name!r} cannot be decoded: {error.reason}.", REMEDY) from error
