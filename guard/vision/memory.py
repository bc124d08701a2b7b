"""Face memory: a face that the detector misses for a moment stays hidden.

Detectors flicker. A box that was seen a moment ago is carried on along its motion and grows with the time since it
was seen, until it has not been seen for `hold_s`. What was detected is always there as it was detected: memory adds
regions, it never takes one away and never makes one smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

from guard._imports import native

with native("numpy"):
    import numpy as np
    import numpy.typing as npt

from guard.errors import ConfigError
from guard.facts.faces import Faces

__all__ = ["HOLD_S", "FaceMemory", "bridged"]

Box = npt.NDArray[np.float64]

HOLD_S = 0.7
"""Seconds for which a face that is no longer detected stays hidden."""

_GROWTH_PER_S = 0.5
"""How fast a region that is only remembered grows on each side, in widths or heights of its face a second."""
_REACH = 0.7
"""How far from where it is expected a face may be found again, in widths or heights of its box."""
_MOTION_S = 0.25
"""Seconds over which motion is averaged: a detector's boxes tremble, and a tremble is no motion."""
_FASTEST_PER_S = 3.0
"""The fastest motion that is believed, in widths or heights of the face a second."""
_MOST_FACES = 2_000


@dataclass(slots=True)
class _Track:
    box: Box
    velocity: Box
    seen_s: float

    def expected(self, at_s: float) -> Box:
        """Where the box would be by its motion, pixels a second along x and y."""
        moved: Box = self.box + np.tile(self.velocity * (at_s - self.seen_s), 2)
        return moved

    def remembered(self, at_s: float) -> Box:
        """The region that hides the face wherever it went since it was seen: from there to where it would be, grown."""
        expected = self.expected(at_s)
        size = np.maximum(self.box[2:] - self.box[:2], 1.0)
        grown = size * _GROWTH_PER_S * (at_s - self.seen_s)
        low = np.minimum(self.box[:2], expected[:2]) - grown
        high = np.maximum(self.box[2:], expected[2:]) + grown
        return np.concatenate([low, high])


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
        self._tracks: list[_Track] = []
        self._last_s = float("-inf")

    def update(self, faces: Faces, at_s: float) -> Faces:
        """What has to be hidden in a frame: every face detected in it as it is, then every one remembered.

        Args:
            faces: the detector's; boxes float32 N x 4 xyxy in pixels of the frame.
            at_s: time stamp of the frame in seconds. Where it steps back, what was remembered is forgotten only as its
                time passes: nothing is dropped early.

        Remembered regions have the score 0.
        """
        at_s = max(at_s, self._last_s)
        self._last_s = at_s
        boxes = faces.boxes.astype(np.float64)
        self._tracks = [track for track in self._tracks if at_s - track.seen_s <= self._hold_s]
        missed = self._follow(boxes, at_s)
        kept = [region for track in missed if (region := self._cut(track.remembered(at_s))) is not None]
        if not kept:
            return faces
        return Faces(
            np.concatenate([faces.boxes, np.array(kept, np.float32)]),
            np.concatenate([faces.scores, np.zeros(len(kept), np.float32)]),
        )

    def _follow(self, boxes: Box, at_s: float) -> list[_Track]:
        """Finds each track again among the boxes, nearest first; gives the tracks that were not."""
        if not self._hold_s:
            return []
        pairs = []
        for number, track in enumerate(self._tracks):
            expected = track.expected(at_s)
            size = np.maximum(expected[2:] - expected[:2], 1.0)
            middle = (expected[:2] + expected[2:]) / 2
            for index, box in enumerate(boxes):
                away = np.abs((box[:2] + box[2:]) / 2 - middle) / size
                if away.max() <= _REACH:
                    pairs.append((float(away.max()), number, index))
        found: dict[int, int] = {}
        taken: set[int] = set()
        for _, number, index in sorted(pairs):
            if number not in found and index not in taken:
                found[number] = index
                taken.add(index)
        missed = [track for number, track in enumerate(self._tracks) if number not in found]
        for number, index in found.items():
            _renew(self._tracks[number], boxes[index], at_s)
        new = [_Track(box, np.zeros(2), at_s) for index, box in enumerate(boxes) if index not in taken]
        self._tracks = [*self._tracks, *new][-_MOST_FACES:]
        return missed

    def _cut(self, region: Box) -> Box | None:
        """The region within the frame; None where the face has left it."""
        limits = np.array([*self._size, *self._size], np.float64)
        cut: Box = np.clip(region, 0.0, limits)
        return cut if (cut[2:] > cut[:2]).all() else None


def _renew(track: _Track, box: Box, at_s: float) -> None:
    passed = at_s - track.seen_s
    if passed > 0:
        moved = ((box[:2] + box[2:]) - (track.box[:2] + track.box[2:])) / 2
        fastest = _FASTEST_PER_S * np.maximum(box[2:] - box[:2], 1.0)
        part = 1 - np.exp(-passed / _MOTION_S)
        velocity = track.velocity + part * (moved / passed - track.velocity)
        track.velocity = np.clip(velocity, -fastest, fastest)
    track.box = box
    track.seen_s = at_s


def bridged(found: list[Faces], at_s: list[float], size: tuple[int, int], *, hold_s: float = HOLD_S) -> list[Faces]:
    """What has to be hidden in each frame of a clip whose faces are known: remembered forwards, and backwards too.

    Backwards a face is hidden before it is detected for the first time: the frames in which it came into view.

    Args:
        found: the detector's faces, one entry a frame, in order.
        at_s: the frames' time stamps in seconds.
        size: width and height of the frames in pixels.
        hold_s: as for `FaceMemory`.
    """
    forwards, backwards = FaceMemory(size, hold_s=hold_s), FaceMemory(size, hold_s=hold_s)
    ahead = [forwards.update(faces, at) for faces, at in zip(found, at_s, strict=True)]
    behind = [backwards.update(faces, -at) for faces, at in zip(reversed(found), reversed(at_s), strict=True)]
    return [_union(faces, one, other) for faces, one, other in zip(found, ahead, reversed(behind), strict=True)]


def _union(faces: Faces, one: Faces, other: Faces) -> Faces:
    """Both, the detected ones once: they stand first in either."""
    number = len(faces)
    if len(one) == len(other) == number:
        return faces
    return Faces(np.concatenate([one.boxes, other.boxes[number:]]), np.concatenate([one.scores, other.scores[number:]]))
