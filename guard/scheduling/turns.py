"""Whose turn it is: the fair order of many sources, without threads and without a clock of its own.

Each source has room for one waiting frame, so what waits is bounded by the number of sources. Two rules, both from
packet networks, where a source is a flow and a frame a packet:

* *Pace*: a source has a turn no more often than its budget (the generic cell rate algorithm of ITU-T I.371, with half a
  period of tolerance for frames that come unevenly).
* *Fairness*: among the sources that may have one, the next turn goes to the one that has had the smallest share of its
  budget so far (start-time fair queueing, Goyal, Vin and Cheng 1996). Under overload the rates of all fall by the same
  factor, and a source that was silent saves up nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from guard.scheduling.counts import Counts

if TYPE_CHECKING:
    from guard.frames import Seen
    from guard.source import Source

__all__ = ["Place", "Turns"]


class Place:
    """One source's place among the others.

    Attributes:
        source: whose place it is.
        counts: what became of its frames.
        waiting: its newest frame, not yet opened; None where none waits.
        busy: whether a frame of it is being handled: frames of one source are handled one after the other.
    """

    __slots__ = ("busy", "counts", "due_s", "period_s", "served", "source", "waiting")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.counts = Counts()
        self.waiting: Seen | None = None
        self.busy = False
        self.period_s = 1 / source.analyse_per_s
        self.due_s = -math.inf
        self.served = 0.0


class Turns:
    """Keeps the waiting frames and says which is next. Not safe for threads: `Scheduler` holds a lock around it."""

    def __init__(self) -> None:
        self._waiting: dict[Place, None] = {}
        self._served = 0.0

    def offer(self, place: Place, frame: Seen) -> bool:
        """Has the frame wait in its source's place; whether one that waited there before it was dropped."""
        replaced = place.waiting is not None
        place.waiting = frame
        place.counts.offered += 1
        place.counts.dropped += replaced
        if not replaced:
            place.served = max(place.served, self._served)
            self._waiting[place] = None
        return replaced

    def take(self, now_s: float) -> tuple[Place, Seen] | None:
        """The frame whose turn it is, and its place, which is busy until `finish`; None where nobody may have one."""
        place = min((each for each in self._waiting if self._may_at(each) <= now_s), key=_served, default=None)
        if place is None or place.waiting is None:
            return None
        frame, place.waiting = place.waiting, None
        del self._waiting[place]
        place.busy = True
        place.due_s = max(now_s, place.due_s) + place.period_s
        self._served = place.served
        place.served += place.period_s
        return place, frame

    def finish(self, place: Place) -> None:
        """The frame that was taken has been handled."""
        place.busy = False

    def next_s(self) -> float:
        """When the next turn may begin; infinity where nothing waits for the time alone."""
        return min((self._may_at(place) for place in self._waiting), default=math.inf)

    def clear(self) -> list[Place]:
        """Drops everything that waits; the places whose frames these were."""
        dropped = list(self._waiting)
        for place in dropped:
            place.waiting = None
            place.counts.dropped += 1
        self._waiting.clear()
        return dropped

    def _may_at(self, place: Place) -> float:
        return math.inf if place.busy else place.due_s - place.period_s / 2


def _served(place: Place) -> float:
    return place.served
