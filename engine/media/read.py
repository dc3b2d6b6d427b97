"""Photos and recordings from disk, whatever they are, as the two values that every stage speaks."""

import hashlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageCms, ImageOps

from engine.errors import UnreadableMedia
from engine.media import ffmpeg
from engine.media.limits import IN_MEMORY_S, MAX_CHANNELS, MAX_RECORDING_S
from engine.media.probe import RECORDING_REMEDY, check_duration, open_photo, probe
from engine.media.types import Image, Waveform
from engine.project.atomic import whole_file
from engine.project.document import MediaInfo

BACKGROUND_GREY = 128
"""What shows through transparent parts of a photo: neutral, so that neither hair nor skin gets a bright fringe."""

Samples = NDArray[np.float32]

_BLOCK_SAMPLES = 1 << 19
_WEIGHING_RATE = 8000
"""Sample rate at which the channels are compared: speech needs no more."""


def load_image(path: Path) -> Image:
    """The photo as it should be seen: upright, 8-bit sRGB, transparency on grey; of an animation the first frame.

    Raises UnreadableMedia when it is no photo, damaged, cut off or outside the limits.
    """
    with open_photo(path) as picture:
        picture.seek(0)
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        profile = picture.info.get("icc_profile")
        return Image(np.asarray(_flattened(_eight_bit(upright), profile)))


def load_waveform(path: Path, sample_rate: int, cache_folder: Path | None = None) -> Waveform:
    """The sound of a recording or video, mono, at ``sample_rate`` Hz.

    Channels are averaged; silent ones do not count, and one in opposite phase is turned round first. Sound longer
    than a minute is a memory map: of a file in ``cache_folder``, found again the next time, or of a nameless one.
    Raises UnreadableMedia when there is no sound, or it is damaged, too short or too long; WriteFailed (disk full).
    """
    info = probe(path)
    if info.kind == "image":
        raise UnreadableMedia(f"{path.name!r} is a photo, not a recording.", RECORDING_REMEDY)
    cached = _cache_path(path, sample_rate, cache_folder)
    if cached is not None and cached.is_file():
        return Waveform(_map_of(cached), sample_rate)
    weights = _channel_weights(path, info)
    blocks = _mono_blocks(path, info, sample_rate, weights)
    if info.duration_s is not None and info.duration_s <= IN_MEMORY_S:
        samples: Samples = np.concatenate([np.zeros(0, np.float32), *blocks])
    else:
        samples = _mapped(blocks, cached)
    try:
        check_duration(path, len(samples) / sample_rate)
    except UnreadableMedia:
        if cached is not None:
            cached.unlink(missing_ok=True)
        raise
    return Waveform(samples, sample_rate)


def _eight_bit(picture: PillowImage.Image) -> PillowImage.Image:
    if picture.mode.startswith("I;16"):
        grey = np.asarray(picture).astype(np.uint16) >> 8
        return PillowImage.fromarray(grey.astype(np.uint8))
    if picture.mode in ("I", "F"):
        # Pillow opens 16-bit greyscale as 32-bit: what goes beyond 255 is 16-bit, the rest is 8-bit.
        grey = np.nan_to_num(np.asarray(picture, np.float64))
        return PillowImage.fromarray(np.clip(grey / (257 if grey.max() > 255 else 1), 0, 255).astype(np.uint8))
    return picture


def _flattened(picture: PillowImage.Image, profile: bytes | None) -> PillowImage.Image:
    if not picture.has_transparency_data:
        return _in_srgb(picture, profile).convert("RGB")
    seen = picture.convert("RGBA")
    ground = PillowImage.new("RGB", seen.size, (BACKGROUND_GREY,) * 3)
    ground.paste(_in_srgb(seen.convert("RGB"), profile), mask=seen.getchannel("A"))
    return ground


def _in_srgb(picture: PillowImage.Image, profile: bytes | None) -> PillowImage.Image:
    """Colours as the photo's own profile means them: phones save wider ones, and print houses CMYK."""
    if not profile or picture.mode not in ("RGB", "CMYK", "L"):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        turned = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture  # a broken profile costs some colour fidelity, not the photo
    return turned if turned is not None else picture


def _cache_path(path: Path, sample_rate: int, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{sample_rate}|mono-1"
    return folder / f"sound-{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:20]}.f32"


def _decoded_blocks(path: Path, info: MediaInfo, sample_rate: int) -> Iterator[Samples]:
    """The first sound of ``path`` as (num_samples, num_channels) blocks, never more than the limit and a bit."""
    num_channels = info.num_channels or 1
    arguments = ffmpeg.command(
        *ffmpeg.input_arguments(path),
        *("-map", "0:a:0", "-t", str(MAX_RECORDING_S + 120), "-ac", str(num_channels)),
        *("-af", f"aresample={sample_rate}:resampler=soxr", "-f", "f32le", "-c:a", "pcm_f32le", "pipe:1"),
    )
    size = max(1, _BLOCK_SAMPLES // min(num_channels, MAX_CHANNELS)) * num_channels * 4
    try:
        with ffmpeg.reading_from(arguments) as stream:
            while block := stream.read(size):
                whole = len(block) - len(block) % (num_channels * 4)
                yield np.nan_to_num(np.frombuffer(block[:whole], np.float32)).reshape(-1, num_channels)
    except ffmpeg.FfmpegFailed as error:
        raise UnreadableMedia(f"{path.name!r} cannot be decoded: {error.reason}.", RECORDING_REMEDY) from error


def _channel_weights(path: Path, info: MediaInfo) -> Samples:
    """One weight per channel, (num_channels,) float32, such that their sum never cancels speech."""
    num_channels = info.num_channels or 1
    if num_channels == 1:
        return np.ones(1, np.float32)
    products = np.zeros((num_channels, num_channels))
    for block in _decoded_blocks(path, info, _WEIGHING_RATE):
        products += block.astype(np.float64).T @ block
    return weights_from_products(products)


def weights_from_products(products: NDArray[np.float64]) -> Samples:
    """Weights from the channels' inner products (num_channels, num_channels): see load_waveform."""
    energy = np.diag(products)
    heard = energy > energy.max() * 1e-5  # 50 dB below the loudest: hiss or leakage of an unused channel
    if not heard.any():
        return np.full(len(energy), 1 / len(energy), np.float32)
    loudest = int(energy.argmax())
    likeness = products[loudest] / np.sqrt(np.maximum(energy * energy[loudest], 1e-20))
    signs = np.where(likeness < -0.7, -1.0, 1.0)
    return (signs * heard / heard.sum()).astype(np.float32)


def _mono_blocks(path: Path, info: MediaInfo, sample_rate: int, weights: Samples) -> Iterator[Samples]:
    for block in _decoded_blocks(path, info, sample_rate):
        yield np.ascontiguousarray(block[:, 0]) if len(weights) == 1 else block @ weights


def _mapped(blocks: Iterator[Samples], cached: Path | None) -> Samples:
    """The blocks end to end as a memory map of raw float32: of ``cached``, or of a file without a name."""
    if cached is None:
        file = tempfile.TemporaryFile()  # noqa: SIM115  the map keeps it open; it is gone with the last user
        num_samples = sum(file.write(block.tobytes()) // 4 for block in blocks)
        file.flush()
        return np.memmap(file, np.float32, "r", shape=(num_samples,)) if num_samples else np.zeros(0, np.float32)
    cached.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(cached) as part, part.open("wb") as out:
        for block in blocks:
            out.write(block.tobytes())
    return _map_of(cached)


def _map_of(cached: Path) -> Samples:
    if cached.stat().st_size == 0:
        return np.zeros(0, np.float32)
    return np.memmap(cached, np.float32, "r")
