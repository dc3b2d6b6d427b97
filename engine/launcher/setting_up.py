"""What happens at the first start, and whenever the lists of packages change."""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from engine.launcher import carriers, packages
from engine.launcher.environment import CARRIERS, PACKAGES, TESTS, Environment, SetupError
from engine.launcher.lock import exclusive

GB = 1_000_000_000
TITLES = {
    PACKAGES: "packages",
    CARRIERS: "embedded models and the demo's pictures",
    TESTS: "what the tests need",
}


def set_up(environment: Environment, parts: list[str]) -> None:
    """Installs whichever of ``parts`` is missing, with its progress shown. Raises SetupError."""
    try:
        with exclusive(environment.folder):
            _install(environment, environment.missing(parts))
    except OSError as error:
        if shutil.disk_usage(environment.root).free < packages.SPARE_BYTES:
            raise SetupError(disk_message(environment.root, required_bytes(environment))) from error
        raise SetupError(
            f"Setting up failed: {error}. Check that you may write in {environment.root}, and start again."
        ) from error


def required_bytes(environment: Environment) -> int:
    """Free space asked for before starting: for the whole set, or for what an update may take.

    The set takes 2.7 GB, and 6.5 GB where PyPI's torch for Linux brings CUDA along.
    """
    if environment.stamp.exists():
        return 2 * GB
    return (7 if sys.platform == "linux" else 4) * GB


def disk_message(root: Path, needed_bytes: int) -> str:
    free = shutil.disk_usage(root).free
    return (
        f"The disk is too full: {free / GB:.1f} GB free in {root}, and setting up needs about "
        f"{needed_bytes / GB:.0f} GB. Free some space, or move this folder to a larger disk, and start again."
    )


def _install(environment: Environment, missing: list[str]) -> None:
    if not missing:  # another start has done it meanwhile
        return
    if shutil.disk_usage(environment.root).free < required_bytes(environment):
        raise SetupError(disk_message(environment.root, required_bytes(environment)))
    started = time.monotonic()
    first = not environment.stamp.exists()
    print("Setting up Roundtable: once, a few minutes." if first else "Bringing Roundtable up to date.", flush=True)
    settings = packages.prepare(environment)
    steps: dict[str, Callable[[], None]] = {
        PACKAGES: lambda: packages.install(environment, settings, ["requirements.txt"]),
        CARRIERS: lambda: carriers.install(environment, settings),
        TESTS: lambda: packages.install(environment, settings, ["requirements.txt", "requirements-dev.txt"]),
    }
    for number, part in enumerate(missing, 1):
        print(f"[{number}/{len(missing)}] {TITLES[part]}", flush=True)
        steps[part]()
        environment.mark_done(part)
    print(f"Ready in {time.monotonic() - started:.0f} s.\n", flush=True)
