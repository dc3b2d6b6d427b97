"""From a file somewhere to a file of the project: looked at, read once to be sure, then copied in."""

from pathlib import Path

from engine.errors import UnreadableMedia
from engine.media.probe import PHOTO_REMEDY, RECORDING_REMEDY, probe
from engine.media.read import load_image, load_waveform
from engine.project.document import MediaRef
from engine.project.store import ProjectStore

ANALYSIS_RATE = 16000
"""Sample rate, Hz, of the sound that analysis listens to."""


def import_photo(store: ProjectStore, path: Path) -> MediaRef:
    """Copy a photo into the project. Raises UnreadableMedia or WriteFailed; the project is then as it was."""
    info = probe(path)
    if info.kind != "image":
        raise UnreadableMedia(f"{path.name!r} is a recording, not a photo.", PHOTO_REMEDY)
    load_image(path)  # a cut-off photo has a good header: only reading it all tells
    return store.import_media(path, info)


def import_recording(store: ProjectStore, path: Path) -> MediaRef:
    """Copy a recording (or a video with sound) into the project. Raises as ``import_photo`` does.

    A long one is decoded into the project's cache on the way, where ``load_waveform`` finds it again.
    """
    info = probe(path)
    if info.kind == "image":
        raise UnreadableMedia(f"{path.name!r} is a photo, not a recording.", RECORDING_REMEDY)
    before = set((store.folder / "media").glob("*"))
    ref = store.import_media(path, info)
    try:
        heard = load_waveform(store.path_of(ref), ANALYSIS_RATE, store.cache_folder)
    except UnreadableMedia as error:
        copy = store.path_of(ref)
        if store.folder / ref.path not in before:  # else a take or the scene itself uses it
            copy.unlink(missing_ok=True)
        raise UnreadableMedia(error.message.replace(copy.name, path.name), error.remedy) from error
    return ref.model_copy(update={"info": info.model_copy(update={"duration_s": heard.duration_s})})
