"""Ledgers to be looked into, and to be edited as somebody who has the file could."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from guard.ledger import Ledger
from tests.ledger.test_ledger import entry

Edit = Callable[..., None]


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A closed ledger of 60 calls, each its own record, with a checkpoint after every ten leaves or so."""
    path = tmp_path / "d.db"
    with Ledger(path, checkpoint_records=10) as ledger:
        for number in range(60):
            verdict = ("deny", "deny", "allow", "redact")[number % 4]
            ledger.record(entry(number, verdict, purpose=f"{number % 3}"))
            if number % 4 == 1:
                ledger.flush()
    return path


@pytest.fixture
def edit() -> Edit:
    """Runs SQL against a ledger as an intruder would: `edit(path, sql, *values)`."""

    def run(path: Path, sql: str, *values: Any) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(sql, values)
            connection.commit()

    return run


def rows(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a query gives."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, values).fetchall()
