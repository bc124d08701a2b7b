"""The command line keeps the contract: exit status, one JSON object, one line for a mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from guard import explaining
from guard.cli import main
from guard.explaining import lifted_in_words
from guard.facts.vocabulary import EVIDENCE_TYPES
from tests.conftest import OFFICE, POLICE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "guard.toml"
    path.write_text(POLICE)
    return str(path)


def ask(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(list(arguments))
    said = capsys.readouterr()
    return status, said.out, said.err


def test_decide_explains_a_denial(capsys, config):
    status, out, _ = ask(capsys, "decide", "--config", config, "--action", "identify", "--service", "azure_openai")
    assert status == 0
    assert "DENIED: identify at azure_openai" in out
    assert "MS-COC.us-police" in out
    assert "Nothing that can be supplied lifts it" in out
    assert "not legal advice" in out


def test_decide_names_what_would_lift_it(capsys, tmp_path):
    path = tmp_path / "office.toml"
    path.write_text(OFFICE.partition("[[source.evidence]]")[0])
    status, out, _ = ask(capsys, "decide", "--config", str(path), "--action", "identify", "--service", "azure_face")
    assert status == 0
    assert "Would be lifted by: limited_access_approval" in out


EUROPE = """
[operator]
type = "nonus_police"
acts_for = "self"
country = "EU-X"

[[source]]
id = "station"
place = { country = "EU-X", access = "public" }
capture = { mount = "fixed" }
use = { timing = "real_time", purpose = "missing_person", output = "lead_only" }
subject = { targeted = true, cooperates = false }
"""


def test_decide_says_in_words_what_must_all_be_met_and_what_are_alternatives(capsys, tmp_path):
    path = tmp_path / "station.toml"
    path.write_text(EUROPE)
    status, out, _ = ask(
        capsys, "decide", "--config", str(path), "--action", "identify", "--at", "2026-06-01T12:00:00Z"
    )
    assert status == 0
    listed = out.partition("Would be lifted by all of these together\n")[2].partition("\nFacts\n")[0].splitlines()
    assert sorted(line.partition(" (")[0] for line in listed) == [
        "  - authority_notice", "  - eu_registration", "  - fria", "  - national_law", "  - prior_authorisation",
    ]  # fmt: skip
    assert [line.count(") or urgency_request (") for line in sorted(listed)] == [0, 1, 0, 0, 1]
    assert "  - fria (a fundamental-rights impact assessment)" in listed


def test_decide_names_every_branch_of_a_rule_that_forbids(capsys, tmp_path):
    path = tmp_path / "station.toml"
    path.write_text(EUROPE)
    _, out, _ = ask(capsys, "decide", "--config", str(path), "--action", "identify", "--at", "2026-06-01T12:00:00Z")
    (said,) = (line for line in out.splitlines() if line.startswith("  EU-5.2  "))
    assert "impact assessment comes first. The system is registered in the EU database" in said


def test_decide_writes_facts_as_a_configuration_does_and_calls_the_day_of_use_known(capsys, tmp_path):
    path = tmp_path / "station.toml"
    path.write_text(
        EUROPE.replace('output = "lead_only"', 'output = "lead_only", traits = [], offence = { max_years = 10 }')
    )
    _, out, _ = ask(capsys, "decide", "--config", str(path), "--action", "identify", "--at", "2026-06-01T12:00:00Z")
    assert "  subject: targeted = true, cooperates = false\n" in out
    assert "offence = (name ?, max_years 10, annex_ii ?, listed ?, serious ?), output = lead_only, traits = none" in out
    (unknown,) = (line for line in out.splitlines() if line.startswith("  unknown: "))
    assert "use.at" not in unknown
    assert "use.threshold" in unknown


def test_every_type_of_evidence_has_words():
    assert set(explaining._RECORDS) == set(EVIDENCE_TYPES)


def test_alternatives_stand_in_brackets_beside_other_demands():
    assert lifted_in_words([["warrant", "court_order"]]) == "warrant or court_order"
    assert lifted_in_words(["fria", ["warrant", "court_order"]]) == "fria and (warrant or court_order)"


def test_decide_json_is_the_contracts_object(capsys, config):
    status, out, err = ask(
        capsys, "decide", "--config", config, "--source", "bodycam", "--action", "identify",
        "--service", "azure_openai", "--faces", "2", "--at", "2024-06-10T12:00:00+02:00", "--json",
    )  # fmt: skip
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert list(found) == [
        "schema", "id", "at", "source", "action", "service", "verdict", "faces", "lifted_by", "reasons", "facts",
        "valid_until", "fault", "latency_us",
    ]  # fmt: skip
    assert found["schema"] == "guard.decision/1"
    assert found["at"] == "2024-06-10T10:00:00Z"
    assert (found["verdict"], found["faces"], found["lifted_by"], found["fault"]) == ("deny", 2, [], None)
    assert set(found["reasons"][0]) == {"rule", "pack", "title", "cite", "effective"}
    assert found["facts"]["place"]["locality"] is None
    assert found["facts"]["capture"]["mount"] == "body_worn"
    assert "MS-AOAI.us-police" in {reason["rule"] for reason in found["reasons"]}


def test_decide_leaves_no_record_behind(capsys, config, tmp_path):
    ask(capsys, "decide", "--config", config, "--action", "identify", "--service", "azure_openai")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["guard.toml"]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["decide", "--config", "absent.toml", "--action", "identify"], 3, "no such file"),
        (["decide", "--config", "{config}", "--action", "identfy"], 1, "no action"),
        (["decide", "--config", "{config}", "--action", "identify", "--service", "nope"], 1, "no service"),
        (["decide", "--config", "{config}", "--action", "identify", "--source", "bodycm"], 1, "did you mean 'bodycam'"),
        (["decide", "--config", "{config}"], 1, "must say what it does"),
        (["decide", "--config", "{config}", "--action", "identify", "--at", "yesterday"], 1, "--at"),
        (["decide", "--config", "{config}", "--action", "identify", "--at", "2026-01-01T00:00:00"], 1, "--at"),
        (["decide", "--config", "{config}", "--faces", "-1"], 1, "faces"),
        (["decide"], 1, "--config"),
        (["decide", "--nonsense"], 1, "--nonsense"),
        (["nonsense"], 1, "nonsense"),
        (["ledger", "show", "absent.db"], 1, "no ledger"),
        (["bench", "--size", "big"], 1, "--size"),
        (["policy", "show", "nope"], 1, "nope"),
    ],
)
def test_a_mistake_is_one_line_and_its_status(capsys, config, arguments, status, says):
    arguments = [argument.format(config=config) for argument in arguments]
    code, out, err = ask(capsys, *arguments)
    assert code == status, err
    assert out == ""
    assert err.count("\n") == 1
    assert says in err
    code, out, err = ask(capsys, *arguments, "--json")
    assert code == status
    assert err == ""
    found = json.loads(out)
    assert found["schema"] == "guard.error/1"
    assert set(found) == {"schema", "error", "where", "mend"}


def test_a_broken_pack_ends_with_status_3(capsys, tmp_path):
    (tmp_path / "pack.cedar").write_text("forbid (")
    path = tmp_path / "guard.toml"
    path.write_text('[policy]\npacks = ["pack.cedar"]\n' + POLICE)
    code, _, err = ask(capsys, "decide", "--config", str(path), "--action", "identify", "--service", "openai")
    assert code == 3
    assert "pack.cedar" in err or "pack" in err
    assert err.count("\n") == 1


def test_an_unexpected_error_is_one_line_too(capsys, config, monkeypatch):
    import guard.cli.decide

    def broken(*args, **kwargs):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(guard.cli.decide, "load_for_questions", broken)
    code, _, err = ask(capsys, "decide", "--config", config, "--action", "identify")
    assert code == 1
    assert err.count("\n") == 1
    assert "GUARD_DEBUG" in err
    monkeypatch.setenv("GUARD_DEBUG", "1")
    with pytest.raises(RuntimeError):
        main(["decide", "--config", config, "--action", "identify"])


def test_ledger_show_and_export(capsys, make_guard, picture, tmp_path):
    import guard

    path = tmp_path / "decisions.db"
    with make_guard(ledger=path) as g:
        search = g.source().protect(lambda frame: None, action="identify", service="azure_openai")
        for _ in range(3):
            with pytest.raises(guard.Denied):
                search(picture)
    code, out, _ = ask(capsys, "ledger", "show", str(path), "--json")
    assert code == 0
    assert json.loads(out)["counts"] == {"total": 3, "allow": 0, "redact": 0, "deny": 3, "fault": 0, "unenforced": 0}
    code, out, _ = ask(capsys, "ledger", "show", str(path), "--last", "1")
    assert out.count("identify at azure_openai") == 1
    code, out, _ = ask(capsys, "ledger", "export", str(path))
    assert [(r["verdict"], r["count"]) for r in map(json.loads, out.splitlines())] == [("deny", 3)]


def test_models_and_doctor(capsys):
    code, out, _ = ask(capsys, "models", "--json")
    assert code == 0
    assert {"name", "path", "sha256", "licence"} <= set(json.loads(out)["models"][0])
    assert ask(capsys, "models")[0] == 0
    code, out, _ = ask(capsys, "doctor", "--json")
    assert code == 0
    assert json.loads(out)["checks"]["detector"].startswith("works")
    assert ask(capsys, "doctor")[0] == 0


def test_the_version_and_the_overview(capsys):
    from guard import __version__

    assert ask(capsys, "--version")[1] == f"guard {__version__}\n"
    code, out, _ = ask(capsys, "--help")
    assert code == 0
    assert all(name in out for name in ("replay", "decide", "policy", "bench", "ledger", "models", "doctor"))


def test_a_reader_that_goes_away_is_no_traceback(config):
    command = (
        f"{sys.executable} -m guard decide --config {config} --action identify --service openai --json | head -c 1"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert "Traceback" not in done.stderr
