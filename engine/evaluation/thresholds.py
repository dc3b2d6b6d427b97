"""From which figure on something is worth a look, or to be done again. CALIBRATION.md says how each was found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Openings are in units of the distance of the outer eye corners, colours in CIE L*a*b*."""

    # one turn: correlation of a mouth with its own voice, at the best lag within max_lag_s
    sync_look: float = 0.38
    sync_redo: float = 0.25
    max_lag_s: float = 0.24
    min_turn_s: float = 0.7  # a shorter one holds too few syllables
    # one person: how late or early the mouth is, over all turns
    delay_look_ms: float = 75.0
    delay_redo_ms: float = 160.0
    delay_sure_r: float = 0.35  # below this the lag means nothing
    delay_min_s: float = 1.5  # of speech
    delay_reach_s: float = 0.36
    delay_gain_r: float = 0.03  # that the lag adds to the correlation in time
    same_sound_r: float = 0.6  # the video's own sound against all voices together
    sound_late_ms: float = 40.0
    # root mean square of the speech-quick part of the opening
    moves: float = 0.012
    moves_much: float = 0.030
    # somebody else's mouth against a voice
    wrong_r: float = 0.3
    # share of p, b, m at which the lips meet
    closed_look: float = 0.5
    closed_opening: float = 0.3  # of the way from shut to this person's ordinary wide opening
    min_closures: int = 4
    # a face
    lost_look: float = 0.02  # share of frames
    lost_redo: float = 0.15
    identity_look: float = 1.0  # of the distance within which the face model takes two faces for one person
    identity_redo: float = 1.12
    frozen_levels: float = 0.045  # grey levels a face changes by from frame to frame
    frozen_look_s: float = 0.5
    frozen_redo_s: float = 1.0
    # the whole picture
    colour_look: float = 3.5
    colour_redo: float = 7.0
    colour_step_look: float = 2.2  # within 8 frames
    seam_look: float = 6.0  # change between two frames, over the ordinary change around it
    outside_look: float = 0.02  # share of pixels; for takes that are to stay as the photo outside the faces


DEFAULT = Thresholds()
