"""The project document: what a creator decided, as saved in project.json.

Bounds and defaults of every control are declared here and nowhere else.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION = 2

FACE_COLOURS = (
    "#e4572e", "#2e86ab", "#4c9f38", "#a23b72", "#f2a541", "#5e60ce", "#17a398", "#c9184a", "#7f5539",
)  # fmt: skip


def new_id() -> str:
    return uuid.uuid4().hex[:12]


class Document(BaseModel):
    """Base of all saved models: unknown fields and out-of-bounds values are refused, also on assignment."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class Part(StrEnum):
    TALKS = "talks"
    LISTENS = "listens"
    STILL = "still"


TakeStatus = Literal["rendering", "done", "cancelled", "failed", "interrupted"]


class TakeKind(StrEnum):
    ANIMATIC = "animatic"
    PREVIEW = "preview"
    FINAL = "final"


class MediaInfo(Document):
    """What a media file is; sizes in px (upright), times in seconds. ``kind`` by its first usable stream."""

    kind: Literal["image", "audio", "video"]
    format: str = ""
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    frame_rate: float | None = None
    sample_rate: int | None = None
    num_channels: int | None = None


class MediaRef(Document):
    """A file inside the project folder; ``path`` is relative to it, with forward slashes."""

    path: str
    sha256: str
    info: MediaInfo
    original_name: str = ""


class VoiceFile(Document):
    """One person's own recording; ``speaker_id`` is the speaker it becomes."""

    speaker_id: str
    media: MediaRef


class Speaker(Document):
    id: str
    name: str


class Face(Document):
    """A face of the photo. ``box_px`` is x0 y0 x1 y1; ``landmarks_px`` five points: eyes, nose, mouth corners."""

    id: str
    name: str
    colour: str
    box_px: tuple[float, float, float, float]
    landmarks_px: list[tuple[float, float]] = Field(default_factory=list)
    score: float = 1.0
    origin: Literal["detected", "drawn"] = "detected"
    consent: Annotated[str, Field(max_length=500, description="who agreed to be shown talking, and how")] = ""

    @model_validator(mode="after")
    def _box_has_area(self) -> Face:
        x0, y0, x1, y1 = self.box_px
        if not (x1 > x0 and y1 > y0):
            raise ValueError("box_px must be x0 y0 x1 y1 with x1 > x0 and y1 > y0")
        return self

    @property
    def width_px(self) -> float:
        return self.box_px[2] - self.box_px[0]


class Turn(Document):
    id: str = Field(default_factory=new_id)
    speaker_id: str
    start_s: Annotated[float, Field(ge=0)]
    end_s: float
    overlapped: bool = False
    origin: Literal["detected", "edited"] = "detected"
    text: str = ""

    @model_validator(mode="after")
    def _ends_after_start(self) -> Turn:
        if self.end_s <= self.start_s:
            raise ValueError("a turn must end after it starts")
        return self


class CastMember(Document):
    """One person of the picture or of the recording; ``face_id`` None = off-screen, ``speaker_id`` None = silent."""

    id: str = Field(default_factory=new_id)
    face_id: str | None = None
    speaker_id: str | None = None
    part: Part = Part.LISTENS
    liveliness: Annotated[float, Field(ge=0, le=2)] = 1.0
    lip_strength: Annotated[float, Field(ge=0, le=2)] = 1.0
    gain_db: Annotated[float, Field(ge=-30, le=12)] = 0.0
    origin: Literal["suggested", "chosen"] = "suggested"


Aspect = Literal["photo", "16:9", "9:16", "1:1"]
Captions = Literal["none", "beside", "burnt-in"]


class RenderSettings(Document):
    kind: TakeKind = TakeKind.ANIMATIC
    height: Annotated[int, Field(ge=96, le=2160, multiple_of=2, description="short side of the video, px")] = 480
    aspect: Aspect = "photo"
    frame_rate: Annotated[float, Field(ge=8, le=60)] = 25.0
    range_s: tuple[float, float] | None = None
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 42
    model: str = "animatic"
    num_inference_steps: Annotated[int, Field(ge=1, le=100)] = 8
    guidance_scale: Annotated[float, Field(ge=1, le=20)] = 4.5
    shift: Annotated[float, Field(ge=0.1, le=20)] = 5.0
    quantization: Literal["auto", "none", "int8", "nf4", "fp8"] = "auto"
    window: Annotated[int, Field(ge=17, le=401, description="frames per window")] = 81
    overlap: Annotated[int, Field(ge=1, le=41, description="frames a window takes over from the one before")] = 9
    guidance_range: Annotated[tuple[float, float], Field(description="part of the steps that is guided, 0..1")] = (0, 1)
    step_cache: Annotated[float, Field(ge=0, le=0.5, description="how alike steps must be to skip one; 0 = off")] = 0
    lora: str = Field("", description="a step-distilled LoRA of the catalogue, or a file")
    captions: Captions = "beside"
    visible_mark: bool = False


class ExportSettings(Document):
    """How a take leaves the studio: for which place, in which shape, with what said about its making."""

    format: Literal["h264", "h265", "prores", "webm"] = "h264"
    aspect: Aspect = "photo"
    follow_speaker: Annotated[bool, Field(description="where the shape cannot hold everybody, show who talks")] = True
    captions: Captions = "beside"
    loudness_lufs: Annotated[Literal[-14, -16, -23] | None, Field(description="EBU R 128; None = as recorded")] = None
    visible_mark: bool = False
    credentials: Annotated[bool, Field(description="C2PA content credentials, where the format carries them")] = True


class Take(Document):
    """One finished (or interrupted) render and everything that decides its pixels."""

    id: str = Field(default_factory=new_id)
    made_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    settings: RenderSettings
    model: str = "animatic"
    weights_sha256: str = ""
    engine_version: str = ""
    inputs_sha256: str = ""
    video_path: str = ""
    status: TakeStatus = "rendering"
    duration_s: float = 0.0
    compute_s: float = 0.0
    message: str = ""
    redo_of: Annotated[str, Field(description="id of the take of which this is a copy, but for redo_range_s")] = ""
    redo_range_s: Annotated[tuple[float, float] | None, Field(description="in the recording's time")] = None
    report: dict[str, Any] = Field(default_factory=dict)


class Scene(Document):
    photo: MediaRef | None = None
    dialogue: MediaRef | None = None
    voices: list[VoiceFile] = Field(default_factory=list)
    prompt: str = ""
    negative_prompt: str = ""
    faces: list[Face] = Field(default_factory=list)
    speakers: list[Speaker] = Field(default_factory=list)
    turns: list[Turn] = Field(default_factory=list)
    cast: list[CastMember] = Field(default_factory=list)
    interaction_strength: Annotated[float, Field(ge=0, le=2)] = 1.0
    lip_strength: Annotated[float, Field(ge=0, le=2, description="of everybody, times each member's own")] = 1.0
    preview_range_s: Annotated[tuple[float, float] | None, Field(description="None = the liveliest exchange")] = None
    settings: RenderSettings = Field(default_factory=RenderSettings)
    export: ExportSettings = Field(default_factory=ExportSettings)
    takes: list[Take] = Field(default_factory=list)

    def face(self, face_id: str) -> Face:
        return next(face for face in self.faces if face.id == face_id)

    def member_of_face(self, face_id: str) -> CastMember | None:
        return next((member for member in self.cast if member.face_id == face_id), None)


class Project(Document):
    schema_version: int = SCHEMA_VERSION
    id: str = Field(default_factory=new_id)
    title: str = "Untitled"
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    scene: Scene = Field(default_factory=Scene)
