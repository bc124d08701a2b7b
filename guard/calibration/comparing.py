"""Two detectors on the same frames: which faces both saw, and which only one did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from guard.replay.clip import BrokeOff, Frame, open_clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guard.facts import Faces

__all__ = ["MIN_OVERLAP", "Second", "Sighting", "sampled", "sightings"]

MIN_OVERLAP = 0.4
"""Intersection over union from which on two boxes are the same face, as the detector was measured with."""


class Second(Protocol):
    """The second detector."""

    @property
    def name(self) -> str:
        """What to call it."""

    def detect(self, image: Any, *, face_score: float) -> Faces:
        """The faces of H x W x 3 uint8 BGR."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A face in a frame, seen by one detector or both.

    Attributes:
        box: x1, y1, x2, y2 in pixels; the second detector's where it saw the face.
        first, second: the score that each gave it, None where it did not see it.
    """

    box: tuple[float, float, float, float]
    first: float | None
    second: float | None

    @property
    def alone(self) -> str | None:
        """Which detector alone saw it, ``first`` or ``second``; None where both did."""
        if self.first is not None and self.second is not None:
            return None
        return "second" if self.first is None else "first"

    @property
    def score(self) -> float:
        """The second detector's where it saw the face, else the first one's."""
        return (self.second if self.second is not None else self.first) or 0.0

    @property
    def width(self) -> float:
        """Of the box, in pixels."""
        return self.box[2] - self.box[0]


def sightings(first: Faces, second: Faces) -> list[Sighting]:
    """The faces of one frame, matched one to one, the best overlap first."""
    overlaps = _overlaps(first.boxes, second.boxes)
    pairs: dict[int, int] = {}
    for place in np.argsort(overlaps, axis=None)[::-1]:
        one, other = (int(number) for number in np.unravel_index(place, overlaps.shape))
        if overlaps[one, other] < MIN_OVERLAP:
            break
        if one not in pairs and other not in pairs.values():
            pairs[one] = other
    both = [_sighting(second, other, first.scores[one], second.scores[other]) for one, other in pairs.items()]
    alone = [_sighting(first, one, first.scores[one], None) for one in range(len(first)) if one not in pairs]
    missed = set(range(len(second))) - set(pairs.values())
    return [*both, *alone, *(_sighting(second, other, None, second.scores[other]) for other in sorted(missed))]


def sampled(clip: Path, every_s: float) -> Iterator[Frame]:
    """Frames of a clip, one every `every_s` seconds; a clip that breaks off gives those until then.

    Raises `SourceError` where there is no frame.
    """
    opened = open_clip(clip)
    due_s = None
    with closing(opened):
        try:
            for frame in opened.frames():
                if due_s is None or frame.seconds >= due_s:
                    due_s = frame.seconds + every_s
                    yield frame
        except BrokeOff:
            if due_s is None:
                raise


def _overlaps(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[Any]:
    """Intersection over union, N x M."""
    corner = np.maximum(one[:, None, :2], other[None, :, :2])
    sides = np.clip(np.minimum(one[:, None, 2:], other[None, :, 2:]) - corner, 0, None)
    shared = sides.prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    return np.asarray(shared / (areas[0][:, None] + areas[1][None] - shared))


def _sighting(faces: Faces, index: int, first: Any, second: Any) -> Sighting:
    x1, y1, x2, y2 = (float(value) for value in faces.boxes[index])
    return Sighting(
        (x1, y1, x2, y2), None if first is None else float(first), None if second is None else float(second)
    )
