"""The writer: one thread, one connection, many callers.

A denial costs its caller one queue operation and is on disk within a second. A release waits until its record is.
Where a record cannot be written, nothing is released: the caller gets `LedgerError`, the refusals wait in memory and
are written when the file can be written again.
"""

from __future__ import annotations

import atexit
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from guard._version import __version__
from guard.errors import LedgerError
from guard.ledger.drafts import Drafts, Other
from guard.ledger.entry import Entry
from guard.ledger.instants import now, ns_of
from guard.ledger.keys import signing_key
from guard.ledger.leaves import Closed, Leaf, Lost, Opened, check
from guard.ledger.notes import verifier_key
from guard.ledger.store import Store

__all__ = ["COMMIT_SECONDS", "Ledger"]

log = logging.getLogger("guard.ledger")

COMMIT_SECONDS = 0.5
"""How long a denial may wait for others before it is committed. The promise is one second."""

_RELEASE_SECONDS = 10.0
_RETRY_SECONDS = 1.0
_QUEUE_LIMIT = 50_000
_KEPT_LIMIT = 200_000
_NEVER = float("inf")
_LOG_BYTES = 1_000_000
_LOG_BYTES_BUSY = 16_000_000


class _Ticket:
    """A caller that waits for the disk. `refused` says why its entry is not there."""

    __slots__ = ("done", "refused")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.refused: str | None = None


_Item = tuple[Entry | Other | None, _Ticket | None]


class Ledger:
    """A ledger file, open for writing. Safe for threads; after a fork the child opens a connection of its own.

    Args:
        path: the file; made where it is absent, its folder must exist.
        policies: digest to what it stands for (``packs``, ``base``, ``extra``), written beside the records.
        key: PEM file of the Ed25519 key that signs checkpoints; else the environment's, else one beside the ledger.
        checkpoint_records: how many leaves there may be without a checkpoint over them.
        checkpoint_seconds: how long a leaf may be without one.
        durable: whether commits wait for the disk. Only a file that counts for nothing until its owner has synced it
            may do without.

    Raises `LedgerError` at once where the file cannot be written, so that nothing starts without a record.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        policies: Mapping[str, Mapping[str, Any]] | None = None,
        key: Path | None = None,
        checkpoint_records: int = 1000,
        checkpoint_seconds: float = 60.0,
        durable: bool = True,
    ) -> None:
        self.path = Path(path)
        self._durable = durable
        self.checkpoint_records = checkpoint_records
        self.checkpoint_seconds = checkpoint_seconds
        self._key_file = key
        self._policies = {digest: dict(policy) for digest, policy in (policies or {}).items()}
        self._lock = threading.Lock()
        self._closed = False
        self._forked = False
        self._failing: str | None = None
        # Since when something waits: handed over and not yet taken, taken and not yet written.
        self._handed_s: float = _NEVER
        self._unwritten_s: float = _NEVER
        self._start()
        _open_ledgers.add(self)

    # ---- the caller's side

    def record(self, entry: Entry) -> None:
        """See `Sink.record`."""
        if self._forked:
            self._start_in_child()
        if self._closed:
            raise self._is_closed()
        if self._handed_s == _NEVER:
            self._handed_s = time.monotonic()
        if entry.released:
            self._wait_for_disk(entry)
            return
        self._queue.put((entry, None))
        if self._queue.qsize() > _QUEUE_LIMIT:
            # A caller that outruns the disk waits for it: memory is bounded and no denial is lost.
            with suppress(LedgerError):
                self.flush()

    @property
    def is_behind(self) -> bool:
        """Whether the record of a denial would wait, too: more of them are queued than memory has room for, or the file
        has yet to be opened in a child process."""
        return self._forked or self._queue.qsize() >= _QUEUE_LIMIT

    def append(self, leaf: Leaf, *, name: str | None = None) -> None:
        """See `Sink.append`."""
        self._put(Other(leaf, name, pending=False))

    def pend(self, name: str, leaf: Leaf) -> None:
        """See `Sink.pend`."""
        self._put(Other(leaf, name, pending=True))

    def flush(self) -> None:
        """See `Sink.flush`."""
        if self._forked:
            self._start_in_child()
        self._wait_for_disk(None)

    def describe(self, digest: str, policy: Mapping[str, Any]) -> None:
        """See `Sink.describe`."""
        self._policies = {**self._policies, digest: dict(policy)}

    def lag_s(self) -> float:
        """Age in seconds of the oldest entry that was handed over and is not on disk; 0.0 where all are."""
        oldest_s = min(self._handed_s, self._unwritten_s)
        return 0.0 if oldest_s == _NEVER else max(0.0, time.monotonic() - oldest_s)

    def last_at_ns(self) -> int:
        """See `Sink.last_at_ns`; read once, when the ledger was opened."""
        return self._last_at_ns

    def close(self) -> None:
        """Writes what is left, seals it, stops the thread and closes the file. Safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        _open_ledgers.discard(self)
        if not self._forked:
            self._queue.put((None, None))
            self._urgent.set()
            self._thread.join(timeout=_RELEASE_SECONDS)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _put(self, other: Other) -> None:
        check(other.leaf)
        if self._forked:
            self._start_in_child()
        if self._closed:
            raise self._is_closed()
        self._queue.put((other, None))

    def _is_closed(self) -> LedgerError:
        return LedgerError("the ledger is closed", where=str(self.path), mend="load the guard again")

    def _wait_for_disk(self, entry: Entry | None) -> None:
        ticket = _Ticket()
        self._queue.put((entry, ticket))
        self._urgent.set()
        if not ticket.done.wait(_RELEASE_SECONDS) or not self._thread.is_alive():
            ticket.refused = ticket.refused or f"it did not answer within {_RELEASE_SECONDS:.0f} s"
            if entry is not None:
                # Whatever the writer made of it, the record must end as what happened: a refusal.
                entry.again = True
                entry.refused = "the record was not written in time"
                self._queue.put((entry, None))
        if ticket.refused is not None:
            raise LedgerError(
                f"the record cannot be written: {ticket.refused}",
                where=str(self.path),
                mend="free the disk or name another [ledger] path; calls stay refused until it can be written",
            )

    # ---- starting, in this process or in a child of it

    def _start(self, *, alive: frozenset[str] = frozenset()) -> None:
        """`alive` are sessions whose pending leaves are left to them."""
        self._session = os.urandom(8).hex()
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._urgent = threading.Event()
        self._drafts = Drafts(self._session, _KEPT_LIMIT)
        self._pended_s = self._sealed_s = self._tidied_s = time.monotonic()
        self._handed_s = self._unwritten_s = _NEVER
        self._store: Store | None = None
        try:
            self._store = store = Store(self.path, durable=self._durable)
            self._key = signing_key(self.path, self._key_file)
            self._origin = store.origin
            last_at = store.last_at()
            self._last_at_ns = 0 if last_at is None else ns_of(last_at)
            others = {ledger._session for ledger in _open_ledgers}
            store.begin()
            store.adopt(alive | others | {self._session})
            self._say_opened(store)
            store.commit()
        except LedgerError:
            self._drop_store()
            raise
        except (sqlite3.Error, OSError, ValueError, KeyError) as error:
            self._drop_store()
            raise LedgerError(
                f"the ledger cannot be written: {error}",
                where=str(self.path),
                mend="name a path in an existing folder on a disk with room, as [ledger] path",
            ) from error
        self._thread = threading.Thread(target=self._run, name="guard-ledger", daemon=True)
        self._thread.start()

    def _say_opened(self, store: Store) -> None:
        self._drafts.first = store.append(
            Opened(
                at=now(),
                session=self._session,
                guard=__version__,
                key=verifier_key(store.origin, self._key.public_key().public_bytes_raw()),
                checkpoint_records=self.checkpoint_records,
                checkpoint_seconds=self.checkpoint_seconds,
            )
        )

    def _in_child(self) -> None:
        """Runs in a forked child, where the writer's thread is gone and the parent's connection must stay untouched."""
        if self._store is not None:
            _inherited.append(self._store)
        self._store = None
        self._lock = threading.Lock()
        self._forked = True

    def _start_in_child(self) -> None:
        with self._lock:
            if self._forked and not self._closed:
                self._start(alive=frozenset({self._session}))
                self._forked = False

    # ---- the writer's side

    def _run(self) -> None:
        stop = False
        while not stop:
            batch = self._gather()
            stop = (None, None) in batch
            self._commit(batch, last=stop)
            if self._store is not None and not stop:
                self._tidy(self._store)
        if self._drafts.ready:
            log.error("the ledger %s was closed while it could not be written: its last refusals are lost", self.path)
        self._drop_store()

    def _gather(self) -> list[_Item]:
        try:
            batch = [self._queue.get(timeout=self._patience())]
        except Empty:
            return []
        # Denials gather for a while, and their callers do not wake this thread; a release or the end does.
        self._urgent.wait(min(COMMIT_SECONDS, self._patience() or COMMIT_SECONDS))
        self._urgent.clear()
        self._unwritten_s = min(self._unwritten_s, self._handed_s)
        while True:
            try:
                batch.append(self._queue.get_nowait())
            except Empty:
                self._handed_s = _NEVER
                return batch

    def _patience(self) -> float | None:
        """How long the writer may sleep if nobody hands anything over; None = for ever."""
        store = self._store
        if store is None or self._drafts.ready:
            return _RETRY_SECONDS
        if self._drafts.changed:
            return max(0.001, min(COMMIT_SECONDS, self._pended_s + COMMIT_SECONDS - time.monotonic()))
        return _RETRY_SECONDS if self._drafts.open or store.size > store.sealed else None

    def _commit(self, batch: list[_Item], *, last: bool) -> None:
        now_s = time.monotonic()
        flushing = last
        for item, _ in batch:
            if isinstance(item, Entry):
                self._drafts.take(item, now_s)
            elif item is not None:
                self._drafts.take_other(item)
            else:
                flushing = True
        self._drafts.finish(now_s, all=last)
        pending = flushing or now_s - self._pended_s >= COMMIT_SECONDS
        waiting = [(item, ticket) for item, ticket in batch if ticket is not None]
        try:
            if last or waiting or self._drafts.ready or (pending and self._drafts.changed) or self._is_due(now_s):
                self._write(now_s, pending=pending, last=last)
        except Exception as error:  # noqa: BLE001 - whatever broke, nobody may be released on it
            self._fail(waiting, str(error), now_s)
            return
        if self._failing is not None:
            log.warning("the ledger %s can be written again", self.path)
            self._failing = None
        for _, ticket in waiting:
            ticket.done.set()

    def _write(self, now_s: float, *, pending: bool, last: bool) -> None:
        store = self._store
        if store is None:
            store = self._store = Store(self.path, durable=self._durable)
            self._drafts.reopened()
        lost = self._drafts.lost
        store.begin()
        if store.origin != self._origin:
            self._say_opened(store)
        self._drafts.write(store, self._policies, pending=pending)
        if lost:
            store.append(Lost(at=now(), session=self._session, calls=lost))
        if last:
            store.append(Closed(at=now(), session=self._session))
        if last or self._is_due(now_s):
            store.checkpoint(self._key)
        store.commit()
        self._origin = store.origin
        self._drafts.written()
        if not self._drafts.changed:
            self._unwritten_s = _NEVER
        if pending:
            self._pended_s = now_s
        if store.sealed == store.size:
            self._sealed_s = now_s
        if lost:
            log.error("the ledger %s could not be written for so long that %d refusals have no record", self.path, lost)

    def _is_due(self, now_s: float) -> bool:
        """Whether it is time for a checkpoint."""
        store = self._store
        if store is None or store.size == store.sealed:
            return False
        unsealed = store.size - store.sealed
        return unsealed >= self.checkpoint_records or now_s - self._sealed_s >= self.checkpoint_seconds

    def _fail(self, waiting: list[tuple[Entry | Other | None, _Ticket]], why: str, now_s: float) -> None:
        """Refusals wait for the disk. A waiting release becomes the refusal that it now is."""
        self._drop_store()
        entries = [item for item, _ in waiting if isinstance(item, Entry)]
        self._drafts.refuse(entries, f"the record cannot be written: {why}", now_s)
        for _, ticket in waiting:
            ticket.refused = why
            ticket.done.set()
        if self._failing != why:
            log.error("the ledger %s cannot be written: %s; every call is refused until it can", self.path, why)
            self._failing = why

    def _tidy(self, store: Store) -> None:
        if time.monotonic() - self._tidied_s < _RETRY_SECONDS:
            return  # a reader may be in the way: it would be tried after every commit
        length = store.log_bytes()
        if length > _LOG_BYTES_BUSY or (length > _LOG_BYTES and self._queue.empty()):
            self._tidied_s = time.monotonic()
            try:
                store.tidy()
            except Exception as error:  # noqa: BLE001 - nothing is lost by it, and nobody waits
                log.debug("the log of %s was not moved to the file: %s", self.path, error)
                self._drop_store()

    def _drop_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()


_open_ledgers: weakref.WeakSet[Ledger] = weakref.WeakSet()
_inherited: list[Store] = []
"""Connections of a parent process: closing one in the child would touch the parent's file."""


@atexit.register
def _close_all() -> None:
    for ledger in list(_open_ledgers):
        ledger.close()


def _after_fork_in_child() -> None:
    for ledger in list(_open_ledgers):
        ledger._in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
