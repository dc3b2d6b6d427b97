import functools

import cv2
import numpy as np
import pytest
from face_photos import astronaut, group_of_six, on_canvas, package_photo, photo

from engine.analysis.face_boxes import MESH_OF_LANDMARKS, landmark_gap, scaled_to
from engine.analysis.faces import analyse_drawn_face, detail_of, detect_faces, embedded_analyser
from engine.analysis.types import FaceAnalysis
from engine.errors import NoFacesFound
from engine.media.types import Image
from engine.project.document import FACE_COLOURS, Face

EYES = [33, 263]


@functools.cache
def analysis_of_six() -> FaceAnalysis:
    return detect_faces(group_of_six(), embedded_analyser())


def found_in(rgb: np.ndarray) -> FaceAnalysis:
    return detect_faces(Image(np.ascontiguousarray(rgb)), embedded_analyser())


def mesh_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of two meshes in parts of the distance between the eyes."""
    eyes = np.linalg.norm(np.subtract(*a[EYES, :2]))
    return float(np.linalg.norm(a[:, :2] - b[:, :2], axis=1).mean() / eyes)


def test_all_six_people_of_the_group_photo_from_left_to_right():
    analysis = analysis_of_six()
    assert [face.id for face in analysis.faces] == [f"face-{n}" for n in range(1, 7)]
    assert [face.name for face in analysis.faces] == [f"Face {n}" for n in range(1, 7)]
    assert [face.colour for face in analysis.faces] == list(FACE_COLOURS[:6])
    centres = [(face.box_px[0] + face.box_px[2]) / 2 for face in analysis.faces]
    # Read off the photo by eye: the nose of each person.
    assert centres == pytest.approx([115, 318, 520, 800, 945, 1180], abs=40)


def test_every_face_has_its_arrays():
    analysis = analysis_of_six()
    for face in analysis.faces:
        detail = analysis.details[face.id]
        assert detail.points_px.shape == (478, 3)
        assert detail.blendshapes.shape == (52,)
        assert {array.dtype for array in vars(detail).values()} == {np.dtype(np.float32)}
        assert np.linalg.norm(detail.embedding) == pytest.approx(1, abs=1e-5)
        assert face.origin == "detected"
        assert len(face.landmarks_px) == 5


def test_mesh_agrees_with_the_detectors_own_five_points():
    analysis = analysis_of_six()
    for face in analysis.faces:
        mesh = analysis.details[face.id].points_px[list(MESH_OF_LANDMARKS), :2]
        gaps = np.linalg.norm(mesh - np.array(face.landmarks_px), axis=1)
        assert gaps.max() < 0.17 * face.width_px


def test_the_profile_of_the_group_photo_has_a_mesh_on_the_detectors_points():
    face = analysis_of_six().faces[4]
    mesh = analysis_of_six().details[face.id].points_px
    assert landmark_gap(mesh, np.array(face.landmarks_px, np.float32), face.box_px) < 0.11


def test_depth_is_in_pixels_and_the_nose_is_nearest():
    (detail,) = detect_faces(astronaut(), embedded_analyser()).details.values()
    (double,) = found_in(scaled_to(astronaut().rgb, 1024)).details.values()
    z = detail.points_px[:, 2]
    width = np.ptp(detail.points_px[:, 0])
    assert z[1] < z[[33, 263, 61, 291, 234, 454]].min()
    assert 0.3 * width < np.ptp(z) < 1.2 * width
    assert np.ptp(double.points_px[:, 2]) == pytest.approx(2 * np.ptp(z), rel=0.1)


def test_open_smile_is_open_and_shut_lips_are_shut(shared_media):
    smiling = detect_faces(photo(shared_media("photos", "pair_sofa.png")), embedded_analyser()).details["face-1"]
    shut = detect_faces(photo(shared_media("photos", "pair_news.png")), embedded_analyser()).details["face-2"]
    gaps = [
        np.linalg.norm(np.subtract(*d.points_px[[13, 14], :2])) / np.ptp(d.points_px[:, 0]) for d in (smiling, shut)
    ]
    assert gaps[0] > 0.08
    assert gaps[1] < 0.01


@pytest.mark.parametrize(
    ("name", "count"), [("pair_sofa.png", 2), ("pair_news.png", 2), ("pair_car.png", 2), ("single_hat.png", 1)]
)
def test_real_photos_no_face_missed_and_none_invented(shared_media, name, count):
    analysis = detect_faces(photo(shared_media("photos", name)), embedded_analyser())
    assert len(analysis.faces) == len(analysis.details) == count


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "coins.png"])
def test_no_face_in_cats_and_cups(name):
    with pytest.raises(NoFacesFound) as caught:
        detect_faces(package_photo("skimage", name), embedded_analyser())
    assert "by hand" in caught.value.remedy


@pytest.mark.parametrize("shape", [(1, 1), (480, 640), (3, 3000), (3000, 3)])
def test_blank_pictures_of_any_shape_hold_no_face(shape):
    for level in (0, 128, 255):
        with pytest.raises(NoFacesFound):
            found_in(np.full((*shape, 3), level, np.uint8))


def test_noise_holds_no_face():
    with pytest.raises(NoFacesFound):
        found_in(np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8))


def test_same_photo_same_numbers():
    first, second = (detect_faces(astronaut(), embedded_analyser()) for _ in range(2))
    assert first.faces == second.faces
    for name, array in vars(first.details["face-1"]).items():
        assert np.array_equal(array, getattr(second.details["face-1"], name))


def test_twenty_faces():
    face = astronaut().rgb[0:220, 120:320]
    analysis = found_in(np.tile(face, (4, 5, 1)))
    assert len(analysis.faces) == len(analysis.details) == 20
    assert len({face.id for face in analysis.faces}) == 20
    lefts = [sum(face.box_px[::2]) for face in analysis.faces]
    assert lefts == sorted(lefts)


@pytest.mark.parametrize("face_px", [24, 20])
def test_small_faces_in_a_full_hd_picture(face_px):
    small = Image(scaled_to(group_of_six().rgb, round(1280 * face_px / 105)))
    assert len(detect_faces(on_canvas(small, 1920, 1080, (700, 400)), embedded_analyser()).faces) == 6


@pytest.mark.parametrize("at", [(-185, 0), (0, -40), (-170, -30)])
def test_faces_cut_by_the_border_stay_inside_the_picture(at):
    analysis = detect_faces(on_canvas(astronaut(), 500, 470, at), embedded_analyser())
    (face,) = analysis.faces
    x0, y0, x1, y1 = face.box_px
    assert 0 <= x0 < x1 <= 500
    assert 0 <= y0 < y1 <= 470


def test_grey_and_dark_photos():
    grey = np.repeat(group_of_six().rgb.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    for rgb in (grey, group_of_six().rgb // 3):
        assert len(found_in(rgb).faces) == 6


@pytest.mark.parametrize("turn_degrees", [20, -40, 90])
def test_mesh_turns_with_the_photo(turn_degrees):
    image = astronaut()
    turn = cv2.getRotationMatrix2D((256, 256), turn_degrees, 0.7)
    analysis = found_in(cv2.warpAffine(image.rgb, turn, (512, 512)))
    expected = detect_faces(image, embedded_analyser()).details["face-1"].points_px[:, :2] @ turn[:, :2].T + turn[:, 2]
    assert mesh_difference(analysis.details["face-1"].points_px, expected) < 0.03


def test_mirrored_photo_gives_the_mirrored_outline():
    """Half a pixel of misplacement inside the 256 px crop would already fail here."""
    image = astronaut()
    straight = detect_faces(image, embedded_analyser()).details["face-1"].points_px
    mirrored = found_in(image.rgb[:, ::-1]).details["face-1"].points_px
    midline = [10, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 0, 13, 14, 17, 152]
    offset = straight[midline, 0] + mirrored[midline, 0] - (image.width - 1)
    crop_pixel = 1.5 * np.ptp(straight[:, 1]) / 256
    assert abs(offset.mean()) < crop_pixel


@pytest.mark.slow
def test_fifty_megapixels():
    image = Image(cv2.resize(group_of_six().rgb, (8500, 5880), interpolation=cv2.INTER_LINEAR))
    analysis = detect_faces(image, embedded_analyser())
    assert len(analysis.faces) == len(analysis.details) == 6
    assert analysis.faces[5].box_px[2] == pytest.approx(analysis_of_six().faces[5].box_px[2] * 8500 / 1280, rel=0.02)


def test_panorama_wider_than_opencv_can_warp():
    analysis = detect_faces(on_canvas(astronaut(), 40_000, 512, (39_000, 0)), embedded_analyser())
    assert [face.box_px[0] > 39_000 for face in analysis.faces] == [True]
    assert set(analysis.details) == {"face-1"}


class TestDrawnFace:
    def test_rough_box_gives_the_same_mesh(self):
        image = group_of_six()
        for known in analysis_of_six().faces[2:4]:
            x0, y0, x1, y1 = known.box_px
            width, height = x1 - x0, y1 - y0
            rough = (x1 + 0.4 * width, y1 + 0.2 * height, x0 - 0.1 * width, y0 - 0.3 * height)  # corners swapped too
            face, detail = analyse_drawn_face(image, rough, embedded_analyser())
            assert face.origin == "drawn"
            assert face.box_px == pytest.approx((rough[2], rough[3], rough[0], rough[1]))
            assert detail is not None
            assert len(face.landmarks_px) == 5
            assert mesh_difference(analysis_of_six().details[known.id].points_px, detail.points_px) < 0.02

    def test_box_without_a_face_is_kept_without_a_mesh(self):
        face, detail = analyse_drawn_face(
            package_photo("skimage", "coffee.png"), (20, 20, 160, 160), embedded_analyser()
        )
        assert detail is None
        assert face.landmarks_px == []

    def test_box_is_cut_to_the_photo(self):
        face, _ = analyse_drawn_face(astronaut(), (100, -500, 9000, 300), embedded_analyser())
        assert face.box_px == (100, 0, 512, 300)

    @pytest.mark.parametrize("box", [(600, 600, 700, 700), (10, 10, 10, 60), (-50, -50, -1, -1)])
    def test_box_beside_the_photo_is_refused(self, box):
        with pytest.raises(NoFacesFound) as caught:
            analyse_drawn_face(astronaut(), box, embedded_analyser())
        assert caught.value.remedy


def test_a_saved_face_gets_the_mesh_it_was_found_with():
    analysis = analysis_of_six()
    for face in analysis.faces:
        saved = Face.model_validate_json(face.model_dump_json())
        detail = detail_of(group_of_six(), saved, embedded_analyser())
        assert mesh_difference(detail.points_px, analysis.details[face.id].points_px) < 0.01


def test_a_mesh_that_contradicts_the_detectors_points_is_not_brought_back_by_saving():
    face = detect_faces(astronaut(), embedded_analyser()).faces[0]
    x0, y0, x1, y1 = face.box_px
    face.landmarks_px = [(x0, y1), (x1, y1), (x0, y0), (x0, y0), (x1, y0)]  # a face upside down
    assert detail_of(astronaut(), face, embedded_analyser()) is None
