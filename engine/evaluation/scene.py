"""What a video is held against: whose face is where, which voice is whose, and who speaks when."""

from dataclasses import dataclass, replace

from engine.evaluation.report import Finding
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

    def between(self, start_s: float, end_s: float) -> "Voice":
        """The part of this voice from ``start_s`` to ``end_s`` of the video, with times counted from there."""
        cut = [(turn, max(turn.start_s, start_s), min(turn.end_s, end_s)) for turn in self.turns]
        turns = tuple(SpokenTurn(turn.turn_id, a - start_s, b - start_s) for turn, a, b in cut if b - a > 0.05)
        shut = self.closures_s and tuple(
            (a - start_s, b - start_s) for a, b in self.closures_s if a > start_s and b < end_s
        )
        return replace(self, sound=self.sound.between(start_s, end_s), turns=turns, closures_s=shut)

    @property
    def spans_s(self) -> list[Span]:
        return [(turn.start_s, turn.end_s) for turn in self.turns]


@dataclass(frozen=True)
class Expected:
    """``still``: ids of faces that are meant not to move. ``starts_s``: where the video begins in the recording.

    ``only_faces_move``: outside the faces the picture is to stay as it is in the photo (an animatic).
    ``sound``: the video's own, None = it has none. ``remarks``: what is known before a frame was seen.
    """

    voices: tuple[Voice, ...]
    still: frozenset[str] = frozenset()
    starts_s: float = 0.0
    only_faces_move: bool = False
    duration_s: float | None = None
    sound: Waveform | None = None
    remarks: tuple[Finding, ...] = ()

    def between(self, start_s: float, end_s: float) -> "Expected":
        """What is expected of the part from ``start_s`` to ``end_s`` of the video."""
        voices = tuple(voice.between(start_s, end_s) for voice in self.voices)
        sound = self.sound and self.sound.between(start_s, end_s)
        length_s = None if self.duration_s is None else min(self.duration_s, end_s) - start_s
        return replace(self, voices=voices, starts_s=self.starts_s + start_s, duration_s=length_s, sound=sound)
