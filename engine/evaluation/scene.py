"""What a video is held against: whose face is where, which voice is whose, and who speaks when."""

from dataclasses import dataclass

from engine.media.types import Waveform

Span = tuple[float, float]


@dataclass(frozen=True)
class SpokenTurn:
    """Seconds from the start of the video."""

    turn_id: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Voice:
    """One voice over the length of the video (it may end earlier); ``face_id`` "" = off-screen.

    ``closures_s``: when the lips must meet (p, b, m); None = the speech sounds are not known.
    """

    speaker_id: str
    name: str
    face_id: str
    sound: Waveform
    turns: tuple[SpokenTurn, ...]
    closures_s: tuple[Span, ...] | None = None

    @property
    def spans_s(self) -> list[Span]:
        return [(turn.start_s, turn.end_s) for turn in self.turns]


@dataclass(frozen=True)
class Expected:
    """``still``: ids of faces that are meant not to move. ``starts_s``: where the video begins in the recording.

    ``only_faces_move``: outside the faces the picture is to stay as it is in the photo (an animatic).
    """

    voices: tuple[Voice, ...]
    still: frozenset[str] = frozenset()
    starts_s: float = 0.0
    only_faces_move: bool = False
    duration_s: float | None = None
