"""What became of the frames of one source, in counters that never grow."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

__all__ = ["RECENT_S", "Counts", "Statistics"]

RECENT_S: Final = 10.0
"""How far back the rate and the lags of `Statistics` look."""

_KEPT: Final = 256
"""How many turns of a source are remembered at most for that."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What became of the frames of one source so far.

    Every frame that was offered is counted in exactly one of `analysed`, `late` and `dropped`, or is the one that waits
    or the one that is being handled.

    Attributes:
        offered: frames that were handed in.
        analysed: frames whose turn came in time and is over.
        late: frames that were older than the source's `max_age_s` at their turn: they were not looked at, and calls
            made on them were refused.
        dropped: frames that a newer one replaced while they waited, and those that still waited at the close.
        failed: turns, of `analysed` and `late` together, whose handler raised something that is no refusal.
        waiting: whether a frame waits for its turn.
        budget_per_s: the source's `analyse_per_s`.
        rate_per_s: frames analysed a second, over the last ten seconds or 256 turns, whichever is less.
        lag_p50_s, lag_p95_s, lag_max_s: how many seconds after its offer a frame's turn came, over the same turns, late
            ones as well; None where there were none.
    """

    offered: int
    analysed: int
    late: int
    dropped: int
    failed: int
    waiting: bool
    budget_per_s: float
    rate_per_s: float
    lag_p50_s: float | None
    lag_p95_s: float | None
    lag_max_s: float | None


class Counts:
    """Counts for one source; whoever holds the scheduler's lock may use it."""

    __slots__ = ("_turns", "analysed", "dropped", "failed", "late", "offered")

    def __init__(self) -> None:
        self.offered = self.analysed = self.late = self.dropped = self.failed = 0
        self._turns: deque[tuple[float, float, bool]] = deque(maxlen=_KEPT)

    def turned(self, now_s: float, lag_s: float, *, late: bool, failed: bool) -> None:
        """A turn is over; the frame was `lag_s` old when it came."""
        self._turns.append((now_s, lag_s, late))
        self.late += late
        self.analysed += not late
        self.failed += failed

    def statistics(self, now_s: float, *, waiting: bool, budget_per_s: float) -> Statistics:
        """What was counted so far, as of `now_s` of the clock of `turned`."""
        turns = [turn for turn in self._turns if now_s - turn[0] <= RECENT_S]
        lags = sorted(lag_s for _, lag_s, _ in turns)
        return Statistics(
            offered=self.offered,
            analysed=self.analysed,
            late=self.late,
            dropped=self.dropped,
            failed=self.failed,
            waiting=waiting,
            budget_per_s=budget_per_s,
            rate_per_s=self._rate(now_s),
            lag_p50_s=_at(lags, 0.50),
            lag_p95_s=_at(lags, 0.95),
            lag_max_s=_at(lags, 1.0),
        )

    def copy(self) -> Counts:
        """The same counts, which stay as they are."""
        copy = Counts()
        copy.offered, copy.dropped, copy.failed = self.offered, self.dropped, self.failed
        copy.analysed, copy.late = self.analysed, self.late
        copy._turns.extend(self._turns)
        return copy

    def _rate(self, now_s: float) -> float:
        """Turns in time a second, since the oldest that is remembered or for as long as the rate looks back.

        Nothing shorter than a second is looked at: two turns in a row are no rate.
        """
        if not self._turns:
            return 0.0
        since_s = max(self._turns[0][0], now_s - RECENT_S)
        counted = sum(not late for at_s, _, late in self._turns if at_s > since_s)
        return counted / max(1.0, now_s - since_s)


def _at(ordered: list[float], share: float) -> float | None:
    """The nearest-rank percentile."""
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)] if ordered else None
