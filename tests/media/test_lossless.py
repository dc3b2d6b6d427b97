import numpy as np
import pytest

from engine.errors import WriteFailed
from engine.media.lossless import read_lossless, write_lossless


@pytest.mark.parametrize("shape", [(1, 16, 16, 3), (5, 48, 64, 3), (9, 130, 98, 3)])
def test_every_bit_comes_back(tmp_path, shape):
    frames = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(read_lossless(write_lossless(tmp_path / "w.mkv", frames)), frames)


def test_a_still_picture_takes_less_room_than_its_pixels(tmp_path):
    frames = np.repeat(np.arange(64 * 48 * 3, dtype=np.uint8).reshape(1, 48, 64, 3) // 4, 20, axis=0)
    assert write_lossless(tmp_path / "w.mkv", frames).stat().st_size < frames.nbytes / 2


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 100])
def test_anything_else_is_refused(tmp_path, content):
    path = tmp_path / "w.mkv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="holds no frames"):
        read_lossless(path)
    with pytest.raises((OSError, ValueError)):
        read_lossless(tmp_path / "absent.mkv")


def test_a_folder_that_is_gone_is_said(tmp_path):
    with pytest.raises(WriteFailed, match=r"w\.mkv"):
        write_lossless(tmp_path / "gone" / "w.mkv", np.zeros((2, 16, 16, 3), np.uint8))
    assert not (tmp_path / "gone").exists()
