"""Inclusion proofs: that one record is among those that a checkpoint was signed over, checkable without guard."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from guard.errors import LedgerError
from guard.ledger import notes
from guard.ledger.merkle import inclusion_path, leaf_hash, root_of_path
from guard.ledger.schema import open_to_read

__all__ = ["newest_checkpoint", "prove"]


def newest_checkpoint(path: Path | str) -> str:
    """The newest signed note in a ledger, to be kept elsewhere. Raises `LedgerError` where there is none."""
    path = Path(path)
    try:
        with closing(open_to_read(path)) as connection:
            return _newest(connection, path)
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger cannot be read: {error}", where=str(path)) from error


def prove(path: Path | str, id: str, *, checkpoint: str | None = None) -> dict[str, Any]:
    """The object ``guard.ledger-proof/1`` for the newest record that begins or ends with the call `id`.

    Args:
        path: the ledger.
        id: id of a call, or the number of any leaf.
        checkpoint: the signed note to prove against, kept elsewhere; None = the newest one in the file.

    Raises `LedgerError` where there is no such record, where no checkpoint covers it, and where the file is not as it
    was signed.
    """
    path = Path(path)
    try:
        with closing(open_to_read(path)) as connection:
            connection.execute("BEGIN")
            index, body = _find(connection, path, id)
            note = checkpoint or _newest(connection, path)
            stated = _parsed(note, path)
            if index >= stated.size:
                raise LedgerError(
                    f"the checkpoint is over {stated.size} leaves, and this is leaf {index}",
                    where=str(path),
                    mend="wait for the next checkpoint, or close the guard",
                )
            query = "SELECT hash FROM leaves WHERE seq < ? ORDER BY seq"
            hashes = [bytes(hash) for (hash,) in connection.execute(query, (stated.size,))]
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger cannot be read: {error}", where=str(path)) from error
    leaf = leaf_hash(body.encode("utf-8"))
    steps = inclusion_path(hashes, index) if len(hashes) == stated.size else []
    if root_of_path(leaf, index, stated.size, steps) != stated.root:
        raise LedgerError(
            "the ledger is not as it was signed, so nothing can be proved from it",
            where=str(path),
            mend="run `guard ledger verify`",
        )
    return {
        "schema": "guard.ledger-proof/1",
        "leaf": body,
        "index": index,
        "path": [step.hex() for step in steps],
        "checkpoint": note,
    }


def _find(connection: sqlite3.Connection, path: Path, id: str) -> tuple[int, str]:
    if id.isdecimal():
        rows = connection.execute("SELECT seq, body FROM leaves WHERE seq = ?", (int(id),))
    else:
        rows = connection.execute(
            "SELECT seq, body FROM leaves WHERE kind = 'call' "
            "AND ? IN (json_extract(body, '$.id'), json_extract(body, '$.last_id')) ORDER BY seq DESC LIMIT 1",
            (id,),
        )
    found = rows.fetchone()
    if found is None:
        raise LedgerError(
            f"no record begins or ends with {id!r}",
            where=str(path),
            mend="`guard ledger show` prints ids; a run that is still open has no place in the tree yet",
        )
    if found[1] is None:
        raise LedgerError(f"leaf {found[0]} was pruned: only its hash is left", where=str(path))
    return int(found[0]), str(found[1])


def _newest(connection: sqlite3.Connection, path: Path) -> str:
    found = connection.execute("SELECT note FROM checkpoints ORDER BY number DESC LIMIT 1").fetchone()
    if found is None:
        raise LedgerError(
            "the ledger has no checkpoint yet",
            where=str(path),
            mend="wait for the first one, or close the guard",
        )
    return str(found[0])


def _parsed(note: str, path: Path) -> notes.Checkpoint:
    try:
        return notes.parse(note)
    except ValueError as error:
        raise LedgerError(f"the checkpoint cannot be read: {error}", where=str(path)) from error
