"""A sweep from its paths to its index: hands out files, keeps what came of them, sums up."""

from __future__ import annotations

import heapq
import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol

from guard.errors import GuardError, SourceError
from guard.replay.stopping import Stop
from guard.sweep.folder import Folder
from guard.sweep.index import write_index
from guard.sweep.order import Order
from guard.sweep.pool import run_locally
from guard.sweep.state import State
from guard.sweep.summary import Summary, summed
from guard.sweep.task import PATIENCE_S, Outcome, Task, shown
from guard.sweep.walking import clips

__all__ = ["Execute", "sweep"]

Progress = Callable[[Path, float], None]

_AHEAD = 1000
"""Among so many files the largest is handed out next, so that no process is left with a long one at the end."""


class Execute(Protocol):
    """What makes units of tasks: the pool on this machine, or a cluster."""

    def __call__(
        self, tasks: Iterator[Task], order: Order, *, stop: Stop, progress: Progress | None
    ) -> Generator[Outcome, None, None]:
        """Gives what came of each task, once each, in any order; where it was asked to stop, of fewer.

        Once it is closed, nothing is made any more.
        """


def sweep(
    paths: Iterable[Path],
    order: Order,
    *,
    workers: int | None = None,
    patience_s: float = PATIENCE_S,
    execute: Execute | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Summary:
    """Decides, records and, where that is ordered, redacts every clip in `paths`; see `guard.sweep.walking.clips`.

    What an earlier run has done under the same settings is not done again, and what it left half-done is gone. A clip
    that cannot be read is listed in the summary, and never stops the others.

    Args:
        paths: files and folders.
        order: what is done with each, see `guard.sweep.order.order_of`.
        workers: processes on this machine; one for each core by default.
        patience_s: for how long one of them may finish no frame before it counts as hung and is killed.
        execute: instead of processes on this machine, see `guard.sweep.ray`.
        progress: called with a path and the part of it that is done, 0 to 1; with 1 once for every path.
        stop: asked now and then whether to end; what is done until then is kept, and `Summary.interrupted` says so.

    Raises `SourceError` where there is no clip, and `GuardError` where another sweep is at work in the folder, and
    where the guard itself cannot work: the records cannot be written, or the configuration was changed. What is done
    until then is kept and in the index.
    """
    stop = stop or Stop()
    execute = execute or partial(run_locally, workers=workers or _cores(), patience_s=patience_s)
    try:
        summary = _swept(paths, order, execute, progress, stop)
    except (OSError, sqlite3.Error) as error:
        raise _ended_early(str(error), order) from error
    if not summary.files["found"] and not summary.interrupted:
        raise SourceError("there is nothing to sweep", mend="name a video, or a folder with videos in or below it")
    return summary


def _swept(paths: Iterable[Path], order: Order, execute: Execute, progress: Progress | None, stop: Stop) -> Summary:
    folder = Folder(order.out)
    with folder.alone(), State(order.out / "state.db") as state:
        failed: str | None = None
        under_way: set[Path] = set()
        tasks = _largest_first(_found(paths, order, state, under_way), state)
        with closing(execute(tasks, order, stop=stop, progress=progress)) as outcomes:
            for outcome in outcomes:
                if outcome.status == "failed":
                    failed = outcome.reason
                    break
                _keep(outcome, state, folder)
                under_way.discard(outcome.path)
                if progress is not None:
                    progress(outcome.path, 1.0)
        if under_way:
            _take_up(under_way, order, state, folder)
        write_index(order, state)
        if failed is not None:
            raise _ended_early(failed, order)
        return summed(order, state, interrupted=stop.asked)


def _ended_early(why: str, order: Order) -> GuardError:
    return GuardError(f"the sweep ended early: {why}", where=str(order.out), mend="mend that, and run it again")


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _found(paths: Iterable[Path], order: Order, state: State, under_way: set[Path]) -> Iterator[Path]:
    """Every path once. Those whose outcome is not kept yet are `under_way`."""
    for found in clips(paths, leave_out=order.out):
        if isinstance(found, GuardError):
            state.add(Outcome(Path(str(found.where)), "broken", reason=str(found)))
        elif found not in under_way and not state.has(found):
            under_way.add(found)
            yield found


def _largest_first(paths: Iterator[Path], state: State) -> Iterator[Task]:
    """Of the next `_AHEAD` paths always the one with the largest file, with what is known of it."""
    waiting: list[tuple[int, int, Path]] = []
    for number, path in enumerate(paths):
        heapq.heappush(waiting, (-_size(path), number, path))
        if len(waiting) > _AHEAD:
            yield _task(heapq.heappop(waiting)[-1], state)
    while waiting:
        yield _task(heapq.heappop(waiting)[-1], state)


def _task(path: Path, state: State) -> Task:
    return Task(path, state.known(path))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # whoever reads it says what is wrong with it


def _take_up(under_way: set[Path], order: Order, state: State, folder: Folder) -> None:
    """Keeps what was done after anybody listened: where it was asked to stop, and where the sweep ended early."""
    paths = {shown(path): path for path in under_way}
    for unit in folder.units():
        if not state.knows_unit(unit):
            said = folder.done(unit) or {}
            path = paths.get(said["clip"]["path"]) if said.get("settings") == order.settings else None
            if path is not None:
                _keep(Outcome(path, "made", unit), state, folder)


def _keep(outcome: Outcome, state: State, folder: Folder) -> None:
    if outcome.unit is not None and not state.knows_unit(outcome.unit):
        said = folder.done(outcome.unit)
        if said is not None:
            state.add_unit(outcome.unit, said, made_now=outcome.status == "made")
    state.add(outcome)
