"""`verify` finds every edit of the file, and says what it cannot find."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import guard
from guard.ledger import Ledger, notes, read
from guard.ledger.keys import public_key, signing_key
from guard.ledger.leaves import Prune, canonical, encode, fields_of
from guard.ledger.merkle import Frontier, leaf_hash
from guard.ledger.store import Store
from guard.ledger.verifying import verify
from tests.ledger.conftest import rows
from tests.ledger.test_ledger import entry


def rewritten(path: Path, at: int, /, **changes: Any) -> None:
    """Changes a leaf together with its hash, as somebody does who knows the format."""
    with closing(sqlite3.connect(path)) as connection:
        (body,) = connection.execute("SELECT body FROM leaves WHERE seq = ?", (at,)).fetchone()
        body = canonical({**fields_of(body), **changes})
        connection.execute("UPDATE leaves SET body = ?, hash = ? WHERE seq = ?", (body.decode(), leaf_hash(body), at))
        connection.commit()


def regrown(path: Path) -> None:
    """Makes the stored tree that of the leaves, and the mark of what is sealed that of the last checkpoint."""
    with closing(sqlite3.connect(path)) as connection:
        tree = Frontier()
        for (hash,) in connection.execute("SELECT hash FROM leaves ORDER BY seq").fetchall():
            tree.append(hash)
        last = connection.execute("SELECT note FROM checkpoints ORDER BY number DESC LIMIT 1").fetchone()
        connection.execute(
            "UPDATE tree SET size = ?, peaks = ?, sealed = ?",
            (tree.size, b"".join(tree.peaks), notes.parse(last[0]).size if last else 0),
        )
        connection.commit()


def call(path: Path, number: int) -> int:
    """`seq` of the record of a call."""
    return next(record["seq"] for record in read(path) if record["id"] == f"id-{number}")


def test_what_was_written_verifies(sealed: Path):
    found = verify(sealed, public_keys=[public_key(sealed.with_name("d.db.pub"))])
    assert found.problems == []
    assert found.verified
    assert found.pinned
    assert (found.records, found.calls, found.pruned, found.unsealed, found.open_sessions) == (60, 60, 0, 0, 0)
    assert found.checkpoints > 4
    assert found.sealed == found.leaves == len(rows(sealed, "SELECT seq FROM leaves"))


def test_no_value_in_the_file_can_be_changed(sealed: Path, tmp_path: Path):
    """Every cell of every table in turn: a number is raised, a text or a hash changed by one place."""
    copy = tmp_path / "copy.db"
    tried = 0
    for table, columns in {
        "leaves": ("seq", "body", "hash"),
        "checkpoints": ("number", "note"),
        "tree": ("size", "peaks", "sealed"),
    }.items():
        for column in columns:
            found = rows(sealed, f"SELECT rowid, {column} FROM {table} ORDER BY rowid DESC")
            for rowid, value in found:
                if isinstance(value, int):
                    changed: Any = value + 1 if rowid == found[0][0] else value + 1_000_000
                elif isinstance(value, bytes):
                    changed = value[:-1] + bytes([value[-1] ^ 1])
                else:
                    changed = value.replace("e", "f", 1)
                shutil.copy(sealed, copy)
                with closing(sqlite3.connect(copy)) as connection:
                    connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (changed, rowid))
                    connection.commit()
                assert not verify(copy).verified, (table, column, rowid)
                tried += 1
    assert tried > 200


@pytest.mark.parametrize("value", [None, 0, -1, 2**62, 1.5, "", "x", b"", b"\xff" * 40])
def test_a_value_of_another_type_is_a_problem_and_never_a_crash(sealed: Path, tmp_path: Path, value: Any):
    copy = tmp_path / "copy.db"
    for cell in ("leaves.body", "leaves.hash", "checkpoints.note", "tree.size", "tree.peaks", "tree.sealed"):
        table, column = cell.split(".")
        shutil.copy(sealed, copy)
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            try:
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = 1", (value,))
            except sqlite3.Error:  # SQLite refuses it by itself
                continue
            connection.commit()
        assert not verify(copy).verified, cell


def test_a_changed_record_is_named(sealed: Path, edit):
    seq = call(sealed, 31)
    edit(sealed, "UPDATE leaves SET body = replace(body, 'deny', 'dent') WHERE seq = ?", call(sealed, 40))
    edit(sealed, "UPDATE leaves SET body = replace(body, '\"identify\"', '\"detect\"') WHERE seq = ?", seq)
    found = verify(sealed)
    assert (found.first_bad.seq, found.first_bad.id) == (seq, "id-31")
    assert len(found.problems) == 2


def test_a_record_changed_with_its_hash_is_found_between_two_checkpoints(sealed: Path):
    seq = call(sealed, 31)
    rewritten(sealed, seq, verdict="deny")
    regrown(sealed)
    found = verify(sealed)
    sizes = [notes.parse(note).size for (note,) in rows(sealed, "SELECT note FROM checkpoints")]
    assert found.first_bad.seq == max(size for size in sizes if size <= seq)
    assert f"to {min(size for size in sizes if size > seq) - 1}" in found.first_bad.what


def test_a_removed_record_is_named(sealed: Path, edit):
    seq = call(sealed, 31)
    edit(sealed, "DELETE FROM leaves WHERE seq = ?", seq)
    assert verify(sealed).first_bad.seq == seq
    edit(sealed, "UPDATE leaves SET seq = seq - 1 WHERE seq > ?", seq)
    regrown(sealed)
    found = verify(sealed).first_bad
    assert found.seq == seq
    assert "moved" in found.what


def test_an_inserted_record_is_found(sealed: Path, edit):
    seq = call(sealed, 31)
    with closing(sqlite3.connect(sealed)) as connection:
        connection.execute("UPDATE leaves SET seq = -seq - 1 WHERE seq >= ?", (seq,))
        connection.execute("UPDATE leaves SET seq = -seq WHERE seq < 0")
        connection.execute(
            "INSERT INTO leaves (seq, body, hash) SELECT ?, body, hash FROM leaves WHERE seq = 5", (seq,)
        )
        connection.commit()
    rewritten(sealed, seq, seq=seq, id="id-forged")
    regrown(sealed)
    found = verify(sealed)
    assert not found.verified
    assert found.first_bad.seq <= seq + 1


@pytest.mark.parametrize("columns", [("body",), ("hash",), ("body", "hash")])
def test_reordered_records_are_named(sealed: Path, edit, columns: tuple[str, ...]):
    one, other = call(sealed, 30), call(sealed, 33)
    with closing(sqlite3.connect(sealed)) as connection:
        for column in columns:
            values = dict(connection.execute(f"SELECT seq, {column} FROM leaves WHERE seq IN (?, ?)", (one, other)))
            for seq, value in ((one, values[other]), (other, values[one])):
                connection.execute(f"UPDATE leaves SET {column} = ? WHERE seq = ?", (value, seq))
        connection.commit()
    regrown(sealed)
    assert verify(sealed).first_bad.seq == one


def cut(path: Path, checkpoints: int) -> str:
    """Cuts the tail off behind a checkpoint, leaving no trace; gives the newest checkpoint that was there."""
    newest = rows(path, "SELECT note FROM checkpoints ORDER BY number DESC LIMIT 1")[0][0]
    with closing(sqlite3.connect(path)) as connection:
        (note,) = connection.execute("SELECT note FROM checkpoints WHERE number = ?", (checkpoints,)).fetchone()
        connection.execute("DELETE FROM checkpoints WHERE number > ?", (checkpoints,))
        connection.execute("DELETE FROM leaves WHERE seq >= ?", (notes.parse(note).size,))
        connection.commit()
    regrown(path)
    return str(newest)


def test_a_tail_cut_carelessly_is_found(sealed: Path, edit):
    last = rows(sealed, "SELECT max(seq) FROM leaves")[0][0]
    edit(sealed, "DELETE FROM leaves WHERE seq > ?", last - 5)
    assert verify(sealed).first_bad.seq == last - 4
    regrown(sealed)
    found = verify(sealed).first_bad
    assert found.seq == last - 4
    assert "cut off" in found.what


def test_a_tail_cut_cleanly_is_found_by_a_checkpoint_kept_elsewhere_only(sealed: Path):
    size = verify(sealed).leaves
    kept = cut(sealed, 3)
    alone = verify(sealed)
    assert alone.verified
    assert alone.open_sessions == 1  # as after a crash: the leaf `closed` went with the tail
    found = verify(sealed, checkpoints={"kept": kept})
    assert not found.verified
    assert "cut off" in found.problems[0].what
    assert str(size) in found.problems[0].what


def test_a_checkpoint_kept_elsewhere_that_still_holds_is_said(sealed: Path):
    kept = rows(sealed, "SELECT note FROM checkpoints WHERE number = 3")[0][0]
    found = verify(sealed, checkpoints={"kept": kept})
    assert found.verified
    assert found.held == [notes.parse(kept).size]


def test_a_checkpoint_of_another_ledger_or_none_at_all_is_a_problem(sealed: Path, tmp_path: Path):
    other = tmp_path / "other.db"
    Ledger(other).close()
    note = rows(other, "SELECT note FROM checkpoints")[0][0]
    assert "another ledger" in verify(sealed, checkpoints={"kept": note}).problems[0].what
    assert "no checkpoint" in verify(sealed, checkpoints={"kept": "hello"}).problems[0].what


def test_a_missing_checkpoint_is_found(sealed: Path, edit):
    edit(sealed, "DELETE FROM checkpoints WHERE number = 2")
    assert "checkpoint 2 is missing" in verify(sealed).problems[0].what


def test_a_ledger_that_was_closed_has_the_checkpoint_over_its_end(sealed: Path, edit):
    edit(sealed, "DELETE FROM checkpoints WHERE number = (SELECT max(number) FROM checkpoints)")
    regrown(sealed)
    assert "the checkpoint over it is missing" in verify(sealed).problems[0].what


def test_a_forged_checkpoint_is_found(sealed: Path, edit):
    (note,) = rows(sealed, "SELECT note FROM checkpoints WHERE number = 2")[0]
    forger = Ed25519PrivateKey.generate()
    forged = notes.sign(notes.parse(note), forger)
    edit(sealed, "UPDATE checkpoints SET note = ? WHERE number = 2", forged)
    for keys in ([], [public_key(sealed.with_name("d.db.pub"))]):
        (problem,) = verify(sealed, public_keys=keys).problems
        assert "checkpoint 2 is not signed" in problem.what


def test_a_file_made_anew_with_another_key_is_consistent_and_fails_against_the_pinned_key(tmp_path: Path, sealed: Path):
    forged = tmp_path / "forged" / "d.db"
    forged.parent.mkdir()
    with Ledger(forged) as ledger:
        ledger.record(entry(1))
    assert verify(forged).verified
    assert not verify(forged).pinned
    found = verify(forged, public_keys=[public_key(sealed.with_name("d.db.pub"))])
    assert "not signed with the public key" in found.problems[0].what


def test_whoever_holds_the_key_can_rewrite_what_no_kept_checkpoint_covers(sealed: Path):
    """The limit that the docs state, held to be true, so that nobody promises more."""
    first = rows(sealed, "SELECT note FROM checkpoints WHERE number = 1")[0][0]
    newest = cut(sealed, 1)
    store = Store(sealed)
    store.begin()
    store.checkpoint(signing_key(sealed))
    store.commit()
    store.close()
    keys = [public_key(sealed.with_name("d.db.pub"))]
    assert verify(sealed, public_keys=keys, checkpoints={"first": first}).verified
    assert not verify(sealed, public_keys=keys, checkpoints={"newest": newest}).verified


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE notes (x)",
        "CREATE TRIGGER t AFTER INSERT ON leaves BEGIN DELETE FROM leaves WHERE seq = new.seq; END",
        "CREATE TRIGGER sqlitex AFTER INSERT ON leaves BEGIN DELETE FROM leaves WHERE seq = new.seq; END",
        "DROP VIEW records",
        "DROP INDEX leaves_of_other_kinds",
        "INSERT INTO superseded VALUES (20, 21)",
        "PRAGMA application_id = 7",
        "INSERT INTO pending VALUES ('0000000000000000', 'run-1', '{\"kind\":\"call\",\"count\":9}')",
        "INSERT INTO pending VALUES ('0000000000000000', 'run-1', 'no json')",
        "INSERT INTO pending SELECT json_extract(body, '$.session'), 'run-1', '{\"kind\":\"call\",\"count\":9}' "
        "FROM leaves WHERE kind = 'opened'",
    ],
)
def test_what_guard_did_not_put_there_is_found(sealed: Path, edit, sql: str):
    edit(sealed, sql)
    assert not verify(sealed).verified


def test_facts_under_a_digest_that_is_not_theirs_are_found(tmp_path: Path):
    path = tmp_path / "d.db"
    ledger = Ledger(path)
    ledger.record(entry(1, "allow"))
    ledger.close()
    (seq,) = rows(path, "SELECT seq FROM leaves WHERE kind = 'facts'")[0]
    facts = guard.Facts.parse({"capture": {"mount": "fixed"}, "evidence": []}).to_json()
    rewritten(path, seq, facts=facts)
    assert "under a digest that is not theirs" in verify(path).problems[0].what


def test_a_record_that_takes_the_place_of_somebody_elses_is_found(tmp_path: Path):
    from guard.ledger.runs import Run

    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1, "allow"))
        session = ledger._session
    store = Store(path)
    store.begin()
    leaf = Run(entry(2)).leaf(session)
    leaf.supersedes = call(path, 1)
    store.append(leaf)
    store.checkpoint(signing_key(path))
    store.commit()
    store.close()
    problems = [problem.what for problem in verify(path).problems]
    assert any("not of its call" in what for what in problems)


def test_a_statement_removed_without_a_signed_leaf_is_named(sealed: Path, edit):
    seq = call(sealed, 31)
    edit(sealed, "UPDATE leaves SET body = NULL WHERE seq = ?", seq)
    assert verify(sealed).first_bad.seq == seq
    leaf = Prune(seq=verify(sealed).leaves, at="", before="", calls=1, ranges=[[seq, seq]])
    body = encode(leaf)
    edit(sealed, "INSERT INTO leaves (seq, body, hash) VALUES (?, ?, ?)", leaf.seq, body.decode(), leaf_hash(body))
    regrown(sealed)
    assert verify(sealed).first_bad.seq == seq


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_corrupted_page_is_found(sealed: Path, part: float):
    data = bytearray(sealed.read_bytes())
    at = int(len(data) * part) // 4096 * 4096
    data[at : at + 4096] = b"\xa5" * 4096
    sealed.write_bytes(data)
    assert not verify(sealed).verified


def test_unsealed_calls_are_counted_and_are_no_problem(tmp_path: Path):
    path = tmp_path / "d.db"
    ledger = Ledger(path)
    try:
        ledger.record(entry(1, "allow"))
        for number in range(2, 7):
            ledger.record(entry(number))
        ledger.flush()
        found = verify(path)
        assert found.verified
        assert (found.calls, found.unsealed_calls, found.checkpoints, found.open_sessions) == (6, 6, 0, 1)
    finally:
        ledger.close()
    found = verify(path)
    assert (found.calls, found.unsealed_calls, found.unsealed, found.open_sessions) == (6, 0, 0, 0)


def test_an_older_ledger_is_refused_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "d.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE records (x)")
        connection.execute("PRAGMA user_version = 2")
        connection.commit()
    before = path.read_bytes()
    for ask in (lambda: verify(path), lambda: list(read(path)), lambda: Ledger(path)):
        with pytest.raises(guard.LedgerError, match="version 2"):
            ask()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("records",)]
    assert len(before) == path.stat().st_size
