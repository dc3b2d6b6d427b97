"""Video and sound to disk: written beside the target, and there under its name only once complete."""

import contextlib
import errno
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import NDArray

from engine.errors import WriteFailed
from engine.media import ffmpeg
from engine.media.formats import H264, VideoFormat
from engine.media.probe import probe
from engine.media.types import Waveform
from engine.project.atomic import finish, part_path, whole_file, write_failed

_XMP_BOX_ID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")

# x264 wants YUV; without these the colours of an HD-tagged video come out as for old television: greener, darker reds.
_TO_BT709 = "scale=in_range=pc:out_range=tv:out_color_matrix=bt709:flags=bicubic+accurate_rnd+full_chroma_int"
_SAY_BT709 = "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
_TAGS = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]


@dataclass(frozen=True)
class Encoding:
    """How a video is encoded and what it says about itself.

    ``metadata`` goes into the container; ``xmp`` (an XMP packet, optional) into the file's own XMP box, where the
    format has boxes. ``copy_sound``: the sound goes in as it is encoded already, which the format must be able to hold.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    xmp: str = ""
    format: VideoFormat = H264
    copy_sound: bool = False


class VideoWriter:
    """A video in colours tagged as bt709: H.264 and AAC in an mp4 that browsers and phones play, unless ``encoding``
    names another format. Use it as a context manager.

    ``size`` is (width, height), both even; ``write`` takes (height, width, 3) uint8 RGB frames. ``sound`` is a file
    whose first sound goes in whole, at its own level. Leaving the block by an error, or ``discard``, leaves nothing.
    Raises WriteFailed, with ffmpeg's reason, when the disk is full or the sound cannot be read.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        frame_rate: float,
        sound: Path | None = None,
        encoding: Encoding | None = None,
    ) -> None:
        if size[0] % 2 or size[1] % 2:
            raise ValueError(f"width and height must be even, not {size[0]} × {size[1]}")
        self.path = path
        self.size = size
        self.num_frames = 0
        self._encoding = encoding or Encoding()
        self._part = part_path(path)
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        inputs = _frame_input(size, frame_rate) + _sound_input(sound)
        outputs = _video_output(self._encoding) + _sound_output(sound, self._encoding)
        muxing = self._encoding.format.muxer_arguments
        arguments = ffmpeg.command(*inputs, *outputs, *muxing, ffmpeg.file_argument(self._part))
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._words, bufsize=0
        )

    def write(self, rgb: NDArray[np.uint8]) -> None:
        """Add one frame. Raises WriteFailed."""
        width, height = self.size
        if rgb.shape != (height, width, 3) or rgb.dtype != np.uint8:
            raise ValueError(f"a frame must be ({height}, {width}, 3) uint8, not {rgb.shape} {rgb.dtype}")
        assert self._process.stdin is not None
        try:
            _write_all(self._process.stdin, np.ascontiguousarray(rgb).data.cast("B"))
        except OSError as error:
            raise self._failure(error) from error
        self.num_frames += 1

    def close(self) -> Path:
        """Finish the file and give it its name. Raises WriteFailed."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise self._failure()
        try:
            if self._encoding.xmp and self._encoding.format.boxes:
                _append_xmp(self._part, self._encoding.xmp)
            finish(self._part, self.path)
        except OSError as error:
            raise write_failed(self.path, error) from error
        finally:
            self._clear()
        return self.path

    def discard(self) -> None:
        """Stop, and leave nothing behind; an older file at ``path`` stays."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._clear()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _failure(self, error: OSError | None = None) -> WriteFailed:
        if error is not None and error.errno not in (errno.EPIPE, errno.EINVAL):
            self.discard()
            return write_failed(self.path, error)
        returncode = self._process.wait()
        reason = ffmpeg.last_words(self._words, returncode)
        self.discard()
        if "No space left" in reason or returncode < 0:
            remedy = "Free some space on the disk, then render again."
        else:
            remedy = "Check the folder and the sound file, then render again."
        return WriteFailed(f"{self.path.name} could not be written: {reason}.", remedy)

    def _clear(self) -> None:
        self._words.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)


def write_waveform(path: Path, waveform: Waveform, subtype: str = "PCM_16") -> Path:
    """Write mono sound as a WAV file. Raises WriteFailed.

    Level is kept; what lies beyond ±1 is clipped unless ``subtype`` is "FLOAT".
    """
    samples, step = waveform.samples, 1 << 20
    blocks = (samples[start : start + step] for start in range(0, len(samples), step))
    return write_blocks(path, blocks, waveform.sample_rate, subtype)


def write_blocks(path: Path, blocks: Iterable[NDArray[np.float32]], sample_rate: int, subtype: str) -> Path:
    """Write mono sound that comes in blocks (num_samples,) float32, as a WAV file. Raises WriteFailed."""
    import soundfile

    with whole_file(path) as part:
        try:
            with soundfile.SoundFile(part, "w", sample_rate, 1, subtype, format="WAV") as out:
                for block in blocks:
                    out.write(block)
        except soundfile.LibsndfileError as error:
            # libsndfile says "System error" for every failed write; the disk is by far the likeliest.
            raise WriteFailed(f"{path.name} could not be written: {error}.", "Free some space on the disk.") from error
    return path


def _frame_input(size: tuple[int, int], frame_rate: float) -> list[str]:
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", repr(float(frame_rate))]
    return [*raw, "-protocol_whitelist", "pipe", "-i", "pipe:0"]


def _sound_input(sound: Path | None) -> list[str]:
    return [] if sound is None else ffmpeg.input_arguments(sound)


def _video_output(encoding: Encoding) -> list[str]:
    wanted = encoding.format
    arguments = ["-map", "0:v:0", "-vf", f"{_TO_BT709},format={wanted.pixels},{_SAY_BT709}", "-c:v", wanted.encoder]
    return [*arguments, *wanted.video_arguments, *_TAGS, *_metadata_output(encoding)]


def _metadata_output(encoding: Encoding) -> list[str]:
    arguments = ["-map_metadata", "-1"]
    for key, value in encoding.metadata.items():
        arguments += ["-metadata", f"{key}={value}"]
    return arguments


def _sound_output(sound: Path | None, encoding: Encoding) -> list[str]:
    if sound is None:
        return []
    wanted, found = encoding.format, probe(sound)
    rate = found.sample_rate if found.sample_rate in wanted.sound_rates else 48000
    arguments = ["-map", "1:a:0"]
    if encoding.copy_sound:
        arguments += ["-c:a", "copy"]
    else:
        arguments += ["-c:a", wanted.sound_encoder, "-ar", str(rate), "-ac", str(min(found.num_channels or 1, 2))]
        # From the first sample on and without gaps, as analysis hears it: a video's sound may start late by its clock.
        arguments += ["-af", "asetpts=N/SR/TB"]
        if wanted.sound_kbps:
            arguments += ["-b:a", f"{wanted.sound_kbps}k"]
    # The file's clock in samples, so that the edit list can give the sound's exact length.
    return [*arguments, "-movie_timescale", str(rate)] if wanted.boxes else arguments


def _write_all(stream: IO[bytes], view: memoryview) -> None:
    while view:
        view = view[stream.write(view) :]


def _append_xmp(path: Path, xmp: str) -> None:
    """Add the box in which mp4 files carry XMP; at the end, so that no other offset moves."""
    payload = xmp.encode()
    with path.open("ab") as file:
        file.write((24 + len(payload)).to_bytes(4, "big") + b"uuid" + _XMP_BOX_ID + payload)


def read_xmp(path: Path) -> str:
    """The XMP packet in an mp4's own box; empty when there is none."""
    with path.open("rb") as file:
        end, at = file.seek(0, 2), 0
        while at + 8 <= end:
            file.seek(at)
            header = file.read(24)
            size = int.from_bytes(header[:4], "big")
            if size == 1:  # a box of more than 4 GB has its size after its kind
                size = int.from_bytes(header[8:16], "big")
            elif header[4:] == b"uuid" + _XMP_BOX_ID and 24 <= size <= 1 << 20:
                return file.read(size - 24).decode("utf-8", "replace")
            if size < 8:
                return ""
            at += size
    return ""
