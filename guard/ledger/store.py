"""One connection, and what is done to the file inside one transaction: leaves, pending leaves, checkpoints."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from guard.ledger import notes
from guard.ledger.instants import now
from guard.ledger.leaves import Calls, Created, Leaf, canonical, encode, fields_of
from guard.ledger.merkle import Frontier, leaf_hash
from guard.ledger.schema import SCHEMA_VERSION, connect, prepare

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Store"]

_BATCH = 1000

# What a later record takes the place of goes with it, so that it does not count again.
_OLD = """
SELECT seq FROM leaves WHERE body IS NOT NULL AND json_extract(body, '$.until') < :before
UNION
SELECT s.seq FROM superseded s JOIN leaves l ON l.seq = s.by WHERE json_extract(l.body, '$.until') < :before
ORDER BY 1
"""


class Store:
    """A ledger file, open for writing by one thread at a time. After a method that failed, `close` undoes the rest.

    Attributes:
        size: number of leaves, those of the open transaction included.
        sealed: how many of them the newest checkpoint is over.
        origin: the name of this ledger, under which its checkpoints are signed.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        """Opens or makes the file, and proves by a committed write that it can be written. Raises `sqlite3.Error`.

        Where it is not `durable`, nothing waits for the disk, and a commit is there only as long as the machine runs.
        """
        self.size = self.sealed = 0
        self.origin = ""
        self._path = path
        self._tree = Frontier()
        self._rows: list[tuple[int, str, bytes]] = []
        self._connection = connect(path, durable=durable)
        try:
            self._file = _identity(path)
            self._connection.execute("BEGIN IMMEDIATE")
            made = prepare(self._connection)
            self._read_tree()
            if made:
                self.append(Created(at=now(), version=SCHEMA_VERSION, origin=f"guard-ledger-{os.urandom(8).hex()}"))
                self._write_rows()
            first = self._connection.execute("SELECT body FROM leaves WHERE seq = 0").fetchone()
            if first is None:
                raise sqlite3.DatabaseError("its first leaf is missing")
            self.origin = str(fields_of(first[0])["origin"])
            self.commit()
        except BaseException:
            self.close()
            raise

    def begin(self) -> None:
        """Opens a transaction: nobody else writes until it ends."""
        if _identity(self._path) != self._file:
            raise sqlite3.OperationalError("the file was moved or replaced while it was open")
        self._connection.execute("BEGIN IMMEDIATE")
        self._read_tree()

    def append(self, leaf: Leaf) -> int:
        """Adds a leaf; gives its `seq`, which is set in the leaf too."""
        leaf.seq = self.size
        return self._append(encode(leaf))

    def adopt(self, alive: frozenset[str] | set[str]) -> int:
        """Turns what sessions other than `alive` left pending into leaves, as it is; says how many."""
        found = self._connection.execute("SELECT session, name, body FROM pending ORDER BY session, name").fetchall()
        gone = [row for row in found if row[0] not in alive]
        for session, name, body in gone:
            self._append(canonical({**fields_of(body), "seq": self.size}))
            self.withdraw(session, name)
        return len(gone)

    def pend(self, session: str, name: str, leaf: Leaf) -> None:
        """Keeps a leaf that still grows, in place of the last one of that name."""
        self._connection.execute(
            "INSERT OR REPLACE INTO pending VALUES (?, ?, ?)", (session, name, encode(leaf).decode("utf-8"))
        )

    def withdraw(self, session: str, name: str) -> bool:
        """Drops a pending leaf; says whether it was still there."""
        return (
            self._connection.execute("DELETE FROM pending WHERE session = ? AND name = ?", (session, name)).rowcount > 0
        )

    def supersede(self, leaf: Calls, first: int) -> int:
        """Adds a record in place of the newest one that released the same call, looked for from leaf `first` on."""
        self._write_rows()
        found = self._connection.execute(
            "SELECT seq FROM leaves WHERE seq >= ? AND json_extract(body, '$.id') = ? "
            "AND (json_extract(body, '$.verdict') IN ('allow', 'redact') OR NOT json_extract(body, '$.enforced')) "
            "ORDER BY seq DESC LIMIT 1",
            (first, leaf.id),
        ).fetchone()
        if found is not None:
            leaf.supersedes = int(found[0])
            self._connection.execute("INSERT OR REPLACE INTO superseded VALUES (?, ?)", (leaf.supersedes, self.size))
        return self.append(leaf)

    def described(self) -> set[str]:
        """The digests of facts and policies that the file says already."""
        found = self._connection.execute(
            "SELECT json_extract(body, '$.digest') FROM leaves WHERE kind <> 'call' AND kind IN ('facts', 'policy')"
        )
        return {digest for (digest,) in found}

    def last_at(self) -> str | None:
        """The instant of the newest record whose clock was believed."""
        # A record whose day was given by the user says nothing about the machine's clock.
        query = (
            "SELECT max(until) FROM (SELECT json_extract(body, '$.until') AS until FROM {} "
            "WHERE json_extract(body, '$.kind') = 'call' AND json_extract(body, '$.clock') = 'system' {})"
        )
        latest = [
            self._connection.execute(query.format("pending", "")).fetchone()[0],
            self._connection.execute(query.format("leaves", "ORDER BY seq DESC LIMIT 1000")).fetchone()[0],
        ]
        return max((instant for instant in latest if instant is not None), default=None)

    def checkpoint(self, key: Ed25519PrivateKey) -> str:
        """Signs the tree as it is; gives the note."""
        newest = self._connection.execute("SELECT max(number) FROM checkpoints").fetchone()[0] or 0
        checkpoint = notes.Checkpoint(self.origin, self.size, self._tree.root(), newest + 1, now())
        note = notes.sign(checkpoint, key)
        self._connection.execute("INSERT INTO checkpoints VALUES (?, ?)", (newest + 1, note))
        self.sealed = self.size
        return note

    def commit(self) -> None:
        """Ends the transaction; when this returns, all of it is on disk, unless the store is not durable."""
        self._write_rows()
        self._connection.execute(
            "UPDATE tree SET size = ?, peaks = ?, sealed = ? WHERE one = 1",
            (self.size, b"".join(self._tree.peaks), self.sealed),
        )
        self._connection.execute("COMMIT")

    def signers(self) -> set[str]:
        """The verifier keys of every session that has opened this ledger."""
        query = "SELECT json_extract(body, '$.key') FROM leaves WHERE kind <> 'call' AND kind = 'opened'"
        return {key for (key,) in self._connection.execute(query)}

    def blank(self, before: str) -> tuple[list[int], int]:
        """Removes every statement that ended before an instant, hashes left; gives their `seq` and how many calls."""
        old = [seq for (seq,) in self._connection.execute(_OLD, {"before": before})]
        calls = 0
        self._connection.execute("PRAGMA secure_delete = ON")
        for at in range(0, len(old), 500):
            some = old[at : at + 500]
            these = f"({','.join('?' * len(some))})"
            count = f"SELECT sum(json_extract(body, '$.count')) FROM leaves WHERE seq IN {these} AND kind = 'call'"
            calls += self._connection.execute(count, some).fetchone()[0] or 0
            self._connection.execute(f"UPDATE leaves SET body = NULL WHERE seq IN {these}", some)
            self._connection.execute(f"DELETE FROM superseded WHERE by IN {these}", some)
        return old, calls

    def clear_log(self, *, shrink: bool) -> bool:
        """Empties the write-ahead log; says whether that succeeded. With `shrink` the file is written anew first."""
        if shrink:
            self._connection.execute("VACUUM")
        busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        return not busy

    def tidy(self) -> None:
        """Moves what is in the write-ahead log to the file, as far as no reader is in the way.

        The first commit of a fresh log syncs its header as well, so that one is made here, where nobody waits for it.
        """
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self.begin()
        self.commit()

    def log_bytes(self) -> int:
        """Length of the write-ahead log."""
        try:
            return os.stat(f"{self._path}-wal").st_size
        except OSError:
            return 0

    def close(self) -> None:
        """Closes the file. What was not committed is not there."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _append(self, body: bytes) -> int:
        hash = leaf_hash(body)
        self._tree.append(hash)
        self._rows.append((self.size, body.decode("utf-8"), hash))
        self.size += 1
        if len(self._rows) >= _BATCH:
            self._write_rows()
        return self.size - 1

    def _write_rows(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._connection.executemany("INSERT INTO leaves (seq, body, hash) VALUES (?, ?, ?)", rows)

    def _read_tree(self) -> None:
        self._rows = []
        size, peaks, sealed = self._connection.execute("SELECT size, peaks, sealed FROM tree").fetchone()
        try:
            self._tree = Frontier(size, [peaks[at : at + 32] for at in range(0, len(peaks), 32)])
        except (TypeError, ValueError) as error:
            raise sqlite3.DatabaseError(f"its tree is damaged: {error}") from error
        self.size, self.sealed = size, sealed


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
