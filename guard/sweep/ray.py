"""A sweep on a Ray cluster, through Ray Data: paths go in, one small row for each comes out.

Frames never enter the object store: a task opens its file itself, and its records go to the folder of the sweep. So
every node has to see the same paths, of the files and of the folder, and the key of the ledgers. A task that dies with
its node is run again by Ray; since units are idempotent, that changes nothing in the records.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard._imports import native
from guard.errors import GuardError
from guard.sweep.running import Progress
from guard.sweep.running import sweep as run_sweep
from guard.sweep.task import PATIENCE_S, Outcome, Task, one_line

if TYPE_CHECKING:
    from guard.replay.stopping import Stop
    from guard.sweep.order import Order
    from guard.sweep.summary import Summary
    from guard.sweep.unit import Worker

__all__ = ["check_answers", "connected", "run_on_ray", "sweep"]

LOCAL = "local"
_AT_A_TIME = 10_000
"""Paths that are handed to Ray at once: what the first process holds in memory does not grow with the archive."""

_RETRIES = 3
"""How often a task is run again whose process died; left to itself Ray Data never gives one up."""

_KNOCK_S = 10.0
_ANSWER_S = 60.0
"""How long a cluster may take to let a process in."""
_TRY = """
import sys, ray
try:
    ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")
"""
_MEND = "start it with `ray start`, or name `local`"

_TOLD_S = 1.0
_STDERR = 2


def sweep(
    paths: Iterable[Path],
    order: Order,
    *,
    address: str = LOCAL,
    workers: int | None = None,
    patience_s: float = PATIENCE_S,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Summary:
    """As `guard.sweep.sweep`, on the Ray cluster at `address`; ``local`` starts one here, of `workers` cores.

    Where the process is connected to a cluster already, that one is used. Raises `MissingDependency` where Ray is not
    installed, and `GuardError` where the cluster does not answer.
    """
    with connected(address, workers):
        execute = partial(run_on_ray, patience_s=patience_s)
        return run_sweep(paths, order, execute=execute, progress=progress, stop=stop)


@contextmanager
def connected(address: str = LOCAL, workers: int | None = None) -> Iterator[None]:
    """Inside, this process is connected to a cluster. One that was started here listens on loopback alone, unless Ray
    was imported before, and tells nobody that it is used.
    """
    if address == LOCAL:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # on any system: no address but loopback
    with native("ray", extra="ray"):
        import ray
        import ray.data
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield
        return
    here = {"num_cpus": workers, "include_dashboard": False} if address == LOCAL else {}
    if address != LOCAL:
        check_answers(address)
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **here)
    except (ConnectionError, ImportError, RuntimeError, ValueError) as error:
        raise GuardError(_silent(one_line(error)), where=address, mend=_MEND) from None
    try:
        yield
    finally:
        ray.shutdown()


def check_answers(address: str) -> None:
    """Raises `GuardError` where no cluster lets a process in at `address`.

    Ray itself tries again and again, for minutes, and does not come back to who asked. So a process of its own is sent,
    and not waited for longer than a minute.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host and port.isdecimal():
            socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
        tried = subprocess.run(
            [sys.executable, "-c", _TRY, address],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_S,
        )
    except OSError as error:
        raise GuardError(_silent(error.strerror or str(error)), where=address, mend=_MEND) from None
    except subprocess.TimeoutExpired:
        raise GuardError(_silent(f"nothing came within {_ANSWER_S:g} s"), where=address, mend=_MEND) from None
    if tried.returncode != 0:
        said = (tried.stderr.strip().splitlines() or ["Ray ended"])[-1]
        raise GuardError(_silent(said), where=address, mend=_MEND)


def _silent(why: str) -> str:
    return f"the Ray cluster does not answer: {why[:200]}"


def run_on_ray(
    tasks: Iterator[Task],
    order: Order,
    *,
    stop: Stop,
    progress: Progress | None = None,
    patience_s: float = PATIENCE_S,
) -> Generator[Outcome, None, None]:
    """Gives what came of each task, see `guard.sweep.running.Execute`; the process is connected to a cluster.

    A process that finishes no frame for `patience_s` seconds ends itself.
    """
    while not stop.asked and (some := list(islice(tasks, _AT_A_TIME))):
        yield from _mapped(some, order, stop, patience_s)


def _mapped(tasks: list[Task], order: Order, stop: Stop, patience_s: float) -> Iterator[Outcome]:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # A file of which every process dies must not end the sweep: its rows do not come back, and it counts as broken.
    context.max_errored_blocks = -1
    # Bytes, since a path need not be text; JSON, since it is none of Ray's business.
    items = [{"path": os.fsencode(task.path), "known": json.dumps(task.known)} for task in tasks]
    # One task a file: a lost process costs one file's work.
    blocks = ray.data.from_items(items, override_num_blocks=len(items))
    rows = blocks.map(_take, fn_args=(order, patience_s), num_cpus=1, max_retries=_RETRIES)
    waiting = {os.fsencode(task.path): task for task in tasks}
    for row in _until_asked(rows.iter_rows(), stop):
        yield _outcome(waiting.pop(row["path"]).path, row["outcome"])
    if stop.asked:
        return
    for task in waiting.values():
        what = f"the process that read it died {_RETRIES + 1} times, or finished no frame in {patience_s:g} s"
        yield Outcome(task.path, "broken", reason=what)


def _until_asked(rows: Iterable[dict[str, Any]], stop: Stop) -> Iterator[dict[str, Any]]:
    """The rows, until somebody asks to stop: at once, also while none comes."""
    coming = iter(rows)
    while not stop.asked:
        try:
            with stop.waiting():
                row = next(coming, None)
        except KeyboardInterrupt:
            stop.asked = True
            return
        if row is None:
            return
        yield row


def _take(row: dict[str, Any], order: Order, patience_s: float) -> dict[str, Any]:
    """One unit, in a process of the cluster."""
    path, known = Path(os.fsdecode(row["path"])), json.loads(row["known"])
    try:
        worker = _worker(order)
        with _ending_if_silent(patience_s) as alive:
            outcome = worker.take(path, known and (tuple(known[0]), known[1]), progress=alive)
    except GuardError as error:
        outcome = Outcome(path, "failed", reason=one_line(error))
    said = [outcome.status, outcome.unit, outcome.reason, outcome.stamp, outcome.content]
    return {"path": row["path"], "outcome": json.dumps(said)}


def _outcome(path: Path, said: str) -> Outcome:
    status, unit, reason, stamp, content = json.loads(said)
    return Outcome(path, status, unit, reason, None if stamp is None else tuple(stamp), content)


@contextmanager
def _ending_if_silent(patience_s: float) -> Iterator[Callable[[float], None]]:
    """Inside, this process ends where what is given is not called for `patience_s` seconds, whatever it hangs in."""
    told_s = time.monotonic()

    def alive(part: float) -> None:
        nonlocal told_s
        now_s = time.monotonic()
        if now_s - told_s >= _TOLD_S:
            told_s = now_s
            faulthandler.dump_traceback_later(patience_s, exit=True, file=_STDERR)

    # A watch in C: a library that hangs may keep every thread of Python from running.
    faulthandler.dump_traceback_later(patience_s, exit=True, file=_STDERR)
    try:
        yield alive
    finally:
        faulthandler.cancel_dump_traceback_later()


@lru_cache(maxsize=1)
def _worker(order: Order) -> Worker:
    """Loaded once for the process, which Ray uses for many files."""
    from guard.sweep.unit import Worker, on_one_core

    on_one_core()
    logging.getLogger("guard").addHandler(logging.NullHandler())
    return Worker(order)
