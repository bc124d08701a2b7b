"""A proof is checked by a script that has nothing of guard's, and openssl agrees with the signature."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import guard
from guard.ledger import Ledger, notes
from guard.ledger.proving import newest_checkpoint, prove
from tests.ledger.conftest import rows
from tests.ledger.test_ledger import entry

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "check_proof.py"


def checked(proof: dict[str, object], *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "proof.json"
    file.write_text(json.dumps(proof))
    command = [sys.executable, "-I", "-W", "ignore", str(SCRIPT), str(file), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("number", [0, 7, 31, 59])
def test_a_proof_is_right_and_a_changed_one_is_wrong(sealed: Path, tmp_path: Path, number: int):
    proof = prove(sealed, f"id-{number}")
    assert json.loads(proof["leaf"])["id"] == f"id-{number}"
    done = checked(proof, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f'"id":"id-{number}"' in done.stdout
    changed = {**proof, "leaf": proof["leaf"].replace('"frame":', '"frame":1')}
    assert "WRONG" in checked(changed, folder=tmp_path).stderr
    assert "WRONG" in checked({**proof, "index": proof["index"] + 1}, folder=tmp_path).stderr
    assert "WRONG" in checked({**proof, "path": proof["path"][:-1]}, folder=tmp_path).stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_agrees_with_the_signature(sealed: Path, tmp_path: Path):
    proof = prove(sealed, "id-7")
    assert checked(proof, str(sealed.with_name("d.db.pub")), folder=tmp_path).returncode == 0
    with Ledger(tmp_path / "other.db"):
        pass
    assert "not signed" in checked(proof, str(tmp_path / "other.db.pub"), folder=tmp_path).stderr


def test_a_proof_can_be_made_against_a_checkpoint_kept_elsewhere(sealed: Path, tmp_path: Path):
    kept = rows(sealed, "SELECT note FROM checkpoints WHERE number = 4")[0][0]
    proof = prove(sealed, "id-7", checkpoint=kept)
    assert proof["checkpoint"] == kept
    assert checked(proof, folder=tmp_path).returncode == 0
    with pytest.raises(guard.LedgerError, match="over"):
        prove(sealed, "id-59", checkpoint=kept)
    with pytest.raises(guard.LedgerError, match="cannot be read"):
        prove(sealed, "id-7", checkpoint="hello")


def test_any_leaf_can_be_proved_by_its_number(sealed: Path, tmp_path: Path):
    proof = prove(sealed, "0")
    assert json.loads(proof["leaf"])["kind"] == "created"
    assert checked(proof, folder=tmp_path).returncode == 0


def test_a_run_is_found_by_its_first_and_its_last_call(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number in range(5):
            ledger.record(entry(number))
    assert prove(path, "id-0")["leaf"] == prove(path, "id-4")["leaf"]
    with pytest.raises(guard.LedgerError, match="begins or ends"):
        prove(path, "id-2")


def test_nothing_is_proved_from_a_file_that_is_not_as_it_was_signed(sealed: Path, edit):
    edit(
        sealed,
        "UPDATE leaves SET body = replace(body, 'identify', 'detect') WHERE seq = ?",
        prove(sealed, "id-7")["index"],
    )
    with pytest.raises(guard.LedgerError, match="not as it was signed"):
        prove(sealed, "id-7")


def test_what_is_not_sealed_yet_is_not_proved(tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1, "allow"))
        with pytest.raises(guard.LedgerError, match="no checkpoint yet"):
            prove(path, "id-1")
        with pytest.raises(guard.LedgerError, match="no checkpoint yet"):
            newest_checkpoint(path)
    assert notes.parse(newest_checkpoint(path)).size == len(rows(path, "SELECT seq FROM leaves"))


def test_a_checkpoint_is_a_signed_note_that_says_these_lines(sealed: Path):
    note = newest_checkpoint(sealed)
    text, signature = note.split("\n\n")
    origin, size, root, number, at = text.split("\n")
    assert origin.startswith("guard-ledger-")
    assert int(size) == len(rows(sealed, "SELECT seq FROM leaves"))
    assert number == f"number {len(rows(sealed, 'SELECT number FROM checkpoints'))}"
    assert at.startswith("at 20")
    assert signature.startswith(f"\N{EM DASH} {origin} ")
    assert notes.parse(note).text() == text + "\n"


@pytest.mark.parametrize("note", ["", "a\n\n", "a\nb\n\n\u2014 x y\n", "o\n1\nAAAA\nnumber 1\nat x\n\n\u2014 o AAAA\n"])
def test_what_is_no_checkpoint_is_refused(note: str):
    with pytest.raises(ValueError, match="it is"):
        notes.parse(note)
