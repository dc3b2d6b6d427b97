"""`check` and `evaluate`: judge one video, or run the benchmark for conversations on a folder of videos."""

import json
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import StudioError
from engine.jobs.on_terminal import shown

check_app = typer.Typer(rich_markup_mode=None)
evaluate_app = typer.Typer(rich_markup_mode=None, help="The paper's benchmark for conversations: run it, extend it.")
check_app.add_typer(evaluate_app, name="evaluate")


@check_app.command()
def check(
    video: Annotated[Path, typer.Argument(help="A talking video.")],
    project: Annotated[Path | None, typer.Option(help="The project it was rendered from.")] = None,
    voices: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE for each person, from left to right.", metavar="NAME=FILE")
    ] = None,
    turns: Annotated[Path | None, typer.Option(help="Who speaks when (RTTM), by the names of the voices.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report; default: beside the video.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say whether the right mouths move, in time, and whether everybody stays who they are."""
    from engine.evaluation.page import write_page
    from engine.evaluation.syncnet import syncnet_missing, syncnet_path
    from engine.evaluation.table import lines_of
    from engine.jobs.check_video import VideoOrder, check_file_of_project, check_video
    from engine.project.atomic import write_bytes

    if project and (voices or turns):
        raise StudioError("A project knows its voices and turns.", "Give --project, or --voices and --turns.")
    steps = (
        check_file_of_project(project, video)
        if project
        else check_video(VideoOrder(video, [named(entry) for entry in voices or []], turns))
    )
    checked = shown(steps)
    folder = out or video.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / f"{video.stem}.check.json", folder / f"{video.stem}.check.html"
    write_bytes(data, checked.report.model_dump_json(indent=2).encode())
    write_page(page, video.name, checked.report, (checked.watched, checked.expected, checked.facts))
    if as_json:
        typer.echo(checked.report.model_dump_json(indent=2))
        return
    for line in lines_of(checked.report):
        typer.echo(line)
    if syncnet_path() is None:
        typer.echo(f"SyncNet's confidence was not measured: {syncnet_missing()}")
    typer.echo(f"{data}\n{page}")


def named(entry: str) -> tuple[str, Path]:
    """NAME=FILE. Raises StudioError."""
    name, separator, path = entry.partition("=")
    if not (name and separator and path):
        raise StudioError(f"--voices {entry} is not NAME=FILE.", 'Write it like --voices "Ada=ada.wav".')
    return name, Path(path)


@evaluate_app.callback(invoke_without_command=True)
def evaluate(
    context: typer.Context,
    benchmark: Annotated[str, typer.Option(help="interactiveeyes is the one there is.")] = "interactiveeyes",
    videos: Annotated[Path | None, typer.Option(help="Folder of videos, named as in the annotations.")] = None,
    annotations: Annotated[Path | None, typer.Option(help="Who speaks when: the published JSON, or ours.")] = None,
    real: Annotated[Path | None, typer.Option(help="Folder of the real videos, for FID and FVD.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON here.")] = None,
) -> None:
    """Interactivity, weighted sync and identity of a folder of videos, beside the paper's rows."""
    if context.invoked_subcommand:
        return
    from engine.jobs.evaluate_folder import BenchmarkOrder, evaluate_folder, rows_of
    from engine.project.atomic import write_bytes

    if benchmark != "interactiveeyes":
        raise StudioError(f"There is no benchmark {benchmark!r}.", "Use --benchmark interactiveeyes.")
    if videos is None or annotations is None:
        raise StudioError("The benchmark needs --videos and --annotations.", "See engine/evaluation/CALIBRATION.md.")
    figures = shown(evaluate_folder(BenchmarkOrder(videos, annotations, real)))
    for row in rows_of(figures):
        typer.echo(row)
    if out:
        write_bytes(out, json.dumps(figures.to_json(), indent=2).encode())


@evaluate_app.command("make-benchmark")
def make_benchmark(
    videos: Annotated[Path, typer.Argument(help="Folder of videos of two people talking.")],
    out: Annotated[Path, typer.Option(help="Folder for the benchmark.")],
) -> None:
    """Turn videos of two people into benchmark form: first frame, one voice each, who speaks when."""
    from engine.jobs.make_benchmark import make_benchmark

    made = shown(make_benchmark(videos, out))
    for name, why in made.left_out:
        typer.echo(f"left out: {name!r}: {why}")
    typer.echo(f"{len(made.kept)} of {len(made.kept) + len(made.left_out)} videos are in {out}")
