"""Which path is which unit, across runs: what a sweep remembers of itself, in bounded memory.

Nothing here counts as a record. The file may be removed: the next run reads every clip again to know its content, and
finds the units that are there.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from guard.errors import GuardError
from guard.sweep.task import Outcome, Stamp

__all__ = ["State"]

_COMMIT_S = 1.0
_TABLES = """
CREATE TABLE IF NOT EXISTS paths (
  path BLOB PRIMARY KEY, run INTEGER NOT NULL, unit TEXT, reason TEXT, stamp TEXT, content TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS units (unit TEXT PRIMARY KEY, run INTEGER NOT NULL, said TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS paths_of_unit ON paths (unit);
"""


class State:
    """The file, open for one run. A context manager.

    Raises `GuardError` where it cannot be opened, and `sqlite3.Error` where it cannot be written later.
    """

    def __init__(self, file: Path) -> None:
        try:
            self._connection = connection = sqlite3.connect(file, isolation_level=None)
            try:
                connection.executescript(_TABLES)
                last = connection.execute("SELECT max(run) FROM paths").fetchone()[0]
                connection.execute("BEGIN")
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            mend = "remove it: it can be made again from the units"
            raise GuardError(f"the state of the sweep cannot be used: {error}", where=str(file), mend=mend) from None
        self._run = (last or 0) + 1
        self._committed_s = time.monotonic()

    def __enter__(self) -> State:
        return self

    def __exit__(self, *exc: object) -> None:
        with closing(self._connection):
            self._connection.execute("COMMIT")

    def known(self, path: Path) -> tuple[Stamp, str] | None:
        """Stamp and content of a path when it was last read; None where it never was."""
        found = self._row("SELECT stamp, content FROM paths WHERE path = ? AND content NOTNULL", os.fsencode(path))
        return None if found is None else (tuple(json.loads(found[0])), found[1])

    def has(self, path: Path) -> bool:
        """Whether this run has come by that path already."""
        return self._row("SELECT 1 FROM paths WHERE path = ? AND run = ?", os.fsencode(path), self._run) is not None

    def knows_unit(self, unit: str) -> bool:
        """Whether what came of a unit is known here."""
        return self._row("SELECT 1 FROM units WHERE unit = ?", unit) is not None

    def add_unit(self, unit: str, said: Mapping[str, Any], *, made_now: bool) -> None:
        """Keeps what came of a unit."""
        row = (unit, self._run if made_now else 0, json.dumps(said))
        self._connection.execute("INSERT OR REPLACE INTO units VALUES (?, ?, ?)", row)

    def add(self, outcome: Outcome) -> None:
        """Keeps what came of a path; on disk within a second or at the end."""
        row = (
            os.fsencode(outcome.path),
            self._run,
            outcome.unit,
            outcome.reason,
            json.dumps(outcome.stamp),
            outcome.content,
        )
        self._connection.execute("INSERT OR REPLACE INTO paths VALUES (?, ?, ?, ?, ?, ?)", row)
        if time.monotonic() - self._committed_s > _COMMIT_S:
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN")
            self._committed_s = time.monotonic()

    def counts(self) -> dict[str, int]:
        """Of this run: ``found`` paths, ``broken`` ones, and distinct ``units`` of which so many were ``made``."""
        found, broken, units, made = self._connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE p.unit IS NULL), count(DISTINCT p.unit), "
            "count(DISTINCT p.unit) FILTER (WHERE u.run = p.run) "
            "FROM paths p LEFT JOIN units u ON u.unit = p.unit WHERE p.run = ?",
            (self._run,),
        ).fetchone()
        return {"found": found, "broken": broken, "units": units, "made": made}

    def units(self) -> Iterator[dict[str, Any]]:
        """What came of every unit of this run, each once."""
        query = "SELECT said FROM units WHERE unit IN (SELECT unit FROM paths WHERE run = ?)"
        for (said,) in self._connection.execute(query, (self._run,)):
            yield json.loads(said)

    def broken(self, *, of_this_run: bool = True) -> Iterator[tuple[Path, str]]:
        """Paths that could not be read, in order, each with its reason."""
        query = "SELECT path, reason FROM paths WHERE unit IS NULL AND run >= ? ORDER BY path"
        for path, reason in self._connection.execute(query, (self._run if of_this_run else 0,)):
            yield Path(os.fsdecode(path)), reason

    def all_units(self) -> Iterator[tuple[dict[str, Any], list[Path]]]:
        """Every unit of every run in the order of their ids, with the paths that have its content now."""
        for unit, said in self._connection.execute("SELECT unit, said FROM units ORDER BY unit"):
            rows = self._connection.execute("SELECT path FROM paths WHERE unit = ? ORDER BY path", (unit,))
            yield json.loads(said), [Path(os.fsdecode(path)) for (path,) in rows]

    def _row(self, query: str, *values: object) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        return found
