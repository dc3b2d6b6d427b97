"""`data …`: from folders of videos to what the network learns from."""

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import StudioError
from engine.jobs.on_terminal import shown

if TYPE_CHECKING:
    from engine.training.prepare.settings import PrepareSettings
    from engine.training.shards import ShardIndex

data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

STORED = {"published": (480, 832), "tiny": (96, 128)}
"""Height and width of the stored frames where nothing else is asked for."""


@data_app.callback()
def data() -> None:
    """Training data: videos become clips to learn from."""


@data_app.command()
def prepare(
    source: Annotated[Path, typer.Argument(help="Folder of videos, and folders in it.", metavar="SRC")],
    out: Annotated[Path, typer.Argument(help="Folder for the shards; the same command again goes on.", metavar="OUT")],
    stage: Annotated[int, typer.Option(help="1: videos of one person. 2: of two.", min=1, max=2)] = 1,
    encoders: Annotated[
        str | None,
        typer.Option(help="published, tiny, or a folder with another small codec. Default: published where it is."),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Of the stored frames.", metavar="HEIGHTxWIDTH")] = None,
    settings: Annotated[Path | None, typer.Option(help="A toml file with other settings of the filters.")] = None,
) -> None:
    """Cut videos into clips by the paper's filters, encode them, and say what was left out and why."""
    from engine.dit.machine import this_machine
    from engine.training.prepare.encoders import load_encoders, published_missing
    from engine.training.prepare.run import PrepareOrder, Tools, prepare
    from engine.training.prepare.work import DROPPED_NAME, videos_under

    asked = encoders or ("tiny" if published_missing() else "published")
    folder = None if asked in STORED else Path(asked)
    kind = "tiny" if folder else asked
    if folder and not folder.is_dir():
        raise StudioError(f"There are no encoders {asked!r}.", "Use --encoders published, tiny, or a folder.")
    height, width = _size(size) if size else STORED[kind]
    wanted = read_settings(settings, {"stage": stage, "encoders": kind, "height": height, "width": width})
    videos_under(source)
    codec, audio = load_encoders(wanted.encoders, folder, this_machine().device)
    index: ShardIndex = shown(prepare(PrepareOrder(source, out, wanted), Tools.default(codec, audio)))
    for reason, dropped in index.dropped.items():
        typer.echo(f"left out, {reason}: {dropped.count} ({dropped.seconds:.0f} s). {dropped.why}")
    typer.echo(
        f"{index.num_clips} clips, {index.seconds:.0f} s, of {index.notes['videos_used']} of {index.notes['videos']} "
        f"videos are in {out}. What was left out: {out / DROPPED_NAME}"
    )


def _size(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH. Raises StudioError for what no network takes."""
    found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    height, width = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (16 <= height <= 1080 and 32 <= width <= 1920) or height % 16 or width % 32:
        raise StudioError(
            f"--size {text} cannot be: the height is a multiple of 16, the width of 32, so that halves fit too.",
            "Write it like --size 480x832 (HEIGHTxWIDTH).",
        )
    return height, width


def read_settings(path: Path | None, given: dict[str, Any]) -> "PrepareSettings":
    """The settings of a toml file (fields of PrepareSettings), under those of the command line. Raises StudioError."""
    from pydantic import ValidationError

    from engine.training.prepare.settings import PrepareSettings

    try:
        said = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
        return PrepareSettings.model_validate({**said, **given})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StudioError(f"The settings {path} cannot be read: {error}.", "Give a toml file.") from error
    except ValidationError as error:
        told = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
        known = ", ".join(PrepareSettings.model_fields)
        raise StudioError(f"The settings of data preparation are wrong: {told}.", f"There are: {known}.") from error
