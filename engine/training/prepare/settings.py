"""What the prepared clips shall be, and how strict the filters are: declared once, saved beside the clips."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PrepareSettings(BaseModel):
    """``stage`` 1 learns from single people, 2 from two; ``height``, ``width``: of the stored frames; ``encoders``:
    the published network's codec and audio encoder, or the small one's. Scores are correlations of a mouth's opening
    with a voice's loudness.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: Literal[1, 2] = 1
    encoders: Literal["published", "tiny"] = "tiny"
    height: int = Field(480, ge=16, le=1080)
    width: int = Field(832, ge=32, le=1920)
    frame_rate: float = Field(24.0, ge=8, le=30)
    seed: int = 0

    mean_clip_s: float = Field(4.0, ge=1)
    clip_deviation_s: float = Field(0.5, ge=0)
    min_clip_s: float = Field(2.5, ge=0.5)
    max_clip_s: float = Field(5.5, ge=1)
    piece_s: float = Field(2.0, ge=0.5)
    max_pause_s: float = Field(0.8, ge=0, description="A longer silence ends a clip.")
    max_overlap_s: float = Field(0.15, ge=0, description="Two voices at once for longer end a clip.")

    look_every_s: float = Field(0.4, gt=0)
    max_camera_move: float = Field(0.015, gt=0, description="Of the picture's width.")
    min_share_of_looks: float = Field(0.9, gt=0, le=1, description="Frames with the right number of faces.")
    min_bystander: float = Field(0.3, gt=0, description="A face of less than this part of the largest is background.")
    max_lost: float = Field(0.05, ge=0, le=1, description="Frames of a clip in which a face may be lost.")
    max_other_identity: float = Field(0.34, ge=0, le=1, description="Looks at a face that may be of somebody else.")
    min_face_px: float = Field(32.0, ge=4, description="Width in the video as it is looked at (at most 720 px high).")

    min_sync: float = Field(0.3, description="Of a mouth with its own voice: see MouthScores.")
    min_lead: float = Field(0.15, description="Over the other mouth, where only one voice is heard.")
    min_syncnet: float = Field(3.0, description="The same by SyncNet's confidence, where its network is on disk.")
    min_syncnet_lead: float = 1.0
    halves: int = Field(2, ge=0, le=8, description="Face windows stored of a single person's clip.")

    @property
    def num_people(self) -> int:
        return self.stage
