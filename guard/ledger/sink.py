"""The seam between whoever has something to record and whoever keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from guard.errors import LedgerError
from guard.ledger.entry import Entry
from guard.ledger.leaves import Leaf

__all__ = ["NullLedger", "Sink"]


class Sink(Protocol):
    """Where entries go. `guard.testing.MemoryLedger` is the fake."""

    def record(self, entry: Entry) -> None:
        """Takes an entry. Returns once it is on disk if `entry.released`, at once otherwise.

        Raises `LedgerError` where a release cannot be written: the call must then not be made.
        """

    def describe(self, digest: str, policy: Mapping[str, Any]) -> None:
        """Takes what a policy digest stands for: ``packs``, ``base``, ``extra``. It is written with the first record
        that cites it, or before."""

    def append(self, leaf: Leaf, *, name: str | None = None) -> None:
        """Adds a leaf of another kind than a call, in the order of this thread's entries, on disk within a second.

        `name` is that of a pending leaf which this one takes the place of. Raises `LedgerError` where the leaf is too
        long or the ledger is closed.
        """

    def pend(self, name: str, leaf: Leaf) -> None:
        """Keeps a leaf that still grows: on disk within a second, in place of the last one of that name.

        It enters the tree by `append(leaf, name=name)`, or as it last was when the ledger is closed or, after a crash,
        opened again. Raises as `append`.
        """

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

    def append(self, leaf: Leaf, *, name: str | None = None) -> None:
        return None

    def pend(self, name: str, leaf: Leaf) -> None:
        return None

    def last_at_ns(self) -> int:
        return 0

    def flush(self) -> None:
        return None

    def close(self) -> None:
        return None
