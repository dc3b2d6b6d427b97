"""`export`: a take leaves the project for the place where it will be shown."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from engine.errors import StudioError
from engine.jobs.on_terminal import shown
from engine.project.document import ExportSettings, Scene, Take
from engine.project.store import ProjectFiles

export_app = typer.Typer(rich_markup_mode=None)
console = Console(stderr=True)

AS_IN_PROJECT = "Default: as the project says."


@export_app.command()
def export(  # noqa: PLR0913  each is an option of the command
    folder: Annotated[Path, typer.Argument(help="Folder of the project.", metavar="PROJECT")],
    take: Annotated[str, typer.Option(help="Id of a take, or the beginning of one.")] = "the newest",
    out: Annotated[Path | None, typer.Option(help="Name of the video. Default: the project's, in this folder.")] = None,
    format_: Annotated[str | None, typer.Option("--format", help=f"h264, h265, prores, webm. {AS_IN_PROJECT}")] = None,
    aspect: Annotated[str | None, typer.Option(help=f"photo, 16:9, 9:16, 1:1. {AS_IN_PROJECT}")] = None,
    captions: Annotated[str | None, typer.Option(help=f"none, beside, burnt-in. {AS_IN_PROJECT}")] = None,
    loudness: Annotated[str | None, typer.Option(help=f"none, -14, -16, -23 (LUFS). {AS_IN_PROJECT}")] = None,
    follow: Annotated[bool | None, typer.Option(help="Show who speaks where the shape is too narrow for all.")] = None,
    mark: Annotated[bool | None, typer.Option(help="Write 'AI-generated' into the picture.")] = None,
    credentials: Annotated[bool | None, typer.Option(help="Sign content credentials (C2PA) into the file.")] = None,
) -> None:
    """Export a finished take: format, shape, captions, loudness, and what the file says about its making."""
    from engine.jobs.export_take import export_take, suffix_of
    from engine.project.reading import read_project
    from engine.project.store import PROJECT_NAME
    from engine.project.takes import read_take

    # Without the project's lock: a studio that has it open may go on.
    store, project = ProjectFiles(folder), read_project(folder / PROJECT_NAME)
    chosen = {
        "format": format_,
        "aspect": aspect,
        "captions": captions,
        "loudness_lufs": None if loudness is None else _loudness(loudness),
        "follow_speaker": follow,
        "visible_mark": mark,
        "credentials": credentials,
    }
    settings = _settings(project.scene.export, chosen, loudness)
    record = read_take(store.take_folder(_take(project.scene, take).id))
    target = out or Path(store.folder.name)
    if target.suffix.lower() == suffix_of(settings.format):
        target = target.with_suffix("")
    done = shown(export_take(store, record.scene, record.take, settings, target))
    for remark in done.remarks:
        console.print(remark, markup=False)
    for path in done.paths:
        typer.echo(str(path))


def _settings(ours: ExportSettings, chosen: dict[str, Any], loudness: str | None) -> ExportSettings:
    """The project's export settings with what the command line says in their place."""
    wanted = {name: value for name, value in chosen.items() if value is not None}
    if loudness is not None:
        wanted["loudness_lufs"] = chosen["loudness_lufs"]
    try:
        return ExportSettings.model_validate({**ours.model_dump(), **wanted})
    except ValueError as error:
        given = {f"--{name.split('_')[0]} {value}" for name, value in wanted.items() if f"\n{name}\n" in f"{error}\n"}
        raise StudioError(
            f"{' and '.join(sorted(given))} cannot be had.", "See `export --help` for what can."
        ) from None


def _loudness(text: str) -> int | None:
    if text == "none":
        return None
    try:
        return int(text)
    except ValueError:
        raise StudioError(f"--loudness {text} is no loudness.", "Write none, -14, -16 or -23.") from None


def _take(scene: Scene, wanted: str) -> Take:
    finished = [take for take in scene.takes if take.video_path]
    if not finished:
        raise StudioError("The project has no finished take.", "Render it first.")
    if wanted == "the newest":
        return finished[-1]
    found = [take for take in finished if take.id.startswith(wanted)]
    if len(found) != 1:
        raise StudioError(
            f"--take {wanted} names {len(found) or 'no'} finished takes.",
            f"There are: {', '.join(take.id for take in finished)}.",
        )
    return found[0]
