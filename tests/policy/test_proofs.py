"""A pack whose cases do not show each rule at work is told so, branch by branch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.policy.lint import check
from guard.policy.proofs import unproved

PACK = """
@id("OWN-1.limited")
@title("No identification on our matcher in 2026 without an approval, except for a missing person")
@cite("own rule book, 1")
@sure("text")
@reviewed("2026-11-22")
forbid (principal, action == Action::"identify", resource is Call)
when
{
  resource.service.contains(Service::"self_hosted") &&
  resource.at.to >= datetime("2026-01-01T00:00:00.000Z") &&
  resource.at.from < datetime("2027-01-01T00:00:00.000Z")
}
unless { resource.held.contains(Evidence::"system_approval") }
unless { [Purpose::"missing_person"].containsAll(resource.purpose) };

@id("OWN-2.consent")
@title("Nobody is enrolled without explicit consent")
@cite("own rule book, 2")
@sure("text")
@reviewed("2026-11-22")
forbid (principal, action == Action::"enrol", resource is Call)
when { resource.subject.consent.containsAny([Consent::"none", Consent::"informed"]) };
"""
APPROVAL = {"type": "system_approval", "issued": "2025-01-01T00:00:00Z", "expires": "2028-01-01T00:00:00Z"}


def case(id: str, at: str, *, action: str = "identify", expect: str = "deny", **groups: object) -> dict[str, object]:
    use = {"at": at, "purpose": groups.pop("purpose", "access_control")}
    return {
        "id": id, "action": action, "service": "self_hosted", "faces": 1, "expect": expect, "use": use, **groups
    }  # fmt: skip


WHOLE = [
    case("first day", "2026-01-01T12:00:00Z"),
    case("day before", "2025-12-31T12:00:00Z", expect="allow"),
    case("last day", "2026-12-31T12:00:00Z"),
    case("day after", "2027-01-01T12:00:00Z", expect="allow"),
    case("approved", "2026-06-01T12:00:00Z", expect="allow", evidence=[APPROVAL]),
    case("missing", "2026-06-01T12:00:00Z", expect="allow", purpose="missing_person"),
    case("enrolled", "2026-06-01T12:00:00Z", action="enrol", subject={"consent": "none"}),
    case("consented", "2026-06-01T12:00:00Z", action="enrol", expect="allow", subject={"consent": "explicit"}),
]


def complaints(folder: Path, cases: list[dict[str, object]] | None, pack: str = PACK) -> list[str]:
    file = folder / "own.cedar"
    file.write_text(pack)
    if cases is not None:
        (folder / "own.cases.json").write_text(json.dumps({"schema": "guard.cases/1", "cases": cases}))
    return [f"{finding.rule}: {finding.what}" for finding in unproved([file])]


def without(*ids: str) -> list[dict[str, object]]:
    return [one for one in WHOLE if one["id"] not in ids]


def test_a_pack_whose_cases_show_everything_is_left_alone(tmp_path: Path):
    assert complaints(tmp_path, WHOLE) == []


def test_a_pack_without_cases_has_untested_rules(tmp_path: Path):
    assert complaints(tmp_path, None) == ["OWN-1.limited: the rule has no test", "OWN-2.consent: the rule has no test"]


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        (("enrolled", "consented"), ["OWN-2.consent: no case makes it forbid"]),
        (("consented",), ["OWN-2.consent: no case shows consent lifting it"]),
        (("approved",), ["OWN-1.limited: no case shows its evidence lifting it"]),
        (("missing",), ["OWN-1.limited: no case shows use.purpose lifting it"]),
        (("day before",), ["OWN-1.limited: no case on the day before 2026-01-01 shows its date"]),
        (("first day",), ["OWN-1.limited: no case on the day from 2026-01-01 shows its date"]),
        (("day after",), ["OWN-1.limited: no case on the day from 2027-01-01 shows its date"]),
        (("last day",), ["OWN-1.limited: no case on the day before 2027-01-01 shows its date"]),
    ],
)
def test_what_no_case_shows_is_named(tmp_path: Path, missing: tuple[str, ...], says: list[str]):
    assert complaints(tmp_path, without(*missing)) == says


def test_a_redacted_description_shows_the_rule_that_it_is_judged_by(tmp_path: Path):
    pack = PACK[PACK.index('@id("OWN-2') :].replace('Action::"enrol"', 'Action::"vlm_identify"')
    cases = [
        {
            **case("caption", "2026-06-01T12:00:00Z", action="vlm_describe", expect="redact"),
            "subject": {"consent": "none"},
        },
        {**case("agreed", "2026-06-01T12:00:00Z", action="vlm_identify"), "subject": {"consent": "explicit"}},
    ]
    assert complaints(tmp_path, cases, pack) == []


def test_an_unknown_time_shows_no_date(tmp_path: Path):
    found = complaints(tmp_path, [{**case("no time", ""), "use": {"purpose": "access_control"}}, *without("first day")])
    assert found == ["OWN-1.limited: no case on the day from 2026-01-01 shows its date"]


def test_records_that_a_moved_clock_contradicts_show_nothing(tmp_path: Path):
    late = {"type": "urgency_request", "issued": "2026-01-02T00:00:00Z", "delay_hours": 12}
    found = complaints(tmp_path, [*without("first day"), case("late", "2026-01-01T12:00:00Z", evidence=[late])])
    assert found == []


def test_a_broken_case_file_and_a_broken_pack(tmp_path: Path):
    assert complaints(tmp_path, [{"id": "x"}])[0].startswith(": the case has no")
    assert complaints(tmp_path, WHOLE, "forbid (") == []


def test_an_exception_for_every_value_is_for_the_lint(tmp_path: Path):
    pack = PACK[PACK.index('@id("OWN-2') :].replace(
        "};", '}\nunless { [Control::"controlled", Control::"wild"].containsAll(resource.place.control) };'
    )
    assert complaints(tmp_path, WHOLE, pack) == []
    assert any("never" in finding.what for finding in check([tmp_path / "own.cedar"]))
