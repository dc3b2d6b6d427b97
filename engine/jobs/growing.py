"""growing.mp4: the video so far, with its sound, small and quick to make, for a look while the rest is rendered.

A second, cheap encoder writes the pictures to a bare stream, which can be read at any moment; every few seconds that
stream and the sound are put into a whole mp4, which takes the old one's place.
"""

import contextlib
import logging
import subprocess
import threading
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.jobs.job import GROWING_NAME
from engine.media import ffmpeg
from engine.project.atomic import PART_SUFFIX

logger = logging.getLogger(__name__)

RENEW_S = 5.0
QUIET_S = 1.0  # after the last frame of a window the video is renewed at once: the next one may take minutes
SHORT_SIDE_PX = 360
MAX_RATE = 15.0  # pictures per second: half of the work of a whole one
RENEW_SHARE = 0.05  # of the time: renewing a long video takes longer, so it is done more rarely


class GrowingVideo:
    """Feed it every frame; what goes wrong with it costs nothing but the look. ``close`` leaves the last video."""

    def __init__(self, folder: Path, frame_rate: float, sound: Path) -> None:
        self._path = folder / GROWING_NAME
        self._stream = folder / f".growing.h264{PART_SUFFIX}"
        self._audio = folder / f".growing.m4a{PART_SUFFIX}"
        self._sound = sound
        self._step = max(1, round(frame_rate / MAX_RATE))
        self._frame_rate = frame_rate / self._step
        self._encoder: subprocess.Popen[bytes] | None = None
        self._index = self._num_written = self._num_shown = 0
        self._written_s = self._renewed_s = time.monotonic()
        self._renewal_s = 0.0
        self._broken = False
        self._closing = threading.Event()
        self._renewer = threading.Thread(target=self._renew_now_and_then, name="growing", daemon=True)
        self._renewer.start()

    def add(self, rgb: NDArray[np.uint8]) -> None:
        """The next frame (height, width, 3)."""
        wanted, self._index = self._index % self._step == 0, self._index + 1
        if self._broken or not wanted:
            return
        try:
            small = _small(rgb)
            if self._encoder is None:
                self._encoder = self._started(small.shape[1], small.shape[0])
            assert self._encoder.stdin is not None
            self._encoder.stdin.write(small.data.cast("B"))
            self._encoder.stdin.flush()
            self._num_written, self._written_s = self._num_written + 1, time.monotonic()
        except OSError:
            logger.exception("The growing video is given up")
            self._broken = True

    def close(self) -> None:
        """End the encoder and what it needs; growing.mp4 stays as it is."""
        self._closing.set()
        self._renewer.join()
        if self._encoder:
            self._encoder.kill()
            self._encoder.wait()
            assert self._encoder.stdin is not None
            with contextlib.suppress(OSError):
                self._encoder.stdin.close()
        for part in (self._stream, self._audio):
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _started(self, width: int, height: int) -> subprocess.Popen[bytes]:
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", repr(self._frame_rate)]
        # Without lookahead and reordering, each picture is on disk as soon as it came; one thread leaves the other
        # processors to the render.
        coded = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-crf", "28", "-threads", "1"]
        coded += ["-pix_fmt", "yuv420p", "-g", "60", "-f", "h264", "-flush_packets", "1"]
        arguments = ffmpeg.command(*raw, "-i", "pipe:0", *coded, ffmpeg.file_argument(self._stream))
        quiet = subprocess.DEVNULL
        return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet)

    def _renew_now_and_then(self) -> None:
        while not self._closing.wait(0.25):
            now_s = time.monotonic()
            pause_s = max(RENEW_S, self._renewal_s / RENEW_SHARE)
            quiet = now_s - self._written_s > QUIET_S and now_s - self._renewed_s > QUIET_S
            if self._num_written > self._num_shown and (quiet or now_s - self._renewed_s > pause_s):
                self._renew()
                self._renewed_s = time.monotonic()
                self._renewal_s = self._renewed_s - now_s

    def _renew(self) -> None:
        shown = self._num_written
        part = self._path.with_name(f".{GROWING_NAME}{PART_SUFFIX}")
        try:
            if not self._audio.exists():
                self._encode_sound()
            rate = repr(self._frame_rate)
            inputs = ["-f", "h264", "-framerate", rate, "-i", ffmpeg.file_argument(self._stream)]
            inputs += ["-i", ffmpeg.file_argument(self._audio)]
            copied = ["-map", "0:v:0", "-map", "1:a:0", "-c", "copy", "-t", f"{shown / self._frame_rate:.3f}"]
            copied += ["-movflags", "+faststart", "-f", "mp4"]
            ffmpeg.run(ffmpeg.command(*inputs, *copied, ffmpeg.file_argument(part)))
            part.replace(self._path)
            self._num_shown = shown
        except (OSError, ffmpeg.FfmpegFailed):
            logger.warning("The growing video could not be renewed", exc_info=True)

    def _encode_sound(self) -> None:
        part = self._audio.with_name(f".growing-sound.m4a{PART_SUFFIX}")
        coded = ["-map", "0:a:0", "-c:a", "aac", "-ac", "1", "-ar", "24000", "-b:a", "64k", "-f", "mp4"]
        ffmpeg.run(ffmpeg.command(*ffmpeg.input_arguments(self._sound), *coded, ffmpeg.file_argument(part)))
        part.replace(self._audio)


def _small(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At most SHORT_SIDE_PX on the short side, sides even."""
    height, width = rgb.shape[:2]
    scale = min(1.0, SHORT_SIDE_PX / min(height, width))
    size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
    if size == (width, height):
        return np.ascontiguousarray(rgb)
    return np.ascontiguousarray(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR), np.uint8)
