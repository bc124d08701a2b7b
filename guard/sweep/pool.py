"""Worker processes on this machine, one unit each at a time.

A process that dies (a decoder that crashes, the kernel's memory killer) takes nothing with it: its unit is tried once
more, then its file counts as broken. Processes are spawned, never forked: native libraries do not survive a fork.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

from guard.errors import GuardError
from guard.replay.stopping import Stop
from guard.sweep.order import Order
from guard.sweep.unit import Outcome, Stamp, Worker

__all__ = ["Task", "run_locally"]

_TRIES = 2
_TOLD_S = 0.5
_POLL_S = 0.2
_PATIENCE_S = 15.0


@dataclass(slots=True)
class Task:
    """One path to be taken, what is known of its content, and how often a process died of it."""

    path: Path
    known: tuple[Stamp, str] | None = None
    deaths: int = 0


def run_locally(
    tasks: Iterator[Task],
    order: Order,
    *,
    workers: int,
    stop: Stop,
    progress: Callable[[Path, float], None] | None = None,
) -> Iterator[Outcome]:
    """Gives what came of each task, in the order in which they end. Takes tasks as processes get free.

    Where it is asked to stop, and where the caller leaves, units at work are broken off and leave nothing. Raises
    `GuardError` where a process cannot start.
    """
    crew = [_Member(order) for _ in range(workers)]
    again: list[Task] = []
    try:
        while not stop.asked:
            for member in crew:
                if member.is_free:
                    task = again.pop() if again else next(tasks, None)
                    if task is None:
                        break
                    member.give(task)
            busy = {member.connection: member for member in crew if not member.is_free}
            if not busy:
                return
            for connection in wait(list(busy), timeout=_POLL_S):
                yield from _heard(busy[connection], crew, order, again, progress)  # type: ignore[index]
    finally:
        for member in crew:
            member.dismiss()
        for member in crew:
            member.wait()


def _heard(
    member: _Member,
    crew: list[_Member],
    order: Order,
    again: list[Task],
    progress: Callable[[Path, float], None] | None,
) -> Iterator[Outcome]:
    try:
        said = member.connection.recv()
    except (EOFError, OSError):
        task = member.lost()
        crew[crew.index(member)] = _Member(order)
        task.deaths += 1
        if task.deaths < _TRIES:
            again.append(task)
        else:
            yield Outcome(
                task.path, "broken", reason=f"the process that read it died {task.deaths} times, {member.end}"
            )
        return
    if isinstance(said, Outcome):
        member.task = None
        yield said
    elif progress is not None and member.task is not None:
        progress(member.task.path, said)


class _Member:
    """One process and the pipe to it."""

    def __init__(self, order: Order) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.task: Task | None = None
        self._process = context.Process(target=_serve, args=(theirs, order), name="guard-sweep", daemon=True)
        self._process.start()
        theirs.close()

    @property
    def is_free(self) -> bool:
        return self.task is None

    @property
    def end(self) -> str:
        """How the process ended."""
        status = self._process.exitcode
        return f"by signal {-status}" if status is not None and status < 0 else f"with status {status}"

    def give(self, task: Task) -> None:
        self.task = task
        with suppress(OSError):  # it has died: the next `recv` finds out
            self.connection.send((task.path, task.known))

    def lost(self) -> Task:
        """Takes leave of a process that died; gives the task that it had."""
        self._process.join(_PATIENCE_S)
        self.connection.close()
        assert self.task is not None
        return self.task

    def dismiss(self) -> None:
        """Asks the process to end: at once where it is free, after the frame that it is at otherwise."""
        if self.is_free:
            self.connection.close()
        else:
            self._process.terminate()

    def wait(self) -> None:
        """Waits for the end of a dismissed process, not for ever."""
        self._process.join(_PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()


def _serve(connection: Connection, order: Order) -> None:
    """The life of a worker process."""
    stop = Stop()

    def asked(number: int, frame: FrameType | None) -> None:
        stop.asked = True

    # Ctrl-C reaches every process of a terminal; only the first one answers, and asks the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, asked)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What fails is told by the outcome, once, and not in the log's words on every frame.
    logging.getLogger("guard").addHandler(logging.NullHandler())
    worker: Worker | None = None
    while True:
        try:
            path, known = connection.recv()
        except (EOFError, OSError):
            return
        try:
            worker = worker or Worker(order)
            outcome = worker.take(path, known, progress=_telling(connection), stop=stop)
        except KeyboardInterrupt:
            return
        except GuardError as error:
            outcome = Outcome(path, "failed", reason=" ".join(str(error).split()))
        connection.send(outcome)


def _telling(connection: Connection) -> Callable[[float], None]:
    """Sends progress now and then."""
    last_s = time.monotonic()

    def tell(part: float) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= _TOLD_S:
            last_s = now_s
            connection.send(part)

    return tell


def _end_with_parent() -> None:
    """A worker whose parent was killed ends: what it had half-done is discarded by the next run."""
    parent: Any = multiprocessing.parent_process()
    parent.join()
    os._exit(1)
