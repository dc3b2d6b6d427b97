"""Presets: named settings in commented TOML files, the program's own and the creator's."""

import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import ValidationError

from engine.errors import StudioError
from engine.project.atomic import write_bytes, write_failed
from engine.project.document import RenderSettings, TakeKind

BUILT_IN = Path(__file__).resolve().parents[2] / "presets"
ALWAYS_THE_CREATORS = ("aspect", "captions", "visible_mark")
THE_CREATORS_WHERE_CHANGED = ("height", "frame_rate", "seed", "range_s")
THE_CREATORS_IF_DIFFUSED = tuple(
    field for field in RenderSettings.model_fields if field not in ("kind", *ALWAYS_THE_CREATORS)
)
ANIMATIC_MODEL = RenderSettings.model_fields["model"].default
RESERVED_NAMES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
"""What Windows takes for devices."""


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
    """The settings of ``preset`` with what the creator decided, ``chosen`` (the scene's settings), in its place.

    Shape, captions and mark are always the creator's. Of the rest, for a preview or a final from the preset of that
    name, all that differs from the document's default; a saved document does not tell a default that was chosen from
    one that nobody touched, so the way back to a preset's value is to set the default. Any other preset was asked for
    by its name and gives way only in size, rate, seed and range; so does the animatic, which has nothing else.
    Where ``chosen`` is of the wanted kind itself (an own preset, or a take's settings, was loaded), it is taken whole;
    the other kind then keeps its number of steps. Raises StudioError.
    """
    base = load_preset(preset).settings
    is_diffusion = preset == base.kind and base.kind is not TakeKind.ANIMATIC
    if is_diffusion and chosen.kind is base.kind and chosen.model != ANIMATIC_MODEL:
        return chosen.model_copy(deep=True)
    fields = THE_CREATORS_IF_DIFFUSED if is_diffusion else THE_CREATORS_WHERE_CHANGED
    changed = set(chosen.model_dump(exclude_defaults=True))
    if chosen.kind not in (TakeKind.ANIMATIC, base.kind):  # steps are what tells a preview from a final
        changed.discard("num_inference_steps")
    theirs = ALWAYS_THE_CREATORS + tuple(field for field in fields if field in changed)
    return base.model_copy(update={field: getattr(chosen, field) for field in theirs})


def chosen_from(preset: Preset, before: RenderSettings) -> RenderSettings:
    """What a scene's settings become when ``preset`` is chosen: shape, captions, mark and seed stay the creator's.

    The preset of a kind itself means "nothing chosen": each kind of take then goes by its own.
    """
    is_kind = preset.name == preset.settings.kind
    settings = RenderSettings() if is_kind else preset.settings
    kept = (*ALWAYS_THE_CREATORS, "seed")
    return settings.model_copy(update={"range_s": None, **{field: getattr(before, field) for field in kept}}, deep=True)


def save_preset(name: str, description: str, settings: RenderSettings) -> Path:
    """Keep ``settings`` as a commented TOML file in the creator's folder; an own preset of that name is replaced.

    Spaces in the name become hyphens. Raises StudioError for a name that no file can have or that a built-in has,
    WriteFailed.
    """
    stem = "-".join(name.split())
    if not re.fullmatch(r"[\w-]{1,40}", stem) or stem.lower() in RESERVED_NAMES:
        raise StudioError(
            f"{name[:60]!r} cannot be the name of a preset.", "Use up to 40 letters, digits, spaces and hyphens."
        )
    if stem.lower() in {path.stem.lower() for path in BUILT_IN.glob("*.toml")}:
        raise StudioError(f"{stem} is one of the program's own presets.", "Choose another name.")
    path = user_presets_folder() / f"{stem}.toml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failed(path, error) from error
    write_bytes(path, _as_toml(_text(description)[:300], settings).encode())
    return path


def _as_toml(description: str, settings: RenderSettings) -> str:
    lines = [
        "# A preset saved from the studio. Every control and its bounds: engine/project/document.py, RenderSettings.",
        f"description = {_toml_value(description)}",
        "",
        "[settings]",
    ]
    for field, value in settings.model_dump(mode="json", exclude_none=True).items():
        lines.append(f"{field} = {_toml_value(value)}{_remark(field)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    """JSON's texts, numbers, lists and yes or no are TOML's too, but for the one character that JSON leaves bare."""
    plain = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return plain.encode(errors="replace").decode()


def _remark(field: str) -> str:
    """What the document says about ``field``, as a comment."""
    info = RenderSettings.model_fields[field]
    bounds = [str(getattr(rule, name)) for name in ("ge", "le") for rule in info.metadata if hasattr(rule, name)]
    said = [info.description or "", " to ".join(bounds), f"default {_toml_value(info.default)}"]
    return f"  # {'; '.join(part for part in said if part)}"


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
