"""Content credentials (C2PA): signed into a video, how it was made and out of what. No word goes to any network."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engine.compositing.provenance import SOURCE_TYPE, STATEMENT
from engine.compositing.signing import Identity
from engine.errors import StudioError
from engine.project.atomic import whole_file

MIME_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime"}
"""The video files that can carry credentials, of those that are exported: WebM has no place for them."""

_SETTINGS: dict[str, dict[str, Any]] = {
    # A photo may name an address where its own credentials lie: it is not asked, and neither is any issuer or clock.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    # A thumbnail of the photo would show what the export's shape leaves out.
    "builder": {"thumbnail": {"enabled": False}},
    "core": {"backing_store_memory_threshold_in_mb": 16},
}

_LARGE_BYTES = 256 * 1024**2
_LARGE_CORE = {**_SETTINGS["core"], "merkle_tree_chunk_size_in_kb": 1024}
"""The library holds a whole video in memory to hash it at once; a large one is hashed in parts, in 20 MB of memory."""


@dataclass(frozen=True)
class Ingredient:
    """A file that the video was made of: ``title`` says what it is, not whose; ``mime_type`` what it is for C2PA."""

    title: str
    path: Path
    mime_type: str


@dataclass(frozen=True)
class Credentials:
    """What is said about a video. ``num_consenting`` of its ``num_people``: whose consent is noted in the project."""

    title: str
    version: str
    model: str
    ingredients: tuple[Ingredient, ...] = ()
    num_people: int = 0
    num_consenting: int = 0


def can_carry(video: Path) -> bool:
    """Whether a file of this ending can carry credentials."""
    return video.suffix.lower() in MIME_TYPES


def sign_video(source: Path, target: Path, credentials: Credentials, identity: Identity) -> Path:
    """Write ``source`` with its credentials to ``target``: last of all, as any later change would break them.

    Raises WriteFailed, and StudioError when the library refuses the certificate or the video.
    """
    import c2pa

    kept = [each for each in credentials.ingredients if each.mime_type in c2pa.Builder.get_supported_mime_types()]
    info = c2pa.C2paSignerInfo(identity.algorithm.encode(), identity.chain_pem, identity.key_pem, None)
    core = _LARGE_CORE if source.stat().st_size > _LARGE_BYTES else _SETTINGS["core"]
    context = c2pa.Context(c2pa.Settings.from_dict({**_SETTINGS, "core": core}))
    with whole_file(target) as part, source.open("rb") as unsigned, part.open("w+b") as file:
        out = _Remembering(file)
        try:
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(_manifest(credentials, kept), context) as builder:
                for index, each in enumerate(kept):
                    with each.path.open("rb") as content:
                        builder.add_ingredient(_ingredient(each, index), each.mime_type, content)
                builder.sign(signer, MIME_TYPES[target.suffix.lower()], unsigned, out)
        except c2pa.C2paError as error:
            if out.failure:
                raise out.failure from error
            raise StudioError(f"Content credentials could not be added: {error}.", "Export without them.") from error
    return target


def read_credentials(video: Path) -> dict[str, Any] | None:
    """The whole report of C2PA's reader about a video; None when it carries no credentials."""
    import c2pa

    if not can_carry(video):
        return None
    try:
        with _reader(video) as reader:
            report: dict[str, Any] = json.loads(reader.json())
            return report
    except c2pa.C2paError.ManifestNotFound:
        return None


@contextmanager
def _reader(video: Path) -> Iterator[Any]:
    import c2pa

    context = c2pa.Context(c2pa.Settings.from_dict(_SETTINGS))
    with video.open("rb") as file, c2pa.Reader(MIME_TYPES[video.suffix.lower()], file, context=context) as reader:
        yield reader


def _manifest(credentials: Credentials, ingredients: Sequence[Ingredient]) -> str:
    agent = {"name": "Roundtable", "version": credentials.version}
    actions: list[dict[str, Any]] = [
        {
            "action": "c2pa.created",
            "digitalSourceType": SOURCE_TYPE,
            "softwareAgent": agent,
            "description": f"{STATEMENT} Engine: {credentials.model}.",
        }
    ]
    for index, _ in enumerate(ingredients):
        actions.append({"action": "c2pa.placed", "parameters": {"ingredientIds": [_id(index)]}})
    said = f"Consent noted for {credentials.num_consenting} of {credentials.num_people} people."
    consent = {"people": credentials.num_people, "noted": credentials.num_consenting, "statement": said}
    manifest = {
        "claim_generator_info": [agent],
        "title": credentials.title,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": "roundtable.consent", "data": consent},
        ],
    }
    return json.dumps(manifest)


def _ingredient(ingredient: Ingredient, index: int) -> str:
    return json.dumps({"title": ingredient.title, "relationship": "componentOf", "instance_id": _id(index)})


def _id(index: int) -> str:
    return f"roundtable:ingredient-{index + 1}"


class _Remembering:
    """A file for writing that remembers why it failed: the library tells only that it did."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            self.failure = error
            raise
