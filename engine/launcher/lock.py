"""One set-up at a time, even where two starts happen at once. The system lifts the lock when its holder dies."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

NAME = ".launch.lock"


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Waits for other starts that are setting ``folder`` up. Raises OSError where nothing can be written."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / NAME, "a+b") as file:
        if not _taken(file):
            print("Another start is setting this up: waiting for it.", flush=True)
            while not _taken(file):
                time.sleep(0.2)
        yield  # closing the file lifts the lock


def _taken(file: IO[bytes]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
