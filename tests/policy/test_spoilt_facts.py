"""A fact that is taken away, null or mistyped never lets through what was forbidden."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from guard.errors import ConfigError
from guard.facts import ATTRIBUTES, Facts, Verdict, parse_instant
from guard.facts.vocabulary import VOCABULARY
from guard.policy import Engine
from guard.policy.cases import Case, read
from guard.policy.packs import shipped
from guard.policy.proofs import cases_beside

SEVERITY = [Verdict.ALLOW, Verdict.REDACT, Verdict.DENY]
ONE_IN = 17
"""Of the facts of all cases together one in so many is spoilt: a few seconds, and every attribute is among them."""
NUMBERS = {"use.threshold": "high", "use.offence.max_years": "seven"}
INSTANTS = {"use.at": "soon", "capture.at": "yesterday"}
TEXTS = {"place.locality": 7, "use.offence.name": 7, "use.traits": ["nonsense"]}
PLACES = {"place.country": "Atlantis", "place.subdivision": "US-XX", "operator.country": "Atlantis"}
MISTYPED: dict[str, Any] = {**dict.fromkeys(VOCABULARY, "nonsense"), **NUMBERS, **INSTANTS, **TEXTS, **PLACES}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(["all"])


def stated(facts: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The dotted names of the facts that a case states."""
    for name, value in facts.items():
        dotted = f"{above}{name}"
        if isinstance(value, Mapping):
            yield from stated(value, f"{dotted}.")
        elif dotted in ATTRIBUTES:
            yield dotted


def spoilt(facts: Mapping[str, Any], name: str, value: Any = ...) -> dict[str, Any]:
    """The facts with one of them another value, or none at all."""
    found = copy.deepcopy(dict(facts))
    *groups, last = name.split(".")
    inner = found
    for group in groups:
        inner = inner[group]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return found


def severity(engine: Engine, case: Case, raw: Mapping[str, Any]) -> int:
    facts = Facts.parse(raw)
    at = parse_instant(str(raw["use"]["at"])) if raw["use"].get("at") else None
    return SEVERITY.index(engine.column(facts, case.action, case.service, at).ruling(case.faces).verdict)


FORBIDDEN = [
    case
    for file in shipped().values()
    for case in read(cases_beside(file))
    if case.expect is not Verdict.ALLOW and case.facts.get("use", {}).get("at")
]
FACTS = [
    (case, name)
    for number, (case, name) in enumerate((case, name) for case in FORBIDDEN for name in stated(case.facts))
    if number % ONE_IN == 0
]


def test_every_attribute_is_among_the_facts_that_are_spoilt():
    assert {name for _, name in FACTS} >= set(ATTRIBUTES) - {"capture.at", "use.names_stripped"}


def test_a_fact_that_is_taken_away_or_null_never_moves_a_verdict_towards_allow(engine: Engine):
    laxer = [
        (case.id, name, value)
        for case, name in FACTS
        for value in (..., None)
        if severity(engine, case, spoilt(case.facts, name, value)) < SEVERITY.index(case.expect)
    ]
    assert laxer == []


def test_a_fact_that_is_mistyped_is_an_error_and_a_denial(engine: Engine):
    for case, name in FACTS:
        broken = spoilt(case.facts, name, MISTYPED[name])
        with pytest.raises(ConfigError):
            Facts.parse(broken)
        outcome = Case(case.id, case.action, case.service, case.faces, Verdict.DENY, broken, None, ()).judge(engine)
        assert (outcome.verdict, bool(outcome.fault)) == (Verdict.DENY, True), (case.id, name)


def test_whatever_is_mistyped_is_an_error():
    assert set(MISTYPED) == set(ATTRIBUTES)
    for name, value in MISTYPED.items():
        facts: dict[str, Any] = {}
        inner = facts
        *groups, last = name.split(".")
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
        with pytest.raises(ConfigError):
            Facts.parse(facts)
