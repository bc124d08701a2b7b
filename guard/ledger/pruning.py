"""Retention: old statements are removed and their hashes kept, so that the rest still verifies."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from guard.errors import LedgerError
from guard.ledger.instants import now, text_of_datetime
from guard.ledger.keys import signing_key
from guard.ledger.leaves import Prune
from guard.ledger.notes import verifier_key
from guard.ledger.schema import open_to_read
from guard.ledger.store import Store

__all__ = ["Pruned", "prune"]


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed. `cleared`: whether no trace is left in the write-ahead log, which a reader may hold."""

    before: str
    leaves: int
    calls: int
    cleared: bool

    def to_json(self) -> dict[str, Any]:
        """The fields of ``guard.ledger-prune/1`` but for the file's name."""
        return {"before": self.before, "leaves": self.leaves, "calls": self.calls, "cleared": self.cleared}


def prune(path: Path | str, *, before: datetime, key: Path | None = None, shrink: bool = False) -> Pruned:
    """Removes every record and span that ended before an instant, and signs a leaf that says so.

    Facts and policies stay: they say what the deployment was, and newer records cite them.

    Args:
        path: the ledger; it may be in use.
        before: an instant with a zone, not in the future.
        key: as for `Ledger`, but never made; it must be a key that the ledger was written with.
        shrink: also rewrite the file without the empty space; calls of a guard at work wait meanwhile or are refused.

    Raises `LedgerError` where that cannot be done; nothing was removed then.
    """
    path = Path(path)
    if before > datetime.now(UTC):
        raise LedgerError("what is yet to come cannot be pruned", where="--before", mend="name an instant of the past")
    open_to_read(path).close()
    private = signing_key(path, key, make=False)
    try:
        store = Store(path)
        try:
            verifier = verifier_key(store.origin, private.public_key().public_bytes_raw())
            if verifier not in store.signers():
                raise LedgerError(
                    "this is not the key that the ledger was written with",
                    where=str(path),
                    mend="name it with --key, or run the guard once with the new key",
                )
            instant = text_of_datetime(before)
            store.begin()
            old, calls = store.blank(instant)
            if old:
                store.append(Prune(at=now(), before=instant, calls=calls, ranges=_ranges(old)))
                store.checkpoint(private)
            store.commit()
            return Pruned(instant, len(old), calls, store.clear_log(shrink=shrink))
        finally:
            store.close()
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"the ledger cannot be pruned: {error}", where=str(path)) from error


def _ranges(numbers: list[int]) -> list[list[int]]:
    """Ascending numbers as the first and last of each unbroken run."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges
