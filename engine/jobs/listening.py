"""The conversation as a browser can play and draw it: one small sound file, and the heights of its waveform."""

import hashlib
from pathlib import Path

import numpy as np

from engine.compositing.mix import VoiceSound, mix_voices
from engine.errors import UnreadableMedia
from engine.jobs import evidence
from engine.media import ffmpeg
from engine.media.probe import RECORDING_REMEDY
from engine.project.atomic import whole_file
from engine.project.document import Scene
from engine.project.store import ProjectFiles

PEAKS_PER_S = 40
MAX_PEAKS = 24_000


def listening_file(store: ProjectFiles, scene: Scene) -> Path:
    """The whole conversation as AAC in mp4, from its first sample on; made when first asked for.

    Raises UnreadableMedia when there is no recording, or it cannot be read any more.
    """
    target = store.cache_folder / f"listen-{sound_key(scene)}.m4a"
    if target.exists():
        return target
    scratch: Path | None = None
    if scene.dialogue:
        source = store.path_of(scene.dialogue)
    elif scene.voices:
        source = scratch = target.with_suffix(".wav")
        mix_voices([VoiceSound(store.path_of(voice.media)) for voice in scene.voices], scratch)
    else:
        raise UnreadableMedia("The project has no recording yet.", "Add a recording, or one file per person.")
    try:
        _encode(source, target)
    finally:
        if scratch:
            scratch.unlink(missing_ok=True)
    return target


def sound_key(scene: Scene) -> str:
    """Differs where the conversation sounds different: of what it is made, by content."""
    sources = [scene.dialogue] if scene.dialogue else [voice.media for voice in scene.voices]
    return hashlib.sha256(" ".join(source.sha256 for source in sources).encode()).hexdigest()[:16]


def peaks(store: ProjectFiles, scene: Scene) -> list[int]:
    """The loudest sample of each stretch of the conversation, 0 to 255 of its loudest moment; PEAKS_PER_S a second,
    fewer where the recording is very long."""
    sounds = [evidence.recording(store, scene)] if scene.dialogue else list(evidence.voices(store, scene).values())
    length = max((len(sound.samples) for sound in sounds), default=0)
    if not length:
        return []
    count = max(1, min(MAX_PEAKS, round(length / sounds[0].sample_rate * PEAKS_PER_S)))
    edges = np.linspace(0, length, count, endpoint=False).astype(int)
    heights = np.zeros(count)
    for sound in sounds:
        own = edges[edges < len(sound.samples)]
        heights[: len(own)] = np.maximum(heights[: len(own)], np.maximum.reduceat(np.abs(sound.samples), own))
    loudest = max(float(heights.max()), 1e-6)
    return [int(value) for value in np.round(255 * np.sqrt(heights / loudest))]  # roots show soft voices too


def _encode(source: Path, target: Path) -> None:
    with whole_file(target) as part:
        output = ["-map", "0:a:0", "-af", "asetpts=N/SR/TB", "-ac", "1", "-ar", "44100", "-c:a", "aac", "-b:a", "96k"]
        output += ["-map_metadata", "-1", "-movflags", "+faststart", "-f", "mp4"]
        try:
            ffmpeg.run(ffmpeg.command(*ffmpeg.input_arguments(source), *output, ffmpeg.file_argument(part)))
        except ffmpeg.FfmpegFailed as error:
            raise UnreadableMedia(f"{source.name!r} cannot be read: {error.reason}.", RECORDING_REMEDY) from error
