import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image as PillowImage
from PIL import ImageCms

from engine.errors import UnreadableMedia
from engine.media.probe import probe
from engine.media.read import BACKGROUND_GREY, load_image

RED, GREEN, BLUE = (200, 30, 30), (30, 160, 30), (30, 30, 200)


def quarters(width=64, height=48):
    """Red above left, green above right, blue below: which way up it is can be read off."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2] = RED
    rgb[: height // 2, width // 2 :] = GREEN
    rgb[height // 2 :] = BLUE
    return PillowImage.fromarray(rgb)


def close(found, wanted, tolerance):
    return np.abs(np.asarray(found, int) - np.asarray(wanted, int)).max() <= tolerance


@pytest.mark.parametrize(
    ("suffix", "options", "tolerance"),
    [
        ("jpg", {"quality": 95}, 8),
        ("png", {}, 0),
        ("webp", {"lossless": True}, 0),
        ("gif", {}, 0),
        ("bmp", {}, 0),
        ("tiff", {}, 0),
    ],
)
def test_formats_by_content_whatever_the_name_says(tmp_path, suffix, options, tolerance):
    path = tmp_path / f"p.{suffix}"
    quarters().save(path, **options)
    path = path.rename(tmp_path / "holiday.mp3")
    image = load_image(path)
    assert (image.width, image.height) == (64, 48)
    assert image.rgb.dtype == np.uint8
    assert close(image.rgb[5, 5], RED, tolerance)
    assert close(image.rgb[5, 60], GREEN, tolerance)
    info = probe(path)
    assert (info.kind, info.width, info.height) == ("image", 64, 48)


def test_heic(tmp_path):
    path = tmp_path / "phone.heic"
    pillow_heif.register_heif_opener()
    quarters(128, 96).save(path, format="HEIF", quality=90)
    image = load_image(path)
    assert (image.width, image.height) == (128, 96)
    assert close(image.rgb[10, 10], RED, 12)
    assert probe(path).format == "heif"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_obeyed_by_both_probe_and_load(tmp_path, orientation):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's Transpose that stores the picture turned away
    stored = quarters() if orientation == 1 else quarters().transpose(PillowImage.Transpose(undo[orientation]))
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    stored.save(path, exif=exif)
    image, info = load_image(path), probe(path)
    assert (image.width, image.height) == (info.width, info.height) == (64, 48)
    assert np.array_equal(image.rgb, np.asarray(quarters()))


def test_transparency_becomes_neutral_grey(tmp_path):
    rgba = quarters().convert("RGBA")
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:24] = 0
    rgba.putalpha(PillowImage.fromarray(alpha))
    rgba.save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert (image.rgb[:24] == BACKGROUND_GREY).all()
    assert (image.rgb[24:] == BLUE).all()


def test_palette_with_transparency_greyscale_and_bilevel(tmp_path):
    palette = quarters().quantize(8)
    palette.save(tmp_path / "p.png", transparency=palette.getpixel((5, 5)))
    assert (load_image(tmp_path / "p.png").rgb[5, 5] == BACKGROUND_GREY).all()
    for mode in ("L", "1", "LA"):
        quarters().convert(mode).save(tmp_path / "g.png")
        rgb = load_image(tmp_path / "g.png").rgb
        assert rgb.shape == (48, 64, 3)
        assert (rgb[..., 0] == rgb[..., 2]).all()


def test_sixteen_bit_keeps_its_brightness(tmp_path):
    deep = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    PillowImage.fromarray(deep).save(tmp_path / "deep.png")
    assert close(load_image(tmp_path / "deep.png").rgb[..., 1], deep / 257, 1)


def test_cmyk(tmp_path):
    quarters().convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    image = load_image(tmp_path / "print.jpg")
    assert image.rgb.shape == (48, 64, 3)
    assert image.rgb[5, 5].argmax() == 0
    assert image.rgb[40, 5].argmax() == 2


def test_colour_profile_is_obeyed(tmp_path):
    # A photo in a linear-light space looks far too dark when its profile is ignored.
    from PIL.ImageCms import ImageCmsProfile, createProfile

    lab = ImageCmsProfile(createProfile("LAB"))
    assert lab.tobytes()  # Pillow can make only LAB and sRGB; sRGB must leave the pixels alone
    srgb = ImageCmsProfile(createProfile("sRGB")).tobytes()
    quarters().save(tmp_path / "s.png", icc_profile=srgb)
    assert close(load_image(tmp_path / "s.png").rgb, np.asarray(quarters()), 1)
    quarters().save(tmp_path / "bad.png", icc_profile=b"not a profile")
    assert np.array_equal(load_image(tmp_path / "bad.png").rgb, np.asarray(quarters()))
    swapped = _swapped_profile(srgb)
    quarters().save(tmp_path / "swapped.png", icc_profile=swapped)
    assert load_image(tmp_path / "swapped.png").rgb[5, 5].argmax() == 1  # this profile's red is green


def _swapped_profile(srgb: bytes) -> bytes:
    """sRGB with its red and green primaries exchanged in the tag table."""
    assert ImageCms.ImageCmsProfile(io.BytesIO(srgb))
    return srgb.replace(b"rXYZ", b"tmp!", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"tmp!", b"gXYZ", 1)


def test_animated_gives_its_first_frame(tmp_path):
    frames = [quarters(), PillowImage.new("RGB", (64, 48), (0, 0, 0))]
    for name in ("a.gif", "a.webp", "a.png"):
        options = {} if name == "a.gif" else {"lossless": True}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=100, **options)
        assert close(load_image(tmp_path / name).rgb[5, 5], RED, 2)


def png_header_of(width, height):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"This is no picture.\n" * 50, "not a photo, recording or video"),
    "noise": (bytes(range(256)) * 40, "not a photo, recording or video"),
    "one pixel": (jpeg(PillowImage.new("RGB", (1, 1))), "only 1 × 1 pixels"),
    "a line": (jpeg(PillowImage.new("RGB", (900, 8))), "only 900 × 8"),
    "60 megapixels": (png_header_of(10_000, 6_000), "10000 × 6000, 60 megapixels"),
    "bomb": (png_header_of(60_000, 60_000), "too large"),
    "cut off": (jpeg(quarters(640, 480))[:2500], "damaged or cut off|damaged"),
    "broken middle": (png_header_of(640, 480), "damaged"),
    "a script": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n", "not a photo, recording or video"),
    "a vector": (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", "not a photo"),
}


def load_or_probe(path):
    """As an upload is met: looked at first, read only if the look was good."""
    probe(path)
    load_image(path)


@pytest.mark.parametrize("name", BAD)
def test_bad_photos_are_refused_with_a_remedy(tmp_path, name):
    content, expected = BAD[name]
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableMedia, match=expected) as caught:
        load_or_probe(path)
    assert caught.value.remedy
    assert "bad.jpg" in caught.value.message
    with pytest.raises(UnreadableMedia):
        load_image(path)


def test_fifty_megapixels_are_read(tmp_path):
    PillowImage.new("RGB", (8_000, 6_250), RED).save(tmp_path / "big.jpg")
    image = load_image(tmp_path / "big.jpg")
    assert (image.width, image.height) == (8_000, 6_250)


def test_missing_and_folder(tmp_path):
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(UnreadableMedia, match="There is no file"):
            load_image(path)


def test_a_real_photo(shared_media):
    image = load_image(shared_media("photos", "pair_sofa.png"))
    assert (image.width, image.height) == (852, 480)
