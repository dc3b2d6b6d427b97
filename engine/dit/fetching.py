"""Brings the catalogue's models here: from the hub, or from a folder that somebody has already.

Files arrive one after the other, each whole and checked before it gets its name; what came before an interruption
stays, and the next attempt goes on from there.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Literal

from filelock import FileLock, Timeout

from engine.carriers import models_dir
from engine.dit import hub
from engine.dit.catalogue import WEIGHTS, MissingFile, Part, PartFile, gigabytes, locate, parts_of
from engine.errors import ModelMissing, UnusableCheckpoint, WriteFailed
from engine.project.atomic import write_failed

KEEP_FREE_BYTES = 2**28
PROGRESS_BYTES = 2**23  # a record at most every 8 MB

Stage = Literal["looking", "fetching", "copying", "checking", "done"]


@dataclass(frozen=True)
class FetchProgress:
    """``done`` of ``total`` bytes of ``name`` are read in ``stage``; ``all_done`` of ``all_total`` bytes are here."""

    stage: Stage
    name: str
    done: int = 0
    total: int = 0
    all_done: int = 0
    all_total: int = 0


@dataclass(frozen=True)
class _Job:
    """A file to bring: ``target`` is its place here, ``remote`` or ``source`` where it comes from."""

    file: PartFile
    target: Path
    num_bytes: int
    remote: hub.RemoteFile | None = None
    source: Path | None = None

    @property
    def part(self) -> Path:
        return (
            hub.part_of(self.remote, self.target) if self.remote else self.target.with_name(f".{self.target.name}.part")
        )


def get(name: str, source: Path | None = None) -> Iterator[FetchProgress]:
    """Bring everything of ``name`` that is not here yet: from the hub (HF_ENDPOINT, HF_TOKEN), or from ``source``, a
    folder laid out like the reference's ``checkpoints`` (files on the same disk are linked, not copied).

    Raises ModelMissing (unknown name, hub out of reach, access not granted, not in the folder), WriteFailed (no room:
    checked before anything is fetched), UnusableCheckpoint (a damaged file).
    """
    parts = parts_of(name)
    root = models_dir()
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / ".fetch.lock", timeout=0)
        with lock:
            yield FetchProgress("looking", name)
            yield from _bring(_from_folder(name, parts, source) if source else _from_hub(parts))
    except Timeout as error:
        raise ModelMissing("Models are being fetched here already.", "Wait until that has ended.") from error
    except OSError as error:
        raise write_failed(root, error) from error
    yield FetchProgress("done", name)


def _bring(jobs: list[_Job]) -> Iterator[FetchProgress]:
    _check_room(jobs)
    total, before = sum(job.num_bytes for job in jobs), 0
    for job in jobs:
        overall = FetchProgress("fetching", job.target.name, 0, job.num_bytes, before, total)
        steps = _from_remote(job) if job.remote else _from_disk(job)
        for stage, done in _sparse(steps, job.num_bytes):
            here = before + (job.num_bytes if stage == "checking" and job.remote else done)
            yield replace(overall, stage=stage, done=done, all_done=here)
        before += job.num_bytes


def _from_remote(job: _Job) -> Iterator[tuple[Stage, int]]:
    remote = job.remote
    assert remote is not None
    _forget_other_versions(job)
    for done in hub.fetch(remote, job.part):
        yield "fetching", done
    label = f"{remote.repository}/{remote.name}"
    for done in hub.check(job.part, job.file.sha256 or remote.etag, remote.num_bytes, label, discard=True):
        yield "checking", done
    os.replace(job.part, job.target)


def _from_disk(job: _Job) -> Iterator[tuple[Stage, int]]:
    source = job.source
    assert source is not None
    expected = source.stat().st_size if job.file.approximate else job.file.num_bytes
    for done in hub.check(source, job.file.sha256, expected, str(source)):
        yield "checking", done
    job.target.parent.mkdir(parents=True, exist_ok=True)
    job.part.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), job.part)
    except OSError:  # another disk, or one without links
        yield from _copied(source, job.part)
    os.replace(job.part, job.target)


def _copied(source: Path, part: Path) -> Iterator[tuple[Stage, int]]:
    with source.open("rb") as read, part.open("wb") as written:
        while chunk := read.read(hub.CHUNK_BYTES):
            written.write(chunk)
            yield "copying", written.tell()


def _sparse(steps: Iterator[tuple[Stage, int]], num_bytes: int) -> Iterator[tuple[Stage, int]]:
    last: tuple[Stage, int] = ("looking", 0)
    for stage, done in steps:
        if stage != last[0] or done >= num_bytes or done - last[1] >= PROGRESS_BYTES:
            last = (stage, done)
            yield last


def _from_hub(parts: tuple[Part, ...]) -> list[_Job]:
    jobs = []
    for part in parts:
        for file in part.files:
            for name in _names(part, file):
                remote_file = replace(file, name=name)
                here = locate(part, remote_file)
                if here is not None and here.name != PurePosixPath(name).name:
                    continue  # the same thing in another format
                if here is not None and not file.approximate and here.stat().st_size == file.num_bytes:
                    continue
                remote = hub.look_up(part.repository, name)
                _check_version(file, remote)
                if here is None or here.stat().st_size != remote.num_bytes:
                    target = here or models_dir() / part.folders[0] / name
                    jobs.append(_Job(file, target, remote.num_bytes, remote=remote))
    return jobs


def _check_version(file: PartFile, remote: hub.RemoteFile) -> None:
    if file.sha256 and len(remote.etag) == len(file.sha256) and remote.etag != file.sha256:
        raise UnusableCheckpoint(
            f"{remote.repository}/{remote.name} is not the file that this program knows (checksum {remote.etag[:12]}… "
            f"instead of {file.sha256[:12]}…).",
            "Check HF_ENDPOINT if you set it; otherwise look for a newer version of this program.",
        )


def _names(part: Part, file: PartFile) -> list[str]:
    """A file's name in its repository; several where the catalogue knows no more than a pattern."""
    if "*" not in file.name:
        return [file.name]
    offered = hub.list_files(part.repository)
    names = [each for each in offered if fnmatch(each, file.name) and each.endswith(WEIGHTS)]
    if not names or any(PurePosixPath(each).is_absolute() or ".." in PurePosixPath(each).parts for each in names):
        raise ModelMissing(
            f"{part.repository} has no weights called {file.name}.",
            f"Look at {part.page}, or fetch the files by hand and name their folder with `--from`.",
        )
    return names


def _from_folder(name: str, parts: tuple[Part, ...], source: Path) -> list[_Job]:
    if not source.is_dir():
        raise ModelMissing(f"{source} is no folder.", "Name the folder that holds AnyTalker, Wan2.1-Fun-… and so on.")
    within = (source, source / "checkpoints")
    jobs, absent = [], []
    for part in parts:
        for file in part.files:
            found, here = locate(part, file, within), locate(part, file)
            if found is None and here is None:
                absent.append(MissingFile(part, file))
            if found is not None and (here is None or here.stat().st_size != found.stat().st_size):
                jobs.append(_Job(file, here or _place(part, found, within), found.stat().st_size, source=found))
    if absent:
        layout = "; ".join(f"{each.part.folders[0]}/{each.file.name}" for each in absent)
        raise ModelMissing(
            f"{source} does not hold all of {name}. Not found, in any of the known layouts: {layout}.",
            f"Complete the folder, or fetch everything with `python launch.py models get {name}`.",
        )
    return jobs


def _place(part: Part, found: Path, within: tuple[Path, ...]) -> Path:
    folders = [root / folder for root in within for folder in part.folders]
    folder = next(each for each in folders if found.is_relative_to(each))
    return models_dir() / part.folders[0] / found.relative_to(folder)


def _check_room(jobs: list[_Job]) -> None:
    """Raises WriteFailed where the files still to come do not fit on the disk."""
    device = models_dir().stat().st_dev
    needed = 0
    for job in jobs:
        linked = job.source is not None and job.source.resolve().stat().st_dev == device
        fetched = job.part.stat().st_size if job.part.exists() else 0
        needed += 0 if linked else max(job.num_bytes - fetched, 0)
    free = shutil.disk_usage(models_dir()).free
    if needed + KEEP_FREE_BYTES > free and needed:
        raise WriteFailed(
            f"{gigabytes(needed)} are still to come, and the disk of {models_dir()} has {gigabytes(free)} free.",
            "Free some space, or set ROUNDTABLE_MODELS to a folder on a larger disk.",
        )


def _forget_other_versions(job: _Job) -> None:
    for old in job.target.parent.glob(f".{job.target.name}.*.part"):
        if old != job.part:
            old.unlink(missing_ok=True)
