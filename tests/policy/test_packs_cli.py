"""`guard policy`: what it prints, what it prints as JSON, and its exit status."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from guard.cli import main
from guard.policy.packs import shipped

RULE = """@id("OWN.drone")
@title("No identification from drones of the shelter")
@cite("House rules, 1 January 2026")
@sure("text")
@reviewed("2026-11-22")
forbid (principal, action == Action::"identify", resource) when { %s };
"""


@pytest.fixture
def guard(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "drones.cedar"
    path.write_text(RULE % 'resource.mount.contains(Mount::"drone")')
    return path


def write_cases(path: Path, *cases: dict[str, object]) -> Path:
    path.write_text(json.dumps({"schema": "guard.cases/1", "cases": list(cases)}))
    return path


def case(expect: str, **more: object) -> dict[str, object]:
    given = {"action": "identify", "service": "self_hosted", "faces": 1, "capture": {"mount": "drone"}}
    return {"id": "D1", **given, "expect": expect, **more}


def test_list_names_every_pack_of_the_shelf(guard):
    status, out, _ = guard("policy", "list")
    assert status == 0
    assert all(name in out for name in shipped())
    assert max(map(len, out.splitlines())) <= 100


def test_list_as_json(guard):
    status, out, _ = guard("policy", "list", "--json")
    listed = json.loads(out)
    assert (status, listed["schema"]) == (0, "guard.policy-list/1")
    assert {one["name"] for one in listed["packs"]} == set(shipped())
    (openai,) = [one for one in listed["packs"] if one["name"] == "openai"]
    assert (openai["layer"], openai["services"], openai["places"]) == ("vendor", ["openai"], [])
    assert "OAI.natsec" in openai["rules"]


@pytest.mark.parametrize("name", shipped())
def test_show_prints_every_rule_with_its_source_in_a_hundred_columns(guard, name: str):
    status, out, _ = guard("policy", "show", name)
    _, as_json, _ = guard("policy", "show", name, "--json")
    shown = json.loads(as_json)
    flat = " ".join(out.split())
    assert (status, shown["schema"]) == (0, "guard.policy-show/1")
    for card in shown["cards"]:
        assert card["branch"] in flat
        assert card["title"] in flat
        assert card["cite"] in flat
    assert max(map(len, out.splitlines())) <= 100


def test_show_reads_an_own_pack(guard, pack: Path):
    status, out, _ = guard("policy", "show", pack)
    assert status == 0
    assert "drone camera" in out


def test_show_of_no_pack_and_of_all_packs(guard):
    status, _, err = guard("policy", "show", "opena")
    assert (status, "did you mean 'openai'" in err) == (1, True)
    assert guard("policy", "show", "none.cedar")[0] == 1
    status, _, err = guard("policy", "show", "all")
    assert (status, "prints one pack" in err) == (1, True)


def test_check_of_sound_packs(guard):
    status, out, _ = guard("policy", "check", *shipped().values())
    assert status == 0
    assert out.endswith(f"{len(shipped())} files, 0 errors, 0 warnings\n")


def test_check_of_a_pack_without_cases(guard, pack: Path):
    status, out, _ = guard("policy", "check", pack)
    assert status == 2
    assert "the rule has no test; write cases beside it, in drones.cases.json" in out


def test_check_fails_with_2_and_says_what_where_and_how_to_mend(guard, pack: Path):
    pack.write_text(RULE % 'resource.place.within.contains("US-ZZ")')
    status, out, _ = guard("policy", "check", pack)
    assert status == 2
    assert "drones.cedar: OWN.drone: 'US-ZZ' is no place" in out
    assert "1 file, 1 errors" in out
    status, out, _ = guard("policy", "check", pack, "--json")
    found = json.loads(out)
    assert (status, found["schema"], found["errors"]) == (2, "guard.policy-check/1", 1)
    assert found["findings"][0]["rule"] == "OWN.drone"
    assert found["findings"][0]["mend"]


def test_check_of_a_broken_file_is_a_finding_and_of_no_file_is_not(guard, tmp_path: Path):
    broken = tmp_path / "broken.cedar"
    broken.write_text("forbid (")
    assert guard("policy", "check", broken)[0] == 2
    status, out, _ = guard("policy", "check", tmp_path / "none.cedar", "--json")
    assert (status, json.loads(out)["schema"]) == (1, "guard.error/1")


def test_test_passes_and_fails_by_its_cases(guard, pack: Path, tmp_path: Path):
    right = write_cases(tmp_path / "right.cases.json", case("deny", because=["OWN.drone"], lifted_by=[]))
    status, out, _ = guard("policy", "test", right, "--packs", pack)
    assert (status, out) == (0, "1 of 1 cases passed\n")
    wrong = write_cases(tmp_path / "wrong.cases.json", case("allow", lifted_by=["warrant"]))
    status, out, _ = guard("policy", "test", wrong, "--packs", pack)
    assert status == 2
    assert "D1: expected allow, got deny" in out
    assert "lifted by: expected ['warrant'], got []" in out
    assert "because: OWN.drone" in out


def test_test_as_json_is_the_contracts_object(guard, pack: Path, tmp_path: Path):
    wrong = write_cases(tmp_path / "wrong.cases.json", case("allow", lifted_by=["warrant"]))
    status, out, _ = guard("policy", "test", wrong, "--packs", f"{pack},openai", "--json")
    assert status == 2
    assert json.loads(out) == {
        "schema": "guard.cases-result/1",
        "total": 1,
        "passed": 0,
        "failed": [
            {
                "id": "D1",
                "expected": "allow",
                "got": "deny",
                "lifted_by_expected": ["warrant"],
                "lifted_by_got": [],
                "because_got": ["OWN.drone"],
            }
        ],
    }


def test_a_case_that_faults_is_a_denial_that_is_shown(guard, pack: Path, tmp_path: Path):
    facts = {"place": {"country": "FR", "subdivision": "US-OR"}}
    file = write_cases(tmp_path / "odd.cases.json", case("deny", **facts))
    status, out, _ = guard("policy", "test", file, "--packs", pack)
    assert status == 0
    assert "D1: denied because the guard could not judge" in out


def test_test_of_a_file_that_holds_no_cases_is_invalid(guard, tmp_path: Path):
    file = tmp_path / "none.json"
    file.write_text("{}")
    status, out, _ = guard("policy", "test", file, "--json")
    assert (status, json.loads(out)["schema"]) == (3, "guard.error/1")


def test_a_broken_pack_is_invalid_and_a_missing_one_a_wrong_command_line(guard, pack: Path, tmp_path: Path):
    file = write_cases(tmp_path / "right.cases.json", case("deny"))
    assert guard("policy", "test", file, "--packs", "opena")[0] == 1
    assert guard("policy", "test", file, "--packs", tmp_path / "none.cedar")[0] == 1
    assert guard("policy", "test", tmp_path / "none.json")[0] == 1
    pack.write_text("forbid (")
    assert guard("policy", "test", file, "--packs", pack)[0] == 3
    assert guard("policy", "show", pack)[0] == 3


def test_a_rule_whose_review_is_due_is_named(guard, pack: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("guard.policy.listing.REVIEW_EVERY", timedelta(days=-36500))
    assert "Not reviewed for a year: " in guard("policy", "list")[1]


def test_a_wrong_command_line_is_1(guard):
    assert guard("policy", "show")[0] == 1
    assert guard("policy", "nonsense")[0] == 1
