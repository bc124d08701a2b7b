"""The case runner: what passes, what fails, and what is no case file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.errors import ConfigError, PolicyError
from guard.policy import Engine
from guard.policy.cases import read, run

DATA = Path(__file__).parent / "data"
CASE: dict[str, Any] = {
    "id": "T1",
    "action": "enrol",
    "service": "self_hosted",
    "faces": 1,
    "use": {"at": "2026-06-01T12:00:00Z"},
    "subject": {"consent": "none"},
    "expect": "deny",
    "lifted_by": [["national_law", "subject.consent"]],
    "because": ["TOY.consent", "OTHER.rule"],
}
WriteCases = Callable[..., Path]


@pytest.fixture
def write_cases(tmp_path: Path) -> WriteCases:
    def write(*changes: dict[str, Any], **document: Any) -> Path:
        path = tmp_path / "mine.cases.json"
        cases = [{k: v for k, v in {**CASE, **change}.items() if v != "absent"} for change in changes]
        path.write_text(json.dumps({"schema": "guard.cases/1", "cases": cases, **document}))
        return path

    return write


def test_a_case_that_is_decided_as_expected_passes(write_cases: WriteCases) -> None:
    result = run(write_cases({}), [DATA / "toy.cedar"])
    assert result == {"schema": "guard.cases-result/1", "total": 1, "passed": 1, "failed": []}


@pytest.mark.parametrize(
    "change",
    [
        {"lifted_by": [["subject.consent", "national_law"]]},
        {"lifted_by": "absent", "because": "absent", "title": "t", "group": "g", "sure": "text", "note": "n"},
        {"lifted_by": None, "because": None},
        {"subject": {"consent": None}, "lifted_by": [["subject.consent"]]},
        {"subject": {"consent": "explicit"}, "expect": "allow", "lifted_by": [], "because": ["FAR.away"]},
        {"use": {}, "faces": "unknown", "lifted_by": "absent"},
        {"service": None, "faces": None},
        {"service": "unknown"},
    ],
)
def test_order_one_member_lists_and_what_is_left_out_do_not_fail_a_case(
    change: dict[str, Any], write_cases: WriteCases, toy: Engine
) -> None:
    assert run(write_cases(change), engine=toy)["failed"] == []


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ({"expect": "allow"}, {"expected": "allow", "got": "deny"}),
        ({"lifted_by": []}, {"lifted_by_expected": [], "lifted_by_got": [["national_law", "subject.consent"]]}),
        ({"lifted_by": ["national_law", "subject.consent"]}, {"got": "deny"}),
        ({"because": ["OTHER.rule"]}, {"because_got": ["TOY.consent"]}),
    ],
)
def test_a_case_that_is_decided_otherwise_fails_and_says_what_it_got(
    change: dict[str, Any], got: dict[str, Any], write_cases: WriteCases, toy: Engine
) -> None:
    (failed,) = run(write_cases(change), engine=toy)["failed"]
    assert set(failed) == {"id", "expected", "got", "lifted_by_expected", "lifted_by_got", "because_got"}
    assert failed.items() >= got.items()


def test_facts_that_disagree_fault_one_case_and_not_the_run(write_cases: WriteCases, toy: Engine) -> None:
    disagree = {"place": {"country": "FR", "subdivision": "US-CA"}}
    late = {"evidence": [{"type": "urgency_request", "issued": "2026-06-01T13:00:00Z", "delay_hours": 5}]}
    denied = {"lifted_by": [], "because": []}
    result = run(
        write_cases({}, {"id": "T2", **disagree, **denied}, {"id": "T3", **late, **denied}, {"id": "T4", **disagree}),
        engine=toy,
    )
    assert (result["total"], result["passed"]) == (4, 3)
    assert [entry["id"] for entry in result["faults"]] == ["T2", "T3"]
    assert "US-CA does not lie in FR (case T2.place.subdivision)" in result["faults"][0]["fault"]
    assert result["failed"][0]["id"] == "T4"
    assert result["failed"][0]["fault"]


def test_a_time_of_use_that_could_be_two_instants_is_unknown(write_cases: WriteCases, toy: Engine) -> None:
    at = {"any_of": ["2026-06-01T12:00:00Z", "2019-06-01T12:00:00Z"]}
    change = {
        "action": "detect",
        "use": {"at": at},
        "place": {"country": "US", "subdivision": "US-CA"},
        "capture": {"mount": "body_worn"},
        "because": ["TOY.window"],
        "lifted_by": ["use.at"],
    }
    assert run(write_cases(change), engine=toy)["failed"] == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"id": "absent"}, "no 'id'"),
        ({"id": ""}, "no id"),
        ({"action": "absent"}, "no 'action'"),
        ({"action": "identfy"}, "did you mean 'identify'?"),
        ({"action": None}, "no value of action"),
        ({"service": "opnai"}, "did you mean 'openai'?"),
        ({"service": "absent"}, "no 'service'"),
        ({"faces": "absent"}, "no 'faces'"),
        ({"faces": -1}, "no count"),
        ({"faces": True}, "no count"),
        ({"faces": "two"}, "no count"),
        ({"expect": "refuse"}, "no value of expect"),
        ({"lifted_by": "warrant"}, "`lifted_by`"),
        ({"lifted_by": [[]]}, "`lifted_by`"),
        ({"lifted_by": [[1]]}, "`lifted_by`"),
        ({"because": "X"}, "`because`"),
        ({"because": [1]}, "`because`"),
        ({"operater": {}}, "did you mean 'operator'?"),
        ({"weather": {}}, "the keys are"),
    ],
)
def test_what_is_no_case_is_refused_with_its_place(change: dict[str, Any], what: str, write_cases: WriteCases) -> None:
    with pytest.raises(ConfigError) as caught:
        read(write_cases({"id": "T0"}, change))
    assert what in str(caught.value)
    assert "cases[1]" in str(caught.value.where)


def test_what_is_no_case_file_is_refused(write_cases: WriteCases, tmp_path: Path) -> None:
    documents: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
        ([{}], {"schema": "guard.cases/2"}),
        ([], {"cases": []}),
        ([], {"cases": {}}),
        ([], {"cases": ["T1"]}),
        ([{}, {}], {}),
    ]
    for changes, document in documents:
        path = write_cases(*changes, **document)
        with pytest.raises(ConfigError):
            read(path)
    with pytest.raises(ConfigError):
        read(tmp_path / "none.json")
    for text in ("{", "[]", "\xff"):
        path = tmp_path / "broken.json"
        path.write_text(text, encoding="latin-1")
        with pytest.raises(ConfigError):
            read(path)


def test_cases_need_packs_that_load(write_cases: WriteCases) -> None:
    with pytest.raises(PolicyError):
        run(write_cases({}), [])
