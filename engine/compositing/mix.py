"""The sound of a take: the recording as it is, or several people's own recordings put together."""

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import UnreadableMedia
from engine.media import ffmpeg
from engine.media.probe import RECORDING_REMEDY, probe
from engine.media.read import load_waveform
from engine.media.write import write_blocks
from engine.project.atomic import whole_file, write_failed

_BLOCK_SAMPLES = 1 << 18
_KNEE = 0.8
"""The limiter leaves everything below this level as it is."""


@dataclass(frozen=True)
class VoiceSound:
    """One person's own recording, and how much louder (or softer) it goes into the mix."""

    path: Path
    gain_db: float = 0.0


def cut_recording(source: Path, target: Path, range_s: tuple[float, float] | None = None) -> Path:
    """Write the samples of ``range_s`` of a recording to ``target`` (WAV): its own rate, channels and level.

    The whole recording needs no copy: without a range, ``source`` itself is given back.
    Raises UnreadableMedia (damaged, or nothing in that range) and WriteFailed.
    """
    if range_s is None:
        return source
    rate = probe(source).sample_rate or 48000
    start, end = (max(0, round(time_s * rate)) for time_s in range_s)
    if end <= start:
        raise ValueError(f"an empty range: {range_s}")
    trim = f"atrim=start_sample={start}:end_sample={end},asetpts=N/SR/TB"
    with whole_file(target) as part:
        # Float keeps 16- and 24-bit samples exactly, and those of lossy files where they pass full scale.
        output = ["-map", "0:a:0", "-af", trim, "-c:a", "pcm_f32le", "-rf64", "auto", "-f", "wav"]
        try:
            ffmpeg.run(ffmpeg.command(*ffmpeg.input_arguments(source), *output, ffmpeg.file_argument(part)))
        except ffmpeg.FfmpegFailed as error:
            if error.disk_is_full:
                raise write_failed(target, OSError(errno.ENOSPC, error.reason)) from error
            raise UnreadableMedia(f"{source.name!r} cannot be cut: {error.reason}.", RECORDING_REMEDY) from error
    return target


def mix_voices(voices: Sequence[VoiceSound], target: Path, range_s: tuple[float, float] | None = None) -> Path:
    """Write the sum of several recordings, each from its own start, to ``target`` (WAV, mono, float).

    The result is as long as the longest (or as ``range_s``). Only if the sum passes full scale is it limited, softly,
    and only above 0.8. Raises UnreadableMedia and WriteFailed.
    """
    if not voices:
        raise ValueError("no voices to mix")
    sample_rate = min(48000, max(probe(voice.path).sample_rate or 48000 for voice in voices))
    loaded = [load_waveform(voice.path, sample_rate).samples for voice in voices]
    gains = np.array([10 ** (voice.gain_db / 20) for voice in voices], np.float32)
    start, end = 0, max(len(samples) for samples in loaded)
    if range_s is not None:
        start, end = (max(0, round(time_s * sample_rate)) for time_s in range_s)
    peak = max((float(np.abs(block).max()) for block in _sums(loaded, gains, start, end)), default=0.0)
    sums = _sums(loaded, gains, start, end)
    return write_blocks(target, (softly_limited(block) if peak > 1 else block for block in sums), sample_rate, "FLOAT")


def softly_limited(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples within ±1: unchanged up to 0.8, bent smoothly towards 1 beyond."""
    level = np.abs(samples)
    bent = _KNEE + (1 - _KNEE) * np.tanh((level - _KNEE) / (1 - _KNEE))
    return np.where(level > _KNEE, np.sign(samples) * bent, samples).astype(np.float32)


def _sums(
    voices: Sequence[NDArray[np.float32]], gains: NDArray[np.float32], start: int, end: int
) -> Iterator[NDArray[np.float32]]:
    for low in range(start, end, _BLOCK_SAMPLES):
        high = min(low + _BLOCK_SAMPLES, end)
        total = np.zeros(high - low, np.float32)
        for samples, gain in zip(voices, gains, strict=True):
            part = samples[low:high]
            total[: len(part)] += gain * part
        yield total
