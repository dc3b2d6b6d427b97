"""The folder that is being prepared: what is finished in it, so that a stopped run goes on.

prepare.json        the settings and the model's names
videos.json         the videos in the order in which they are packed; later ones come at the end
work/KEY/           what the steps found in one video, and clips.tar until it is packed
packed.json         which videos are in which shard
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from engine.errors import StudioError
from engine.jobs.evaluate_folder import ENDINGS
from engine.project.atomic import PART_SUFFIX, write_bytes
from engine.training.prepare.drops import Drop, counted
from engine.training.prepare.settings import PrepareSettings
from engine.training.shards import ShardFacts, ShardIndex, StoredShard, join_shards, shard_name, write_index

SHARD_CLIPS, SHARD_BYTES = 256, 1_000_000_000
DROPPED_NAME = "dropped.jsonl"
_CLIPS, _DONE = "clips.tar", "done.json"
Kept = TypeVar("Kept", bound=BaseModel)


class Made(BaseModel):
    """prepare.json."""

    settings: PrepareSettings
    codec: str
    audio_encoder: str
    lip_scores: str
    voices: str = "as recorded"


class VideoDone(BaseModel):
    """What came out of one video."""

    name: str
    num_clips: int = 0
    seconds: float = 0.0
    num_bytes: int = 0
    drops: list[Drop] = []


@dataclass(frozen=True)
class Source:
    """A video: where it lies, its name relative to the folder of videos, and a plain key that no other video has."""

    path: Path
    name: str

    @property
    def key(self) -> str:
        plain = re.sub(r"[^\w-]+", "_", Path(self.name).stem, flags=re.ASCII).strip("_-")[:40] or "video"
        return f"{plain}-{hashlib.sha256(self.name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def videos_under(folder: Path) -> list[Source]:
    """All videos of a folder and the folders in it, by name. Raises StudioError where there is none."""
    if not folder.is_dir():
        raise StudioError(f"{folder} is not a folder.", "Give a folder of videos.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        raise StudioError(f"There is no video in {folder}.", f"Videos end in {', '.join(ENDINGS)}.")
    return [Source(path, path.relative_to(folder).as_posix()) for path in found]


class WorkFolder:
    """OUT. Raises StudioError where it was begun with other settings, or another model."""

    def __init__(self, folder: Path, made: Made) -> None:
        self.folder, self.made = folder, made
        folder.mkdir(parents=True, exist_ok=True)
        for left in (*folder.glob(f".*{PART_SUFFIX}"), *folder.glob(f"work/*/.*{PART_SUFFIX}")):
            left.unlink(missing_ok=True)  # of a run that was killed while it wrote
        self._check_settings()

    def _check_settings(self) -> None:
        path = self.folder / "prepare.json"
        if path.is_file():
            before = _read(path, Made)
            if before == self.made:
                return
            raise StudioError(
                f"{self.folder} was begun with other settings: {_difference(before, self.made)}.",
                "Give the same settings to go on, or an empty folder.",
            )
        if any(self.folder.iterdir()):
            raise StudioError(f"{self.folder} holds something else.", "Give an empty folder, or one begun before.")
        write_bytes(path, self.made.model_dump_json(indent=2).encode())

    def ordered(self, sources: Sequence[Source]) -> list[Source]:
        """In the order of the first run; what came later at the end, what is gone left out unless it is finished."""
        path = self.folder / "videos.json"
        before: list[str] = json.loads(path.read_bytes()) if path.is_file() else []
        here = {source.name: source for source in sources}
        names = [*before, *(name for name in here if name not in set(before))]
        if names != before:
            write_bytes(path, json.dumps(names, indent=1).encode())
        gone = [Source(self.folder / name, name) for name in names if name not in here]
        finished = {source.name: source for source in gone if self.done(source) is not None}
        return [here.get(name) or finished[name] for name in names if name in here or name in finished]

    def step_path(self, source: Source, name: str) -> Path:
        folder = self.folder / "work" / source.key
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def clips_path(self, source: Source) -> Path:
        return self.step_path(source, _CLIPS)

    def done(self, source: Source) -> VideoDone | None:
        path = self.folder / "work" / source.key / _DONE
        return _read(path, VideoDone) if path.is_file() else None

    def finish(self, source: Source, done: VideoDone) -> None:
        write_bytes(self.step_path(source, _DONE), done.model_dump_json(indent=1).encode())

    def packed(self) -> list[list[str]]:
        path = self.folder / "packed.json"
        return json.loads(path.read_bytes()) if path.is_file() else []

    def pack(self, sources: Sequence[Source], last: bool) -> None:
        """Put finished videos, in their order, into shards; those that fill none wait, unless it is the ``last`` call.

        A shard is complete before its videos' own files go: a kill in between only makes the same shard again.
        """
        packed = self.packed()
        known = {key for keys in packed for key in keys}
        waiting: list[Source] = []
        for source in sources:
            done = self.done(source)
            if done is None and not last:
                break  # the order must not depend on where a run was stopped
            if done is None or source.key in known or not done.num_clips:
                continue
            waiting.append(source)
            if self._fills(waiting):
                self._pack(waiting, packed)
                waiting = []
        if waiting and last:
            self._pack(waiting, packed)

    def _fills(self, sources: Sequence[Source]) -> bool:
        done = [one for source in sources if (one := self.done(source))]
        return sum(d.num_clips for d in done) >= SHARD_CLIPS or sum(d.num_bytes for d in done) >= SHARD_BYTES

    def _pack(self, sources: Sequence[Source], packed: list[list[str]]) -> None:
        paths = [self.clips_path(source) for source in sources]
        join_shards(paths, self.folder / shard_name(len(packed)))
        packed.append([source.key for source in sources])
        write_bytes(self.folder / "packed.json", json.dumps(packed, indent=1).encode())
        for path in paths:
            path.unlink(missing_ok=True)

    def write_index(self, sources: Sequence[Source], facts: ShardFacts) -> ShardIndex:
        """index.json and dropped.jsonl, from what every video left."""
        by_key = {source.key: done for source in sources if (done := self.done(source)) is not None}
        drops = [drop for done in by_key.values() for drop in done.drops]
        lines = "".join(drop.model_dump_json() + "\n" for drop in drops)
        write_bytes(self.folder / DROPPED_NAME, lines.encode())
        index = facts.empty_index()
        for number, keys in enumerate(self.packed()):
            name = shard_name(number)
            num_clips = sum(by_key[key].num_clips for key in keys if key in by_key)
            num_bytes = (self.folder / name).stat().st_size
            index.shards.append(StoredShard(name=name, num_clips=num_clips, num_bytes=num_bytes))
            index.num_clips += num_clips
            index.seconds = round(index.seconds + sum(by_key[key].seconds for key in keys if key in by_key), 3)
        index.dropped = counted(drops)
        index.notes = {
            "lip_scores": self.made.lip_scores,
            "voices": self.made.voices,
            "videos": str(len(by_key)),
            "videos_used": str(sum(bool(d.num_clips) for d in by_key.values())),
        }
        write_index(index, self.folder)
        return index

    def clear(self, source: Source) -> None:
        """The steps' own files of a finished video go; what came out of it stays."""
        for path in (self.folder / "work" / source.key).iterdir():
            if path.name not in (_DONE, _CLIPS):
                path.unlink()


def _read(path: Path, kind: type[Kept]) -> Kept:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StudioError(f"{path} is damaged.", "Delete it: what it said is made again.") from error


def _difference(before: Made, now: Made) -> str:
    pairs = zip(_flat(before).items(), _flat(now).values(), strict=True)
    return ", ".join(f"{name} was {old!r} and is {new!r}" for (name, old), new in pairs if old != new)


def _flat(made: Made) -> dict[str, object]:
    return {
        **made.settings.model_dump(),
        "codec": made.codec,
        "audio encoder": made.audio_encoder,
        "lip scores": made.lip_scores,
        "voices": made.voices,
    }
