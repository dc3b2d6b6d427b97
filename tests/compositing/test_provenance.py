import numpy as np
import pytest

from engine.compositing.provenance import SOURCE_TYPE, draw_mark, marked_encoding, read_mark
from engine.errors import UnreadableMedia
from engine.media.write import Encoding, VideoWriter


def video(path, encoding=None):
    with VideoWriter(path, (320, 180), 25, None, encoding) as writer:
        for _ in range(5):
            writer.write(np.full((180, 320, 3), 99, np.uint8))
    return path


@pytest.mark.parametrize("title", ["Sofa talk", "-y", "a=b\n[x]; <evil attr='\"'>\0", "日本 🎤", ""])
def test_every_marked_video_says_that_it_is_ai_made(tmp_path, title):
    mark = read_mark(video(tmp_path / "v.mp4", marked_encoding(title, "0.1.0", "animatic")))
    assert mark is not None
    assert mark.statement.startswith("AI-generated video")
    assert mark.source_type == SOURCE_TYPE
    assert mark.software == "Roundtable 0.1.0 (animatic)"


def test_xmp_is_well_formed(tmp_path):
    from xml.etree import ElementTree

    body = marked_encoding("t", "0.1", "<&\"'>").xmp
    root = ElementTree.fromstring(body[body.index("?>") + 2 : body.rindex("<?")])
    (description,) = root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    assert description.attrib["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"] == SOURCE_TYPE
    assert description.attrib["{http://ns.adobe.com/xap/1.0/}CreatorTool"] == "Roundtable 0.1 (<&\"'>)"


def test_unmarked_videos_and_other_files(tmp_path):
    assert read_mark(video(tmp_path / "v.mp4", Encoding({"comment": "my holiday"}))) is None
    (tmp_path / "t.mp4").write_text("text")
    with pytest.raises(UnreadableMedia):
        read_mark(tmp_path / "t.mp4")


def test_xmp_alone_is_enough(tmp_path):
    encoding = Encoding(xmp=marked_encoding("t", "1", "m").xmp)
    assert read_mark(video(tmp_path / "v.mp4", encoding)).source_type == SOURCE_TYPE


@pytest.mark.parametrize("size", [(128, 128), (832, 480), (480, 854), (3840, 2160)])
def test_visible_mark_is_small_and_in_the_corner(size):
    width, height = size
    frame = np.full((height, width, 3), 120, np.uint8)
    marked = draw_mark(frame)
    assert (frame == 120).all()
    changed = np.argwhere((marked != frame).any(-1))
    assert (marked.min(-1) > 220).any()
    assert changed[:, 0].max() < height * 0.25
    assert changed[:, 1].max() < width * 0.8
