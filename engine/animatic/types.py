"""The border between what a face does (performance) and how it is drawn (renderer)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float32]


@dataclass(frozen=True)
class Performance:
    """What one face does, a value per video frame: each curve is (F,) float32 unless said otherwise.

    Mouth: ``jaw_open`` 0 shut … 1 wide; ``lip_width`` −1 narrow (u, w) … 0 rest … +1 spread (i); ``lip_round`` 0…1
    pushed forward (o, u, w); ``lip_press`` 0…1 lips held shut (p, b, m); ``lip_tuck`` 0…1 lower lip under upper teeth
    (f, v); ``tongue`` 0…1 tip seen between or behind the teeth (th, l); ``smile`` 0…1.
    Eyes: ``blink`` 0 open … 1 shut; ``brow`` −1 lowered … +1 raised; ``gaze`` (F, 2) −1…1 in the picture
    (plus = right, plus = down).
    Head, degrees: ``yaw`` (+ = towards the right of the picture), ``pitch`` (+ = down), ``roll`` (+ = clockwise in the
    picture).
    """

    jaw_open: Curve
    lip_width: Curve
    lip_round: Curve
    lip_press: Curve
    lip_tuck: Curve
    tongue: Curve
    smile: Curve
    blink: Curve
    brow: Curve
    gaze: NDArray[np.float32]
    yaw: Curve
    pitch: Curve
    roll: Curve

    @property
    def num_frames(self) -> int:
        return len(self.jaw_open)

    @staticmethod
    def at_rest(num_frames: int) -> "Performance":
        """A face that does nothing at all."""
        curves = {name: np.zeros(num_frames, np.float32) for name in Performance.__dataclass_fields__ if name != "gaze"}
        return Performance(gaze=np.zeros((num_frames, 2), np.float32), **curves)
