"""Files that are either whole or absent: written beside the target, then renamed."""

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from engine.errors import WriteFailed

PART_SUFFIX = ".part"
"""Ending of every unfinished file, so that a later start can tell and clear them."""

_REASONS = {
    errno.ENOSPC: ("The disk is full.", "Free some space, then try again."),
    errno.EDQUOT: ("Your disk quota is used up.", "Free some space, then try again."),
    errno.EFBIG: ("The file would be larger than this system allows.", "Use another folder or a shorter range."),
    errno.EROFS: ("The disk is read-only.", "Use a folder that can be written to."),
    errno.EACCES: ("This folder may not be written to.", "Change its permissions, or use another folder."),
    errno.EPERM: ("This folder may not be written to.", "Change its permissions, or use another folder."),
    errno.ENOENT: ("Its folder is gone.", "Put the folder back, or use another one."),
}


def write_failed(path: Path, error: OSError) -> WriteFailed:
    """The error for people of an OSError met while ``path`` was being written."""
    reason, remedy = _REASONS.get(error.errno or 0, (f"{error.strerror or error}.", "Check the disk, then try again."))
    return WriteFailed(f"{path.name} could not be written. {reason}", f"{remedy} What was saved before is still there.")


def part_path(target: Path) -> Path:
    """A new name beside ``target``: same folder, so that the rename at the end cannot cross disks."""
    return target.with_name(f".{target.name[:80]}.{uuid.uuid4().hex[:8]}{PART_SUFFIX}")


def finish(part: Path, target: Path) -> None:
    """Make ``part`` durable and give it its name in one step. Raises OSError."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, target)
    _sync_folder(target.parent)


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yields a path to write to; it becomes ``target`` only if the block ends well.

    Raises WriteFailed for every OSError; the unfinished file is removed and an older ``target`` stays as it was.
    """
    part = part_path(target)
    try:
        yield part
        finish(part, target)
    except OSError as error:
        raise write_failed(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes) -> None:
    """Write ``content`` to ``target``, whole or not at all. Raises WriteFailed."""
    with whole_file(target) as part:
        part.write_bytes(content)


def _sync_folder(folder: Path) -> None:
    # Windows has no file descriptors of folders; there the rename itself is as durable as it gets.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
