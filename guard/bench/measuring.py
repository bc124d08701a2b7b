"""Timing that survives a shared machine: rows take turns in one run, and percentiles and ratios are what is quoted."""

from __future__ import annotations

import gc
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from guard.histogram import histogram

__all__ = ["Row", "interleave", "percentile", "rss_mb"]


@dataclass(slots=True)
class Row:
    """One thing measured.

    Attributes:
        name: as in the report.
        work: does it once and gives how many faces it saw, None where that says nothing.
        per_turn: how often it runs in one turn, so that what takes microseconds gets as many samples as it needs.
        samples_us: what each run took, microseconds.
    """

    name: str
    work: Callable[[], int | None]
    per_turn: int = 1
    samples_us: list[float] = field(default_factory=list)
    faces: int | None = None
    rss_mb: float = 0.0

    def to_json(self) -> dict[str, object]:
        """As in `guard.bench/1`."""
        p50 = percentile(self.samples_us, 50)
        return {
            "name": self.name,
            "p50_us": round(p50, 2),
            "p95_us": round(percentile(self.samples_us, 95), 2),
            "p99_us": round(percentile(self.samples_us, 99), 2),
            "p999_us": round(percentile(self.samples_us, 99.9), 2),
            "fps": round(1e6 / p50, 1) if p50 else None,
            "faces": self.faces,
            "rss_mb": round(self.rss_mb, 1),
            "samples": len(self.samples_us),
            "histogram": histogram(self.samples_us),
        }


def interleave(rows: list[Row], *, seconds: float, warm_up: int = 3) -> None:
    """Runs the rows in turns until `seconds` have passed, at least `warm_up` turns uncounted and three counted.

    Every turn has an order of its own, so that no row always pays for what the row before it left in the caches.
    """
    shuffled = random.Random(20240501)
    for _ in range(warm_up):
        for row in rows:
            for _ in range(row.per_turn):
                row.faces = row.work()
            row.rss_mb = rss_mb()
    gc.collect()
    end = time.perf_counter() + seconds
    turn = 0
    while turn < 3 or time.perf_counter() < end:
        for row in shuffled.sample(rows, len(rows)):
            samples = row.samples_us
            for _ in range(row.per_turn):
                start = time.perf_counter_ns()
                row.work()
                samples.append((time.perf_counter_ns() - start) / 1000)
        turn += 1


def percentile(samples: list[float], percent: float) -> float:
    """The nearest-rank percentile; 0 for no samples."""
    if not samples:
        return 0.0
    ordered = sorted(samples)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, min(len(ordered) - 1, int(rank) - 1))]


def rss_mb() -> float:
    """Resident memory of this process in megabytes; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def ratios(rows: Mapping[str, Row], pairs: Mapping[str, tuple[str, str]]) -> dict[str, float]:
    """Ratios of medians, for the pairs whose rows were both measured."""
    return {
        name: round(percentile(rows[top].samples_us, 50) / percentile(rows[bottom].samples_us, 50), 3)
        for name, (top, bottom) in pairs.items()
        if top in rows and bottom in rows and rows[top].samples_us and rows[bottom].samples_us
    }
