"""Worker processes on this machine, one unit each at a time, one core each.

A process that dies (a decoder that crashes, the kernel's memory killer) or hangs (a decoder that never returns) takes
nothing with it: its unit is tried once more, then its file counts as broken. Processes are spawned, never forked:
native libraries do not survive a fork.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from guard.errors import GuardError
from guard.replay.stopping import Stop
from guard.sweep.order import Order
from guard.sweep.task import PATIENCE_S, Outcome, Task, one_line

if TYPE_CHECKING:
    from guard.sweep.unit import Worker

__all__ = ["run_locally"]

_TRIES = 2
_TOLD_S = 0.5
_POLL_S = 0.2
_LOOK_S = 1.0
"""What one look counts for at most: while this process was stopped itself, nobody else was silent."""
_LOADING_S = 120.0
"""How much longer a new process may be silent, which first loads libraries and policy."""
_PARTING_S = 15.0


def run_locally(
    tasks: Iterator[Task],
    order: Order,
    *,
    workers: int,
    stop: Stop,
    progress: Callable[[Path, float], None] | None = None,
    patience_s: float = PATIENCE_S,
) -> Generator[Outcome, None, None]:
    """Gives what came of each task, in the order in which they end. Takes tasks as processes get free.

    A process that finishes no frame for `patience_s` seconds is killed. Where it is asked to stop, and where the caller
    leaves, units at work are broken off and leave nothing. Raises `GuardError` where a process cannot start.
    """
    crew = _Crew(order, progress, patience_s)
    try:
        crew.hire(workers)
        while not stop.asked and crew.hand_out(tasks):
            yield from crew.listen()
    finally:
        crew.dismiss()


class _Crew:
    """The processes, and the tasks of those that were lost."""

    def __init__(self, order: Order, progress: Callable[[Path, float], None] | None, patience_s: float) -> None:
        self._order = order
        self._progress = progress
        self._patience_s = patience_s
        self._members: list[_Member] = []
        self._again: list[Task] = []
        self._looked_s = time.monotonic()

    def hire(self, number: int) -> None:
        for _ in range(number):
            self._members.append(_Member(self._order))

    def hand_out(self, tasks: Iterator[Task]) -> bool:
        """Gives every free process a task, as far as there are any; whether one is at work then."""
        for member in self._members:
            if member.task is None:
                task = self._again.pop() if self._again else next(tasks, None)
                if task is None:
                    break
                member.give(task)
        return any(member.task is not None for member in self._members)

    def listen(self) -> Iterator[Outcome]:
        """Waits a moment for what the processes at work have to say; takes leave of those that died or hang."""
        busy = {member.connection: member for member in self._members if member.task is not None}
        heard = wait(list(busy), timeout=_POLL_S)
        for connection in heard:
            yield from self._heard(busy[connection])  # type: ignore[index]
        now_s = time.monotonic()
        passed_s, self._looked_s = min(now_s - self._looked_s, _LOOK_S), now_s
        for connection, member in busy.items():
            if connection not in heard:
                member.silent_s += passed_s
                if member.silent_s > self._patience_s:
                    member.kill()
                    yield from self._lost(member, f"was killed {{}} times: no frame was done in {self._patience_s:g} s")

    def dismiss(self) -> None:
        """Ends every process, and waits for them."""
        for member in self._members:
            member.dismiss()
        for member in self._members:
            member.wait()

    def _heard(self, member: _Member) -> Iterator[Outcome]:
        try:
            said = member.connection.recv()
        except (EOFError, OSError):
            member.wait()
            yield from self._lost(member, f"died {{}} times, {member.end}")
            return
        member.silent_s = 0.0
        if isinstance(said, Outcome):
            member.task = None
            yield said
        elif self._progress is not None and member.task is not None and said < 1.0:
            # Whoever keeps the outcome says that all of it is done.
            self._progress(member.task.path, said)

    def _lost(self, member: _Member, how: str) -> Iterator[Outcome]:
        """Puts another process in the place of one that is gone; `how` has a place for how often that happened."""
        task = member.task
        assert task is not None
        self._members[self._members.index(member)] = _Member(self._order)
        task.losses += 1
        if task.losses < _TRIES:
            self._again.append(task)
        else:
            yield Outcome(task.path, "broken", reason=f"the process that read it {how.format(task.losses)}")


class _Member:
    """One process and the pipe to it.

    Attributes:
        connection: the pipe.
        task: what it is at, None where it is free.
        silent_s: for how long it has given no sign of life, in seconds; less than 0 while it loads.
    """

    def __init__(self, order: Order) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.task: Task | None = None
        self.silent_s = -_LOADING_S
        self._process = context.Process(target=_serve, args=(theirs, order), name="guard-sweep", daemon=True)
        try:
            self._process.start()
        except OSError as error:
            self.connection.close()
            what = f"a worker process cannot start: {error.strerror}"
            raise GuardError(what, where="guard sweep", mend="let it have fewer --workers") from None
        finally:
            theirs.close()

    @property
    def end(self) -> str:
        """How the process ended."""
        status = self._process.exitcode
        return f"by signal {-status}" if status is not None and status < 0 else f"with status {status}"

    def give(self, task: Task) -> None:
        self.task = task
        with suppress(OSError):  # it has died: the next `recv` finds out
            self.connection.send((task.path, task.known))

    def dismiss(self) -> None:
        """Asks the process to end: at once where it is free, after the frame that it is at otherwise."""
        if self.task is not None:
            self._process.terminate()
        # It may have done its task just now, without anybody having heard, and wait for the next one.
        self.connection.close()

    def kill(self) -> None:
        self._process.kill()
        self.wait()

    def wait(self) -> None:
        """Waits for the end of a process that was dismissed or is dying, not for ever."""
        self._process.join(_PARTING_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join(_PARTING_S)  # the kernel may hold it in a read that does not end
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
    tell = _telling(connection)
    with suppress(KeyboardInterrupt):
        while True:
            try:
                path, known = connection.recv()
            except (EOFError, OSError):
                return
            try:
                if worker is None:
                    worker = _loaded(order)
                    _say(connection, 0.0)
                outcome = worker.take(path, known, progress=tell, stop=stop)
            except GuardError as error:
                outcome = Outcome(path, "failed", reason=one_line(error))
            _say(connection, outcome)


def _loaded(order: Order) -> Worker:
    # Only here: the first process decodes nothing, and does without the libraries for it.
    from guard.sweep.unit import Worker, on_one_core

    on_one_core()
    return Worker(order)


def _telling(connection: Connection) -> Callable[[float], None]:
    """Sends progress, which is a sign of life too, now and then."""
    last_s = time.monotonic()

    def tell(part: float) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= _TOLD_S:
            last_s = now_s
            _say(connection, part)

    return tell


def _say(connection: Connection, what: float | Outcome) -> None:
    """Raises `KeyboardInterrupt` where nobody listens any more: what is at hand is broken off."""
    try:
        connection.send(what)
    except OSError:
        raise KeyboardInterrupt from None


def _end_with_parent() -> None:
    """A worker whose parent was killed ends: what it had half-done is discarded by the next run."""
    parent: Any = multiprocessing.parent_process()
    parent.join()
    os._exit(1)
