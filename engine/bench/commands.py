"""`bench …`: each command measures on this machine, in one run, and prints figures and ratios."""

from pathlib import Path
from typing import Annotated

import typer

bench_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure on this machine.")


@bench_app.command()
def animatic(
    seconds: Annotated[float, typer.Option(help="Length of each measured video.")] = 20.0,
    memory: Annotated[bool, typer.Option(help="Also compare the memory of 30 s and 10 min.")] = False,
) -> None:
    """Seconds of computing per second of 832x480 video with 2 and with 6 people."""
    from engine.bench.animatic import bench_animatic

    bench_animatic(seconds, memory)


@bench_app.command()
def diarization() -> None:
    """Diarization error and speed on recordings with known turns."""
    from engine.bench.diarization import bench_diarization

    bench_diarization()


@bench_app.command()
def dit(repeats: Annotated[int, typer.Option(help="Steps per figure; the least disturbed counts.", min=1)] = 5) -> None:
    """A denoising step with 1, 2, 4 and 8 people, beside the paper's dense formula."""
    from engine.bench.dit import bench_dit

    bench_dit(repeats)


@bench_app.command()
def checkpoint(folder: Annotated[Path | None, typer.Option(help="Where 4 GB may lie for a while.")] = None) -> None:
    """Load a random checkpoint of the published 1.3B's size, and a block of the 14B's: memory, bytes, one step."""
    from engine.bench.checkpoint import bench_checkpoint

    bench_checkpoint(folder)


@bench_app.command()
def memory(people: Annotated[int, typer.Option(help="How many people move.", min=0)] = 2) -> None:
    """Memory plans for GPUs of every size, and a forward's peak foretold and measured."""
    from engine.bench.memory import bench_memory

    bench_memory(people)


@bench_app.command()
def train(
    steps: Annotated[int, typer.Option(help="Steps that are measured.", min=1)] = 6,
    config: Annotated[str, typer.Option(help="A training config of the small network, or its name.")] = "tiny",
    threads: Annotated[int, typer.Option(help="Processor cores; 0 = as torch likes.", min=0)] = 0,
) -> None:
    """Training steps of the small network: examples per second, memory, and where the time goes."""
    from engine.bench.training import bench_training

    bench_training(steps, config, threads)


@bench_app.command()
def check(
    media: Annotated[Path, typer.Option(help="A folder with photos/, dialogues/ and videos/ of test media.")],
    folder: Annotated[Path, typer.Option(help="Where the animatics are kept for the next run.")],
    cases: Annotated[int, typer.Option(help="Seeded cases of each kind.", min=1)] = 40,
    held_out: Annotated[bool, typer.Option(help="On scenes by which no threshold was set.")] = False,
) -> None:
    """Faults put in on purpose: how many the check finds, and how often it cries wolf."""
    from engine.bench.check import bench_check

    bench_check(media, folder, cases, held_out)


@bench_app.command()
def checking(
    video: Annotated[Path, typer.Argument(help="A talking video.")],
    voices: Annotated[list[Path] | None, typer.Option(help="A sound file for each person, from left to right.")] = None,
) -> None:
    """How long a check takes and how much memory, beside the video's own length and one four times as long."""
    from engine.bench.checking import bench_checking

    bench_checking(video, voices or [])


@bench_app.command()
def landmarks(video: Annotated[Path, typer.Argument(help="A video of talking people.")]) -> None:
    """The mesh's 22 points beside those of InsightFace's 106 on a video; needs its 2d106det.onnx."""
    from engine.bench.landmarks import bench_landmarks

    bench_landmarks(video)
