"""`guard ledger`: what it prints, in words and as JSON, and how it ends."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from guard.cli import main
from guard.ledger import Ledger, notes
from guard.ledger.exporting import COLUMNS
from tests.ledger.test_ledger import entry


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]):
    """Runs `guard ledger ...`: status, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main(["ledger", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Five calls on five days: three denials (one a fault, one of another source), a release and a redaction."""
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number, (verdict, fault) in enumerate(
            [("deny", None), ("deny", "broken"), ("allow", None), ("redact", None), ("deny", None)]
        ):
            made = entry(number, verdict, fault)
            made.at_ns += number * 86_400_000_000_000
            ledger.record(made)
    return path


def test_verify_says_what_was_proved(ask, sealed: Path):
    status, out, _ = ask("verify", sealed, "--public-key", f"{sealed}.pub")
    assert status == 0
    assert out.startswith("verified: 60 calls in 60 records")
    assert "inner consistency" not in out
    status, out, _ = ask("verify", sealed)
    assert status == 0
    assert "inner consistency only" in out
    status, out, _ = ask("verify", sealed, "--json")
    found = json.loads(out)
    assert status == 0
    assert found["schema"] == "guard.ledger-verify/1"
    assert (found["verified"], found["pinned"], found["first_bad"], found["problems"]) == (True, False, None, [])
    assert (found["calls"], found["unsealed"], found["held"]) == (60, 0, [])


def test_verify_ends_with_2_and_names_the_first_bad_record(ask, sealed: Path, edit):
    edit(sealed, "UPDATE leaves SET body = replace(body, 'identify', 'detect') WHERE seq = 20")
    status, out, _ = ask("verify", sealed)
    assert status == 2
    assert "NOT VERIFIED" in out
    assert "first bad: leaf 20, call id-" in out
    status, out, _ = ask("verify", sealed, "--json")
    assert status == 2
    assert json.loads(out)["first_bad"]["seq"] == 20


def test_a_checkpoint_is_printed_kept_and_held_against_the_ledger(ask, sealed: Path, tmp_path: Path, edit):
    status, note, _ = ask("checkpoint", sealed)
    assert status == 0
    size = notes.parse(note).size
    kept = tmp_path / "kept.txt"
    kept.write_text(note)
    status, out, _ = ask("verify", sealed, "--checkpoint", kept)
    assert status == 0
    assert f"holds the checkpoint over {size} leaves" in out
    edit(sealed, "DELETE FROM checkpoints")
    edit(sealed, "DELETE FROM leaves WHERE seq >= 30")
    status, out, _ = ask("verify", sealed, "--checkpoint", kept)
    assert status == 2
    status, _, err = ask("verify", sealed, "--checkpoint", tmp_path / "absent.txt")
    assert status == 1
    assert "absent.txt" in err


@pytest.mark.parametrize(
    ("filters", "frames"),
    [
        ((), [0, 1, 2, 3, 4]),
        (("--source", "cam"), [0, 1, 2, 3, 4]),
        (("--source", "other"), []),
        (("--verdict", "deny"), [0, 1, 4]),
        (("--fault",), [1]),
        (("--no-fault",), [0, 2, 3, 4]),
        (("--rule", "R.1"), [0, 1, 2, 3, 4]),
        (("--rule", "R.2"), []),
        (("--since", "2023-11-16T22:13:20Z"), [2, 3, 4]),
        (("--until", "2023-11-16T22:13:20Z"), [0, 1]),
        (("--since", "2023-11-15T00:00:00+01:00", "--until", "2023-11-18T00:00:00Z", "--verdict", "deny"), [1]),
    ],
    ids=str,
)
def test_show_and_export_are_narrowed_alike(ask, mixed: Path, filters: tuple[str, ...], frames: list[int]):
    _, out, _ = ask("show", mixed, "--json", *filters)
    shown = json.loads(out)
    assert shown["schema"] == "guard.ledger-show/1"
    assert [record["frame"] for record in shown["records"]] == frames
    assert shown["counts"]["total"] == 5
    _, out, _ = ask("export", mixed, *filters)
    assert [json.loads(line)["frame"] for line in out.splitlines()] == frames
    _, out, _ = ask("export", mixed, "--format", "csv", *filters)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [int(row["frame"]) for row in rows] == frames


def test_an_export_has_the_documented_columns(ask, mixed: Path):
    _, out, _ = ask("export", mixed, "--format", "csv")
    header, *rows = csv.reader(io.StringIO(out))
    assert tuple(header) == COLUMNS
    first = dict(zip(header, rows[0], strict=True))
    assert (first["verdict"], first["rules"], first["enforced"], first["fault"]) == ("deny", "R.1", "true", "")
    page = (Path(__file__).resolve().parents[2] / "docs" / "ledger.md").read_text()
    derived = {"gallery_kind", "gallery_provenance"}
    assert [name for name in COLUMNS if f"`{name}`" not in page and name not in derived] == []
    _, out, _ = ask("export", mixed)
    record = json.loads(out.splitlines()[0])
    assert record["facts"]["place"]["locality"] == "research"


def test_a_cell_that_a_spreadsheet_would_run_is_quoted(ask, tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        ledger.record(entry(1, "deny", "=HYPERLINK(1)"))
    _, out, _ = ask("export", path, "--format", "csv")
    assert next(csv.DictReader(io.StringIO(out)))["fault"] == "'=HYPERLINK(1)"


def test_a_run_is_shown_with_its_count(ask, tmp_path: Path):
    path = tmp_path / "d.db"
    with Ledger(path) as ledger:
        for number in range(7):
            ledger.record(entry(number))
    _, out, _ = ask("show", path)
    assert out.startswith("7 calls: 0 allowed, 0 redacted, 7 denied")
    assert " x 7 until " in out


def test_prove_and_prune_print_objects(ask, mixed: Path):
    status, out, _ = ask("prove", mixed, "id-2")
    assert status == 0
    assert json.loads(out)["schema"] == "guard.ledger-proof/1"
    status, out, _ = ask("prune", mixed, "--before", "2023-11-16T00:00:00Z", "--json")
    assert status == 0
    done = json.loads(out)
    assert (done["schema"], done["leaves"], done["calls"], done["cleared"]) == ("guard.ledger-prune/1", 2, 2, True)
    status, out, _ = ask("prune", mixed, "--before", "2023-11-17T00:00:00Z", "--shrink")
    assert "removed 1 leaves" in out
    assert ask("verify", mixed)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify", "absent.db"), "no ledger"),
        (("prove", "absent.db", "x"), "no ledger"),
        (("prune", "absent.db", "--before", "2020-01-01T00:00:00Z"), "no ledger"),
        (("checkpoint", "absent.db"), "no ledger"),
        (("show", "d.db", "--verdict", "maybe"), "no verdict"),
        (("show", "d.db", "--since", "yesterday"), "--since"),
        (("export", "d.db", "--format", "xml"), "no format"),
        (("prune", "d.db", "--before", "yesterday"), "--before"),
        (("prune", "d.db"), "before"),
        (("verify", "d.db", "--public-key", "absent.pub"), "absent.pub"),
    ],
)
def test_a_mistake_is_one_line_and_ends_with_1(ask, mixed: Path, monkeypatch, arguments: tuple[Any, ...], said: str):
    monkeypatch.chdir(mixed.parent)
    status, out, err = ask(*arguments)
    assert (status, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1
