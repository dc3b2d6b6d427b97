"""What was prepared comes back as it was; what is missing, damaged or made for another network is refused."""

import errno
import tarfile

import numpy as np
import pytest

from engine.errors import UnusableShards, WriteFailed
from engine.training import shards
from engine.training.samples import Clip, Half, Person
from engine.training.shards import ShardFacts, check_made_with, read_clips, read_index, write_clips

FACTS = ShardFacts(1, "squares", "bands", 32, 64, 24.0)


def clip(name, seed, people=1, halves=2):
    rng = np.random.default_rng(seed)

    def picture(width):
        return rng.integers(0, 256, (32, width, 3)).astype(np.uint8)

    def latents(width):
        return rng.normal(size=(4, 3, 4, width)).astype(np.float16)

    def person():
        boxes = rng.integers(0, 30, (9, 4))
        return Person(boxes[0], boxes, rng.normal(size=(9, 2, 5)).astype(np.float16), float(rng.uniform()))

    return Clip(
        name, 24.0, 9, 32, 64, "Somebody “talks”.", tuple(person() for _ in range(people)), latents(8), picture(64),
        tuple(Half(latents(4), picture(32), rng.integers(0, 30, 4)) for _ in range(halves)),
    )  # fmt: skip


def assert_same(a, b):
    assert (a.name, a.frame_rate, a.num_frames, a.height, a.width, a.prompt) == (
        b.name, b.frame_rate, b.num_frames, b.height, b.width, b.prompt
    )  # fmt: skip
    for one, other in zip((*a.people, *a.halves, a), (*b.people, *b.halves, b), strict=True):
        for name, value in vars(one).items():
            if isinstance(value, np.ndarray):
                assert value.dtype == getattr(other, name).dtype
                np.testing.assert_array_equal(value, getattr(other, name))
            elif isinstance(value, float):
                assert value == getattr(other, name)


def test_clips_come_back_as_they_were(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "CLIPS_PER_SHARD", 2)
    written = [clip("a-000", 1), clip("a-001", 2, people=2, halves=0), clip("b-000", 3)]
    index = write_clips(iter(written), tmp_path / "out", FACTS)
    assert [shard.num_clips for shard in index.shards] == [2, 1]
    assert read_index(tmp_path / "out") == index
    for before, after in zip(written, read_clips(tmp_path / "out"), strict=True):
        assert_same(before, after)
    assert [c.name for c in read_clips(tmp_path / "out", ["clips-000001.tar"])] == ["b-000"]


def test_the_same_clips_give_the_same_bytes_also_joined_from_parts(tmp_path):
    made = [clip("a-000", 1), clip("a-001", 2), clip("b-000", 3)]
    shards.write_shard(made, tmp_path / "once.tar")
    shards.write_shard(made, tmp_path / "again.tar")
    assert (tmp_path / "once.tar").read_bytes() == (tmp_path / "again.tar").read_bytes()
    shards.write_shard(made[:2], tmp_path / "a.tar")
    shards.write_shard(made[2:], tmp_path / "b.tar")
    shards.join_shards([tmp_path / "a.tar", tmp_path / "b.tar"], tmp_path / "joined.tar")
    for before, after in zip(made, shards.read_shard(tmp_path / "joined.tar"), strict=True):
        assert_same(before, after)


def test_webdataset_itself_reads_them(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    write_clips([clip("a-000", 1)], tmp_path, FACTS)
    (sample,) = webdataset.WebDataset([str(tmp_path / "clips-000000.tar")], shardshuffle=False)
    assert sample["__key__"] == "a-000"
    assert {"json", "latents.npy", "first_frame.png", "person0.audio.npy", "half1.latents.npy"} <= set(sample)


def test_another_codec_or_audio_encoder_is_refused(tmp_path):
    index = write_clips([clip("a", 1)], tmp_path, FACTS)
    check_made_with(index, "squares", "bands")
    with pytest.raises(UnusableShards, match=r"codec 'squares'.*needs 'wan'"):
        check_made_with(index, "wan", "bands")
    with pytest.raises(UnusableShards, match="audio encoder 'bands'"):
        check_made_with(index, "squares", "wav2vec2")


def test_a_folder_without_clips_and_a_damaged_index_are_told(tmp_path):
    with pytest.raises(UnusableShards, match="no prepared clips"):
        read_index(tmp_path)
    (tmp_path / "index.json").write_text('{"format": "roundtable-shards-9"}')
    with pytest.raises(UnusableShards, match="damaged, or of another version"):
        read_index(tmp_path)


@pytest.mark.parametrize("kept", [0, 700, 5000])
def test_a_shard_that_is_cut_short_is_told(tmp_path, kept):
    write_clips([clip("a", 1), clip("b", 2)], tmp_path, FACTS)
    path = tmp_path / "clips-000000.tar"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UnusableShards):
        list(read_clips(tmp_path))
    with pytest.raises(UnusableShards):
        shards.join_shards([path, tmp_path / "missing.tar"], tmp_path / "joined.tar")
    assert not (tmp_path / "joined.tar").exists()


def test_a_shard_with_fewer_clips_than_its_index_says_is_told(tmp_path):
    write_clips([clip("a", 1), clip("b", 2)], tmp_path, FACTS)
    shards.write_shard([clip("a", 1)], tmp_path / "clips-000000.tar")
    with pytest.raises(UnusableShards, match="holds 1 clips instead of 2"):
        list(read_clips(tmp_path))


def test_nothing_in_a_shard_is_unpickled(tmp_path):
    write_clips([clip("a", 1)], tmp_path, FACTS)
    harmful = np.array([print], dtype=object)
    path = tmp_path / "clips-000000.tar"
    np.save(tmp_path / "x.npy", harmful, allow_pickle=True)
    with tarfile.open(path) as tar:
        tar.extractall(tmp_path / "members", filter="data")
    (tmp_path / "members" / "a.latents.npy").chmod(0o600)
    (tmp_path / "members" / "a.latents.npy").write_bytes((tmp_path / "x.npy").read_bytes())
    with tarfile.open(path, "w") as tar:
        for member in sorted((tmp_path / "members").iterdir()):
            tar.add(member, member.name)
    with pytest.raises(UnusableShards):
        list(read_clips(tmp_path))


def test_a_full_disk_leaves_no_half_of_a_shard(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("engine.project.atomic.finish", full)
    with pytest.raises(WriteFailed, match="disk is full"):
        shards.write_shard([clip("a", 1)], tmp_path / "clips-000000.tar")
    assert not list(tmp_path.iterdir())
