"""Counts of durations in bins that people can read: ten a decade, with the preferred numbers R10 (ISO 3) as edges."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Final

__all__ = ["histogram"]

_R10: Final = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
_EDGES: Final = (0.0, *(round(number * 10**decade, 2) for decade in range(-1, 9) for number in _R10))
"""From 0.1 us to almost a quarter of an hour; what is longer lies in the last bin."""


def histogram(durations_us: Iterable[float]) -> list[tuple[float, float, int]]:
    """Lower edge, upper edge and count of each bin from the first to the last that is not empty, in microseconds.

    A duration on an edge belongs to the bin above it.
    """
    counts = Counter(min(bisect_right(_EDGES, us), len(_EDGES) - 1) - 1 for us in durations_us)
    if not counts:
        return []
    return [(_EDGES[bin], _EDGES[bin + 1], counts[bin]) for bin in range(min(counts), max(counts) + 1)]
