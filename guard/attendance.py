"""Attendance: which spans of each source were watched, kept in the ledger beside the calls.

A frame leaves its number in a queue, a released call leaves how it ended; nothing else is done on their way. Once a
second a thread empties the queues and lets the source's span grow, on disk every few seconds, a leaf once a minute.
Where no frame comes for `STALL_SECONDS` the span ends with the last one and a silent span begins; where the process
dies, spans end, and what no span covers was not watched.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from guard.ledger.instants import text_of
from guard.ledger.spans import Span

if TYPE_CHECKING:
    from guard.clock import Reading
    from guard.ledger import Sink

__all__ = ["NOBODY", "STALL_SECONDS", "Attendance", "Tally"]

log = logging.getLogger("guard")

TICK_SECONDS: Final = 1.0
STALL_SECONDS: Final = 5.0
"""How long no frame comes before a source counts as silent; also how often a span that grows is written."""
SPAN_SECONDS: Final = 60.0
_CLOCKS_APART_S: Final = 1.0


class Tally:
    """What one source leaves behind, until it is counted. Each of the three is one operation that no thread interrupts.

    Attributes:
        opened: takes the number of a frame, or None; called for every frame.
        unjudged: called with None where the faces of a frame are unknown.
        ended: takes whether a released call came back (True) or raised (False).
    """

    __slots__ = (
        "_attendance",
        "_ended",
        "_frames",
        "_unjudged",
        "ended",
        "number",
        "opened",
        "source",
        "span",
        "unjudged",
    )

    def __init__(self, attendance: Attendance | None, source: str | None, number: int = 0) -> None:
        self._attendance = attendance
        self.source = source
        self.number = number
        self.reset()

    def reset(self) -> None:
        """Forgets everything: in a forked child, what the parent counts is not counted again."""
        self._frames: deque[int | None] = deque()
        self._unjudged: deque[None] = deque()
        self._ended: deque[bool] = deque()
        self.span: _Growing | None = None
        self.opened: Callable[[int | None], object] = self._first
        self.unjudged: Callable[[None], object] = _ignore
        self.ended: Callable[[bool], object] = _ignore
        if self._attendance is None:
            self.shut()

    def shut(self) -> None:
        """Nobody counts any more, so nothing is left behind."""
        self.opened = self.unjudged = self.ended = _ignore

    def _first(self, index: int | None) -> None:
        """The first frame starts the counting, so that a source nobody watches costs nothing and keeps nothing."""
        self._frames.append(index)
        self.opened, self.unjudged, self.ended = self._frames.append, self._unjudged.append, self._ended.append
        if self._attendance is not None:
            self._attendance.begin(self)

    def taken(self) -> tuple[list[int | None], int, int, int]:
        """The numbers of the frames since the last time, and how many were unjudged, came back, raised."""
        frames = [self._frames.popleft() for _ in range(len(self._frames))]
        ended = [self._ended.popleft() for _ in range(len(self._ended))]
        unjudged = [self._unjudged.popleft() for _ in range(len(self._unjudged))]
        return frames, len(unjudged), sum(ended), len(ended) - sum(ended)


class _Growing:
    """A span that is not over yet. The clock that nobody sets stood at `at_s` and `until_s` at its ends so far, and at
    `seen_s` when a frame was last counted.
    """

    __slots__ = ("at_s", "leaf", "seen_s", "until_s", "written_s")

    def __init__(self, leaf: Span, at_s: float, seen_s: float) -> None:
        self.leaf = leaf
        self.at_s = self.until_s = self.written_s = at_s
        self.seen_s = seen_s


class Attendance:
    """Keeps the spans of all sources of one guard.

    Args:
        ledger: where they go.
        clock: reads the machine's clock: nanoseconds since 1970 UTC, and its trust.
        monotonic: seconds that nobody sets; tests hand in their own.
    """

    def __init__(
        self, ledger: Sink, clock: Callable[[], Reading], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger, self._clock, self._monotonic = ledger, clock, monotonic
        self._tallies: list[Tally] = []
        self._watched: list[Tally] = []
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._name = os.urandom(4).hex()
        self._last: tuple[int, float] | None = None
        self._said: str | None = None
        _all.add(self)

    def tally(self, source: str | None) -> Tally:
        """The tally of a source, made for it."""
        tally = Tally(self, source, len(self._tallies))
        self._tallies.append(tally)
        return tally

    def begin(self, tally: Tally) -> None:
        """A source has its first frame; with the first of all, the thread starts."""
        with self._lock:
            if self._stop.is_set():
                tally.shut()
                return
            reading, now_s = self._clock(), self._monotonic()
            self._watched = [*self._watched, tally]
            self._open(tally, "watched", reading, now_s)
            if self._thread is None:
                self._last = (reading[0], now_s)
                self._thread = threading.Thread(target=self._run, name="guard-attendance", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Counts what is left, ends every span and stops the thread. Safe to call twice."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=10 * TICK_SECONDS)
        with self._lock:
            self.tick(last=True)
            self._watched = []
            for tally in self._tallies:
                tally.shut()

    def tick(self, *, last: bool = False) -> None:
        """Counts what came since the last time; with `last`, ends every span."""
        with self._lock:
            reading, now_s = self._clock(), self._monotonic()
            stopped = self._was_stopped(reading[0], now_s)
            for tally in self._watched:
                try:
                    self._count(tally, reading, now_s, stopped=stopped, last=last)
                except Exception as error:  # noqa: BLE001 - a span that is missing says by itself that nobody counted
                    self._say(str(error))
            self._last = (reading[0], now_s)

    def _run(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            self.tick()

    def _say(self, error: str) -> None:
        if self._said != error:
            log.error("spans cannot be written, so the record will say that nobody watched: %s", error)
        self._said = error

    def _was_stopped(self, now_ns: int, now_s: float) -> bool:
        """Whether this process was stopped, or the clock set, since the last tick."""
        if self._last is None:
            return False
        by_wall, by_run = (now_ns - self._last[0]) / 1e9, now_s - self._last[1]
        return by_run > STALL_SECONDS or abs(by_wall - by_run) > _CLOCKS_APART_S

    # ---- one source

    def _count(self, tally: Tally, reading: Reading, now_s: float, *, stopped: bool, last: bool) -> None:
        frames, unjudged, returned, raised = tally.taken()
        span = tally.span
        if span is None or stopped or reading[1] != span.leaf.clock:
            # What lies between the last tick and now was watched by nobody who could tell.
            self._close(tally)
            span = self._open(tally, "watched" if frames else "silent", reading, now_s)
        elif frames and span.leaf.state == "silent":
            span = self._turn(tally, span, "watched")
        elif not frames and span.leaf.state == "watched" and now_s - span.seen_s >= STALL_SECONDS:
            span = self._turn(tally, span, "silent")
        leaf = span.leaf
        _add_frames(leaf, frames)
        leaf.unjudged += unjudged
        leaf.returned += returned
        leaf.raised += raised
        if frames:
            leaf.longest_silence_s = max(leaf.longest_silence_s, round(now_s - span.seen_s - TICK_SECONDS, 1))
            span.seen_s = now_s
        if frames or leaf.state == "silent":
            leaf.until = max(leaf.until, text_of(reading[0]))
            span.until_s = now_s
            leaf.seconds = round(now_s - span.at_s, 1)
        if last:
            self._close(tally)
        elif now_s - span.at_s >= SPAN_SECONDS:
            self._turn(tally, span, leaf.state)
        elif now_s - span.written_s >= STALL_SECONDS:
            span.written_s = now_s
            self._ledger.pend(self._name_of(tally), replace(leaf))

    def _open(self, tally: Tally, state: str, reading: Reading, now_s: float) -> _Growing:
        """A span that begins now."""
        at = text_of(reading[0])
        leaf = Span(at=at, until=at, clock=reading[1], source=tally.source, state=state)
        tally.span = span = _Growing(leaf, now_s, now_s)
        return span

    def _turn(self, tally: Tally, span: _Growing, state: str) -> _Growing:
        """Ends a span, and begins one where it ended."""
        self._close(tally)
        was = span.leaf
        leaf = Span(at=was.until, until=was.until, clock=was.clock, source=was.source, state=state)
        leaf.last_frame = was.last_frame
        tally.span = span = _Growing(leaf, span.until_s, span.seen_s)
        return span

    def _close(self, tally: Tally) -> None:
        span, tally.span = tally.span, None
        if span is not None and (span.leaf.frames or span.leaf.until > span.leaf.at):
            self._ledger.append(replace(span.leaf), name=self._name_of(tally))

    def _name_of(self, tally: Tally) -> str:
        return f"span-{self._name}-{tally.number}"

    def _in_child(self) -> None:
        """Runs in a forked child: the thread is gone, and what was counted is the parent's."""
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = None
        self._watched = []
        self._name = os.urandom(4).hex()
        self._last = None
        for tally in self._tallies:
            tally.reset()


def _ignore(_: object) -> None:
    return None


def _add_frames(leaf: Span, frames: Sequence[int | None]) -> None:
    leaf.frames += len(frames)
    for number in frames:
        if number is None:
            continue
        if leaf.last_frame is not None and number > leaf.last_frame + 1:
            leaf.dropped += number - leaf.last_frame - 1
        leaf.frame = number if leaf.frame is None else leaf.frame
        leaf.last_frame = number


NOBODY: Final = Tally(None, None)
"""The tally of a source whose guard keeps no record."""

_all: weakref.WeakSet[Attendance] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # Registered after the ledger's, so that it runs before: the last spans still find it open.
    for attendance in list(_all):
        attendance.close()


def _after_fork_in_child() -> None:
    for attendance in list(_all):
        attendance._in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
