"""The writer: one thread, one connection, many callers.

A denial costs its caller one queue operation and is committed within `COMMIT_SECONDS`. A release waits until its row is
on disk. Where a row cannot be written, nothing is released: the caller gets `LedgerError`, the rows wait in memory and
are written when the file can be written again.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from guard.errors import LedgerError
from guard.ledger.entry import Entry
from guard.ledger.schema import COLUMNS, connect, prepare

__all__ = ["COMMIT_SECONDS", "Ledger", "NullLedger", "Sink"]

log = logging.getLogger("guard.ledger")

COMMIT_SECONDS = 0.25
"""How long a denial may wait for others before it is committed. The promise is one second."""

_RELEASE_SECONDS = 10.0
_QUEUE_LIMIT = 50_000
_KEPT_LIMIT = 200_000

_INSERT = (
    f"INSERT INTO records ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in COLUMNS[1:])}"
)


class Sink(Protocol):
    """Where entries go. `guard.testing.MemoryLedger` is the fake."""

    def record(self, entry: Entry) -> None:
        """Takes an entry. Returns once it is on disk if `entry.released`, at once otherwise.

        Raises `LedgerError` where a release cannot be written: the call must then not be made.
        """

    def describe(self, digest: str, policy: Mapping[str, Any]) -> None:
        """Takes what a policy digest stands for: ``packs``, ``base``, ``extra``. It is written with the first record
        that cites it, or before."""

    def last_at_ns(self) -> int:
        """Instant of the newest record in nanoseconds since 1970 UTC, 0 where there is none."""

    def flush(self) -> None:
        """Returns once everything handed over so far is on disk. Raises `LedgerError` where it is not."""

    def close(self) -> None:
        """Writes what is left and stops."""


class NullLedger:
    """Keeps nothing. For `Source.authorize` in benchmarks and for `guard decide`, which make no call."""

    def record(self, entry: Entry) -> None:
        raise LedgerError("this guard keeps no record, so it can release no call", mend="set [ledger] path")

    def describe(self, digest: str, policy: Mapping[str, Any]) -> None:
        return None

    def last_at_ns(self) -> int:
        return 0

    def flush(self) -> None:
        return None

    def close(self) -> None:
        return None


class _Ticket:
    """A caller that waits for the disk. `refused` says why its entry is not there."""

    __slots__ = ("done", "refused")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.refused: str | None = None


_Item = tuple[Entry | None, _Ticket | None]


class Ledger:
    """A ledger file, open for writing. Safe for threads; after a fork the child opens its own connection.

    Args:
        path: the file; made where it is absent, its folder must exist.
        policies: digest to what it stands for (``packs``, ``base``, ``extra``), written beside the records.

    Raises `LedgerError` at once where the file cannot be written, so that nothing starts without a record.
    """

    def __init__(self, path: Path | str, *, policies: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.path = Path(path)
        self._policies = {digest: dict(policy) for digest, policy in (policies or {}).items()}
        self._lock = threading.Lock()
        self._closed = False
        self._failing: str | None = None
        self._start()
        _open_ledgers.add(self)

    # ---- the caller's side

    def record(self, entry: Entry) -> None:
        """See `Sink.record`."""
        if self._pid != os.getpid():
            self._after_fork()
        if self._closed:
            raise LedgerError("the ledger is closed", where=str(self.path), mend="load the guard again")
        if entry.released:
            self._wait_for_disk(entry)
            return
        self._queue.put((entry, None))
        if self._queue.qsize() > _QUEUE_LIMIT:
            # A caller that outruns the disk waits for it: memory is bounded and no denial is lost.
            with suppress(LedgerError):
                self.flush()

    def flush(self) -> None:
        """See `Sink.flush`."""
        self._wait_for_disk(None)

    def describe(self, digest: str, policy: Mapping[str, Any]) -> None:
        """See `Sink.describe`."""
        self._policies = {**self._policies, digest: dict(policy)}

    def last_at_ns(self) -> int:
        """See `Sink.last_at_ns`; read once, when the ledger was opened."""
        return self._last_at_ns

    def close(self) -> None:
        """Writes what is left, stops the thread and closes the file. Safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._pid == os.getpid():
            self._queue.put((None, None))
            self._urgent.set()
            self._thread.join(timeout=_RELEASE_SECONDS)
        _open_ledgers.discard(self)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _wait_for_disk(self, entry: Entry | None) -> None:
        ticket = _Ticket()
        self._queue.put((entry, ticket))
        self._urgent.set()
        if not ticket.done.wait(_RELEASE_SECONDS) or not self._thread.is_alive():
            ticket.refused = ticket.refused or f"it did not answer within {_RELEASE_SECONDS:.0f} s"
            if entry is not None:
                # Whatever the writer made of it, the row must end as what happened: a refusal.
                entry.refused = "the record was not written in time"
                self._queue.put((entry, None))
        if ticket.refused is not None:
            raise LedgerError(
                f"the record cannot be written: {ticket.refused}",
                where=str(self.path),
                mend="free the disk or name another [ledger] path; calls stay refused until it can be written",
            )

    # ---- the writer's side

    def _start(self) -> None:
        self._pid = os.getpid()
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._urgent = threading.Event()
        self._kept: list[Entry] = []
        self._lost = 0
        self._known_facts: set[str] = set()
        self._known_policies: set[str] = set()
        self._connection: sqlite3.Connection | None = None
        try:
            connection = connect(self.path)
            try:
                prepare(connection)
                self._last_at_ns = _newest(connection)
            finally:
                connection.close()
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"the ledger cannot be written: {error}",
                where=str(self.path),
                mend="name a path in an existing folder on a disk with room, as [ledger] path",
            ) from error
        self._thread = threading.Thread(target=self._run, name="guard-ledger", daemon=True)
        self._thread.start()

    def _after_fork(self) -> None:
        with self._lock:
            if self._pid != os.getpid():
                self._start()

    def _run(self) -> None:
        stop = False
        while not stop:
            batch = [self._queue.get()]
            # Denials gather for a while, and their callers do not wake this thread; a release or the end does.
            self._urgent.wait(COMMIT_SECONDS)
            self._urgent.clear()
            while True:
                try:
                    batch.append(self._queue.get_nowait())
                except Empty:
                    break
            stop = (None, None) in batch
            self._commit(batch)
        self._drop_connection()

    def _commit(self, batch: list[_Item]) -> None:
        waiting = [(entry, ticket) for entry, ticket in batch if ticket is not None]
        entries = self._kept + [entry for entry, _ in batch if entry is not None]
        try:
            self._write(entries)
        except Exception as error:  # noqa: BLE001 - whatever broke, nobody may be released on it
            self._keep(batch, str(error))
            for _, ticket in waiting:
                ticket.refused = str(error)
                ticket.done.set()
            return
        self._kept = []
        if self._failing is not None:
            log.warning("the ledger %s can be written again", self.path)
            self._failing = None
        for _, ticket in waiting:
            ticket.done.set()

    def _write(self, entries: list[Entry]) -> None:
        if self._connection is None:
            self._connection = connect(self.path)
            prepare(self._connection)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        policies = {digest: policy for digest, policy in self._policies.items() if digest not in self._known_policies}
        connection.executemany(
            "INSERT OR IGNORE INTO policies (digest, packs, base, extra) VALUES (?, ?, ?, ?)",
            [(digest, json.dumps(p["packs"]), p["base"], p["extra"]) for digest, p in policies.items()],
        )
        fresh = {entry.decision.facts.digest: entry.decision.facts for entry in entries}
        for digest in fresh.keys() & self._known_facts:
            del fresh[digest]
        connection.executemany(
            "INSERT OR IGNORE INTO facts VALUES (?, ?)",
            [(digest, json.dumps(facts.to_json(), sort_keys=True)) for digest, facts in fresh.items()],
        )
        connection.executemany(_INSERT, [_row(entry) for entry in entries])
        connection.execute("COMMIT")
        self._known_facts.update(fresh)
        self._known_policies.update(policies)
        if self._lost:
            log.error(
                "the ledger %s could not be written for so long that %d refusals have no row",
                self.path,
                self._lost,
            )
            self._lost = 0

    def _keep(self, batch: list[_Item], why: str) -> None:
        """The rows of refused calls wait for the disk. A waiting release becomes the refusal that it now is."""
        self._drop_connection()
        for entry, ticket in batch:
            if entry is None:
                continue
            if ticket is not None:
                entry.refused = f"the record cannot be written: {why}"
            if len(self._kept) < _KEPT_LIMIT:
                self._kept.append(entry)
            else:
                self._lost += 1
        if self._failing != why:
            log.error("the ledger %s cannot be written: %s; every call is refused until it can", self.path, why)
            self._failing = why

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _row(entry: Entry) -> tuple[object, ...]:
    decision = entry.decision
    return (
        decision.id,
        _instant(entry.at_ns),
        entry.clock,
        decision.source,
        decision.frame,
        None if entry.captured_ns is None else _instant(entry.captured_ns),
        decision.action,
        decision.service,
        entry.verdict,
        entry.fault,
        decision.faces,
        _text(tuple(reason.rule for reason in decision.reasons)),
        _text(tuple(entry.judged_under)),
        decision.policy_digest,
        decision.facts.digest,
        round(decision.latency_us, 1),
    )


@lru_cache(maxsize=1024)
def _text(names: tuple[str | None, ...]) -> str:
    return json.dumps(names)


def _instant(ns: int) -> str:
    return f"{_second(ns // 1_000_000_000)}.{ns % 1_000_000_000 // 1000:06d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _newest(connection: sqlite3.Connection) -> int:
    # A record whose day was given by the user says nothing about the machine's clock.
    newest = connection.execute("SELECT max(at) FROM records WHERE clock = 'system'").fetchone()[0]
    if newest is None:
        return 0
    return int(datetime.fromisoformat(newest.replace("Z", "+00:00")).timestamp() * 1e9)


_open_ledgers: weakref.WeakSet[Ledger] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for ledger in list(_open_ledgers):
        ledger.close()
