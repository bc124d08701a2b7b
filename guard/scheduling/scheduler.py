"""The scheduler: a few workers look at the frames of many sources, the newest of each, fairly."""

from __future__ import annotations

import atexit
import inspect
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from datetime import datetime
from typing import TYPE_CHECKING, Any

from guard.errors import ConfigError, Denied, GuardFault
from guard.frames import Seen, check_frame
from guard.scheduling.counts import Statistics
from guard.scheduling.turns import Place, Turns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from guard.guard import Guard
    from guard.source import Source

__all__ = ["Scheduler", "cores"]

log = logging.getLogger("guard")


class Scheduler:
    """Looks at the frames of all sources of one guard. A context manager: leaving it stops the workers.

    Frames are offered from wherever they are decoded; only the newest of each source waits, and what it replaces is
    counted as dropped. A worker opens the frame whose turn it is (`Source.frame`) and calls the handler inside it. A
    source gets at most its `analyse_per_s`; where there is no time for that, the rates of all fall by the same factor.

    The deadline of a frame is its source's `max_age_s`, counted from the offer. One whose turn comes later is not
    looked at: the handler gets it with unknown faces, so that the calls it makes are refused, and recorded.

    Args:
        guard: its sources can be offered frames. Close the scheduler before it.
        handle: called as ``handle(seen, source)`` inside the frame, in a worker's thread and an empty context; never
            twice at once for one source. What it raises is counted, logged once a source and kind, and stops nothing; a
            `Denied` or `GuardFault` that it lets pass is a refusal like any other.
        workers: threads that look at frames, from 1 to the number of cores that this process may use.

    Raises `ConfigError` for a handler that cannot be called so, and for more workers than cores.
    """

    def __init__(self, guard: Guard, handle: Callable[[Seen, Source], object], *, workers: int = 1) -> None:
        if not callable(handle) or inspect.iscoroutinefunction(handle):
            raise ConfigError("the handler of a scheduler is a plain function", mend="give handle(seen, source)")
        if not 1 <= workers <= cores():
            raise ConfigError(
                f"{workers} workers cannot be had: this process may use {cores()} of the machine's cores",
                where="workers",
                mend=f"give 1 to {cores()}",
            )
        self.guard = guard
        self._handle = handle
        self._turns = Turns()
        self._places = {source: Place(source) for source in guard.sources.values()}
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._closed = False
        self._process = os.getpid()
        self._said: set[tuple[str | None, type[BaseException]]] = set()
        self._workers = [
            threading.Thread(target=self._run, name=f"guard-scheduler-{number}", daemon=True)
            for number in range(workers)
        ]
        for worker in self._workers:
            worker.start()
        atexit.register(self.close)

    def offer(self, source: str, image: NDArray[Any], *, at: datetime | None = None, index: int | None = None) -> None:
        """Hands in the newest frame of a source. Never waits for a turn; from any thread.

        Args:
            source: its id.
            image, at, index: as for `Source.frame`. The picture is kept by reference until its turn is over: hand in
                one that nobody writes to any more.

        Raises `ConfigError` for an unknown source, `SourceError` for what is no frame, and `GuardFault` once the
        scheduler or its guard is closed, and in a forked child.
        """
        if self._process != os.getpid():
            raise GuardFault("this scheduler belongs to another process", mend="make one in each process")
        self.guard.check_open()
        place = self._places[self.guard.source(source)]
        check_frame(image, source)
        frame = place.source.frame(image, at=at, index=index, arrived_s=time.monotonic())
        with self._lock:
            if self._closed:
                raise GuardFault("this scheduler is closed", mend="make another one")
            watch = place.source.watch
            dropped = self._turns.offer(place, frame)
            if dropped:
                watch.skipped()
            else:
                self._work.notify()
        if dropped:
            self._tell(place, "dropped")

    def statistics(self) -> Mapping[str, Statistics]:
        """What became of the frames of each source so far, by id, all as of one instant."""
        with self._lock:
            now_s = time.monotonic()
            taken = [(place, place.counts.copy(), place.waiting is not None) for place in self._places.values()]
        return {
            place.source.id or "": counts.statistics(now_s, waiting=waiting, budget_per_s=place.source.analyse_per_s)
            for place, counts, waiting in taken
        }

    def close(self) -> None:
        """Takes no more frames, drops those that wait, and returns when the handlers that run are through.

        Safe to call twice, and from a handler; there it does not wait for the others.
        """
        atexit.unregister(self.close)
        with self._lock:
            self._closed = True
            dropped = self._turns.clear()
            self._work.notify_all()
        for place in dropped:
            self._tell(place, "dropped")
        if threading.current_thread() not in self._workers:
            for worker in self._workers:
                worker.join()

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- the workers

    def _run(self) -> None:
        while (turn := self._next()) is not None:
            self._take(*turn)
            del turn  # a frame is not kept alive by a worker that waits

    def _next(self) -> tuple[Place, Seen] | None:
        """Waits for the next turn; None once the scheduler is closed."""
        with self._work:
            while not self._closed:
                turn = self._turns.take(now_s := time.monotonic())
                if turn is not None:
                    self._work.notify()  # another worker looks when the turn after this one may begin
                    return turn
                due_s = self._turns.next_s()
                self._work.wait(None if due_s == math.inf else due_s - now_s)
        return None

    def _take(self, place: Place, frame: Seen) -> None:
        now_ns = time.monotonic_ns()
        late = frame.late(now_ns) is not None
        lag_s = (now_ns - (frame.arrived_ns or now_ns)) / 1e9
        failed = not Context().run(self._is_handled, frame)
        with self._lock:
            self._turns.finish(place)
            place.counts.turned(time.monotonic(), lag_s, late=late, failed=failed)
        self._tell(place, "late" if late else "analysed")

    def _is_handled(self, frame: Seen) -> bool:
        """Opens the frame and has it handled; whether that went as it should."""
        try:
            with frame:
                self._handle(frame, frame.source)
        except (Denied, GuardFault):
            return True
        except BaseException as error:  # noqa: BLE001 - not even SystemExit of one source may end the others' worker
            self._say(frame.source.id, error)
            return False
        return True

    def _tell(self, place: Place, outcome: str) -> None:
        watch = self.guard.watch
        if watch is not None and watch.listens():
            watch.scheduled(place.source.id, outcome)

    def _say(self, source: str | None, error: BaseException) -> None:
        if (source, type(error)) not in self._said:
            self._said.add((source, type(error)))
            log.error("source %s: the handler of its frames failed", source, exc_info=error)


def cores() -> int:
    """How many cores this process may use, as far as the system says."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
