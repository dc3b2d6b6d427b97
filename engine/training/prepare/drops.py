"""What is left out of the training data, and why."""

from collections.abc import Iterable
from enum import StrEnum

from pydantic import BaseModel

from engine.training.shards import DroppedCount


class Reason(StrEnum):
    UNREADABLE = "unreadable"
    NO_SOUND = "no sound"
    TOO_SHORT = "too short"
    CUT_TOO_SHORT = "too short between cuts"
    CAMERA_MOVES = "camera moves"
    NUM_FACES = "wrong number of faces"
    FACE_LOST = "face lost"
    FACE_SMALL = "face too small"
    ORDER_CHANGES = "left and right change places"
    IDENTITY_CHANGES = "another person"
    NO_SPEECH = "no speech"
    NUM_VOICES = "too many voices"
    OVERLAP = "people speak at once"
    PIECE_TOO_SHORT = "too little speech in a row"
    OUT_OF_TIME = "lips not in time with the voice"
    PAIRING = "whose voice is whose is not clear"
    OUT_OF_FRAME = "face does not fit into the frame"


WHY = {
    Reason.UNREADABLE: "The file is no video, damaged or empty.",
    Reason.NO_SOUND: "The video has no sound that can be read.",
    Reason.TOO_SHORT: "The whole video is shorter than the shortest clip.",
    Reason.CUT_TOO_SHORT: "Nothing long enough lies between two cuts.",
    Reason.CAMERA_MOVES: "The camera shakes, pans or zooms.",
    Reason.NUM_FACES: "Most frames show fewer or more people than this stage learns from.",
    Reason.FACE_LOST: "A face is hidden or turned away.",
    Reason.FACE_SMALL: "A face is so small that its lips cannot be seen.",
    Reason.ORDER_CHANGES: "Who was on the left comes to stand on the right.",
    Reason.IDENTITY_CHANGES: "A face in the same place is of somebody else.",
    Reason.NO_SPEECH: "Nobody is heard speaking.",
    Reason.NUM_VOICES: "More voices are heard than people are seen.",
    Reason.OVERLAP: "Two voices at once cannot be learnt from apart.",
    Reason.PIECE_TOO_SHORT: "Somebody speaks for too short a time before something else happens.",
    Reason.OUT_OF_TIME: "The mouth does not move with the voice: dubbed, off-screen, or covered.",
    Reason.PAIRING: "The largest scores of voices and faces do not pair each voice with one face.",
    Reason.OUT_OF_FRAME: "The frame's shape would cut the face off.",
}


class Drop(BaseModel):
    """``start_s`` to ``end_s`` of ``video`` was left out at ``step``; ``detail`` says what was measured."""

    video: str
    step: str
    reason: Reason
    detail: str = ""
    start_s: float = 0.0
    end_s: float = 0.0


def counted(drops: Iterable[Drop]) -> dict[str, DroppedCount]:
    """By reason, the most frequent first."""
    counts: dict[str, DroppedCount] = {}
    for drop in drops:
        count = counts.setdefault(drop.reason.value, DroppedCount(why=WHY[drop.reason]))
        count.count += 1
        count.seconds = round(count.seconds + max(0.0, drop.end_s - drop.start_s), 3)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1].count, entry[0])))
