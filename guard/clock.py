"""The clock that selects the version of every rule, and when it is not believed.

A clock that was set back, or that is earlier than what this process already knows to be past (the day on which the
rules were last reviewed, the last record), would let an old version of a rule decide. Then the time is unknown, every
version counts, and records say ``disbelieved``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Literal

__all__ = ["Clock", "Reading", "Trust"]

Trust = Literal["system", "given", "disbelieved"]
Reading = tuple[int, Trust]
"""Nanoseconds since 1970 UTC, and how far they can be trusted."""

_TOLERANCE_NS = 1_000_000_000
"""Clocks are steered back by milliseconds all day; within a second the latest reading simply stands."""


class Clock:
    """Reads the machine's clock against everything that is known to be past.

    Args:
        past_ns: an instant that has certainly passed, in nanoseconds since 1970 UTC.
        given: a day named by the user, that stands instead of the machine's clock.
        read: the machine's clock in nanoseconds since 1970 UTC; tests hand in their own.
    """

    __slots__ = ("_given", "_lock", "_mark", "_read")

    def __init__(
        self, *, past_ns: int = 0, given: datetime | None = None, read: Callable[[], int] = time.time_ns
    ) -> None:
        self._mark = past_ns
        self._given = None if given is None else int(given.timestamp() * 1_000_000) * 1000
        self._read = read
        self._lock = threading.Lock()

    def has_passed(self, instant_ns: int) -> None:
        """Learns of an instant that has certainly passed, in nanoseconds since 1970 UTC."""
        with self._lock:
            self._mark = max(self._mark, instant_ns)

    def now(self, *, machine: bool = False) -> Reading:
        """The time and its trust; of the `machine`'s clock even where the user named a day. Believed readings never go
        back.
        """
        if self._given is not None and not machine:
            return self._given, "given"
        now = self._read()
        with self._lock:
            if now >= self._mark:
                self._mark = now
                return now, "system"
            if now >= self._mark - _TOLERANCE_NS:
                return self._mark, "system"
        return now, "disbelieved"
