"""A reader that must not be waited for for ever.

A camera, a network address or a pipe can fall silent inside a system call that nothing interrupts. So it is
read in a thread of its own, and the one who waits does so with a limit. The thread is a daemon: a reader that
never returns does not keep the process alive.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from guard.errors import GuardError, SourceError

__all__ = ["Impatient", "within"]

T = TypeVar("T")


class _End:
    """What the reader leaves behind: nothing, or the error that stopped it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Impatient(Iterator[T]):
    """Iterates over `items` in a thread of its own and raises `late()` after `patience_s` seconds without
    one.

    `depth` items are read ahead. Where the consumer is slower than that, the reader waits for it; with
    `drop_oldest` it throws the oldest unread item away instead, and `dropped` counts them: what a live camera
    shows now matters more than what it showed a minute ago.
    """

    def __init__(
        self,
        items: Iterator[T],
        *,
        patience_s: float,
        late: Callable[[], GuardError],
        depth: int = 4,
        drop_oldest: bool = False,
    ) -> None:
        self.dropped = 0
        self._patience_s = patience_s
        self._late = late
        self._drop_oldest = drop_oldest
        self._queue: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
        self._stopped = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._read, args=(items,), name="guard-clip", daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        if self._over:
            raise StopIteration
        try:
            item = self._queue.get(timeout=self._patience_s)
        except queue.Empty:
            self.stop()
            raise self._late() from None
        if isinstance(item, _End):
            self.stop()
            if item.error is not None:
                raise item.error
            raise StopIteration
        return item

    def stop(self, *, wait_s: float = 0.0) -> None:
        """Asks the reader to end with its next item, and waits up to `wait_s` seconds until it has."""
        self._over = True
        self._stopped.set()
        if wait_s:
            self._thread.join(wait_s)

    @property
    def reading(self) -> bool:
        """True while the reader's thread has not returned; what it reads must not be closed under it."""
        return self._thread.is_alive()

    def _read(self, items: Iterator[T]) -> None:
        end = _End()
        try:
            for item in items:
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - it belongs to the one who waits, whatever it is
            end = _End(error)
        self._put(end)

    def _put(self, item: T | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1 if not self._drop_oldest else 0.0)
                return True
            except queue.Full:
                if self._drop_oldest:
                    self._forget_oldest()
        return False

    def _forget_oldest(self) -> None:
        try:
            self._queue.get_nowait()
        except queue.Empty:
            return
        self.dropped += 1


def within(patience_s: float, work: Callable[[], T], *, what: str, where: str) -> T:
    """`work()`'s result, or `SourceError` where it takes longer than `patience_s` seconds."""
    once = Impatient(
        (work() for _ in range(1)),
        patience_s=patience_s,
        late=lambda: SourceError(
            f"{what} within {patience_s:g} s", where=where, mend="check that it is on and reachable"
        ),
    )
    return next(once)
