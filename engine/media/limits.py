"""What media may be: the bounds that photos and recordings are held to, declared once."""

MAX_PHOTO_PIXELS = 50_000_000
MIN_PHOTO_SIDE_PX = 16
MAX_PHOTO_BYTES = 512 * 1024**2

MIN_RECORDING_S = 0.5
"""Shorter than a word: nothing to analyse."""

MAX_RECORDING_S = 90 * 60
"""An hour, and some grace for one that ran over."""

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 384_000
MAX_CHANNELS = 64

IN_MEMORY_S = 60.0
"""Sound longer than this is kept in a memory-mapped file instead of in memory."""

PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "BMP", "TIFF")
"""Pillow's names. Formats that start other programs or read other files (EPS, …) are left out on purpose."""

CONTAINERS = (
    "wav,w64,rf64,aiff,caf,au,mp3,aac,ac3,eac3,flac,ogg,amr,asf,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,"
    "flv,ape,tta,wv"
)
"""ffmpeg's names of the containers that are read. Playlists are left out: they would name other files to open."""
