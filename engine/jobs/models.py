"""The catalogue's models for the command line and the page: what is here, what is missing, and bringing it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.dit.catalogue import Part, gigabytes, missing_parts, names, parts_of
from engine.dit.fetching import FetchProgress, get
from engine.jobs.events import StageProgress

MEGABYTE = 10**6


@dataclass(frozen=True)
class ModelRow:
    """One model or LoRA: ``missing_bytes`` 0 = whole here; ``approximate``: sizes are estimates until the hub is asked.

    ``parts``: (title, licence, page) of everything it consists of.
    """

    name: str
    what_for: str
    num_bytes: int
    missing_bytes: int
    approximate: bool
    parts: tuple[tuple[str, str, str], ...]

    @property
    def here(self) -> bool:
        return self.missing_bytes == 0

    @property
    def size_text(self) -> str:
        return ("about " if self.approximate else "") + gigabytes(self.num_bytes)

    @property
    def state_text(self) -> str:
        if self.here:
            return "here"
        whole = self.missing_bytes >= self.num_bytes
        return "missing" if whole else f"{gigabytes(self.missing_bytes)} of it missing"

    @property
    def licence_text(self) -> str:
        return "; ".join(dict.fromkeys(licence for _, licence, _ in self.parts))


def list_models() -> list[ModelRow]:
    """A row for everything that can be fetched by name. Models share parts: their sizes do not add up."""
    return [_row(name, parts_of(name)) for name in names()]


def _row(name: str, parts: tuple[Part, ...]) -> ModelRow:
    return ModelRow(
        name=name,
        what_for=parts[0].what_for,
        num_bytes=sum(part.num_bytes for part in parts),
        missing_bytes=sum(missing.file.num_bytes for missing in missing_parts(name)),
        approximate=any(part.approximate for part in parts),
        parts=tuple((part.title, part.licence, part.page) for part in parts),
    )


def get_model(name: str, source: Path | None = None) -> Iterator[StageProgress]:
    """Bring a model here, from the hub or from a folder; ``done`` and ``total`` count megabytes of all its files.

    Raises what :func:`engine.dit.fetching.get` raises; what came is kept.
    """
    for progress in get(name, source):
        yield StageProgress(
            "models", _sentence(progress), progress.all_done // MEGABYTE, progress.all_total // MEGABYTE
        )


def _sentence(progress: FetchProgress) -> str:
    if progress.stage == "looking":
        return f"Looking what {progress.name} lacks"
    if progress.stage == "done":
        return f"{progress.name} is here"
    verb = progress.stage.capitalize()
    return f"{verb} {progress.name}: {gigabytes(progress.done)} of {gigabytes(progress.total)}"
