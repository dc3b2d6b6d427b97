"""What a check costs: seconds and memory, for a video and for one four times as long. Printed, never asserted."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.cast.streams import VOICE_SAMPLE_RATE
from engine.errors import StudioError
from engine.evaluation.video import look_at
from engine.media import ffmpeg
from engine.media.read import load_waveform
from engine.media.types import Waveform
from engine.media.write import write_waveform

TIMES = 4


@dataclass(frozen=True)
class CheckCost:
    """Wall seconds of a process's first and second check of a video, and the process's peak memory."""

    first_s: float
    second_s: float
    peak_mib: float


def bench_checking(video: Path, voices: Sequence[Path]) -> None:
    """Prints seconds and MiB. Raises UnreadableMedia, StudioError where a check fails."""
    length_s = look_at(video).duration_s or 0.0
    print(f"{'video s':>8} {'first check':>12} {'second':>7} {'per s of video':>15} {'peak MiB':>9}")
    costs = []
    with tempfile.TemporaryDirectory() as scratch:
        for times in (1, TIMES):
            repeated = _repeated(video, voices, times, Path(scratch)) if times > 1 else (video, list(voices))
            cost = _in_child(*repeated)
            costs.append(cost)
            per_s = cost.second_s / (times * length_s)
            line = f"{times * length_s:>8.1f} {cost.first_s:>12.1f} {cost.second_s:>7.1f} {per_s:>15.2f}"
            print(f"{line} {cost.peak_mib:>9.0f}", flush=True)
    print(f"memory, {TIMES} times as long over once: {costs[1].peak_mib / costs[0].peak_mib:.2f}")


def _repeated(video: Path, voices: Sequence[Path], times: int, folder: Path) -> tuple[Path, list[Path]]:
    long = folder / f"long{video.suffix}"
    again = ("-stream_loop", str(times - 1))
    ffmpeg.run(ffmpeg.command(*again, *ffmpeg.input_arguments(video), "-c", "copy", str(long)))
    sounds = []
    for index, path in enumerate(voices):
        sound = load_waveform(path, VOICE_SAMPLE_RATE)
        sounds.append(folder / f"voice{index}.wav")
        write_waveform(sounds[-1], Waveform(np.tile(sound.samples, times), sound.sample_rate))
    return long, sounds


def _in_child(video: Path, voices: Sequence[Path]) -> CheckCost:
    # A process of its own: peak memory is a process's, and the first check of one loads the networks.
    code = "import sys; from engine.bench.checking import report_cost; report_cost(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(video), *map(str, voices)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StudioError(f"{video.name!r} could not be checked: {last}", "Try `python launch.py check` on it first.")
    return CheckCost(**json.loads(done.stdout.splitlines()[-1]))


def report_cost(video: str, *voices: str) -> None:
    """Check twice in this process and print the cost as JSON."""
    started = time.perf_counter()
    from engine.jobs.check_video import VideoOrder, check_video

    order = VideoOrder(Path(video), [(f"Voice {n}", Path(path)) for n, path in enumerate(voices, start=1)])
    seconds = []
    for _ in range(2):
        for _step in check_video(order):
            pass
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"first_s": seconds[0], "second_s": seconds[1], "peak_mib": peak}))
