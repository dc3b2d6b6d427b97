"""The engine of Roundtable: everything but the page. Imports nothing of gradio."""

import importlib.util
import logging
import os
import sys
import types
from pathlib import Path

__version__ = "0.1.0"

# Set before the libraries that read them are imported: nothing talks to the network unasked.
os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "0")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# It warns on some processors, at import, that a kernel from the hub is missing: we compute without it.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


def _let_torchaudio_import_beside_cpu_torch() -> None:
    """PyPI's torchaudio for Linux links CUDA's libraries and cannot load beside a CPU torch.

    Its compiled part is optional: with a stand-in for the module that loads it, all that we and our libraries use
    (resampling, Kaldi features) runs as plain Python.
    """
    torch, torchaudio = _folder("torch"), _folder("torchaudio")
    if not (sys.platform == "linux" and torch and torchaudio) or "torchaudio" in sys.modules:
        return
    if (torch / "lib" / "libc10_cuda.so").exists() or not list((torchaudio / "lib").glob("_torchaudio*.so")):
        return
    stub = types.ModuleType("torchaudio._extension")
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = False  # type: ignore[attr-defined]
    stub._check_cuda_version = lambda: None  # type: ignore[attr-defined]
    stub._load_lib = lambda lib: False  # type: ignore[attr-defined]
    stub.fail_if_no_align = lambda function: function  # type: ignore[attr-defined]
    sys.modules["torchaudio._extension"] = stub


_let_torchaudio_import_beside_cpu_torch()
