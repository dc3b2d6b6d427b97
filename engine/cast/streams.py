"""One bundle per person of the picture: nothing after this sorts faces or counts speakers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.analysis.types import FaceDetail
from engine.cast.suggest import check
from engine.cast.timeline import gate, num_frames, within
from engine.media.types import Waveform
from engine.project.document import CastMember, Face, Part, Scene, Turn

VOICE_SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class CastStream:
    """Everything about one person to be animated. F = number of video frames of the take.

    ``voice``: mono 16 kHz over the rendered range, silence for listeners; ``speaking_gate`` (F,) float32 0..1, 1 while
    this person speaks; ``listening_gate`` (F,) float32 0..1, 1 while somebody else speaks and this person does not.
    ``turns_s``: (start, end) of this person's turns, seconds from the start of the range.
    """

    face: Face
    detail: FaceDetail | None
    part: Part
    liveliness: float
    lip_strength: float
    voice: Waveform
    turns_s: tuple[tuple[float, float], ...]
    speaking_gate: NDArray[np.float32]
    listening_gate: NDArray[np.float32]


@dataclass(frozen=True)
class Evidence:
    """What analysis found, as arrays: one 16 kHz voice per speaker id, one detail per face id.

    A voice may end before the conversation does; a face that the mesh does not fit has no detail.
    """

    voices: Mapping[str, Waveform]
    details: Mapping[str, FaceDetail]


def build_streams(scene: Scene, evidence: Evidence, range_s: tuple[float, float]) -> list[CastStream]:
    """One stream per face of the cast, left to right, over ``range_s`` of the recording.

    Raises UnknownFace or UncastSpeaker (see ``check``) before anything is computed.
    """
    check(scene)
    turns = within(scene.turns, range_s)
    members = {member.face_id: member for member in scene.cast if member.face_id}
    return [
        _stream(
            face,
            members.get(face.id) or CastMember(face_id=face.id, part=Part.STILL),
            _Range(scene, turns, range_s),
            evidence,
        )
        for face in scene.faces
    ]


@dataclass(frozen=True)
class _Range:
    scene: Scene
    turns: list[Turn]
    range_s: tuple[float, float]

    @property
    def length(self) -> int:
        return num_frames(self.range_s[1] - self.range_s[0], self.scene.settings.frame_rate)

    def gate_of(self, speaker_ids: set[str]) -> NDArray[np.float32]:
        spans = [(turn.start_s, turn.end_s) for turn in self.turns if turn.speaker_id in speaker_ids]
        return gate(spans, self.scene.settings.frame_rate, self.length)


def _stream(face: Face, member: CastMember, rendered: _Range, evidence: Evidence) -> CastStream:
    speaker_id = member.speaker_id if member.part is Part.TALKS else None
    own = {speaker_id} if speaker_id else set()
    speaking = rendered.gate_of(own)
    others = rendered.gate_of({turn.speaker_id for turn in rendered.turns} - own)
    return CastStream(
        face=face,
        detail=evidence.details.get(face.id),
        part=member.part,
        liveliness=member.liveliness,
        lip_strength=member.lip_strength * rendered.scene.lip_strength,
        voice=_voice_over(rendered.range_s, evidence.voices[speaker_id] if speaker_id else None),
        turns_s=tuple((turn.start_s, turn.end_s) for turn in rendered.turns if turn.speaker_id in own),
        speaking_gate=speaking,
        listening_gate=np.clip(others - speaking, 0, 1).astype(np.float32),
    )


def _voice_over(range_s: tuple[float, float], voice: Waveform | None) -> Waveform:
    """The voice over the whole range: silence where there is none, or none any more."""
    length = round((range_s[1] - range_s[0]) * VOICE_SAMPLE_RATE)
    samples = voice.between(*range_s).samples if voice else np.zeros(0, np.float32)
    if len(samples) < length:
        samples = np.concatenate([samples, np.zeros(length - len(samples), np.float32)])
    return Waveform(samples, VOICE_SAMPLE_RATE)
