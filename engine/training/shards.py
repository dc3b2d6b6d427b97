"""Prepared clips on disk: tar files in webdataset's form, and index.json, which says what they were made with.

    index.json            "format": "roundtable-shards-1"; stage, codec, audio_encoder, height, width, frame_rate; what
                          is in each shard; how much was dropped, by reason
    clips-000000.tar …    one group of members per clip, all beginning with the clip's name:
        NAME.json                     frame rate, sizes, prompt; of each person box_px, boxes_px, sync_confidence;
                                      of each half its box_px
        NAME.latents.npy              (C, T, h, w) float16
        NAME.first_frame.png          (H, W, 3), lossless
        NAME.person0.audio.npy        (F, K, D) float16; person1 is the right one
        NAME.half0.latents.npy        (C, T, h, w / 2) float16; stage 1 only
        NAME.half0.first_frame.png    (H, W / 2, 3)

Any tool that knows webdataset reads them. The same clips give the same bytes. Nothing in a shard is ever unpickled.
"""

import contextlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pydantic import BaseModel, Field, ValidationError

from engine.errors import UnusableShards
from engine.project.atomic import whole_file, write_bytes
from engine.training.samples import Clip, Half, Person

INDEX_NAME = "index.json"
CLIPS_PER_SHARD = 256
_REMEDY = "Prepare the videos again, into an empty folder."


class StoredShard(BaseModel):
    """One tar file: its name in the folder, and what it holds."""

    name: str = Field(pattern=r"^[\w-]+\.tar$")
    num_clips: int
    num_bytes: int


class DroppedCount(BaseModel):
    """How much was left out for one reason, and that reason in words."""

    count: int = 0
    seconds: float = 0.0
    why: str = ""


class ShardIndex(BaseModel):
    """index.json. ``audio_encoder`` and ``codec`` are names: training with others is refused."""

    format: Literal["roundtable-shards-1"] = "roundtable-shards-1"
    stage: int
    codec: str
    audio_encoder: str
    height: int
    width: int
    frame_rate: float
    num_clips: int = 0
    seconds: float = 0.0
    shards: list[StoredShard] = Field(default_factory=list)
    dropped: dict[str, DroppedCount] = Field(default_factory=dict)
    notes: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class ShardFacts:
    """What all clips of a folder have in common."""

    stage: int
    codec: str
    audio_encoder: str
    height: int
    width: int
    frame_rate: float

    def empty_index(self) -> ShardIndex:
        return ShardIndex(**vars(self))


def write_clips(clips: Iterable[Clip], folder: Path, facts: ShardFacts) -> ShardIndex:
    """Clips that are made on the spot, as a folder of shards with its index. Raises WriteFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    index, waiting = facts.empty_index(), []
    for clip in clips:
        waiting.append(clip)
        if len(waiting) == CLIPS_PER_SHARD:
            _add_shard(index, folder, waiting)
            waiting = []
    if waiting:
        _add_shard(index, folder, waiting)
    write_index(index, folder)
    return index


def _add_shard(index: ShardIndex, folder: Path, clips: list[Clip]) -> None:
    name = shard_name(len(index.shards))
    write_shard(clips, folder / name)
    index.shards.append(StoredShard(name=name, num_clips=len(clips), num_bytes=(folder / name).stat().st_size))
    index.num_clips += len(clips)
    index.seconds = round(index.seconds + sum(clip.num_frames / clip.frame_rate for clip in clips), 3)


def shard_name(number: int) -> str:
    return f"clips-{number:06}.tar"


def write_shard(clips: Iterable[Clip], path: Path) -> None:
    """One tar file, whole or not at all. Raises WriteFailed."""
    with open_shard(path) as add:
        for clip in clips:
            add(clip)


@contextlib.contextmanager
def open_shard(path: Path) -> Iterator[Callable[[Clip], None]]:
    """Yields what adds a clip to a tar file, which is there only if the block ends well. Raises WriteFailed."""
    from webdataset.writer import TarWriter

    with whole_file(path) as part, part.open("wb") as file:
        writer = TarWriter(file, encoder=False, mtime=0, user="", group="")
        yield lambda clip: writer.write(_members(clip))
        writer.close()


def join_shards(parts: Iterable[Path], path: Path) -> None:
    """The members of several tar files in one. Raises WriteFailed, UnusableShards."""
    with whole_file(path) as whole, tarfile.open(whole, "w", format=tarfile.USTAR_FORMAT) as out:
        for part in parts:
            for member, content in _stored(part):
                out.addfile(member, io.BytesIO(content))


def _stored(path: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    try:
        with tarfile.open(path, "r:") as source:
            for member in source:
                yield member, source.extractfile(member).read()  # type: ignore[union-attr]
    except (OSError, tarfile.TarError) as error:
        raise _damaged(path) from error


def write_index(index: ShardIndex, folder: Path) -> None:
    """Raises WriteFailed."""
    write_bytes(folder / INDEX_NAME, index.model_dump_json(indent=2).encode())


def read_index(folder: Path) -> ShardIndex:
    """Raises UnusableShards where the folder holds no prepared clips, or its index is damaged."""
    path = folder / INDEX_NAME
    try:
        return ShardIndex.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UnusableShards(
            f"There are no prepared clips in {folder}.", "`python launch.py data prepare VIDEOS FOLDER` makes them."
        ) from error
    except ValidationError as error:
        raise UnusableShards(f"{path} is damaged, or of another version.", _REMEDY) from error


def check_made_with(index: ShardIndex, codec: str, audio_encoder: str) -> None:
    """Raises UnusableShards where latents or voices were encoded by others than these."""
    for what, wanted, found in (("codec", codec, index.codec), ("audio encoder", audio_encoder, index.audio_encoder)):
        if wanted != found:
            raise UnusableShards(
                f"These clips were encoded with the {what} {found!r}; this training needs {wanted!r}.",
                "Prepare the videos for this network, or name the other one in the config.",
            )


def read_clips(folder: Path, shards: Iterable[str] | None = None) -> Iterator[Clip]:
    """Every clip of a folder, or of the ``shards`` named, in the order in which they were written.

    Raises UnusableShards where a file is missing, cut short, or holds something else.
    """
    stored = {shard.name: shard.num_clips for shard in read_index(folder).shards}
    for name in shards if shards is not None else stored:
        num_clips = 0
        for num_clips, clip in enumerate(read_shard(folder / name), start=1):  # noqa: B007
            yield clip
        if num_clips != stored.get(name, num_clips):
            raise UnusableShards(f"{folder / name} holds {num_clips} clips instead of {stored[name]}.", _REMEDY)


def read_shard(path: Path) -> Iterator[Clip]:
    """The clips of one tar file. Raises UnusableShards."""
    from webdataset.tariterators import group_by_keys, tar_file_iterator

    try:
        with path.open("rb") as file:
            members = ({**member, "__url__": ""} for member in tar_file_iterator(file))
            for group in group_by_keys(members, lcase=False):
                yield _clip(group)
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError, EOFError, SyntaxError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UnusableShards:
    return UnusableShards(f"The shard {path} is missing or damaged.", _REMEDY)


def _members(clip: Clip) -> dict[str, Any]:
    said: dict[str, Any] = {name: getattr(clip, name) for name in ("frame_rate", "num_frames", "height", "width")}
    said["prompt"] = clip.prompt
    said["people"] = [
        {"box_px": p.box_px.tolist(), "boxes_px": p.boxes_px.tolist(), "sync_confidence": float(p.sync_confidence)}
        for p in clip.people
    ]
    said["halves"] = [{"box_px": half.box_px.tolist()} for half in clip.halves]
    members: dict[str, Any] = {"__key__": clip.name, "json": json.dumps(said).encode()}
    members |= {"latents.npy": _npy(clip.latents), "first_frame.png": _png(clip.first_frame)}
    for index, person in enumerate(clip.people):
        members[f"person{index}.audio.npy"] = _npy(person.audio_features)
    for index, half in enumerate(clip.halves):
        members[f"half{index}.latents.npy"] = _npy(half.latents)
        members[f"half{index}.first_frame.png"] = _png(half.first_frame)
    return members


def _clip(members: dict[str, Any]) -> Clip:
    said = json.loads(members["json"])
    return Clip(
        name=members["__key__"],
        **{name: said[name] for name in ("frame_rate", "num_frames", "height", "width", "prompt")},
        people=tuple(_person(person, members[f"person{i}.audio.npy"]) for i, person in enumerate(said["people"])),
        latents=_array(members["latents.npy"]),
        first_frame=_picture(members["first_frame.png"]),
        halves=tuple(
            Half(_array(members[f"half{i}.latents.npy"]), _picture(members[f"half{i}.first_frame.png"]), _box(half))
            for i, half in enumerate(said["halves"])
        ),
    )


def _person(said: dict[str, Any], audio: bytes) -> Person:
    boxes = np.array(said["boxes_px"], np.int64).reshape(-1, 4)
    return Person(_box(said), boxes, _array(audio), float(said["sync_confidence"]))


def _box(said: dict[str, Any]) -> NDArray[np.int64]:
    return np.array(said["box_px"], np.int64)


def _npy(array: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def _array(content: bytes) -> NDArray[np.float16]:
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False), np.float16)


def _png(rgb: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    PillowImage.fromarray(rgb).save(out, "PNG")
    return out.getvalue()


def _picture(content: bytes) -> NDArray[np.uint8]:
    with PillowImage.open(io.BytesIO(content), formats=("PNG",)) as picture:
        return np.asarray(picture.convert("RGB"))
