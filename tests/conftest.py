"""What all tests share: real media that is not part of the project, and no word to any network."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["PYANNOTE_METRICS_ENABLED"] = "0"

SHARED_MEDIA = Path(os.environ.get("ROUNDTABLE_MEDIA", Path(__file__).parents[2] / "shared" / "media"))


@pytest.fixture(scope="session")
def shared_media() -> Callable[..., Path]:
    """Path of a real photo, recording or video; skips the test where it is not at hand."""

    def path_of(*parts: str) -> Path:
        path = SHARED_MEDIA.joinpath(*parts)
        if not path.exists():
            pytest.skip(f"needs {'/'.join(parts)}: set ROUNDTABLE_MEDIA to the folder of test media")
        return path

    return path_of
