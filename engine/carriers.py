"""Where model files are: those that arrive inside packages (carriers), and those fetched on request.

A carrier is a package used only for the weights inside it: unpacked beside the environment by launch.py, never
imported, its files read as data.
"""

import os
import sys
from pathlib import Path

import platformdirs

from engine.errors import ModelMissing


def carriers_dir() -> Path:
    return Path(os.environ.get("ROUNDTABLE_CARRIERS") or Path(sys.prefix) / "carriers")


def carrier_file(package: str, *parts: str) -> Path:
    """Path of a file inside an unpacked carrier. Raises ModelMissing when launch.py has not fetched it."""
    path = carriers_dir().joinpath(package, *parts)
    if not path.is_file():
        raise ModelMissing(
            f"The embedded model file {package}/{'/'.join(parts)} is not here.",
            "Start with `python launch.py` while online once: it fetches the models that come inside packages.",
        )
    return path


def models_dir() -> Path:
    """Folder of the full models (InsightFace pack, pyannote, AnyTalker): fetched on request or put there by hand."""
    return Path(os.environ.get("ROUNDTABLE_MODELS") or Path(platformdirs.user_data_dir("roundtable")) / "models")
