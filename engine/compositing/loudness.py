"""How loud a recording is, and the same recording as loud as a platform wants it: ITU-R BS.1770, EBU R 128."""

import errno
import math
import re
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UnreadableMedia
from engine.media import ffmpeg
from engine.media.probe import RECORDING_REMEDY, probe
from engine.project.atomic import whole_file, write_failed

MAX_PEAK_DBTP = -1.5
"""True peak after limiting: half a decibel below the -1 that platforms ask for, as AAC and Opus overshoot a little."""

_CLOSE_ENOUGH_LU = 0.1
_MAX_PASSES = 6
_SOFT_LUFS = -55.0
"""BS.1770 leaves out whatever is softer than -70: a recording near that is measured louder, and the gain taken off."""

_SILENCE_DBTP = -80.0
"""A peak of three steps of a 16-bit recording: hiss of the converter, and nobody's voice."""

_MEASURED = re.compile(r"\bI:\s*(\S+) LUFS")
_PEAK = re.compile(r"\bPeak:\s*(\S+) dBFS")


@dataclass(frozen=True)
class Loudness:
    """``integrated_lufs`` and ``peak_dbtp`` (true peak); both -inf for silence."""

    integrated_lufs: float
    peak_dbtp: float

    @property
    def is_silent(self) -> bool:
        return self.peak_dbtp < _SILENCE_DBTP or math.isinf(self.integrated_lufs)


def measure(path: Path) -> Loudness:
    """The loudness of the first sound of a file as it is stored: a mono file as one channel.

    Raises UnreadableMedia.
    """
    found = _measured(path, 0.0)
    if found.integrated_lufs > _SOFT_LUFS or found.peak_dbtp < _SILENCE_DBTP:
        return found
    gain_db = -found.peak_dbtp
    return Loudness(_measured(path, gain_db).integrated_lufs - gain_db, found.peak_dbtp)


def _measured(path: Path, gain_db: float) -> Loudness:
    filters = f"aformat=sample_fmts=dbl,volume={gain_db:.3f}dB:precision=double,ebur128=peak=true:framelog=quiet"
    arguments = [ffmpeg.ffmpeg_path(), "-nostdin", "-hide_banner", *ffmpeg.input_arguments(path)]
    try:
        told = ffmpeg.run([*arguments, "-map", "0:a:0", "-af", filters, "-f", "null", "-"])
    except ffmpeg.FfmpegFailed as error:
        raise UnreadableMedia(f"{path.name!r} cannot be decoded: {error.reason}.", RECORDING_REMEDY) from error
    integrated_lufs, peak_dbtp = (_last(pattern, told) for pattern in (_MEASURED, _PEAK))
    # The meter says -70.0 where all of the sound was below its gate.
    return Loudness(integrated_lufs if integrated_lufs > -69.95 else -math.inf, peak_dbtp)


def brought_to(source: Path, target: Path, wanted_lufs: float) -> Loudness | None:
    """Write the sound of ``source`` to ``target`` (WAV, float), ``wanted_lufs`` loud; what it then measures.

    Where it can, by one gain alone. Peaks that this would raise above MAX_PEAK_DBTP are limited, at four times the
    sample rate, and the gain is set again until the whole is as loud as wanted. None, and nothing written: silence.
    Raises UnreadableMedia and WriteFailed.
    """
    before = measure(source)
    if before.is_silent:
        return None
    gain_db = wanted_lufs - before.integrated_lufs
    limited = before.peak_dbtp + gain_db > MAX_PEAK_DBTP
    found, added_db = before, gain_db
    for _ in range(_MAX_PASSES):
        _write(source, target, gain_db, limited)
        last, found = found, measure(target)
        missing_lu = wanted_lufs - found.integrated_lufs
        if not limited or abs(missing_lu) < _CLOSE_ENOUGH_LU:
            break
        # The limiter takes back a share of what the gain gives: what it took the last time, it will again.
        given = (found.integrated_lufs - last.integrated_lufs) / added_db if added_db else 1.0
        added_db = missing_lu / min(max(given, 0.4), 1.0)
        gain_db += added_db
    return found


def _last(pattern: re.Pattern[str], told: str) -> float:
    """The last figure of that kind that ffmpeg told: the summary stands at the end. -inf where there is none."""
    found = pattern.findall(told)
    try:
        value = float(found[-1])
    except (IndexError, ValueError):
        return -math.inf
    return -math.inf if math.isnan(value) else value


def _limiter() -> str:
    # "level" would turn the whole up again, "latency" gives back the samples that looking ahead costs.
    limit = 10 ** (MAX_PEAK_DBTP / 20)
    return f"alimiter=limit={limit:.5f}:attack=5:release=80:level=disabled:latency=1"


def _write(source: Path, target: Path, gain_db: float, limited: bool) -> None:
    filters = ["asetpts=N/SR/TB", "aformat=sample_fmts=dbl", f"volume={gain_db:.3f}dB:precision=double"]
    if limited:
        # alimiter bounds samples; between the samples of the original rate the sound may be higher.
        rate = probe(source).sample_rate or 48000
        filters += [f"aresample={rate * 4}", _limiter(), f"aresample={rate}"]
    with whole_file(target) as part:
        output = ["-map", "0:a:0", "-af", ",".join(filters), "-c:a", "pcm_f32le", "-rf64", "auto", "-f", "wav"]
        try:
            ffmpeg.run(ffmpeg.command(*ffmpeg.input_arguments(source), *output, ffmpeg.file_argument(part)))
        except ffmpeg.FfmpegFailed as error:
            if error.disk_is_full:
                raise write_failed(target, OSError(errno.ENOSPC, error.reason)) from error
            raise UnreadableMedia(f"{source.name!r} cannot be decoded: {error.reason}.", RECORDING_REMEDY) from error
