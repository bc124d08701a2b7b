"""Reading a ledger: rows as dictionaries, and counts. Never writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from guard.errors import LedgerError
from guard.ledger.schema import COLUMNS, connect

__all__ = ["read", "summary"]


def read(path: Path | str, *, source: str | None = None, verdict: str | None = None) -> Iterator[dict[str, Any]]:
    """The records in the order in which they were written, each with its facts, and with the policy that it was
    decided under: ``packs``, ``base`` and ``extra`` of its digest (None where the ledger does not say).

    Raises `LedgerError` where the file is missing, is no ledger, or is damaged.
    """
    where = " AND ".join(
        clause for clause, value in (("source = ?", source), ("verdict = ?", verdict)) if value is not None
    )
    values = [value for value in (source, verdict) if value is not None]
    query = (
        f"SELECT {', '.join('r.' + name for name in COLUMNS)}, f.json, p.packs, p.base, p.extra "
        "FROM records r JOIN facts f ON f.digest = r.facts_digest "
        f"LEFT JOIN policies p ON p.digest = r.policy_digest {'WHERE ' + where if where else ''} ORDER BY r.seq"
    )
    for row in _rows(Path(path), query, values):
        record = dict(zip(COLUMNS, row, strict=False))
        record["rules"] = json.loads(record["rules"])
        record["judged_under"] = json.loads(record["judged_under"])
        facts, packs, base, extra = row[len(COLUMNS) :]
        record["facts"] = json.loads(facts)
        record["policy"] = None if packs is None else {"packs": json.loads(packs), "base": base, "extra": extra}
        yield record


def summary(path: Path | str) -> dict[str, int]:
    """How many records there are: ``total``, ``allow``, ``redact``, ``deny``, and of the denials ``fault``."""
    counts = {"total": 0, "allow": 0, "redact": 0, "deny": 0, "fault": 0}
    query = "SELECT verdict, count(*), count(fault) FROM records GROUP BY verdict"
    for verdict, number, faults in _rows(Path(path), query, []):
        counts["total"] += number
        counts[verdict] += number
        counts["fault"] += faults
    return counts


def _rows(path: Path, query: str, values: list[str]) -> Iterator[tuple[Any, ...]]:
    if not path.is_file():
        raise LedgerError("there is no ledger", where=str(path), mend="name the file that [ledger] path gives")
    try:
        with closing(connect(path, read_only=True)) as connection:
            yield from connection.execute(query, values)
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger cannot be read: {error}", where=str(path)) from error
