"""Running ffmpeg: argument lists as values, no shell, and only local files that the caller names."""

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from engine.media.limits import CONTAINERS

Arguments = list[str]


@cache
def ffmpeg_path() -> str:
    """The ffmpeg that arrives inside a package; none needs to be installed on the system."""
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def file_argument(path: Path) -> str:
    """``path`` as ffmpeg must be told it: absolute and marked as a file, so that no name reads as an option or URL."""
    return f"file:{path.absolute()}"


def input_arguments(path: Path) -> Arguments:
    """Options and name of one hostile input: local files only, known containers only."""
    return ["-protocol_whitelist", "file,pipe", "-format_whitelist", CONTAINERS, "-i", file_argument(path)]


def command(*arguments: str) -> Arguments:
    """A whole command line, quiet but for errors, that never waits for a key and never asks before writing."""
    return [ffmpeg_path(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments]


@cache
def encoders() -> frozenset[str]:
    """The names of all encoders of this ffmpeg."""
    asked = [ffmpeg_path(), "-nostdin", "-hide_banner", "-encoders"]
    told = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
    # " V....D libx264   libx264 H.264": six letters of abilities, then the name, once the legend is over.
    rows = told.partition("------")[2].splitlines()
    return frozenset(row.split()[1] for row in rows if len(row.split()) > 1)


class FfmpegFailed(Exception):
    """ffmpeg ended with an error; ``reason`` is its last words."""

    def __init__(self, returncode: int, reason: str) -> None:
        super().__init__(reason)
        self.returncode = returncode
        self.reason = reason

    @property
    def disk_is_full(self) -> bool:
        """Whether it was the output, not the input: ffmpeg says so, or the system stopped it for the file's size."""
        return "No space left" in self.reason or self.returncode == -getattr(signal, "SIGXFSZ", signal.SIGTERM)


def run(arguments: Sequence[str]) -> str:
    """Run a command to its end; all that it said. Raises FfmpegFailed."""
    with tempfile.TemporaryFile() as words:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=words, stderr=words, check=False)
        if done.returncode != 0:
            raise FfmpegFailed(done.returncode, last_words(words, done.returncode))
        words.seek(0)
        return words.read().decode("utf-8", "replace")


@contextlib.contextmanager
def reading_from(arguments: Sequence[str]) -> Iterator[IO[bytes]]:
    """Run a command that writes to its standard output; yields that stream.

    Leaving the block early stops the command. Raises FfmpegFailed when it ended by itself, with an error.
    """
    # What ffmpeg says goes to a file: a pipe that nobody empties would stop it once full.
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words)
        assert process.stdout is not None
        try:
            yield process.stdout
            returncode = process.wait() if not process.stdout.read(1) else 0
        finally:
            process.stdout.close()
            process.kill()
            process.wait()
        if returncode != 0:
            raise FfmpegFailed(returncode, last_words(words, returncode))


def last_words(words: IO[bytes], returncode: int) -> str:
    """The last line ffmpeg said, or how it ended when it said nothing."""
    words.seek(0)
    lines = [line.strip() for line in words.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else f"ffmpeg ended with status {returncode}"
