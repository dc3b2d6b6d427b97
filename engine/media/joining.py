"""A finished video with another sound: the pictures are copied as they are."""

import errno
from pathlib import Path

from engine.errors import WriteFailed
from engine.media import ffmpeg
from engine.media.write import Encoding, _append_xmp, _sound_output, read_xmp
from engine.project.atomic import whole_file, write_failed


def replace_sound(video: Path, sound: Path, encoding: Encoding) -> Path:
    """Give ``video`` (an mp4 of ours) the first sound of the file ``sound``, whole. Raises WriteFailed."""
    pictures = ["-map", "0:v:0", "-c:v", "copy", "-map_metadata", "0", "-movflags", "+faststart"]
    inputs = [*ffmpeg.input_arguments(video), *ffmpeg.input_arguments(sound)]
    xmp = read_xmp(video)
    with whole_file(video) as part:
        outputs = [*pictures, *_sound_output(sound, encoding), "-f", "mp4", ffmpeg.file_argument(part)]
        try:
            ffmpeg.run(ffmpeg.command(*inputs, *outputs))
        except ffmpeg.FfmpegFailed as error:
            if error.disk_is_full:
                raise write_failed(video, OSError(errno.ENOSPC, error.reason)) from error
            raise WriteFailed(f"{video.name} could not be written: {error.reason}.", "Render again.") from error
        if xmp:
            _append_xmp(part, xmp)
    return video
