"""The shipped packs: every rule has a source, a case that it forbids, and both sides of every date and exception."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import cedarpy
import pytest

from guard.facts import Facts, parse_instant
from guard.policy import Engine, Policy
from guard.policy.cases import Case, read
from guard.policy.lint import check
from guard.policy.packs import parse, shipped
from guard.policy.proofs import cases_beside, unproved

PACKS = [pytest.param(file, id=name) for name, file in shipped().items()]

VENDOR_RULES = {
    *("MS-AOAI.general", "MS-AOAI.us-police", "MS-AOAI.mobile", "MS-AOAI.track", "MS-AOAI.emotion"),
    *("MS-AOAI.categorise", "MS-COC.general", "MS-COC.us-police", "MS-COC.mobile", "MS-COC.track"),
    *("MS-COC.emotion", "MS-COC.chain", "MS-FACE.us-police", "MS-FACE.mobile", "MS-FACE.limited"),
    *("MS-FACE.gov-uses", "MS-FACE.attributes", "MS-FACE.track", "MS-2020", "IBM-2020", "AWS-2020", "AWS-ST"),
    *("AWS-DOC", "AWS-AUP", "AWS-RAI", "OAI.db", "OAI.rbi", "OAI.emotion", "OAI.classify", "OAI.crime-predict"),
    *("OAI.privacy", "OAI.natsec"),
}
"""Every vendor rule of the notes; AWS-ST.missing is an exception, AXON-2019 and VENDOR.unclear are no rules."""

LAW_RULES = {
    *("EU-5.1.e", "EU-5.1.f", "EU-5.1.g", "EU-5.1.h", "EU-5.2", "EU-5.3", "EU-5.4", "EU-5.5", "EU-14.5", "EU-26.10"),
    *("GDPR-9", "LED-10", "FR-10", "FR-10.end", "FR-2030", "UK-LFR", "UK-GDPR", "CA-AB-PIA", "CA-fed", "AU-APP"),
    *("CA-AB1215", "OR-133.741", "NH-105D", "IL-DRONE.17", "VT-DRONE", "WA-080", "WA-080.2", "CO-307", "ME-6001"),
    *("VT-166", "VA-2021", "VA-2022", "MA-220", "MT-44-15", "UT-106", "UT-23E", "MD-503", "AL-111"),
    *("IL-BIPA", "TX-CUBI", "WA-private", "SF-19B", "OAK-9.64", "BOS-16-62", "PDX-PUB", "PDX-34.10", "PME-B"),
    *("MPLS", "NOLA", "KC"),
}
"""Every rule of law of the notes; EU-5.6 to EU-5.8 and EU-12.3 are reports, references and logs, NJ has no rule."""

REACHES_NEUTRAL_ACTIONS = {"MS-2020", "MS-FACE.us-police", "OAI.natsec", "NH-105D", "FR-10", "FR-10.end", "FR-2030"}
"""Rules that say of themselves that they reach detection, redaction, transcription or description as well."""


@dataclass(frozen=True, eq=False)
class Call:
    """A case as the engine is asked: facts, action and service, and the time of use."""

    case: Case
    facts: Facts
    action: str
    at: datetime


@cache
def engine() -> Engine:
    return Engine.load(["all"])


@cache
def calls_of(file: Path) -> tuple[Call, ...]:
    """Every call of the cases beside a pack; a redacted description is asked as the identification it stands for."""
    found = []
    for case in read(cases_beside(file)):
        facts = Facts.parse(case.facts)
        at = parse_instant(str(case.facts["use"]["at"]))
        found.append(Call(case, facts, case.action, at))
        if case.action == "vlm_describe":
            found.append(Call(case, facts, "vlm_identify", at))
    return tuple(found)


def fires(call: Call) -> frozenset[str]:
    return forbidding(call.facts, call.action, call.case.service, call.at)


@cache
def forbidding(facts: Facts, action: str, service: str | None, at: datetime) -> frozenset[str]:
    return engine().fired([(facts, action, service, at)])[0]


def branches(file: Path) -> tuple[Policy, ...]:
    return parse(file).policies


@pytest.mark.parametrize("file", PACKS)
def test_a_pack_validates_and_breaks_no_lint(file: Path):
    assert [str(finding) for finding in check([file])] == []


@pytest.mark.parametrize("file", PACKS)
def test_a_pack_is_formatted(file: Path):
    text = file.read_text(encoding="utf-8")
    assert cedarpy.format_policies(text, 110, 2).rstrip("\n") + "\n" == text


@pytest.mark.parametrize("file", PACKS)
def test_a_pack_says_what_it_covers_and_what_it_leaves_out(file: Path):
    notes = parse(file).notes
    assert "Covers:" in notes
    assert "Leaves out" in notes


@pytest.mark.parametrize("file", PACKS)
def test_the_cases_of_a_pack_pass(file: Path):
    cases = read(cases_beside(file))
    failed = [outcome.to_json() for case in cases if not (outcome := case.judge(engine())).passed]
    assert failed == []
    assert all(case.lifted_by is not None for case in cases), "every case says what would lift it"


@pytest.mark.parametrize("file", PACKS)
def test_every_rule_is_cited_by_a_case_that_it_forbids(file: Path):
    for branch in branches(file):
        assert any(branch.id in fires(call) and branch.rule in call.case.because for call in calls_of(file)), branch.id


@pytest.mark.parametrize("file", PACKS)
def test_every_branch_date_and_exception_is_shown_by_a_case(file: Path):
    assert [str(finding) for finding in unproved([file])] == []


def test_the_vendor_packs_hold_every_vendor_rule_and_no_other():
    vendor = [file for file in shipped().values() if file.parent.name == "vendor"]
    assert {rule.id for file in vendor for rule in parse(file).rules} == VENDOR_RULES


def test_the_other_packs_hold_every_rule_of_law_and_no_other():
    law = [file for file in shipped().values() if file.parent.name != "vendor"]
    assert {rule.id for file in law for rule in parse(file).rules} == LAW_RULES


def test_no_two_packs_hold_cases_of_the_same_id():
    ids = [case.id for file in shipped().values() for case in read(cases_beside(file))]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("action", ["redact", "transcribe", "detect", "vlm_describe"])
@pytest.mark.parametrize("file", PACKS)
def test_a_neutral_action_is_forbidden_by_no_rule_but_those_that_say_so(file: Path, action: str):
    for call in calls_of(file):
        fired = forbidding(call.facts, action, call.case.service, call.at)
        assert {engine().policies[id].rule for id in fired} <= REACHES_NEUTRAL_ACTIONS, f"{call.case.id}: {action}"


def test_a_reason_speaks_for_every_branch_that_forbade_and_marks_those_that_are_less_sure():
    (rule,) = parse(shipped()["us_maryland_police"]).rules
    reason = rule.reason(frozenset({"MD-503/list", "MD-503/protest", "MD-503/sole-basis"}))
    assert (reason.rule, reason.sure) == ("MD-503", "text")
    first, second, third = reason.title.split(". ")
    assert "closed list" in first
    assert second.endswith("without suspicion")
    assert third == "A match is not the sole basis [memory]"
