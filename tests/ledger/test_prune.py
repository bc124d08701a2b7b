"""Retention: what is old is gone from the file, its hash stays, and the rest verifies and is proved as before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import guard
from guard.ledger import Ledger, leaves, read, summary
from guard.ledger.keys import public_key
from guard.ledger.proving import prove
from guard.ledger.pruning import prune
from guard.ledger.verifying import verify
from tests.ledger.test_ledger import entry

DAY = 86_400_000_000_000
START = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """Ten days, one call a day, each with words of its own."""
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number in range(10):
            made = entry(number, "allow" if number % 2 else "deny", fault=None if number % 2 else f"word-{number}-word")
            made.at_ns += number * DAY
            ledger.record(made)
    return path


def test_old_records_go_and_the_rest_verifies(days: Path):
    done = prune(days, before=START + timedelta(days=4, hours=1))
    assert (done.leaves, done.calls, done.cleared) == (5, 5, True)
    assert [record["id"] for record in read(days)] == [f"id-{number}" for number in range(5, 10)]
    assert summary(days)["total"] == 5
    found = verify(days, public_keys=[public_key(days.with_name("d.db.pub"))])
    assert found.problems == []
    assert (found.pruned, found.records) == (5, 5)
    assert prove(days, "id-7")["index"] == next(record["seq"] for record in read(days) if record["id"] == "id-7")
    with pytest.raises(guard.LedgerError, match="begins or ends"):
        prove(days, "id-3")
    with pytest.raises(guard.LedgerError, match="pruned"):
        prove(days, "5")


@pytest.mark.parametrize("shrink", [False, True])
def test_no_trace_is_left_in_the_files(days: Path, shrink: bool):
    prune(days, before=START + timedelta(days=4, hours=1), shrink=shrink)
    data = b"".join(file.read_bytes() for file in days.parent.glob("d.db*"))
    assert b"word-2-word" not in data
    assert b"word-4-word" not in data
    assert b"word-6-word" in data


def test_pruning_is_itself_in_the_record(days: Path):
    prune(days, before=START + timedelta(days=2, hours=1))
    (leaf,) = leaves(days, kind="prune")
    assert (leaf["calls"], leaf["before"]) == (3, "2023-11-16T23:13:20.000000Z")
    assert sum(last - first + 1 for first, last in leaf["ranges"]) == 3
    again = prune(days, before=START + timedelta(days=2, hours=1))
    assert again.leaves == 0
    assert len(list(leaves(days, kind="prune"))) == 1
    prune(days, before=START + timedelta(days=5, hours=1))
    assert verify(days).verified


def test_a_ledger_in_use_can_be_pruned(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1, "allow"))
        prune(path, before=datetime.now(UTC))
        later = entry(2, "allow")
        later.at_ns += 10_000 * DAY
        ledger.record(later)
        ledger.record(entry(3))
    assert [record["id"] for record in read(path)] == ["id-2", "id-3"]
    assert all(record["facts"] for record in read(path))
    assert verify(path).verified


def test_a_superseded_record_does_not_come_back(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1, "allow"))
        ledger.record(entry(1, "deny", again=True))
    prune(path, before=START + timedelta(days=1))
    assert summary(path)["total"] == 0
    assert verify(path).verified


def test_what_cannot_be_done_removes_nothing(days: Path, tmp_path: Path, monkeypatch):
    with pytest.raises(guard.LedgerError, match="yet to come"):
        prune(days, before=datetime.now(UTC) + timedelta(days=1))
    Ledger(tmp_path / "other.db").close()
    with pytest.raises(guard.LedgerError, match="not the key"):
        prune(days, before=datetime.now(UTC), key=tmp_path / "other.db.key")
    (tmp_path / "d.db.key").unlink()
    with pytest.raises(guard.LedgerError, match="cannot be read"):
        prune(days, before=datetime.now(UTC))
    assert not (tmp_path / "d.db.key").exists()
    with pytest.raises(guard.LedgerError, match="no ledger"):
        prune(tmp_path / "absent.db", before=datetime.now(UTC))
    assert summary(days)["total"] == 10
    assert verify(days).verified
