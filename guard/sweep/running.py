"""A sweep from its paths to its index: hands out files, keeps what came of them, sums up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from guard.errors import GuardError, SourceError
from guard.replay.stopping import Stop
from guard.sweep.folder import Folder
from guard.sweep.index import write_index
from guard.sweep.order import Order
from guard.sweep.pool import Task, run_locally
from guard.sweep.state import State
from guard.sweep.summary import Summary, summed
from guard.sweep.unit import Outcome
from guard.sweep.walking import clips

__all__ = ["Execute", "sweep"]

Progress = Callable[[Path, float], None]


class Execute(Protocol):
    """What makes units of tasks: the pool on this machine, or a cluster."""

    def __call__(
        self, tasks: Iterator[Task], order: Order, *, stop: Stop, progress: Progress | None
    ) -> Iterator[Outcome]:
        """Gives what came of each task, once each, in any order; where it was asked to stop, of fewer."""


def sweep(
    paths: Iterable[Path],
    order: Order,
    *,
    workers: int | None = None,
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
        execute: instead of processes on this machine, see `guard.sweep.ray`.
        progress: called with a path and the part of it that is done, 0 to 1; with 1 once for every path.
        stop: asked now and then whether to end; what is done until then is kept, and `Summary.interrupted` says so.

    Raises `SourceError` where there is no clip, and `GuardError` where another sweep is at work in the folder, and
    where the guard itself cannot work: the records cannot be written, or the configuration was changed. What is done
    until then is kept and in the index.
    """
    stop = stop or Stop()
    count = workers or len(os.sched_getaffinity(0))
    execute = execute or partial(run_locally, workers=count)
    folder = Folder(order.out)
    with folder.alone(), State(order.out / "state.db") as state:
        failed: str | None = None
        for outcome in execute(_tasks(paths, order, state), order, stop=stop, progress=progress):
            if outcome.status == "failed":
                failed = outcome.reason
                break
            _keep(outcome, state, folder)
            if progress is not None:
                progress(outcome.path, 1.0)
        write_index(order, state)
        if failed is not None:
            raise GuardError(
                f"the sweep ended early: {failed}", where=str(order.out), mend="mend that, and run it again"
            )
        summary = summed(order, state, interrupted=stop.asked)
    if not summary.files["found"] and not summary.interrupted:
        raise SourceError("there is nothing to sweep", mend="name a video, or a folder with videos in or below it")
    return summary


def _tasks(paths: Iterable[Path], order: Order, state: State) -> Iterator[Task]:
    """Every path once, with what is known of it."""
    for found in clips(paths, leave_out=order.out):
        if isinstance(found, GuardError):
            state.add(Outcome(Path(str(found.where)), "broken", reason=str(found)))
        elif not state.has(found):
            yield Task(found, state.known(found))


def _keep(outcome: Outcome, state: State, folder: Folder) -> None:
    if outcome.unit is not None and not state.knows_unit(outcome.unit):
        said = folder.done(outcome.unit)
        if said is not None:
            state.add_unit(outcome.unit, said, made_now=outcome.status == "made")
    state.add(outcome)
