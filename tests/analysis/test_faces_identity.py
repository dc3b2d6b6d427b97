import cv2
import numpy as np
import pytest
from face_photos import astronaut, group_of_six

from engine.analysis.backends.face_identity import aligned_chip
from engine.analysis.faces import (
    detect_faces,
    embedded_analyser,
    identity_distance,
    load_details,
    same_person,
    save_details,
)
from engine.analysis.types import FaceDetail
from engine.errors import UnreadableMedia
from engine.media.types import Image


def details_of(image: Image) -> list[FaceDetail]:
    analysis = detect_faces(image, embedded_analyser())
    return [analysis.details[face.id] for face in analysis.faces]


def test_the_same_people_in_a_worse_copy_and_nobody_else():
    """The numbers that carry the threshold: copies stay below 0.2, different people above 0.42."""
    image = group_of_six()
    stored = cv2.imencode(".jpg", image.rgb // 2, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    before, after = details_of(image), details_of(Image(cv2.imdecode(stored, cv2.IMREAD_COLOR)))
    matches = [[same_person(a.embedding, b.embedding) for b in after] for a in before]
    assert np.array_equal(matches, np.eye(6, dtype=bool))


def test_different_pictures_different_people():
    (pilot,) = details_of(astronaut())
    assert all(identity_distance(pilot.embedding, other.embedding) > 0.42 for other in details_of(group_of_six()))


def test_embeddings_of_different_models_are_not_compared():
    with pytest.raises(ValueError, match="different models"):
        same_person(np.ones(128, np.float32), np.ones(512, np.float32))


def test_chip_is_upright_and_the_eyes_are_where_the_network_expects_them():
    image = astronaut()
    (detail,) = details_of(image)
    marked = image.rgb.copy()
    marked[:] = 0
    for index, colour in ((33, (255, 0, 0)), (263, (0, 255, 0))):
        cv2.circle(marked, tuple(int(v) for v in detail.points_px[index, :2]), 3, colour, -1)
    chip = aligned_chip(Image(marked), detail.points_px)
    left, right = (np.argwhere(chip[..., channel] > 128).mean(axis=0)[::-1] for channel in (0, 1))
    assert left == pytest.approx([36.8, 46.6], abs=5)
    assert right == pytest.approx([111.8, 46.0], abs=5)


@pytest.mark.slow
def test_two_people_through_a_whole_video(shared_media):
    capture = cv2.VideoCapture(str(shared_media("videos", "anytalker_talk_11.mp4")))
    left, right = [], []
    for index in range(int(capture.get(cv2.CAP_PROP_FRAME_COUNT))):
        _, frame = capture.read()
        if index % 40 == 0:
            for person, detail in zip((left, right), details_of(Image(frame[..., ::-1].copy())), strict=True):
                person.append(detail.embedding)
    assert all(same_person(left[0], other) for other in left)
    assert all(same_person(right[0], other) for other in right)
    assert not any(same_person(a, b) for a in left for b in right)


@pytest.mark.slow
def test_following_a_face_equals_finding_it_again(shared_media):
    capture = cv2.VideoCapture(str(shared_media("videos", "anytalker_talk_11.mp4")))
    mesher = embedded_analyser().mesher
    points = None
    for _ in range(25):
        frame = Image(capture.read()[1][..., ::-1].copy())
        points = details_of(frame)[0].points_px if points is None else mesher.follow(frame, points).points_px
    again = details_of(frame)[0].points_px
    gap = np.linalg.norm(points[:, :2] - again[:, :2], axis=1).mean()
    assert gap < 0.02 * np.linalg.norm(np.subtract(*again[[33, 263], :2]))


class TestCache:
    def test_comes_back_bit_for_bit(self, tmp_path):
        details = {f"face-{n} ü": detail for n, detail in enumerate(details_of(group_of_six()))}
        save_details(details, tmp_path / "faces.npz")
        again = load_details(tmp_path / "faces.npz")
        assert list(again) == list(details)
        for face_id, detail in details.items():
            for name, array in vars(detail).items():
                assert np.array_equal(array, getattr(again[face_id], name))
        assert [path.name for path in tmp_path.iterdir()] == ["faces.npz"]

    def test_nobody(self, tmp_path):
        save_details({}, tmp_path / "faces.npz")
        assert load_details(tmp_path / "faces.npz") == {}

    def test_absent(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            load_details(tmp_path / "faces.npz")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x80\x04K\x01."])
    def test_damaged(self, tmp_path, content):
        (tmp_path / "faces.npz").write_bytes(content)
        with pytest.raises(UnreadableMedia) as caught:
            load_details(tmp_path / "faces.npz")
        assert caught.value.remedy

    def test_code_hidden_in_the_file_is_not_run(self, tmp_path):
        hidden = np.array([print], dtype=object)
        with (tmp_path / "faces.npz").open("wb") as file:
            np.savez(file, ids=hidden, points_px=hidden, blendshapes=hidden, embedding=hidden)
        with pytest.raises(UnreadableMedia):
            load_details(tmp_path / "faces.npz")
