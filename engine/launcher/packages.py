"""Makes .venv and fills it: pip brings uv, uv brings everything else, many times faster."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import venv
from pathlib import Path

from engine.launcher.environment import Environment, SetupError
from engine.launcher.lock import NAME as LOCK
from engine.launcher.pip_settings import PipSettings, read_pip_settings

UV = "uv==0.13.9"
CPU_TORCH = "https://download.pytorch.org/whl/cpu/torch/"
SPARE_BYTES = 300_000_000


def prepare(environment: Environment) -> PipSettings:
    """A virtual environment with pip and uv in it, kept where it works. Returns the user's settings for pip."""
    if not _works(environment):
        _make(environment)
    settings = read_pip_settings(environment.python)
    if not _has_uv(environment):
        _install_uv(environment, settings)
    return settings


def install(environment: Environment, settings: PipSettings, lists: list[str]) -> None:
    """Installs the requirement files ``lists`` as pinned. Raises SetupError."""
    interrupted = environment.installing.exists()
    environment.installing.touch()
    _install(environment, settings, lists, ["--reinstall"] if interrupted else [])
    _bring_sound_library(environment)
    environment.installing.unlink()


def _install(environment: Environment, settings: PipSettings, lists: list[str], more: list[str]) -> None:
    root = environment.root
    options = ["install", "--overrides", str(root / "assets/overrides.txt")]
    options += ["--constraint", str(root / "assets/constraints.txt"), *settings.uv_constraints(), *more]
    options += [word for name in lists for word in ("--requirement", str(root / name))]
    if _cpu_torch_saves_space(settings):
        if run_uv(environment, settings, [*options, "--torch-backend", "cpu"]):
            return
        print("PyTorch's own index did not serve; taking its larger build from PyPI.", flush=True)
    if not run_uv(environment, settings, options):
        raise failure(environment, settings, "Installing the packages")


def _bring_sound_library(environment: Environment) -> None:
    """soundfile's builds for one system have libsndfile in them, the build for all systems has not. Of several sources
    uv takes the first one's build, whichever that is; pip the one that suits this computer best.

    Raises SetupError where the system has no libsndfile either.
    """
    loads = [str(environment.python), "-c", "import soundfile"]
    if _quietly(loads).returncode == 0:
        return
    options = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--force-reinstall"]
    constraints = ["--constraint", str(environment.root / "assets/constraints.txt")]
    _quietly([str(environment.python), "-m", "pip", *options, *constraints, "soundfile"])
    if _quietly(loads).returncode != 0:
        raise SetupError(
            "The library that reads sound files (libsndfile) is missing, and there is no package with it for this "
            "system. On Debian or Ubuntu: sudo apt install libsndfile1; on Fedora: sudo dnf install libsndfile; "
            "then start again."
        )


def run_uv(environment: Environment, settings: PipSettings, words: list[str]) -> bool:
    """``uv pip <words>`` with the user's sources and with its progress shown; whether it went well."""
    command = [str(environment.python), "-m", "uv", "pip", *words, "--python", str(environment.python)]
    return subprocess.run([*command, *settings.uv_sources()], env=settings.environment(), check=False).returncode == 0


def failure(environment: Environment, settings: PipSettings, what: str) -> SetupError:
    """Why ``what`` failed, as far as can be told: no space, no connection, or what was printed above."""
    if shutil.disk_usage(environment.root).free < SPARE_BYTES:
        return SetupError(f"{what} failed: the disk of {environment.root} is full. Free some space and start again.")
    if not answers(settings.index_url):
        return SetupError(
            f"{what} failed: {settings.index_url} cannot be reached. Setting up needs the internet once: connect "
            "(or set HTTPS_PROXY, or pip's index-url) and start again; what has been downloaded is kept."
        )
    return SetupError(f"{what} failed; the lines above say why. The next start goes on from here.")


def answers(url: str) -> bool:
    """Whether anything at all answers there."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def has_nvidia_driver() -> bool:
    """Whether a GPU that CUDA builds serve is likely here (WSL's has no /proc entry, but has the tool)."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def _cpu_torch_saves_space(settings: PipSettings) -> bool:
    """On Linux PyPI's torch brings gigabytes of CUDA: skipped without a GPU, unless the user's own sources decide."""
    return (
        platform.system() == "Linux" and not has_nvidia_driver() and not settings.has_own_sources and answers(CPU_TORCH)
    )


def _works(environment: Environment) -> bool:
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        return _quietly([str(environment.python), "-c", check]).returncode == 0
    except OSError:
        return False


def _has_uv(environment: Environment) -> bool:
    shown = _quietly([str(environment.python), "-m", "uv", "--version"])
    return shown.returncode == 0 and shown.stdout.split()[1:2] == [UV.split("==")[1]]


def _make(environment: Environment) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"This Python ({sys.executable}) comes without venv and pip. On Debian or Ubuntu: "
            f"sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv, then start again."
        )
    for left in environment.folder.iterdir():  # of an environment that was never finished, or lost its Python
        if left.name != LOCK:
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    try:
        venv.EnvBuilder(with_pip=True, symlinks=os.name != "nt").create(environment.folder)
    except subprocess.CalledProcessError as error:
        if shutil.disk_usage(environment.root).free < SPARE_BYTES:
            raise OSError(28, "the disk is full") from error
        raise SetupError(
            f"This Python ({sys.executable}) could not make a virtual environment. On Debian or Ubuntu: "
            "sudo apt install python3-venv; elsewhere, take Python from https://www.python.org/downloads/."
        ) from error


def _install_uv(environment: Environment, settings: PipSettings) -> None:
    options = ["install", "--quiet", "--disable-pip-version-check", "--retries", "1", UV]
    result = _quietly([str(environment.python), "-m", "pip", *options])
    if result.returncode != 0:
        reason = failure(environment, settings, "Fetching the installer (uv)")
        if "lines above" in str(reason):
            print(result.stderr or result.stdout, file=sys.stderr)
        raise reason


def _quietly(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
