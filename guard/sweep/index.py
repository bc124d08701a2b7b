"""The index of a sweep: one line a unit and a broken file, under one signature, for whoever audits it.

``index.jsonl`` lists every unit of every run into the folder, with the signed checkpoint over its whole ledger (size
and root of the tree); ``sweep.json`` has its SHA-256, signed with the key of the ledgers. So a unit that is removed,
added or changed shows, as a record in a ledger does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from guard import keys
from guard.facts import format_instant
from guard.ledger.keys import signing_key
from guard.sweep.order import Order
from guard.sweep.state import State
from guard.sweep.task import shown

__all__ = ["INDEX", "SCHEMA", "SIGNED", "write_index"]

INDEX = "index.jsonl"
SIGNED = "sweep.json"
SCHEMA = "guard.sweep-index/1"


def write_index(order: Order, state: State) -> None:
    """Writes both files anew. Raises `LedgerError` for the key, `OSError` where they cannot be written."""
    digest = hashlib.sha256()
    units = broken = 0
    with _replacing(order.out / INDEX) as file:
        for line in _lines(state):
            units, broken = units + ("unit" in line), broken + ("broken" in line)
            data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
            digest.update(data)
            file.write(data)
    statement = {
        "file": INDEX,
        "sha256": digest.hexdigest(),
        "units": units,
        "broken": broken,
        "written": format_instant(datetime.now(UTC).replace(microsecond=0)),
    }
    document = keys.signed(SCHEMA, "index", statement, signing_key(order.out / "sweep", order.key))
    with _replacing(order.out / SIGNED) as file:
        file.write(json.dumps(document, indent=1).encode() + b"\n")


def _lines(state: State) -> Iterator[dict[str, Any]]:
    for said, paths in state.all_units():
        yield {
            "unit": said["unit"],
            "paths": [shown(path) for path in paths],
            "sha256": said["clip"]["sha256"],
            "settings": said["settings"],
            "attempted": sum(calls["attempted"] for calls in said["calls"]),
            "broke_off": said["broke_off"],
            "checkpoint": said["checkpoint"],
        }
    for path, reason in state.broken(of_this_run=False):
        yield {"path": shown(path), "broken": reason}


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when it is whole."""
    draft = path.with_name(path.name + ".part")
    with open(draft, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
