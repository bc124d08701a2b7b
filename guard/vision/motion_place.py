"""How the place before a camera that stands still looks, to be found again behind whoever passes.

A patch of it is *in place* where it fits the picture as it is, and clearly worse a little to any side: what hides it
fits nowhere, and a camera that turned finds it elsewhere. Patches are compared by their local contrast, so that a
cloud, a lamp or an exposure that adapts changes nothing.
"""

from __future__ import annotations

from typing import Any

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt
with native("cv2"):
    import cv2

from guard.vision.motion_pairs import TILES, in_view
from guard.vision.thumbnail import Thumbnail

__all__ = ["Place"]

Floats = npt.NDArray[np.float32]

_AROUND = (11, 11)
_LEAST_CONTRAST = 3.0
_ASIDE_PX = 2
_FITS_BETTER = 0.6
_FADES = 0.995
_FEWEST_IN_PLACE = 6
"""Of the 112 `TILES`. Before cameras that moved none was in most comparisons; before crowds 4 to 52."""


class Place:
    """The place before one camera: the calmest picture of the last minute or so."""

    def __init__(self) -> None:
        self._looks: Thumbnail | None = None
        self._contrast: Floats | None = None
        self._calm = 0.0

    def remember(self, thumbnail: Thumbnail, resting: float) -> None:
        """Takes a picture of it, of which the share `resting` was at rest."""
        self._calm *= _FADES
        if resting >= self._calm:
            self._looks, self._contrast, self._calm = thumbnail, None, resting

    def is_in(self, thumbnail: Thumbnail) -> bool:
        """Whether some of it is where it was."""
        if self._looks is None:
            return False
        if self._contrast is None:
            self._contrast = _contrast(self._looks)
        return _in_place(self._contrast, _contrast(thumbnail)) >= _FEWEST_IN_PLACE


def _in_place(place: Floats, now: Floats) -> int:
    """How many patches are where they were, of two pictures given as local contrast."""
    inner = now[_ASIDE_PX:-_ASIDE_PX, _ASIDE_PX:-_ASIDE_PX]
    height, width = inner.shape
    off = {
        (x, y): cv2.resize(
            cv2.absdiff(place[y : y + height, x : x + width], inner), TILES, interpolation=cv2.INTER_AREA
        )
        for x in (0, _ASIDE_PX, 2 * _ASIDE_PX)
        for y in (0, _ASIDE_PX, 2 * _ASIDE_PX)
    }
    as_was = off.pop((_ASIDE_PX, _ASIDE_PX))
    return int(np.count_nonzero(as_was < _FITS_BETTER * np.minimum.reduce(list(off.values()))))


def _contrast(thumbnail: Thumbnail) -> Floats:
    """How each pixel in view differs from those around it, in standard deviations of theirs."""
    view = in_view(thumbnail)
    mean: Any = cv2.boxFilter(view, cv2.CV_32F, _AROUND)
    variance = cv2.sqrBoxFilter(view, cv2.CV_32F, _AROUND) - mean * mean
    return np.asarray((view - mean) / (np.sqrt(np.maximum(variance, 0.0)) + _LEAST_CONTRAST), np.float32)
