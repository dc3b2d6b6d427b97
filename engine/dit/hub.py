"""Single files of the model hub: looked up, fetched with resuming, and checked against the hub's own record.

The hub's client forgets a half-fetched file when it stops; these are files of ten gigabytes, so they are streamed here,
with the client's own session, addresses, access token and errors.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

from engine.errors import ModelMissing, UnusableCheckpoint
from engine.project.atomic import write_failed

CHUNK_BYTES = 2**20
MAX_FAILURES, PAUSE_S = 4, 1.0  # attempts in a row that bring nothing, and the pause between them
PLAIN_HTTP_BYTES = constants.MAX_HTTP_DOWNLOAD_SIZE
GO_ON = "What was fetched so far is kept: run the same command again to go on."


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub has it now. ``etag``: sha256 of a large file, git's sha1 of a small one."""

    repository: str
    name: str
    url: str
    num_bytes: int
    etag: str


def list_files(repository: str) -> list[str]:
    """Names of all files of ``repository``. Raises ModelMissing."""
    with _told(repository), _reached():
        return HfApi().list_repo_files(repository)


def look_up(repository: str, name: str) -> RemoteFile:
    """What the hub says about a file. Raises ModelMissing: not reachable, no such file, access not granted."""
    with _told(repository), _reached():
        found = get_hf_file_metadata(hf_hub_url(repository, name))
    if found.size is None or not found.etag:
        raise ModelMissing(f"The hub does not say how large {repository}/{name} is.", GO_ON)
    if found.size > PLAIN_HTTP_BYTES:
        raise ModelMissing(
            f"{repository}/{name} has {found.size / 1e9:.0f} GB, more than the hub gives in one piece.",
            f"Fetch it with `hf download {repository} {name}`, then `models get … --from FOLDER`.",
        )
    return RemoteFile(repository, name, found.location, found.size, found.etag)


def part_of(remote: RemoteFile, target: Path) -> Path:
    """Where the pieces of ``remote`` are gathered: one place per version of the file."""
    return target.with_name(f".{target.name}.{re.sub(r'[^0-9A-Za-z]', '', remote.etag)[:16]}.part")


def fetch(remote: RemoteFile, part: Path) -> Iterator[int]:
    """Gather ``remote`` in ``part``, going on where an earlier attempt ended; yields the bytes that are there.

    Raises ModelMissing when the connection is lost for good (what came is kept), WriteFailed.
    """
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        yield from _gather(remote, part)
    except OSError as error:
        raise write_failed(part, error) from error


def _gather(remote: RemoteFile, part: Path) -> Iterator[int]:
    failures, last_error = 0, ""
    part.touch()
    while (here := part.stat().st_size) < remote.num_bytes:
        try:
            with _told(remote.repository):
                for here_now in _stream(remote, part, here):
                    failures = 0
                    yield here_now
        except httpx2.TransportError as error:
            last_error = str(error) or type(error).__name__
        if part.stat().st_size > here:
            continue
        failures += 1
        if failures >= MAX_FAILURES:
            raise _unreachable(last_error)
        time.sleep(PAUSE_S)


def _stream(remote: RemoteFile, part: Path, here: int) -> Iterator[int]:
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if not _is_the_hub(remote.url):
        headers.pop("authorization", None)  # a signed address elsewhere: the token is none of its business
    if here:
        headers["Range"] = f"bytes={here}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with http_stream_backoff(
        "GET", remote.url, headers=headers, timeout=timeout, retry_on_exceptions=(), retry_on_status_codes=(408, 429)
    ) as response:
        hf_raise_for_status(response)
        goes_on = response.status_code == 206
        here = here if goes_on else 0
        with part.open("ab" if goes_on else "wb") as file:
            for chunk in response.iter_bytes():  # as it comes: of a larger piece the last part would be lost
                file.write(chunk[: remote.num_bytes - here])
                here = min(here + len(chunk), remote.num_bytes)
                yield here


def _is_the_hub(url: str) -> bool:
    return httpx2.URL(url).host == httpx2.URL(constants.ENDPOINT).host


def check(path: Path, digest: str, num_bytes: int, name: str, discard: bool = False) -> Iterator[int]:
    """Read ``path`` and compare it with ``digest`` (sha256, or git's sha1; anything else: by size alone); yields the
    bytes read. Raises UnusableCheckpoint; ``discard``: and removes the file."""
    hasher = _hasher(digest, num_bytes)
    size, read = path.stat().st_size, 0
    with path.open("rb") as file:
        while hasher is not None and size == num_bytes and (chunk := file.read(CHUNK_BYTES)):
            hasher.update(chunk)
            read += len(chunk)
            yield read
    if size == num_bytes and (hasher is None or hasher.hexdigest() == digest):
        return
    if discard:
        path.unlink()
    found = f"{size} bytes instead of {num_bytes}" if size != num_bytes else "its checksum is wrong"
    raise UnusableCheckpoint(
        f"{name} is damaged: {found}.",
        "It was thrown away; run the same command again." if discard else "Take a whole copy of the published file.",
    )


def _hasher(digest: str, num_bytes: int) -> "hashlib._Hash | None":
    if re.fullmatch(r"[0-9a-f]{64}", digest):
        return hashlib.sha256()
    if re.fullmatch(r"[0-9a-f]{40}", digest):
        return hashlib.sha1(f"blob {num_bytes}\0".encode(), usedforsecurity=False)
    return None


@contextmanager
def _told(repository: str) -> Iterator[None]:
    """The hub's refusals as sentences with a remedy."""
    page = f"{constants.ENDPOINT}/{repository}"
    by_hand = "or fetch the files by hand and name their folder with `--from`"
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise ModelMissing("The hub is switched off here (HF_HUB_OFFLINE is set).", f"Unset it, {by_hand}.") from error
    except GatedRepoError as error:
        raise ModelMissing(
            f"{repository} is only given to people who agreed to its terms.",
            f"Agree at {page}, then set HF_TOKEN to an access token of yours, {by_hand}.",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelMissing(
            f"The hub has no repository {repository}, or keeps it private.",
            f"Look at {page} or the page of its authors, {by_hand}.",
        ) from error
    except RemoteEntryNotFoundError as error:
        raise ModelMissing(f"{repository} no longer has this file.", f"Look at {page}, {by_hand}.") from error
    except HfHubHTTPError as error:
        raise ModelMissing(f"The hub refused: {str(error).strip().splitlines()[0]}", GO_ON) from error


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except httpx2.TransportError as error:
        raise _unreachable(str(error) or type(error).__name__) from error


def _unreachable(reason: str) -> ModelMissing:
    return ModelMissing(
        f"{constants.ENDPOINT} cannot be reached, or the connection keeps breaking off ({reason}).",
        f"Check the network, or set HF_ENDPOINT to a mirror. {GO_ON}",
    )
