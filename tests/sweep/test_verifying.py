"""Whoever changes, removes or adds something in the folder of a sweep is found out."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from guard.errors import LedgerError
from guard.ledger.keys import public_key
from guard.policy.bundle import new_key
from guard.sweep.verifying import verify_sweep
from tests.sweep.conftest import Sweep, archive, ledgers


def change_a_record(out: Path) -> None:
    with closing(sqlite3.connect(ledgers(out)[0])) as connection, connection:
        connection.execute("UPDATE leaves SET body = replace(body, 'deny', 'allow') WHERE kind = 'call'")


def replace_a_ledger(out: Path) -> None:
    one, other = ledgers(out)
    shutil.copy(one, other)


def rewrite_the_index(out: Path) -> None:
    lines = (out / "index.jsonl").read_text().splitlines()
    (out / "index.jsonl").write_text(lines[0] + "\n")


def add_a_unit(out: Path) -> None:
    shutil.copytree(ledgers(out)[0].parent, out / "units/ff/ff00")


def garble_the_index(out: Path) -> None:
    for line in ("[]", "5", '{"unit": 5}', '{"unit": "ff00", "attempted": 6}', '{"unit": [], "broken": "so"}'):
        with (out / "index.jsonl").open("a") as file:
            file.write(line + "\n")


def forge_the_signature(out: Path) -> None:
    document = json.loads((out / "sweep.json").read_text())
    document["index"]["units"] = 1
    (out / "sweep.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (change_a_record, "was changed"),
        (replace_a_ledger, "checkpoint"),
        (lambda out: shutil.rmtree(ledgers(out)[0].parent), "there is no ledger"),
        (rewrite_the_index, "not the one that was signed"),
        (garble_the_index, "line 6 names neither a unit nor a broken file"),
        (add_a_unit, "in no index"),
        (forge_the_signature, "changed after it was signed"),
    ],
)
def test_what_was_tampered_with_is_named(tmp_path: Path, swept: Sweep, tamper: Callable[[Path], None], said: str):
    archive(tmp_path / "in", 2)
    swept(tmp_path / "in")
    out = tmp_path / "out"
    assert verify_sweep(out, public_key=public_key(out / "sweep.pub")).to_json()["verified"] is True
    tamper(out)
    found = verify_sweep(out)
    assert not found.verified
    assert any(said in problem for problem in found.problems), found.problems


def test_a_key_of_somebody_else_does_not_do(tmp_path: Path, swept: Sweep):
    archive(tmp_path / "in", 1)
    swept(tmp_path / "in")
    (tmp_path / "other.pub").write_bytes(new_key()[1])
    found = verify_sweep(tmp_path / "out", public_key=public_key(tmp_path / "other.pub"))
    assert not found.verified
    assert found.units == 0


def test_no_sweep_is_said(tmp_path: Path):
    with pytest.raises(LedgerError):
        verify_sweep(tmp_path)


def test_an_index_that_is_gone_is_said_whatever_else_is_wrong(tmp_path: Path, swept: Sweep):
    archive(tmp_path / "in", 1)
    swept(tmp_path / "in")
    (tmp_path / "out/index.jsonl").unlink()
    (tmp_path / "out/sweep.json").write_text("{}")
    with pytest.raises(LedgerError, match="the index cannot be read"):
        verify_sweep(tmp_path / "out")
