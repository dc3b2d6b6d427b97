"""A finished video into another file, its pictures bit for bit as they are."""

import errno
from pathlib import Path

from engine.errors import WriteFailed
from engine.media import ffmpeg
from engine.media.write import Encoding, _append_xmp, _metadata_output, _sound_output
from engine.project.atomic import whole_file, write_failed


def copy_video(video: Path, target: Path, encoding: Encoding, sound: Path | None = None) -> Path:
    """Write ``video`` (H.264 in mp4, as takes are) to ``target`` with what ``encoding`` says about it.

    ``sound``: a file whose first sound replaces the video's own. Raises WriteFailed.
    """
    inputs = ffmpeg.input_arguments(video)
    if sound is None:
        sounds = ["-map", "0:a:0?", "-c:a", "copy"]
    else:
        inputs += ffmpeg.input_arguments(sound)
        sounds = _sound_output(sound, encoding)
    outputs = ["-map", "0:v:0", "-c:v", "copy", *sounds, *_metadata_output(encoding), *encoding.format.muxer_arguments]
    with whole_file(target) as part:
        try:
            ffmpeg.run(ffmpeg.command(*inputs, *outputs, ffmpeg.file_argument(part)))
        except ffmpeg.FfmpegFailed as error:
            if error.disk_is_full:
                raise write_failed(target, OSError(errno.ENOSPC, error.reason)) from error
            raise WriteFailed(
                f"{target.name} could not be written: {error.reason}.", "Check the folder, then export again."
            ) from error
        if encoding.xmp:
            _append_xmp(part, encoding.xmp)
    return target
