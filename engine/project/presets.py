"""Presets: named settings in commented TOML files, the program's own and the creator's."""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import ValidationError

from engine.errors import StudioError
from engine.project.document import RenderSettings

BUILT_IN = Path(__file__).resolve().parents[2] / "presets"
ALWAYS_THE_CREATORS = ("aspect", "captions", "visible_mark")
THE_CREATORS_WHERE_CHANGED = ("height", "frame_rate", "seed", "range_s")


@dataclass(frozen=True)
class Preset:
    name: str
    description: str
    settings: RenderSettings


def user_presets_folder() -> Path:
    """Where a creator's own presets are looked for; one with a built-in's name takes its place."""
    chosen = os.environ.get("ROUNDTABLE_PRESETS")
    return Path(chosen) if chosen else Path(platformdirs.user_config_dir("roundtable")) / "presets"


def preset_names() -> list[str]:
    """Every name ``load_preset`` accepts, in alphabetical order."""
    return sorted(_files())


def load_preset(name: str) -> Preset:
    """The preset called ``name``. Raises StudioError when there is none or its file is wrong."""
    files = _files()
    if name not in files:
        raise StudioError(f"There is no preset {name!r}.", f"Choose one of: {', '.join(sorted(files))}.")
    return read_preset(files[name])


def settings_for(preset: str, chosen: RenderSettings) -> RenderSettings:
    """The settings of ``preset`` (each kind of take is one) with what the creator decided, ``chosen`` (the scene's
    settings), in its place.

    What the page always shows is the creator's; the rest only where it differs from the document's default, because a
    saved document does not tell a default that was chosen from one that nobody touched. Raises StudioError.
    """
    changed = chosen.model_dump(exclude_defaults=True)
    theirs = ALWAYS_THE_CREATORS + tuple(field for field in THE_CREATORS_WHERE_CHANGED if field in changed)
    return load_preset(preset).settings.model_copy(update={field: getattr(chosen, field) for field in theirs})


def read_preset(path: Path) -> Preset:
    """The preset in a TOML file: ``description`` and a table ``settings``. Raises StudioError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _wrong(path, str(error)) from error
    unknown = sorted(content.keys() - {"description", "settings"})
    if unknown:
        raise _wrong(path, f"{unknown[0]} is not known; settings belong under [settings]")
    try:
        settings = RenderSettings.model_validate(content.get("settings", {}))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise _wrong(path, f"settings.{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
    return Preset(path.stem, _text(content.get("description", "")), settings)


def _files() -> dict[str, Path]:
    found = {}
    for folder in (BUILT_IN, user_presets_folder()):
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else []:
            if re.fullmatch(r"[\w-]+", path.stem):
                found[path.stem] = path
    return found


def _text(value: Any) -> str:
    return " ".join(str(value).split())


def _wrong(path: Path, what: str) -> StudioError:
    return StudioError(f"The preset file {path} is wrong: {what}.", "Correct the file, or remove it.")
