"""`train …`: one command from a config, or from nothing, to weights."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import StudioError

train_app = typer.Typer(rich_markup_mode=None)


def config_path(name: str) -> Path:
    """A file, or the name of one in presets/training. Raises StudioError for neither."""
    from engine.training.config import PRESETS

    path, preset = Path(name), PRESETS / f"{name}.toml"
    if path.is_file() or path.suffix == ".toml":
        return path
    if not preset.is_file():
        known = ", ".join(sorted(each.stem for each in PRESETS.glob("*.toml") if not each.stem.endswith("_faces")))
        raise StudioError(f"There is no training config {name!r}.", f"Give a .toml file, or one of: {known}.")
    return preset


def changes(settings: list[str] | None) -> dict[str, object]:
    """--set table.field=value, the value as TOML has it. Raises StudioError."""
    import tomllib

    found: dict[str, object] = {}
    for entry in settings or []:
        name, separator, value = entry.partition("=")
        if not separator or name.count(".") != 1:
            raise StudioError(f"--set {entry} is not table.field=value.", "Write it like --set run.steps=100")
        try:
            found[name] = tomllib.loads(f"value = {value}")["value"]
        except ValueError:
            found[name] = value
    return found


@train_app.command()
def train(
    config: Annotated[str, typer.Argument(help="A training config (.toml), or the name of one that comes along.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="table.field=value, instead of the file's.")] = None,
    check: Annotated[bool, typer.Option(help="Only measure what the run has made: 10 held-out pairs.")] = False,
) -> None:
    """Train the network; a run that was ended goes on from its last checkpoint."""
    from engine.training.assemble import assembled
    from engine.training.config import read_config
    from engine.training.loop import train
    from engine.training.telling import Progress, report

    settings = read_config(config_path(config), changes(set_))
    if not check and settings.run.processes > 1:
        from engine.training.together import is_wanted, run_together

        if is_wanted(settings.run.processes):
            again = ["-m", "engine", "train", config, *(word for entry in set_ or () for word in ("--set", entry))]
            raise typer.Exit(run_together(sys.executable, again, settings.run.processes))
    first = os.environ.get("RANK", "0") == "0"
    told = typer.echo if first else _nothing
    made = assembled(settings, told, first)
    if check:
        report(settings, made, told)
        return
    progress = Progress(settings.run.steps, told)
    for done in train(settings, made.encoders, made.codec_name, made.check if settings.run.check_every else None):
        progress.tell(done)
    told(f"The weights are in {settings.run.folder}.")


def _nothing(text: str) -> None:
    """What the others of several processes say."""
