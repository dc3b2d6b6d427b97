"""What can go wrong, told so that a creator knows what to do next."""


class StudioError(Exception):
    """A problem the creator can act on: what happened, and the remedy."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy


class UnreadableMedia(StudioError):
    """A photo, recording or video that cannot be read or is outside the limits."""


class NoFacesFound(StudioError):
    """The photo shows no face that the detector accepts."""


class NoSpeechFound(StudioError):
    """The recording holds no speech."""


class UncastSpeaker(StudioError):
    """A speaker has neither a face nor an off-screen place."""


class UnknownFace(StudioError):
    """The cast names a face that the scene does not have."""


class ProjectDamaged(StudioError):
    """project.json cannot be read, or was made by a newer version."""


class ProjectBusy(StudioError):
    """Another studio holds the project."""


class WriteFailed(StudioError):
    """A file could not be written (disk full, no permission)."""


class ModelMissing(StudioError):
    """A model's weights are not on disk and cannot be fetched."""


class RenderCancelled(StudioError):
    """The creator stopped the render."""


class UnusableCheckpoint(StudioError):
    """A weights file is cut short, of another network, holds code, or lacks tensors."""


class ConditioningError(StudioError):
    """The picture, a face or a voice cannot be made into what the network takes."""


class OutOfMemory(StudioError):
    """The GPU or the computer has not enough memory for a render, even with every saving."""


class UnusableShards(StudioError):
    """Prepared training data that is missing, damaged, or made for another network."""
