"""The small picture of a frame, faces covered: the only picture that this page ever shows.

It is made small first and covered then, so that a megapixel need not be copied; every covered region is drawn over the
small picture, whose pixels come from nowhere else. A picture waits for the next two looks, so that a face that comes
into view in it is covered, too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guard._imports import native
from guard.errors import GuardFault
from guard.facts import Faces
from guard.vision.memory import HOLD_S, FaceMemory
from guard.vision.picture import Picture, as_bgr

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
_AHEAD = 2
"""Looks for which a picture waits, fewer where there are not so many in a second."""

_LONGEST_S = 1.0
"""A machine that is too slow for so many looks has it wait for the first one after this."""

_FARTHER = 1.0
"""Looks are far apart: how far beyond where it is remembered a missed face may have gone, in sizes of that region."""

_FROM_FARTHER = 2.0
"""How far from there a face may have come that is seen later: of its motion little is known yet."""


@dataclass(slots=True)
class _Waiting:
    """A small picture, not covered yet: one of its pixels is `step` of the frame's; boxes are in those of the frame."""

    small: Picture
    step: int
    at_s: float
    since_s: float
    faces: Faces
    hidden: Faces
    later: list[tuple[float, Faces]] = field(default_factory=list)


class Covering:
    """Covers the faces of one feed: those that were seen a moment ago, and those that are seen a moment later.

    Args:
        guard: who covers them.
        rate: frames a second that are looked at; a face that is missed in up to three of them stays covered.
    """

    def __init__(self, guard: Guard, rate: float) -> None:
        self._guard = guard
        self._hold_s = max(HOLD_S, (_MISSED + 0.5) / rate)
        self._ahead = min(_AHEAD, int(rate))
        self._memory: FaceMemory | None = None
        self._size = (0, 0)
        self._at_s = self._looked_s = 0.0
        self._waiting: _Waiting | None = None
        self._ended = False

    def forget(self) -> None:
        """Forgets what was seen: another clip begins. A picture that waits has waited long enough."""
        self._memory = None
        self._ended = True

    @property
    def waits(self) -> bool:
        """Whether a picture waits: it is the next one that `take` gives."""
        return self._waiting is not None

    def drop(self) -> None:
        """Throws away the picture that waits."""
        self._waiting = None

    def take(self, image: NDArray[Any], faces: Faces, *, wanted: bool) -> bytes | None:
        """Takes the next frame that was looked at; gives the JPEG of the one that has waited long enough, if one has.

        Args:
            image: uint8, H x W (x 1, 3 or 4).
            faces: those in it, boxes in its pixels.
            wanted: whether there should be a picture of it, where none waits.

        Raises `GuardFault` where the picture cannot be made.
        """
        hidden = self._remember(image, faces)
        waiting, ready = self._waiting, None
        if waiting is not None:
            if not self._ended:
                waiting.later.append((self._at_s, faces))
            if self._ended or len(waiting.later) >= self._ahead or self._looked_s - waiting.since_s > _LONGEST_S:
                self._waiting = None
                ready = self._finished(waiting)
        self._ended = False
        if wanted and self._waiting is None:
            small, step = _small(image)
            self._waiting = _Waiting(small, step, self._at_s, self._looked_s, faces, hidden)
            if not self._ahead:
                self._waiting = None
                return self._covered(small, step, hidden)
        return ready

    def _finished(self, waiting: _Waiting) -> bytes:
        """The picture, covered where faces were seen later and not in it, too."""
        memory = FaceMemory(self._size, hold_s=self._hold_s)
        for at_s, faces in reversed(waiting.later):
            memory.update(faces, -at_s)
        coming = _widened(memory.update(waiting.faces, -waiting.at_s), len(waiting.faces), _FROM_FARTHER)
        boxes = np.concatenate([waiting.hidden.boxes, coming.boxes[len(waiting.faces) :]])
        scores = np.concatenate([waiting.hidden.scores, coming.scores[len(waiting.faces) :]])
        return self._covered(waiting.small, waiting.step, Faces(boxes, scores))

    def _remember(self, image: NDArray[Any], faces: Faces) -> Faces:
        """What has to be covered in this frame: `faces`, and those of the frames before that may still be there."""
        size = (image.shape[1], image.shape[0])
        memory = self._memory
        if memory is None or size != self._size:
            memory = self._memory = FaceMemory(size, hold_s=self._hold_s)
            if size != self._size:
                self.drop()
            self._size = size
        # However rarely a busy machine lets it look, what was seen three looks ago is not forgotten.
        now_s = time.monotonic()
        self._at_s += min(now_s - self._looked_s, self._hold_s / (_MISSED + 0.5))
        self._looked_s = now_s
        return _widened(memory.update(faces, self._at_s), len(faces), _FARTHER)

    def _covered(self, small: Picture, step: int, hidden: Faces) -> bytes:
        """A JPEG of the small picture with those regions of its frame covered."""
        rim = np.array([small.shape[1], small.shape[0]] * 2, np.float32) - 0.5
        covered = self._guard.redact(small, Faces(np.clip(hidden.boxes / step, 0, rim), hidden.scores))
        done, data = cv2.imencode(".jpg", covered, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not done:
            raise GuardFault("the picture could not be encoded")
        return bytes(data)


def _small(image: NDArray[Any]) -> tuple[Picture, int]:
    """The frame made small, and how many of its pixels, across and down, one of the small picture is."""
    step = max(1, round(image.shape[1] / WIDTH))
    height, width = image.shape[0] // step, image.shape[1] // step
    if not height or not width:
        raise GuardFault("the frame is too small for a picture")
    # Whole blocks only, each one pixel: up to `step` - 1 rows and columns at the rim are not shown.
    whole = as_bgr(image)[: height * step, : width * step]
    return np.array(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8), step


def _widened(faces: Faces, detected: int, sizes: float) -> Faces:
    """The first `detected` boxes as they are, those that are only remembered widened by that on every side."""
    boxes = faces.boxes.copy()
    reach = sizes * (boxes[detected:, 2:] - boxes[detected:, :2])
    boxes[detected:, :2] -= reach
    boxes[detected:, 2:] += reach
    return Faces(boxes, faces.scores)
