"""The small picture of a frame, faces covered: the only picture that this page ever shows.

It is made small first and covered then, so that a megapixel need not be copied; every covered region is drawn over the
small picture, whose pixels come from nowhere else.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from guard._imports import native
from guard.errors import GuardFault
from guard.facts import Faces
from guard.vision.memory import HOLD_S, FaceMemory
from guard.vision.picture import as_bgr

with native("numpy"):
    import numpy as np
with native("cv2"):
    import cv2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guard.guard import Guard

__all__ = ["WIDTH", "Covering"]

WIDTH = 480
"""Pictures are about this wide, in pixels, and never wider than the frame."""

_QUALITY = 75
_MISSED = 3
_FARTHER = 1.0
"""Looks are far apart: how far beyond where it is remembered a missed face may have gone, in sizes of that region."""


class Covering:
    """Covers the faces of one feed, those that were seen a moment ago included.

    Args:
        guard: who covers them.
        rate: frames a second that are looked at; a face that is missed in up to three of them stays covered.
    """

    def __init__(self, guard: Guard, rate: float) -> None:
        self._guard = guard
        self._hold_s = max(HOLD_S, (_MISSED + 0.5) / rate)
        self._memory: FaceMemory | None = None
        self._size = (0, 0)
        self._at_s = self._looked_s = 0.0

    def forget(self) -> None:
        """Forgets what was seen: another clip begins."""
        self._memory = None

    def remember(self, image: NDArray[Any], faces: Faces) -> Faces:
        """What has to be covered in this frame: `faces`, and those of the frames before that may still be there."""
        size = (image.shape[1], image.shape[0])
        memory = self._memory
        if memory is None or size != self._size:
            memory = self._memory = FaceMemory(size, hold_s=self._hold_s)
            self._size = size
        # However rarely a busy machine lets it look, what was seen three looks ago is not forgotten.
        now_s = time.monotonic()
        self._at_s += min(now_s - self._looked_s, self._hold_s / (_MISSED + 0.5))
        self._looked_s = now_s
        return _widened(memory.update(faces, self._at_s), len(faces))

    def picture(self, image: NDArray[Any], hidden: Faces) -> bytes:
        """A JPEG of the frame, at most about `WIDTH` pixels wide, with the regions `hidden` covered.

        Raises `GuardFault` where it cannot be made.
        """
        step = max(1, round(image.shape[1] / WIDTH))
        height, width = image.shape[0] // step, image.shape[1] // step
        if not height or not width:
            raise GuardFault("the frame is too small for a picture")
        # Whole blocks only, each one pixel: up to `step` - 1 rows and columns at the rim are not shown.
        whole = as_bgr(image)[: height * step, : width * step]
        small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
        boxes = np.clip(hidden.boxes / step, 0, np.array([width, height] * 2, np.float32) - 0.5)
        covered = self._guard.redact(np.ascontiguousarray(small, np.uint8), Faces(boxes, hidden.scores))
        done, data = cv2.imencode(".jpg", covered, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not done:
            raise GuardFault("the picture could not be encoded")
        return bytes(data)


def _widened(faces: Faces, detected: int) -> Faces:
    """The first `detected` boxes as they are, those that are only remembered widened on every side."""
    boxes = faces.boxes.copy()
    reach = _FARTHER * (boxes[detected:, 2:] - boxes[detected:, :2])
    boxes[detected:, :2] -= reach
    boxes[detected:, 2:] += reach
    return Faces(boxes, faces.scores)
