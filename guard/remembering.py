"""Faces of a live source that the detector misses for a moment are still covered in what goes out.

Memory adds regions to what was detected. A face that is only remembered counts as one, so it can turn an allowed call
into a redacted one and never the other way round.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from guard.facts import Faces
from guard.vision.memory import FaceMemory
from guard.vision.picture import as_bgr

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Remembering", "carried_over"]

_SAME_SHAPE = 0.02
"""How far the aspect of two pictures may differ, as a part of it, where one is taken for a scaled copy of the other."""
_SAME_PICTURE = 12.0
"""Mean difference in grey levels, of both at 16 x 16, up to which one is."""
_SAME_FACE = 0.5
"""Overlap (intersection over union) from which two boxes are one face."""


class Remembering:
    """The face memory of one source; threads may share it.

    Args:
        hold_s: seconds for which a face stays covered after it was last detected; 0 = no memory.
    """

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._lock = threading.Lock()
        self._feed: tuple[tuple[int, int], bool] | None = None
        self._memory = FaceMemory((0, 0), hold_s=hold_s)

    def see(self, faces: Faces, image: NDArray[Any], at_s: float, *, stamped: bool) -> Faces:
        """What has to be covered in the frame: `faces` as they are, then what memory adds, with score 0.

        Args:
            faces: the detector's.
            image: the frame, of which only the size is looked at.
            at_s: the frame's time in seconds of a clock that does not step back.
            stamped: whether that is the camera's clock. With another clock, or another size, memory begins anew.
        """
        size = (image.shape[1], image.shape[0])
        with self._lock:
            if (size, stamped) != self._feed:
                self._feed = (size, stamped)
                self._memory = FaceMemory(size, hold_s=self._hold_s)
            return self._memory.update(faces, at_s)


def carried_over(covered: Faces, frame: NDArray[Any], found: Faces, picture: NDArray[Any]) -> Faces:
    """What has to be covered in a picture that may be a copy of the current frame, encoded or scaled.

    Args:
        covered: what is covered in the frame.
        frame, picture: both, uint8 H x W (x 1, 3, 4).
        found: the faces detected in the picture itself; they stand first in the answer, as they are.
    """
    if not len(covered) or not _is_copy(picture, frame):
        return found
    across, down = picture.shape[1] / frame.shape[1], picture.shape[0] / frame.shape[0]
    boxes = (covered.boxes * np.array([across, down, across, down])).astype(np.float32)
    # What was detected in both is one face; what is only remembered may lie beside it, and stays.
    new = (covered.scores == 0) | ~_found_again(boxes, found.boxes)
    return Faces(np.concatenate([found.boxes, boxes[new]]), np.concatenate([found.scores, covered.scores[new]]))


def _is_copy(picture: NDArray[Any], frame: NDArray[Any]) -> bool:
    aspect = picture.shape[1] * frame.shape[0] / (picture.shape[0] * frame.shape[1])
    if abs(aspect - 1) > _SAME_SHAPE:
        return False
    one, other = (cv2.resize(as_bgr(each), (16, 16), interpolation=cv2.INTER_AREA) for each in (picture, frame))
    return bool(cv2.absdiff(one, other).mean() <= _SAME_PICTURE)


def _found_again(boxes: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.bool_]:
    low = np.maximum(boxes[:, None, :2], found[:, :2])
    high = np.minimum(boxes[:, None, 2:], found[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None] + (found[:, 2:] - found[:, :2]).prod(axis=1)
    again: NDArray[np.bool_] = (shared > _SAME_FACE * (areas - shared)).any(axis=1)
    return again
