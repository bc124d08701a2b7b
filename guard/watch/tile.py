"""What the page shows of one source: its calls, its pace, its last minute, and the small picture."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from guard.replay.timeline import Outcome, outcome_of
from guard.watch.feeds import Standing
from guard.watch.runs import Run

if TYPE_CHECKING:
    from guard.facts import Decision
    from guard.watch.runs import Attempt

__all__ = ["Look", "Tile"]

MINUTE = 60
_TIMED = 256
"""Frames over which the hook's time is told; the rate, too, where they are fewer than in ten seconds."""

_RATED_S = 10.0
_LASTING_S = 3.0
"""A picture that frames have come after for so long is no longer what the source shows."""

_STRICTNESS: dict[Outcome, int] = {"allow": 1, "redact": 2, "deny": 3, "fault": 4}
_LETTERS = {0: "-", 1: "a", 2: "r", 3: "d", 4: "f"}


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one frame.

    Attributes:
        decisions: one for each call that was tried, in their order.
        took_us: what the guard added to the frame, in microseconds.
        faces: how many were seen, None where that is unknown.
        contradictions: what of the source was seen to be otherwise than declared, a line each.
        picture: the small picture as JPEG, faces covered; None where there is none.
        why_none: why there is no picture, None where there is one or nobody asked for one.
    """

    decisions: tuple[Decision, ...]
    took_us: float
    faces: int | None
    contradictions: tuple[str, ...]
    picture: bytes | None = None
    why_none: str | None = None


class Tile:
    """One source. Not safe for threads: the board's lock is held around every use.

    Args:
        feed: the feed's name, without a password.
        attempts: the calls that are tried.
        standing: how the feed is doing.
    """

    def __init__(self, feed: str, attempts: tuple[Attempt, ...], standing: Callable[[], Standing]) -> None:
        self._feed = feed
        self.attempts = attempts
        self._standing = standing
        self.runs: list[Run | None] = [None] * len(attempts)
        self.picture: bytes | None = None
        self.version = 0
        self._pictures = 0
        self._pictured_s = float("-inf")
        self._why_none: str | None = None
        self._frames = 0
        self._faces: int | None = None
        self._contradiction: str | None = None
        self._took_us: deque[float] = deque(maxlen=_TIMED)
        self._at_s: deque[float] = deque(maxlen=_TIMED)
        self._minute: deque[tuple[int, int]] = deque(maxlen=MINUTE)
        self._said: dict[str, Any] = {}

    def saw(self, look: Look) -> None:
        """Takes what came of a frame; its decisions are in `runs` already."""
        now_s = time.monotonic()
        self._frames += 1
        self._faces = look.faces
        self._took_us.append(look.took_us)
        self._at_s.append(now_s)
        if look.contradictions:
            self._contradiction = look.contradictions[-1]
        if look.picture is not None or look.why_none is not None:
            self.picture = look.picture
            self._why_none = look.why_none
            self._pictures += look.picture is not None
            self._pictured_s = now_s
        elif now_s - self._pictured_s > _LASTING_S:
            self.picture = None
        strictest = max((_STRICTNESS[outcome_of(decision)] for decision in look.decisions), default=0)
        self._mark(int(now_s), strictest)

    def _mark(self, second: int, strictness: int) -> None:
        if self._minute and self._minute[-1][0] == second:
            strictness = max(strictness, self._minute.pop()[1])
        self._minute.append((second, strictness))

    def to_json(self) -> dict[str, Any]:
        """The tile as the page draws it."""
        now_s = time.monotonic()
        standing = self._standing()
        return {
            "feed": {"name": self._feed, "state": standing.state, "why": standing.why},
            "calls": [
                {"action": attempt.action, "service": attempt.service, "run": run and run.brief()}
                for attempt, run in zip(self.attempts, self.runs, strict=True)
            ],
            "rate": self._rate(now_s),
            "hook_us": self._hook(),
            "frames": self._frames,
            "faces": self._faces,
            "contradiction": self._contradiction,
            "picture": self._pictures if self.picture is not None else None,
            "why_none": self._why_none,
            "minute": self._last_minute(int(now_s)),
        }

    def renewed(self) -> dict[str, Any] | None:
        """The tile, where it says something else than when this was last asked; otherwise None."""
        said = self.to_json()
        if said == self._said:
            return None
        self._said = said
        return said

    def _rate(self, now_s: float) -> float:
        """Frames analysed a second, over the last ten seconds or since the first of them."""
        since_s = max(now_s - _RATED_S, self._at_s[0] if self._at_s else now_s)
        late = sum(at_s >= since_s for at_s in self._at_s)
        return round(late / max(now_s - since_s, 1.0), 1)

    def _hook(self) -> dict[str, int] | None:
        if not self._took_us:
            return None
        p50, p95 = np.percentile(np.array(self._took_us), (50, 95))
        return {"p50": round(float(p50)), "p95": round(float(p95))}

    def _last_minute(self, second: int) -> str:
        """A letter a second, oldest first: the strictest outcome in it, ``-`` where no frame was analysed."""
        marks = dict(self._minute)
        return "".join(_LETTERS[marks.get(each, 0)] for each in range(second - MINUTE + 1, second + 1))
