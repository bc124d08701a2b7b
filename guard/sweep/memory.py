"""The faces of a clip, kept from when it was decided until it is redacted: each frame is looked at once."""

from __future__ import annotations

import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from guard.facts import Faces
from guard.vision.operating_point import FACE_SCORE, MIN_FACE_PX

if TYPE_CHECKING:
    from guard.vision import Detector

__all__ = ["Memory"]

_STEP = 8
_NOBODY = Faces(np.empty((0, 4), np.float32), np.empty(0, np.float32))
"""Most frames of a long clip show nobody: their faces are kept once."""


class Memory:
    """A detector that remembers: the frames of a clip are given back what was kept of them, in the same order.

    A picture that is not the next one kept is looked at anew, so a clip that is read otherwise costs time, and no face.

    Args:
        detector: what looks at the others.
        min_face_px, face_score: how the kept ones were looked for; asked otherwise, nothing is remembered.
    """

    def __init__(self, detector: Detector, *, min_face_px: float, face_score: float) -> None:
        self._detector = detector
        self._asked = (min_face_px, face_score)
        self._kept: deque[tuple[int, Faces]] = deque()

    def keep(self, picture: NDArray[Any], faces: Faces) -> None:
        """Keeps the faces of a picture."""
        self._kept.append((_mark(picture), faces if len(faces) else _NOBODY))

    def detect(self, image: Any, *, min_face_px: float = MIN_FACE_PX, face_score: float = FACE_SCORE) -> Faces:
        """As `Detector.detect`."""
        if self._kept and (min_face_px, face_score) == self._asked:
            mark, faces = self._kept[0]
            if mark == _mark(image):
                self._kept.popleft()
                return faces
        return self._detector.detect(image, min_face_px=min_face_px, face_score=face_score)


def _mark(picture: NDArray[Any]) -> int:
    """Tells a picture from its neighbours in time, from one pixel in 64."""
    return zlib.crc32(picture[::_STEP, ::_STEP].tobytes())
