"""Latency percentiles in microseconds."""

from __future__ import annotations

from array import array

import numpy as np

from guard.histogram import histogram

__all__ = ["Latency"]


class Latency:
    """Collects durations. 8 bytes each, so a camera may run for days."""

    def __init__(self) -> None:
        self._us = array("d")

    def add(self, us: float) -> None:
        """Adds one duration in microseconds."""
        self._us.append(us)

    def __len__(self) -> int:
        return len(self._us)

    def summary(self) -> dict[str, float | None]:
        """``p50``, ``p95``, ``p99`` and ``max`` in microseconds, to a tenth; None where nothing was measured."""
        if not self._us:
            return dict.fromkeys(("p50", "p95", "p99", "max"))
        values = np.frombuffer(self._us, dtype=np.float64)
        p50, p95, p99 = (round(float(value), 1) for value in np.percentile(values, (50, 95, 99)))
        return {"p50": p50, "p95": p95, "p99": p99, "max": round(float(values.max()), 1)}

    def histogram(self) -> list[tuple[float, float, int]]:
        """Lower edge, upper edge and count of each bin; see `guard.histogram`."""
        return histogram(self._us)
