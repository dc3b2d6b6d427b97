"""What a video file can be: container, codecs and their settings, and whether this ffmpeg has the encoder."""

from dataclasses import dataclass

from engine.errors import StudioError
from engine.media import ffmpeg

AAC_RATES = (16000, 22050, 24000, 32000, 44100, 48000)
"""Sample rates that every browser and phone plays; sound at another rate becomes 48 kHz."""

_OPUS_RATES = (48000,)
_PCM_RATES = (44100, 48000, 96000)


@dataclass(frozen=True)
class VideoFormat:
    """One kind of video file. ``muxer``, ``encoder``, ``sound_encoder`` and ``pixels`` are ffmpeg's names.

    ``video_arguments`` choose quality against speed, for two cores: measured on animatics and AnyTalker's output.
    ``sound_kbps`` 0 = the sound is not compressed. ``boxes``: of the mp4 family, with boxes for XMP and credentials.
    """

    title: str
    suffix: str
    muxer: str
    encoder: str
    pixels: str
    video_arguments: tuple[str, ...]
    sound_encoder: str
    sound_rates: tuple[int, ...]
    sound_kbps: int
    boxes: bool = True

    @property
    def muxer_arguments(self) -> list[str]:
        """Options of the container: the index goes first, so that a video plays before all of it has arrived."""
        return ["-movflags", "+faststart", "-f", self.muxer] if self.boxes else ["-f", self.muxer]


H264 = VideoFormat(
    "H.264", ".mp4", "mp4", "libx264", "yuv420p", ("-preset", "veryfast", "-crf", "18", "-profile:v", "high"),
    "aac", AAC_RATES, 192,
)  # fmt: skip
H265 = VideoFormat(
    "H.265", ".mp4", "mp4", "libx265", "yuv420p",
    # hvc1: Apple's players refuse the other name of the same thing.
    ("-preset", "fast", "-crf", "21", "-tag:v", "hvc1", "-x265-params", "log-level=error"),
    "aac", AAC_RATES, 192,
)  # fmt: skip
PRORES = VideoFormat(
    "ProRes 422 HQ", ".mov", "mov", "prores_ks", "yuv422p10le", ("-profile:v", "hq", "-vendor", "apl0"),
    "pcm_s24le", _PCM_RATES, 0,
)  # fmt: skip
WEBM = VideoFormat(
    "VP9", ".webm", "webm", "libvpx-vp9", "yuv420p",
    ("-deadline", "good", "-cpu-used", "5", "-row-mt", "1", "-tile-columns", "1", "-crf", "29", "-b:v", "0"),
    "libopus", _OPUS_RATES, 128, boxes=False,
)  # fmt: skip

FORMATS = {"h264": H264, "h265": H265, "prores": PRORES, "webm": WEBM}
"""By the names of ExportSettings.format."""


def require_format(name: str) -> VideoFormat:
    """The format of that name. Raises StudioError where the ffmpeg that is here cannot write it."""
    wanted = FORMATS[name]
    missing = {wanted.encoder, wanted.sound_encoder} - ffmpeg.encoders()
    if missing:
        others = [each.title for each in FORMATS.values() if {each.encoder, each.sound_encoder} <= ffmpeg.encoders()]
        raise StudioError(
            f"{wanted.title} cannot be written here: ffmpeg has no {' and no '.join(sorted(missing))}.",
            f"Choose {' or '.join(others)}." if others else "Set the program up anew, which brings an ffmpeg that can.",
        )
    return wanted
