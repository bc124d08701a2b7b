"""Reading a ledger: records as dictionaries, and counts. Never writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from guard.errors import LedgerError
from guard.ledger.leaves import fields_of
from guard.ledger.schema import open_to_read

__all__ = ["leaves", "read", "summary"]

_RECORDS = """
SELECT body, seq FROM leaves WHERE kind = 'call'
  AND seq NOT IN (SELECT seq FROM superseded)
UNION ALL
SELECT body, NULL FROM pending WHERE json_extract(body, '$.kind') = 'call'
"""
_LEAVES = "SELECT body FROM leaves WHERE body IS NOT NULL UNION ALL SELECT body FROM pending"
_LEAVES_OF_A_KIND = """
SELECT body FROM leaves WHERE kind <> 'call' AND kind = ?
UNION ALL
SELECT body FROM pending WHERE json_extract(body, '$.kind') = ?
"""


def read(
    path: Path | str,
    *,
    source: str | None = None,
    verdict: str | None = None,
    since: str | None = None,
    until: str | None = None,
    rule: str | None = None,
    fault: bool | None = None,
) -> Iterator[dict[str, Any]]:
    """The records in the order in which they were written, runs that are still open last, `seq` None.

    A record stands for `count` calls. Each has its `facts`, and as `policy` the ``packs``, ``base`` and ``extra`` of
    its digest (None where the ledger does not say), as `judged_facts` those of every source that judged, by digest,
    where there were several; `latency_us` is the mean, `latency_us_sum` the sum over its calls.

    Args:
        source, verdict: only records of this source, with this verdict.
        since, until: only records of calls from this instant on, before that one; texts of `guard.ledger.instants`.
        rule: only records in which this rule forbade.
        fault: only records with a fault, or only those without.

    Raises `LedgerError` where the file is missing, is no ledger of this version, or is damaged.
    """
    with _opened(Path(path)) as connection:
        described = _described(connection)
        for body, seq in connection.execute(_RECORDS):
            record = fields_of(body)
            if (
                (source is not None and record["source"] != source)
                or (verdict is not None and record["verdict"] != verdict)
                or (since is not None and record["until"] < since)
                or (until is not None and record["at"] >= until)
                or (rule is not None and rule not in record["rules"])
                or (fault is not None and (record["fault"] is not None) != fault)
            ):
                continue
            del record["kind"]
            record["seq"] = seq
            record["latency_us_sum"] = record["latency_us"]
            record["latency_us"] = round(record["latency_us"] / record["count"], 1)
            record["facts"] = described.get(record["facts_digest"], {}).get("facts")
            record["judged_facts"] = {
                digest: described.get(digest, {}).get("facts") for digest in record["judged_facts"]
            }
            policy = described.get(record["policy_digest"])
            record["policy"] = policy and {key: policy[key] for key in ("packs", "base", "extra")}
            yield record


def leaves(path: Path | str, *, kind: str | None = None) -> Iterator[dict[str, Any]]:
    """Every leaf, pruned ones left out, as its fields, `kind` among them, in the order of the tree; then what is
    pending, with `seq` -1. Raises as `read`.
    """
    query, values = (_LEAVES, ()) if kind in (None, "call") else (_LEAVES_OF_A_KIND, (kind, kind))
    with _opened(Path(path)) as connection:
        for (body,) in connection.execute(query, values):
            fields = fields_of(body)
            if kind is None or fields["kind"] == kind:
                yield fields


def summary(path: Path | str) -> dict[str, int]:
    """How many calls there are: ``total``, ``allow``, ``redact``, ``deny``, of the denials ``fault``, and of all
    ``unenforced``: judged in shadow mode, and made whatever the verdict.
    """
    counts = {"total": 0, "allow": 0, "redact": 0, "deny": 0, "fault": 0, "unenforced": 0}
    query = (
        "SELECT verdict, sum(count), sum(CASE WHEN fault IS NULL THEN 0 ELSE count END), "
        "sum(CASE WHEN json_extract(body, '$.enforced') THEN 0 ELSE count END) FROM records GROUP BY verdict"
    )
    with _opened(Path(path)) as connection:
        for verdict, number, faults, unenforced in connection.execute(query):
            counts["total"] += number
            counts[verdict] += number
            counts["fault"] += faults
            counts["unenforced"] += unenforced
    return counts


def _described(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    query = "SELECT body FROM leaves WHERE kind <> 'call' AND kind IN ('facts', 'policy')"
    found = [fields_of(body) for (body,) in connection.execute(query)]
    return {fields["digest"]: fields for fields in found}


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """One moment of a ledger, whatever is written meanwhile."""
    try:
        with closing(open_to_read(path)) as connection:
            connection.execute("BEGIN")
            yield connection
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise LedgerError(f"the ledger cannot be read: {error}", where=str(path)) from error
