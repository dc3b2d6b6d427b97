"""Whether the camera stands: where the corners of the background are, compared with a frame in which it stood."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.analysis.face_protocols import Box

WIDTH_PX = 320  # pictures are compared at this width
_MAX_CORNERS, _MIN_CORNERS = 120, 8
_GRID, _MIN_CELLS = 4, 3  # the corners lie in at least so many cells of 4 x 4
_ROOM = 0.8  # of a face's size, around it: hair, neck and shoulders move with the face
_MAX_ERROR_PX = 0.7  # of a corner that is followed there and back
_STANDING = 0.15  # of the corners; a logo laid over the picture has fewer
_MIN_FOLLOWED = 0.35  # fewer corners found again: it is another picture


class Camera:
    """The corners of ``rgb`` (h, w, 3) outside the ``faces`` (boxes in its px)."""

    def __init__(self, rgb: NDArray[np.uint8], faces: Sequence[Box] = ()) -> None:
        self._grey = _small_grey(rgb)
        mask = np.full(self._grey.shape, 255, np.uint8)
        scale = WIDTH_PX / rgb.shape[1]
        for x0, y0, x1, y1 in faces:
            dx, dy = _ROOM * (x1 - x0), _ROOM * (y1 - y0)
            left, top = max(0, int((x0 - dx) * scale)), max(0, int((y0 - dy) * scale))
            mask[top:, left : max(0, int((x1 + dx) * scale))] = 0  # down to the edge: the body is below
        found = cv2.goodFeaturesToTrack(self._grey, _MAX_CORNERS, 0.02, 5, mask=mask)
        self._corners = np.zeros((0, 1, 2), np.float32) if found is None else np.asarray(found, np.float32)
        cells = self._corners[:, 0] * _GRID // self._grey.shape[::-1]
        self._num_cells = len(np.unique(cells, axis=0))

    def moved(self, rgb: NDArray[np.uint8]) -> float:
        """How far the background has gone since, as a share of the width; inf where it is another picture.

        0 where the background has too few corners to tell, or all in one place, mostly on a shoulder: then its moves
        cannot be seen either.
        """
        if len(self._corners) < _MIN_CORNERS or self._num_cells < _MIN_CELLS:
            return 0.0
        grey = _small_grey(rgb)
        if grey.shape != self._grey.shape:
            return float("inf")
        there, ok, _ = cv2.calcOpticalFlowPyrLK(self._grey, grey, self._corners, None)  # type: ignore[call-overload]
        back, ok_back, _ = cv2.calcOpticalFlowPyrLK(grey, self._grey, there, None)  # type: ignore[call-overload]
        error_px = np.linalg.norm(back - self._corners, axis=-1)[:, 0]
        followed = (ok[:, 0] == 1) & (ok_back[:, 0] == 1) & (error_px < _MAX_ERROR_PX)
        if followed.mean() < _MIN_FOLLOWED:
            return float("inf")
        gone_px = np.linalg.norm(there - self._corners, axis=-1)[followed, 0]
        # Where a good part of the corners stands, the camera does: the others are on bodies, hands and passers-by.
        return float(np.quantile(gone_px, _STANDING)) / WIDTH_PX


def _small_grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = WIDTH_PX, max(8, round(WIDTH_PX * rgb.shape[0] / rgb.shape[1]))
    return np.asarray(cv2.cvtColor(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY))
