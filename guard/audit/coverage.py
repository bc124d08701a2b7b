"""Which parts of a stretch of time were watched, silent, or covered by nothing, as the spans of a source say.

Times are nanoseconds since 1970 UTC; intervals are half-open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from guard.ledger.instants import ns_of

__all__ = ["Count", "Coverage", "Stretch", "coverage"]

Interval = tuple[int, int]


@dataclass(slots=True)
class Count:
    """A number of which the record knows the bounds: what a span or a run counts cannot be divided at an instant."""

    at_least: int = 0
    at_most: int = 0

    def add(self, number: int, *, whole: bool) -> None:
        """Adds what was counted over a time that lies in the window as a whole, or only in part."""
        self.at_most += number
        if whole:
            self.at_least += number

    def to_json(self) -> int | dict[str, int]:
        """The number, or both bounds where they differ."""
        return self.at_most if self.at_least == self.at_most else {"at_least": self.at_least, "at_most": self.at_most}

    def __str__(self) -> str:
        return f"{self.at_most:,}" if self.at_least == self.at_most else f"{self.at_least:,} to {self.at_most:,}"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the window: ``watched``, ``silent`` (a process ran, no frame came) or ``unwatched``."""

    state: str
    begin_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.begin_ns) / 1e9


@dataclass(slots=True)
class Coverage:
    """What the spans of a source say of a window.

    Attributes:
        stretches: the whole window in order, without a hole.
        frames, dropped, unjudged: see `guard.ledger.Span`.
        returned, raised: how released calls ended.
        unplaced: frames in spans whose clock was not believed, so that nobody knows whether they belong here.
        longest_silence_s: the longest time without a frame inside what counts as watched.
        seqs: places of the spans in the tree, -1 for one that still grows.
    """

    stretches: Sequence[Stretch]
    frames: Count
    dropped: Count
    unjudged: Count
    returned: Count
    raised: Count
    unplaced: int
    longest_silence_s: float
    seqs: Sequence[int]

    def seconds(self, state: str) -> float:
        """How long the window was in that state."""
        return sum(stretch.seconds for stretch in self.stretches if stretch.state == state)


def coverage(spans: Iterable[Mapping[str, Any]], begin_ns: int, end_ns: int) -> Coverage:
    """What `spans`, the fields of the span leaves of one source, say of [`begin_ns`, `end_ns`)."""
    numbers = {name: Count() for name in ("frames", "dropped", "unjudged", "returned", "raised")}
    watched: list[Interval] = []
    silent: list[Interval] = []
    seqs: list[int] = []
    unplaced, longest_s = 0, 0.0
    for span in spans:
        if span["clock"] == "disbelieved":
            unplaced += span["frames"]
            continue
        at, until = ns_of(span["at"]), ns_of(span["until"])
        if until < begin_ns or at >= end_ns or (until == begin_ns and until > at):
            continue
        seqs.append(span["seq"])
        whole = begin_ns <= at and until <= end_ns
        for name, count in numbers.items():
            count.add(span[name], whole=whole)
        if span["state"] == "watched":
            longest_s = max(longest_s, span["longest_silence_s"])
        part = (max(at, begin_ns), min(until, end_ns))
        (watched if span["state"] == "watched" else silent).append(part)
    return Coverage(
        stretches=_stretches(watched, silent, begin_ns, end_ns),
        unplaced=unplaced,
        longest_silence_s=longest_s,
        seqs=seqs,
        **numbers,
    )


def _stretches(watched: list[Interval], silent: list[Interval], begin_ns: int, end_ns: int) -> list[Stretch]:
    """The window cut where anything begins or ends; watched by one process is watched."""
    cuts = sorted({begin_ns, end_ns, *(end for interval in (*watched, *silent) for end in interval)})
    seen, still = _merged(watched), _merged(silent)
    found: list[Stretch] = []
    for first, last in pairwise(cuts):
        state = "watched" if _within(first, seen) else "silent" if _within(first, still) else "unwatched"
        if found and found[-1].state == state:
            found[-1] = Stretch(state, found[-1].begin_ns, last)
        else:
            found.append(Stretch(state, first, last))
    return found


class _Merged:
    """Disjoint intervals in order, asked in order."""

    def __init__(self, intervals: list[Interval]) -> None:
        self.intervals: list[Interval] = []
        self.at = 0
        for first, last in sorted(intervals):
            if self.intervals and first <= self.intervals[-1][1]:
                self.intervals[-1] = (self.intervals[-1][0], max(last, self.intervals[-1][1]))
            else:
                self.intervals.append((first, last))


def _merged(intervals: list[Interval]) -> _Merged:
    return _Merged(intervals)


def _within(instant: int, merged: _Merged) -> bool:
    while merged.at < len(merged.intervals) and merged.intervals[merged.at][1] <= instant:
        merged.at += 1
    return merged.at < len(merged.intervals) and merged.intervals[merged.at][0] <= instant
