"""Face memory: a face that the detector misses for a moment stays hidden.

Detectors flicker. A box that was seen a moment ago is carried on along its motion and grows with the time since it
was seen, until it has not been seen for `hold_s`. What was detected is always there as it was detected: memory adds
regions, it never takes one away and never makes one smaller.
"""

from __future__ import annotations

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt

from guard.errors import ConfigError
from guard.facts.faces import Faces

__all__ = ["HOLD_S", "MOTION_S", "FaceMemory"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

HOLD_S = 0.7
"""Seconds for which a face that is no longer detected stays hidden."""
MOTION_S = 0.25
"""Seconds over which motion is averaged: a detector's boxes tremble, and a tremble is no motion."""

_GROWTH_PER_S = 0.5
"""How fast a region that is only remembered grows on each side, in widths or heights of its face a second."""
_REACH = 0.7
"""How far from where it is expected a face may be found again, in widths or heights of its box."""
_FASTEST_PER_S = 3.0
"""The fastest motion that is believed, in widths or heights of the face a second."""
_MOST_FACES = 2_000


class FaceMemory:
    """Remembers the faces of one feed.

    Args:
        hold_s: seconds for which a face that is no longer detected stays in the answers; 0 = no memory.
        size: width and height of the frames in pixels, to which remembered regions are cut.

    Raises `ConfigError` where `hold_s` is negative or not finite.
    """

    def __init__(self, size: tuple[int, int], *, hold_s: float = HOLD_S) -> None:
        if not 0.0 <= hold_s <= 3600.0:
            raise ConfigError(f"faces cannot be held for {hold_s} s", where="hold", mend="give seconds from 0 to 3600")
        self._hold_s = hold_s
        self._size = size
        self._last_s = float("-inf")
        # One row a track: the box as it was last seen, its motion in pixels a second along x and y, and when that was.
        self._boxes: Floats = np.empty((0, 4))
        self._velocities: Floats = np.empty((0, 2))
        self._seen_s: Floats = np.empty(0)

    def update(self, faces: Faces, at_s: float) -> Faces:
        """What has to be hidden in a frame: every face detected in it as it is, then every one remembered.

        Args:
            faces: the detector's; boxes float32 N x 4 xyxy in pixels of the frame.
            at_s: time stamp of the frame in seconds. Where it steps back, what was remembered is forgotten only as its
                time passes: nothing is dropped early.

        Remembered regions have the score 0.
        """
        at_s = self._last_s = max(at_s, self._last_s)
        if not self._hold_s or not (len(faces) or len(self._seen_s)):
            return faces
        self._keep(at_s - self._seen_s <= self._hold_s)
        boxes = faces.boxes.astype(np.float64)
        boxes = boxes[np.isfinite(boxes).all(axis=1)]
        motion = self._velocities * (at_s - self._seen_s)[:, None]
        expected = self._boxes + np.concatenate([motion, motion], axis=1)
        tracks, found = _pairs(expected, boxes)
        missed = np.ones(len(self._boxes), bool)
        missed[tracks] = False
        kept = self._remembered(missed, expected, at_s)
        new = np.ones(len(boxes), bool)
        new[found] = False
        self._renew(tracks, boxes[found], at_s)
        self._begin(boxes[new], at_s)
        if not len(kept):
            return faces
        return Faces(
            np.concatenate([faces.boxes, kept.astype(np.float32)]),
            np.concatenate([faces.scores, np.zeros(len(kept), np.float32)]),
        )

    def _remembered(self, missed: Flags, expected: Floats, at_s: float) -> Floats:
        """The regions that hide those tracks wherever they went since they were seen, within the frame.

        Each reaches from where its face was to where it would be by now, grown; a face that has left the frame has
        none.
        """
        if not missed.any():
            return expected[missed]
        seen, now = self._boxes[missed], expected[missed]
        grown = _sizes(seen) * (_GROWTH_PER_S * (at_s - self._seen_s[missed]))[:, None]
        low = np.minimum(seen[:, :2], now[:, :2]) - grown
        high = np.maximum(seen[:, 2:], now[:, 2:]) + grown
        cut: Floats = np.clip(np.concatenate([low, high], axis=1), 0.0, [*self._size, *self._size])
        inside: Floats = cut[(cut[:, 2:] > cut[:, :2]).all(axis=1)]
        return inside

    def _renew(self, tracks: Indices, boxes: Floats, at_s: float) -> None:
        if not len(tracks):
            return
        before = self._boxes[tracks]
        passed = (at_s - self._seen_s[tracks])[:, None]
        moved = ((boxes[:, :2] + boxes[:, 2:]) - (before[:, :2] + before[:, 2:])) / 2
        # No time passed: no motion can be told, and none is (part is 0).
        speed = moved / np.maximum(passed, 1e-9)
        part = 1 - np.exp(-passed / MOTION_S)
        velocity = self._velocities[tracks] + part * (speed - self._velocities[tracks])
        fastest = _FASTEST_PER_S * _sizes(boxes)
        self._velocities[tracks] = np.where(passed > 0, np.clip(velocity, -fastest, fastest), self._velocities[tracks])
        self._boxes[tracks] = boxes
        self._seen_s[tracks] = at_s

    def _begin(self, boxes: Floats, at_s: float) -> None:
        if not len(boxes):
            return
        self._boxes = np.concatenate([self._boxes, boxes])[-_MOST_FACES:]
        self._velocities = np.concatenate([self._velocities, np.zeros((len(boxes), 2))])[-_MOST_FACES:]
        self._seen_s = np.concatenate([self._seen_s, np.full(len(boxes), at_s)])[-_MOST_FACES:]

    def _keep(self, which: Flags) -> None:
        if not which.all():
            self._boxes, self._velocities = self._boxes[which], self._velocities[which]
            self._seen_s = self._seen_s[which]


def _pairs(expected: Floats, boxes: Floats) -> tuple[Indices, Indices]:
    """Which track is found again in which box, nearest first, each once."""
    if not len(expected) or not len(boxes):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    middles = (expected[:, None, :2] + expected[:, None, 2:]) / 2
    away = (np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - middles) / _sizes(expected)[:, None]).max(axis=2)
    near = np.argwhere(away <= _REACH)
    found: dict[int, int] = {}
    taken: set[int] = set()
    for track, index in near[np.argsort(away[near[:, 0], near[:, 1]], kind="stable")].tolist():
        if track not in found and index not in taken:
            found[track] = index
            taken.add(index)
    return np.array([*found], np.intp), np.array([*found.values()], np.intp)


def _sizes(boxes: Floats) -> Floats:
    sizes: Floats = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    return sizes
