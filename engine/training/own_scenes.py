"""Photos and voices of one's own, which a run renders at intervals: NAME.jpg with NAME-1.wav, NAME-2.wav and so on,
for its faces from left to right."""

from pathlib import Path

import numpy as np

from engine.analysis.faces import detect_faces
from engine.dit.speech_files import SAMPLE_RATE
from engine.errors import StudioError
from engine.media.read import load_image, load_waveform
from engine.media.types import Image, Waveform
from engine.training.made_data import Scene

PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
_FORM = "Put photos there, and beside each NAME.jpg a voice for each face, from left to right: NAME-1.wav, NAME-2.wav."


def own_scenes(folder: Path, seconds: float) -> list[Scene]:
    """Every photo of ``folder``, by name, with the first ``seconds`` of its voices; shorter ones end in silence.

    Raises StudioError where a photo and its voices do not fit, and what reading and finding faces raise.
    """
    photos = sorted(path for path in folder.glob("*") if path.suffix.lower() in PHOTOS)
    if not photos:
        raise StudioError(f"There are no photos in {folder}.", _FORM)
    return [_scene(photo, seconds) for photo in photos]


def _scene(photo: Path, seconds: float) -> Scene:
    image = load_image(photo)
    found = detect_faces(Image(image.rgb))
    faces = sorted((face for face in found.faces if face.id in found.details), key=lambda face: sum(face.box_px[::2]))
    voices = [photo.with_name(f"{photo.stem}-{number}.wav") for number in range(1, len(faces) + 1)]
    beyond = photo.with_name(f"{photo.stem}-{len(faces) + 1}.wav")
    if not all(path.is_file() for path in voices) or beyond.exists():
        count = sum(1 for _ in photo.parent.glob(f"{photo.stem}-*.wav"))
        raise StudioError(f"{photo.name} shows {len(faces)} faces, and {count} voices are beside it.", _FORM)
    points = tuple(found.details[face.id].points_px for face in faces)
    return Scene(image.rgb, points, tuple(_cut(load_waveform(path, SAMPLE_RATE), seconds) for path in voices))


def _cut(voice: Waveform, seconds: float) -> Waveform:
    length = round(seconds * SAMPLE_RATE)
    samples = np.asarray(voice.samples[:length], np.float32)
    return Waveform(np.pad(samples, (0, length - len(samples))), SAMPLE_RATE)
