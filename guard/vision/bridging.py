"""Face memory in both directions, for frames that can wait: a face is hidden before it is first detected, too.

Frames are held back until everything that could come into view soon after them has been seen, so that each is decoded
and looked at once. They leave by blocks: a block's memory runs backwards over what is held, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from guard._imports import native

with native("numpy"):
    import numpy as np

from guard.facts.faces import Faces
from guard.vision.memory import HOLD_S, MOTION_S, FaceMemory

__all__ = ["Bridged", "Bridging"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Bridged(Generic[Item]):
    """A frame on its way out.

    Attributes:
        item: what was handed in for it.
        found: the faces that were detected in it.
        hidden: what has to be hidden in it: `found` as they are, then what memory adds, with score 0.
    """

    item: Item
    found: Faces
    hidden: Faces


@dataclass(frozen=True, slots=True)
class _Held(Generic[Item]):
    item: Item
    at_s: float
    found: Faces
    ahead: Faces


class Bridging(Generic[Item]):
    """Frames in, and the same frames out with what has to be hidden in them, about a second and a half later.

    Args:
        size: width and height of the frames in pixels.
        hold_s: as for `FaceMemory`; 0 = no memory, nothing is held back.
    """

    def __init__(self, size: tuple[int, int], *, hold_s: float = HOLD_S) -> None:
        self._size = size
        self._hold_s = hold_s
        self._forwards = FaceMemory(size, hold_s=hold_s)
        # How a face moved before it was detected is told from how it moved after.
        self._ahead_s = hold_s + MOTION_S if hold_s else 0.0
        self._held: list[_Held[Item]] = []

    def __len__(self) -> int:
        """How many frames are held back."""
        return len(self._held)

    def add(self, item: Item, found: Faces, at_s: float) -> list[Bridged[Item]]:
        """Takes the next frame and gives those that can go, in order.

        Args:
            item: whatever stands for the frame.
            found: the faces detected in it, boxes in pixels.
            at_s: its time stamp in seconds, not before the last one's.
        """
        self._held.append(_Held(item, at_s, found, self._forwards.update(found, at_s)))
        if at_s - self._held[0].at_s < 1.5 * self._ahead_s:
            return []
        return self._released(at_s - self._ahead_s)

    def finish(self) -> list[Bridged[Item]]:
        """Gives all that is held: no more frames will come."""
        return self._released(float("inf"))

    def _released(self, until_s: float) -> list[Bridged[Item]]:
        backwards = FaceMemory(self._size, hold_s=self._hold_s)
        behind = [backwards.update(held.found, -held.at_s) for held in reversed(self._held)][::-1]
        ready = sum(held.at_s <= until_s for held in self._held)
        going, self._held = self._held[:ready], self._held[ready:]
        return [
            Bridged(held.item, held.found, _union(held.found, held.ahead, after))
            for held, after in zip(going, behind, strict=False)
        ]


def _union(found: Faces, one: Faces, other: Faces) -> Faces:
    """Both, the detected ones once: they stand first in either."""
    number = len(found)
    if len(one) == len(other) == number:
        return found
    return Faces(np.concatenate([one.boxes, other.boxes[number:]]), np.concatenate([one.scores, other.scores[number:]]))
