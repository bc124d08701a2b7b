"""Whether a ledger is as it was written: every value in the file is hashed, signed, or derived again.

Without a public key from elsewhere only inner consistency is proved, and without a checkpoint from elsewhere nothing
can be said of a tail that was cut off cleanly: whoever holds the signing key can rewrite everything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from guard.errors import ConfigError
from guard.facts import Facts
from guard.ledger import notes
from guard.ledger.findings import Problem, Verification
from guard.ledger.merkle import Frontier, leaf_hash
from guard.ledger.schema import objects, open_to_read
from guard.ledger.sealing import Seals

__all__ = ["Problem", "Verification", "verify"]


class _Glance(msgspec.Struct):
    """The fields of a leaf that others depend on; a kind that this version does not know has none of them."""

    kind: str = ""
    seq: int = -1
    id: str | None = None
    count: int = 0
    calls: int = 0
    session: str | None = None
    verdict: str | None = None
    supersedes: int | None = None
    digest: str | None = None
    facts: dict[str, Any] | None = None
    facts_digest: str | None = None
    judged_facts: list[str] = []
    enforced: bool = True
    key: str | None = None
    origin: str | None = None
    ranges: list[tuple[int, int]] = []


_glance = msgspec.json.Decoder(_Glance)


def verify(
    path: Path | str, *, public_keys: Sequence[bytes] = (), checkpoints: Mapping[str, str] | None = None
) -> Verification:
    """Checks a ledger against itself, and against keys and checkpoints that were kept elsewhere.

    Args:
        path: the file. It may be in use: one moment of it is checked.
        public_keys: Ed25519 keys, 32 bytes each, one of which must have signed every checkpoint.
        checkpoints: signed notes kept elsewhere, by a name for messages.

    Raises `LedgerError` where there is no ledger of this version.
    """
    found = Verification(pinned=bool(public_keys))
    with closing(open_to_read(Path(path))) as connection:
        try:
            connection.execute("BEGIN")
            _check_file(connection, found)
            _Walk(connection, found).run(public_keys, checkpoints or {})
        except sqlite3.Error as error:
            found.add(f"the file is damaged: {error}", found.leaves)
    return found


def _check_file(connection: sqlite3.Connection, found: Verification) -> None:
    expected = objects()
    for name, sql in connection.execute("SELECT name, sql FROM sqlite_master WHERE substr(name, 1, 7) <> 'sqlite_'"):
        if expected.pop(name, None) != sql:
            found.add(f"the file holds {name!r}, which guard did not make so")
    for name in expected:
        found.add(f"{name!r} is missing from the file")
    if connection.execute("PRAGMA application_id").fetchone()[0]:
        found.add("the file's header was changed")
    damage = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if damage != "ok":
        found.add(f"the file is damaged: {' '.join(str(damage).split())}")


class _Walk:
    """One pass over the leaves, and what must hold between them."""

    def __init__(self, connection: sqlite3.Connection, found: Verification) -> None:
        self._connection = connection
        self._found = found
        self._tree = Frontier()
        self._facts: set[str] = set()
        self._opened: dict[str, str] = {}
        self._closed: dict[str, int] = {}
        self._superseding: list[tuple[int, _Glance]] = []
        self._gone: list[int] = []
        self._pruned: list[tuple[int, int]] = []
        self._sealed = 0

    def run(self, public_keys: Sequence[bytes], outside: Mapping[str, str]) -> None:
        found = self._found
        found.origin = self._origin()
        seals = Seals(self._connection, found, outside)
        self._sealed = seals.sealed
        broken = False
        for seq, body, hash in self._connection.execute("SELECT seq, body, hash FROM leaves ORDER BY seq"):
            if seq != self._tree.size and not broken:
                broken = True
                found.add(f"leaf {self._tree.size} is missing", self._tree.size)
            self._tree.append(hash if isinstance(hash, bytes) else b"")
            found.leaves += 1
            self._leaf(seq, body, hash)
            if not broken and self._tree.size in seals.sizes:
                broken = not seals.match(self._tree)
        found.unsealed = max(0, found.leaves - seals.sealed)
        found.keys = sorted(set(self._opened.values()))
        seals.finish(found.leaves, public_keys or self._named_keys(), broken=broken)
        self._check_derived(seals.sealed, broken=broken)
        self._check_superseded()
        self._check_pruned()
        self._check_sessions(seals.own_sizes)
        self._check_pending()

    def _origin(self) -> str:
        row = self._connection.execute("SELECT body FROM leaves WHERE seq = 0").fetchone()
        try:
            return _glance.decode(row[0]).origin or ""
        except (msgspec.MsgspecError, TypeError):
            return ""

    def _leaf(self, seq: int, body: object, hash: object) -> None:
        if body is None:
            self._gone.append(seq)
            self._found.pruned += 1
            return
        try:
            if not isinstance(body, str):
                raise TypeError("it is no text")
            data = body.encode("utf-8")
            leaf = _glance.decode(data)
        except (msgspec.MsgspecError, TypeError) as error:
            self._found.add(f"leaf {seq} was changed: it is no statement: {error}", seq)
            return
        if leaf_hash(data) != hash:
            self._found.add(f"leaf {seq} was changed", seq, leaf.id)
        elif leaf.seq != seq:
            self._found.add(f"leaf {seq} was moved: it says that it is leaf {leaf.seq}", seq, leaf.id)
        else:
            self._learn(seq, leaf)

    def _learn(self, seq: int, leaf: _Glance) -> None:
        found = self._found
        if leaf.kind == "call":
            self._call(seq, leaf)
        elif leaf.kind == "facts" and leaf.digest is not None:
            self._facts.add(leaf.digest)
            if not _have_digest(leaf.facts, leaf.digest):
                found.add(f"leaf {seq} gives facts under a digest that is not theirs", seq)
        elif leaf.kind == "opened" and leaf.session is not None:
            self._opened[leaf.session] = leaf.key or ""
        elif leaf.kind == "closed" and leaf.session is not None:
            self._closed[leaf.session] = seq
        elif leaf.kind == "prune":
            if seq < self._sealed:
                self._pruned += leaf.ranges
        elif leaf.kind == "lost":
            found.lost += leaf.calls

    def _call(self, seq: int, leaf: _Glance) -> None:
        found = self._found
        found.records += 1
        found.calls += leaf.count
        if seq >= self._sealed:
            found.unsealed_calls += leaf.count
        if not self._facts.issuperset((leaf.facts_digest, *leaf.judged_facts)):
            found.add(f"leaf {seq} cites facts that no leaf before it gives", seq, leaf.id)
        if leaf.session not in self._opened:
            found.add(f"leaf {seq} is of a session that was never opened", seq, leaf.id)
        if leaf.supersedes is not None:
            self._superseding.append((seq, leaf))

    def _named_keys(self) -> list[bytes]:
        keys = []
        for key in self._found.keys:
            with suppress(ValueError):
                keys.append(notes.public_of(key))
        return keys

    def _check_derived(self, sealed: int, *, broken: bool) -> None:
        row = self._connection.execute("SELECT size, peaks, sealed FROM tree").fetchone()
        if row is None or not isinstance(row[0], int) or not isinstance(row[2], int):
            self._found.add("the stored tree is gone")
            return
        size, peaks, stated = row
        if size > self._tree.size and not broken:
            self._found.add(f"leaves {self._tree.size} to {size - 1} are missing", self._tree.size)
        elif not broken and (size, peaks) != (self._tree.size, b"".join(self._tree.peaks)):
            self._found.add("the stored tree is not that of the leaves", min(size, self._tree.size))
        if stated != sealed:
            self._found.add(f"{stated} leaves are said to be sealed, and {sealed} are", min(stated, sealed))

    def _check_superseded(self) -> None:
        said = {(leaf.supersedes, seq) for seq, leaf in self._superseding}
        stored = set(self._connection.execute("SELECT seq, by FROM superseded"))
        for marked, _ in sorted(stored ^ said, key=str)[:1]:
            self._found.add(f"leaf {marked} is marked as superseded otherwise than the records say", marked)
        for seq, leaf in self._superseding:
            row = self._connection.execute("SELECT body FROM leaves WHERE seq = ?", (leaf.supersedes,)).fetchone()
            if row is None or row[0] is None:
                continue
            earlier = _glance.decode(row[0])
            refused = earlier.verdict == "deny" and earlier.enforced
            if earlier.id != leaf.id or refused or (leaf.supersedes or 0) >= seq:
                self._found.add(f"leaf {seq} takes the place of a record that is not of its call", seq, leaf.id)
            self._found.records -= 1
            self._found.calls -= earlier.count

    def _check_pruned(self) -> None:
        allowed = iter(sorted(self._pruned))
        first, last = next(allowed, (-1, -1))
        for seq in self._gone:
            while seq > last and last >= 0:
                first, last = next(allowed, (-1, -1))
            if not first <= seq <= last:
                self._found.add(f"leaf {seq} was removed, and no signed leaf says so", seq)

    def _check_sessions(self, sizes: set[int]) -> None:
        self._found.sessions = len(self._opened)
        self._found.open_sessions = len(self._opened.keys() - self._closed.keys())
        for session, seq in self._closed.items():
            if session not in self._opened:
                self._found.add(f"leaf {seq} closes a session that was never opened", seq)
            if seq + 1 not in sizes:
                self._found.add(f"leaf {seq} closes the ledger, and the checkpoint over it is missing", seq)

    def _check_pending(self) -> None:
        for session, name, body in self._connection.execute("SELECT session, name, body FROM pending"):
            try:
                leaf = _glance.decode(body)
            except (msgspec.MsgspecError, TypeError) as error:
                self._found.add(f"what is pending as {name!r} is no statement: {error}")
                continue
            if session not in self._opened or session in self._closed:
                self._found.add(f"{name!r} is pending for a process that has closed the ledger or never opened it")
            if leaf.kind == "call":
                self._found.records += 1
                self._found.calls += leaf.count
                self._found.unsealed_calls += leaf.count


def _have_digest(facts: dict[str, Any] | None, digest: str) -> bool:
    try:
        return Facts.parse(facts or {}).digest == digest
    except ConfigError:  # in the words of another version of the vocabulary: its hash alone stands for it
        return True
