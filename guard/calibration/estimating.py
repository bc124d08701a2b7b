"""How many faces neither detector saw, from how often the two agree: capture and recapture.

Chapman's estimator of a population that was caught twice (Chapman: Some properties of the hypergeometric distribution
with applications to zoological sample censuses, 1951). It supposes that one detector's misses say nothing about the
other's, and that there are no false alarms. Hard faces are hard for both, so the truth lies rather above it; false
alarms of the second detector push it up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["FEWEST", "Counts", "interval"]

FEWEST = 5
"""Stretches without which no interval is given."""

_RESAMPLES = 1000
_LEVEL = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Counts:
    """Sightings in some frames: seen by both detectors, by the first alone, by the second alone."""

    both: int = 0
    first: int = 0
    second: int = 0
    frames: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.both + other.both,
            self.first + other.first,
            self.second + other.second,
            self.frames + other.frames,
        )

    @property
    def total(self) -> float:
        """Chapman's estimate of how many faces there were."""
        return (self.both + self.first + 1) * (self.both + self.second + 1) / (self.both + 1) - 1

    @property
    def missed(self) -> float:
        """Of these, how many the first detector did not see."""
        return self.total - self.both - self.first

    @property
    def missed_s_per_hour(self) -> float:
        """Seconds, in an hour of footage, for which a face is there and is not seen, summed over faces."""
        return 3600 * self.missed / self.frames if self.frames else 0.0

    @property
    def recall(self) -> float | None:
        """Of the faces that the second detector saw, the share that the first did; None where it saw none."""
        seen = self.both + self.second
        return self.both / seen if seen else None


def interval(stretches: Sequence[Counts], value: Callable[[Counts], float | None]) -> tuple[float, float] | None:
    """The middle 95 % of a value over resampled footage; None with fewer than `FEWEST` stretches.

    A face stays for many frames, so not frames are drawn anew but `stretches` of them (Efron: Bootstrap methods, 1979).
    """
    if len(stretches) < FEWEST:
        return None
    random = np.random.default_rng(20260501)
    table = np.array([(each.both, each.first, each.second, each.frames) for each in stretches])
    draws = random.integers(0, len(table), (_RESAMPLES, len(table)))
    values = [value(Counts(*(int(number) for number in table[draw].sum(axis=0)))) for draw in draws]
    known = [each for each in values if each is not None]
    if not known:
        return None
    low, high = np.percentile(known, _LEVEL)
    return float(low), float(high)
