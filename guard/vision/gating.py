"""The change-gated detector, for fixed cameras: looks only where the picture changed, and at all of it now and then.

Its answer for a frame is bounded in age, not exact: a face that no change gives away is found with the next look at the
whole picture. What hinges on the faces of one frame needs the detector's run on that frame.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt

from guard.errors import GuardError, GuardFault
from guard.facts.faces import Faces
from guard.vision.changes import ChangeMap, Mask
from guard.vision.memory import HOLD_S, FaceMemory
from guard.vision.regions import Region, regions, touched

__all__ = ["ChangeGatedDetector"]

_SAME = 0.6
"""Two boxes are one face where they share so much of the smaller."""

Find = Callable[["npt.NDArray[Any]"], Faces]


class ChangeGatedDetector:
    """The faces of one fixed feed. Safe for threads: one frame at a time.

    Args:
        find: the detector: the faces of a picture, of any size.
        min_face_px: smallest face width that matters, in pixels.
        max_stale_s: seconds after which the whole picture is looked at again.
        first_stale_s: the same for the first time, up to `max_stale_s`; None for `max_stale_s`. Where many feeds start
            at once, one of its own for each keeps their looks at whole pictures apart from then on.
        hold_s: seconds for which a face that changed and is not found again stays in the answers, as `FaceMemory` has
            it.
    """

    def __init__(
        self,
        find: Find,
        *,
        min_face_px: int,
        max_stale_s: float,
        first_stale_s: float | None = None,
        hold_s: float = HOLD_S,
    ) -> None:
        self._find = find
        self._min_face_px = min_face_px
        self._max_stale_s = max_stale_s
        self._first_stale_s = max_stale_s if first_stale_s is None else min(first_stale_s, max_stale_s)
        self._hold_s = hold_s
        self._lock = threading.Lock()
        self._feed: _Feed | None = None

    def look(self, image: npt.NDArray[Any], at_s: float) -> tuple[Faces, float]:
        """The faces of the next frame, and how many seconds ago the whole picture was looked at.

        The faces are those found in it or carried over, then those held, of score 0.

        Args:
            image: uint8, H x W x 3 in BGR order (grey and BGRA work too).
            at_s: its instant in seconds of any clock.

        The whole picture is looked at where the frame is the first, has another shape, is older than the one before, or
        follows one that failed. Raises `GuardFault`, and `GuardError`s of `find` as they are.
        """
        with self._lock:
            feed, self._feed = self._feed, None  # what breaks off leaves nothing behind
            if feed is None or feed.shape != image.shape:
                feed = _Feed(image.shape, self._min_face_px, self._first_stale_s, self._hold_s)
            try:
                faces = feed.look(image, at_s, self._find, self._max_stale_s)
            except GuardError:
                raise
            except Exception as error:
                reason = type(error).__name__
                raise GuardFault(f"the change-gated detector failed: {reason}", where="detector") from error
            self._feed = feed
            return faces, at_s - feed.whole_s


class _Feed:
    """What is known of a feed of one size."""

    def __init__(self, shape: tuple[int, ...], min_face_px: int, first_stale_s: float, hold_s: float) -> None:
        self.shape = shape
        self.size = (shape[1], shape[0])
        self.whole_s = float("-inf")
        self._stale_s = first_stale_s
        self._min_face_px = min_face_px
        self._map = ChangeMap(self.size, min_face_px)
        self._memory = FaceMemory(self.size, hold_s=hold_s)
        self._faces: Faces | None = None
        self._holds = False
        self._at_s = self._told_s = float("-inf")

    def look(self, image: npt.NDArray[Any], at_s: float, find: Find, max_stale_s: float) -> Faces:
        changed = self._map.take(image)
        before = self._faces
        if before is None or at_s < self._at_s or not at_s - self.whole_s < self._stale_s:
            if before is not None:
                self._stale_s = max_stale_s
            found = self._whole(image, at_s, find)
        elif changed.any():
            found = self._changed(image, at_s, find, changed, before)
        elif self._holds:
            found = before
        else:
            self._at_s = at_s
            return before
        if before is not None and self._told_s < self._at_s:
            self._memory.update(before, self._at_s)  # until then all of them were there
        self._faces, self._at_s, self._told_s = found, at_s, at_s
        answer = self._memory.update(found, at_s)
        self._holds = len(answer) > len(found)
        return answer

    def _whole(self, image: npt.NDArray[Any], at_s: float, find: Find) -> Faces:
        found = find(image)
        self._map.settle(0, 0, *self.size)
        self.whole_s = at_s
        return found

    def _changed(self, image: npt.NDArray[Any], at_s: float, find: Find, changed: Mask, before: Faces) -> Faces:
        tile_px = self._map.tile_px
        moved = touched(before.boxes, changed, tile_px)
        parts = regions(changed, before.boxes[moved], self.size, tile_px=tile_px, min_face_px=self._min_face_px)
        if parts is None:
            return self._whole(image, at_s, find)
        found = [_found_in(image, each, find) for each in parts]
        for each in parts:
            self._map.settle(*each.inner)
        return _joined(Faces(before.boxes[~moved], before.scores[~moved]), found)


def _found_in(image: npt.NDArray[Any], region: Region, find: Find) -> Faces:
    left, top, right, bottom = region.part
    found = find(image[top:bottom, left:right])
    return Faces(found.boxes + np.array([left, top, left, top], np.float32), found.scores.copy())


def _joined(carried: Faces, found: list[Faces]) -> Faces:
    """The faces that were carried over, and those found beside them: of two that are one, the first."""
    boxes, scores = carried.boxes, carried.scores
    for faces in found:
        new = np.array([not _is_among(box, boxes) for box in faces.boxes], np.bool_)
        boxes = np.concatenate([boxes, faces.boxes[new]])
        scores = np.concatenate([scores, faces.scores[new]])
    return Faces(boxes, scores)


def _is_among(box: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32]) -> bool:
    shared = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    smaller = np.minimum(areas, np.prod(box[2:] - box[:2]))
    return bool((np.prod(np.maximum(shared, 0.0), axis=1) > _SAME * smaller).any())
