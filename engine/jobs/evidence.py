"""The arrays beside the document: faces, voices and speech sounds, computed once and kept in the project's cache.

Each file's name carries a hash of what it was made from, so an edited turn or face never meets a stale one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from engine.analysis.faces import detail_of, load_details, save_details
from engine.analysis.separation import separate
from engine.analysis.types import Diarization, FaceDetail
from engine.analysis.visemes import SpeechSounds, listen
from engine.cast.streams import VOICE_SAMPLE_RATE
from engine.errors import UnreadableMedia
from engine.jobs.events import StageProgress
from engine.media.read import load_image, load_waveform
from engine.media.types import Image, Waveform
from engine.project.atomic import whole_file, write_bytes
from engine.project.document import Scene
from engine.project.store import ProjectFiles

Progress = Callable[[StageProgress], None]


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def photo_of(store: ProjectFiles, scene: Scene) -> Image:
    """The upright photo of the scene. Raises UnreadableMedia when there is none."""
    if scene.photo is None:
        raise UnreadableMedia("The project has no photo yet.", "Add a photo first.")
    return load_image(store.path_of(scene.photo))


def duration_s(scene: Scene) -> float:
    """Length of the conversation: the recording, or the longest of the voice files."""
    refs = [scene.dialogue] if scene.dialogue else [voice.media for voice in scene.voices]
    if not refs:
        raise UnreadableMedia("The project has no recording yet.", "Add a recording, or one file per person.")
    return max(ref.info.duration_s or 0.0 for ref in refs)


def face_details(store: ProjectFiles, scene: Scene, photo: Image) -> dict[str, FaceDetail]:
    """Mesh, blendshapes and identity by face id; a face the mesh does not fit has none."""
    photo_hash = scene.photo.sha256 if scene.photo else ""
    key = _key(photo_hash, [(f.id, f.box_px, f.landmarks_px, f.score, f.origin) for f in scene.faces])
    path = store.cache_folder / f"faces-{key}.npz"
    if path.exists():
        try:
            return load_details(path)
        except UnreadableMedia:
            path.unlink(missing_ok=True)
    found = {face.id: detail_of(photo, face) for face in scene.faces}
    details = {face_id: detail for face_id, detail in found.items() if detail is not None}
    save_details(details, path)
    return details


def recording(store: ProjectFiles, scene: Scene) -> Waveform:
    """The dialogue as mono 16 kHz."""
    if scene.dialogue is None:
        raise UnreadableMedia("The project has no recording.", "Add one, or use one file per person.")
    return load_waveform(store.path_of(scene.dialogue), VOICE_SAMPLE_RATE, cache_folder=store.cache_folder)


def _voice_key(scene: Scene, speaker_id: str) -> str:
    """Of all that decides one speaker's voice: an own file and its turns, or a share of the recording by all turns."""
    own = next((voice.media for voice in scene.voices if voice.speaker_id == speaker_id), None)
    source = own or scene.dialogue
    turns = [(t.speaker_id, t.start_s, t.end_s) for t in scene.turns if not own or t.speaker_id == speaker_id]
    return _key(speaker_id, source.sha256 if source else "", turns)


def voices(store: ProjectFiles, scene: Scene) -> dict[str, Waveform]:
    """One 16 kHz voice per speaker id, memory-mapped from the cache: a share of the recording, or the own file."""
    if scene.voices:
        return {
            voice.speaker_id: load_waveform(
                store.path_of(voice.media), VOICE_SAMPLE_RATE, cache_folder=store.cache_folder
            )
            for voice in scene.voices
        }
    # Named by hash alone: an id in an edited project.json could name a place outside the cache.
    paths = {s.id: store.cache_folder / f"voice-{_voice_key(scene, s.id)}.npy" for s in scene.speakers}
    try:
        return _kept_voices(paths)
    except (OSError, ValueError, EOFError):  # not there yet, or damaged
        pass
    for speaker_id, voice in separate(recording(store, scene), Diarization(scene.speakers, scene.turns)).items():
        with whole_file(paths[speaker_id]) as part, part.open("wb") as file:
            np.save(file, np.asarray(voice.samples, np.float32), allow_pickle=False)
    return _kept_voices(paths)


def _kept_voices(paths: dict[str, Path]) -> dict[str, Waveform]:
    return {speaker_id: Waveform(np.load(path, mmap_mode="r"), VOICE_SAMPLE_RATE) for speaker_id, path in paths.items()}


def speech_sounds(
    store: ProjectFiles, scene: Scene, heard: dict[str, Waveform]
) -> Iterator[StageProgress | dict[str, SpeechSounds]]:
    """Progress, then at last the speech sounds by speaker id."""
    sounds: dict[str, SpeechSounds] = {}
    spans = {
        speaker_id: [(turn.start_s, turn.end_s) for turn in scene.turns if turn.speaker_id == speaker_id]
        for speaker_id in heard
    }
    total_s = sum(end - start for turns in spans.values() for start, end in turns)
    done_s = 0.0
    names = {speaker.id: speaker.name for speaker in scene.speakers}
    for speaker_id, turns in spans.items():
        yield StageProgress("listen", f"Reading the lips of {names[speaker_id]}", round(done_s), round(total_s))
        path = store.cache_folder / f"sounds-{_voice_key(scene, speaker_id)}.json"
        sounds[speaker_id] = _sounds_of(heard[speaker_id], turns, path)
        done_s += sum(end - start for start, end in turns)
    yield sounds


def _sounds_of(voice: Waveform, turns_s: list[tuple[float, float]], path: Path) -> SpeechSounds:
    """The sounds kept in ``path``, made and kept there where they are not."""
    if path.exists():
        try:
            return SpeechSounds.from_json(json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError):
            path.unlink(missing_ok=True)
    sounds = listen(voice, turns_s)
    write_bytes(path, json.dumps(sounds.to_json()).encode())
    return sounds


def voice_file(store: ProjectFiles, scene: Scene, speaker_id: str) -> Path:
    """A wav of one speaker's voice for players, made when first asked for."""
    from engine.media.write import write_waveform

    path = store.cache_folder / f"voice-{_voice_key(scene, speaker_id)}.wav"
    if not path.exists():
        write_waveform(path, voices(store, scene)[speaker_id])
    return path
