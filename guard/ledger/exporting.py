"""Records as lines: JSON objects with everything in them, or rows of a table with what fits into a cell."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import Any, Final, TextIO

__all__ = ["COLUMNS", "write_csv", "write_jsonl"]

COLUMNS: Final = (
    "seq",
    "id",
    "last_id",
    "count",
    "at",
    "until",
    "clock",
    "source",
    "frame",
    "last_frame",
    "captured_at",
    "last_captured_at",
    "action",
    "service",
    "verdict",
    "enforced",
    "fault",
    "faces",
    "faces_most",
    "rules",
    "judged_under",
    "gallery_kind",
    "gallery_provenance",
    "policy_digest",
    "facts_digest",
    "latency_us",
    "latency_us_max",
    "session",
)
"""The columns of a CSV export. `docs/ledger.md` says what each is."""


def write_jsonl(records: Iterable[dict[str, Any]], out: TextIO) -> None:
    """One line of JSON a record, with facts and policy."""
    for record in records:
        out.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_csv(records: Iterable[dict[str, Any]], out: TextIO) -> None:
    """RFC 4180 with a header. Lists are joined by blanks; a text that a spreadsheet would run is quoted with ``'``."""
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    for record in records:
        gallery = (record["facts"] or {}).get("gallery", {})
        told = {**record, "gallery_kind": gallery.get("kind"), "gallery_provenance": gallery.get("provenance")}
        rows.writerow([_cell(told[name]) for name in COLUMNS])


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        value = value.get("any_of")
    if isinstance(value, list):
        value = " ".join("?" if item is None else str(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
