"""Models fetched from a local hub and from folders: interrupted, resumed, damaged, refused, without room."""

import os
import subprocess
import sys
from collections import namedtuple
from hashlib import sha256
from pathlib import Path

import pytest
from huggingface_hub import constants
from local_hub import LocalHub

from engine.dit import catalogue, fetching, hub
from engine.dit.catalogue import Part, PartFile
from engine.errors import ModelMissing, UnusableCheckpoint, WriteFailed
from engine.jobs.models import get_model

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = bytes(range(256)) * 12_000  # 3 MB: several chunks
TOKENIZER = b'{"a": 1}'
REPOSITORY = "somebody/tiny"


def tiny_part(weights: bytes = WEIGHTS, **changes: object) -> Part:
    files = (
        PartFile("weights.pth", len(weights), sha256(weights).hexdigest()),
        PartFile("google/umt5-xxl/tokenizer.json", len(TOKENIZER)),
    )
    fields = {"title": "Tiny", "licence": "MIT", "what_for": "tests", "folders": ("Tiny", "tiny-v1"), "files": files}
    return Part(id="tiny", repository=REPOSITORY, **(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path / "models"))
    monkeypatch.setitem(catalogue.MODELS, "tiny", (tiny_part(),))
    return tmp_path / "models"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "PAUSE_S", 0.0)
    monkeypatch.setattr(hub, "CHUNK_BYTES", 2**16)
    files = {f"{REPOSITORY}/weights.pth": WEIGHTS, f"{REPOSITORY}/google/umt5-xxl/tokenizer.json": TOKENIZER}
    with LocalHub(files).running() as running:
        use_hub(monkeypatch, running.url)
        yield running


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """What setting HF_ENDPOINT before the start does."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


def fetch(name: str = "tiny", source: Path | None = None) -> list[fetching.FetchProgress]:
    return list(fetching.get(name, source))


def is_whole(models: Path) -> bool:
    found = {path.relative_to(models).as_posix(): path.read_bytes() for path in models.rglob("*") if path.is_file()}
    found.pop(".fetch.lock", None)
    return found == {"Tiny/weights.pth": WEIGHTS, "Tiny/google/umt5-xxl/tokenizer.json": TOKENIZER}


def partial(models: Path) -> list[Path]:
    return list(models.rglob("*.part"))


# ---- from the hub


def test_fetched_files_are_whole_and_progress_reaches_the_end(models, server, monkeypatch):
    monkeypatch.setattr(fetching, "PROGRESS_BYTES", 2**20)
    records = fetch()
    assert is_whole(models)
    assert catalogue.missing_parts("tiny") == []
    total = len(WEIGHTS) + len(TOKENIZER)
    here = [record.all_done for record in records if record.stage in ("fetching", "checking")]
    assert here == sorted(here)
    assert here[-1] == total == max(record.all_total for record in records)
    assert {record.stage for record in records} == {"looking", "fetching", "checking", "done"}
    before = server.sent
    fetch()
    assert server.sent == before  # nothing is fetched twice


def test_a_connection_that_breaks_off_is_taken_up_again(models, server):
    server.cut = 500_000
    fetch()
    assert is_whole(models)
    assert server.sent == len(WEIGHTS) + len(TOKENIZER)
    ranges = [held for method, path, held, _ in server.requests if method == "GET" and path.endswith(".pth")]
    assert ranges[0] == ""
    assert all(held.startswith("bytes=") for held in ranges[1:])


def test_what_came_before_the_connection_was_lost_is_kept_for_the_next_attempt(models, server):
    server.cut, server.dies_of_it = 1_000_000, True
    with pytest.raises(ModelMissing, match="connection keeps breaking off") as caught:
        fetch()
    assert "kept" in caught.value.remedy
    (part,) = partial(models)
    assert part.stat().st_size == 1_000_000
    assert catalogue.missing_parts("tiny")
    server.dead = server.dies_of_it = False
    server.cut = None
    fetch()
    assert is_whole(models)
    assert server.sent == len(WEIGHTS) + len(TOKENIZER)
    assert not partial(models)


def test_a_stopped_fetch_goes_on_where_it_was(models, server, monkeypatch):
    monkeypatch.setattr(fetching, "PROGRESS_BYTES", 0)
    progress = fetching.get("tiny")
    next(record for record in progress if record.stage == "fetching" and record.done > 1_000_000)
    progress.close()
    (part,) = partial(models)
    here = part.stat().st_size
    assert here > 1_000_000
    fetch()
    assert is_whole(models)
    assert f"bytes={here}-" in [held for _, _, held, _ in server.requests]


def test_damaged_content_is_thrown_away_and_said(models, server):
    server.spoil = True
    with pytest.raises(UnusableCheckpoint, match="damaged") as caught:
        fetch()
    assert "again" in caught.value.remedy
    assert not partial(models)
    server.spoil = False
    fetch()
    assert is_whole(models)


def test_another_version_than_the_known_one_is_refused_before_it_is_fetched(models, server):
    server.files[f"{REPOSITORY}/weights.pth"] = WEIGHTS[::-1]
    with pytest.raises(UnusableCheckpoint, match="not the file that this program knows"):
        fetch()
    assert server.sent == 0


def test_a_cut_file_that_lies_here_is_fetched_again(models, server):
    fetch()
    (models / "Tiny" / "weights.pth").write_bytes(WEIGHTS[:100])
    fetch()
    assert is_whole(models)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "GatedRepo", "agreed to its terms"),
        (401, "RepoNotFound", "no repository somebody/tiny"),
        (404, "EntryNotFound", "no longer has this file"),
        (500, "", "refused"),
    ],
)
def test_refusals_come_with_a_remedy(models, server, status, code, words):
    server.refusal = (status, code)
    with pytest.raises(ModelMissing, match=words) as caught:
        fetch()
    assert caught.value.remedy


def test_an_unreachable_hub_is_named(models, server, monkeypatch):
    use_hub(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(ModelMissing, match="cannot be reached") as caught:
        fetch()
    assert "HF_ENDPOINT" in caught.value.remedy


def test_the_switched_off_hub_is_named(models, server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelMissing, match="HF_HUB_OFFLINE"):
        fetch()


def test_names_that_are_patterns_are_looked_up(models, server, monkeypatch):
    pattern = PartFile("*14B*", 10, patterns=("*14B*",), approximate=True)
    monkeypatch.setitem(catalogue.MODELS, "large", (tiny_part(files=(pattern,)),))
    server.files[f"{REPOSITORY}/14B-multi.pth"] = b"large weights"
    server.files[f"{REPOSITORY}/14B-notes.txt"] = b"notes"
    fetch("large")
    assert (models / "Tiny" / "14B-multi.pth").read_bytes() == b"large weights"
    assert not (models / "Tiny" / "14B-notes.txt").exists()
    assert catalogue.missing_parts("large") == []


def test_too_small_a_disk_is_found_out_before_anything_is_fetched(models, server, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda path: usage(2**40, 0, fetching.KEEP_FREE_BYTES + 2**20))
    with pytest.raises(WriteFailed, match=r"3\.1 MB are still to come"):
        fetch()
    assert server.sent == 0


def test_two_fetches_at_once_do_not_mix(models, server):
    first = fetching.get("tiny")
    next(first)
    with pytest.raises(ModelMissing, match="already"):
        fetch()
    first.close()


def test_the_address_of_the_hub_is_a_setting(models, server):
    """The whole path in a fresh process: environment, client, lock, files; and no torch."""
    code = (
        "import sys; from engine.dit import catalogue, fetching; from engine.dit.catalogue import Part, PartFile\n"
        "part = Part('tiny', 'Tiny', 'somebody/tiny', 'MIT', 'tests', ('Tiny',), (PartFile('weights.pth', 1),))\n"
        "catalogue.MODELS['tiny'] = (part,)\n"
        "assert [each.stage for each in fetching.get('tiny')][-1] == 'done'\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=ROOT, timeout=120)
    assert (models / "Tiny" / "weights.pth").read_bytes() == WEIGHTS


# ---- from a folder


def folder_of(tmp_path: Path, name: str = "tiny-v1") -> Path:
    folder = tmp_path / "checkpoints" / name
    (folder / "google" / "umt5-xxl").mkdir(parents=True)
    (folder / "weights.pth").write_bytes(WEIGHTS)
    (folder / "google" / "umt5-xxl" / "tokenizer.json").write_bytes(TOKENIZER)
    return folder


@pytest.mark.parametrize("given", ["", "checkpoints"])
def test_a_folder_in_the_reference_layout_is_taken_as_it_is(models, tmp_path, given):
    folder = folder_of(tmp_path)
    records = fetch(source=tmp_path / given)
    assert is_whole(models)
    assert records[-1].stage == "done"
    assert os.path.samefile(folder / "weights.pth", models / "Tiny" / "weights.pth")


def test_across_disks_files_are_copied(models, tmp_path, monkeypatch):
    folder = folder_of(tmp_path)
    monkeypatch.setattr(fetching.os, "link", lambda *_: (_ for _ in ()).throw(OSError(18, "cross-device link")))
    assert "copying" in {record.stage for record in fetch(source=tmp_path)}
    assert is_whole(models)
    assert not os.path.samefile(folder / "weights.pth", models / "Tiny" / "weights.pth")


def test_a_damaged_file_of_a_folder_is_named_and_left_there(models, tmp_path):
    damaged = folder_of(tmp_path) / "weights.pth"
    for content, words in ((WEIGHTS[:-1], "bytes instead of"), (WEIGHTS[::-1], "checksum")):
        damaged.write_bytes(content)
        with pytest.raises(UnusableCheckpoint, match=words):
            fetch(source=tmp_path)
        assert damaged.read_bytes() == content
        assert catalogue.missing_parts("tiny")


def test_what_a_folder_lacks_is_listed(models, tmp_path):
    (folder_of(tmp_path) / "weights.pth").unlink()
    with pytest.raises(ModelMissing, match=r"Tiny/weights\.pth"):
        fetch(source=tmp_path)
    with pytest.raises(ModelMissing, match="no folder"):
        fetch(source=tmp_path / "absent")


def test_progress_for_people_counts_megabytes_of_everything(models, tmp_path):
    folder_of(tmp_path)
    events = list(get_model("tiny", tmp_path))
    assert events[0].text == "Looking what tiny lacks"
    assert events[-1].text == "tiny is here"
    assert {event.total for event in events[1:-1]} == {(len(WEIGHTS) + len(TOKENIZER)) // 10**6}
    assert any("weights.pth: 3.1 MB of 3.1 MB" in event.text for event in events)
