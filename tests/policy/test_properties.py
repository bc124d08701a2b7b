"""Promises of the decision core, on random requests.

Ignorance forbids: what is missing moves a verdict towards deny only. And no further: a verdict on partial facts is that
of all their completions together. `Reference` is a second, slow and plainly written evaluator of the same rules; the
two must agree on every request.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.facts import ACTIONS, ATTRIBUTES, SERVICES, VOCABULARY, Facts, Verdict, parse_instant
from guard.policy import Engine

SEVERITY = [Verdict.ALLOW, Verdict.REDACT, Verdict.DENY]
BUDGET = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
INSTANTS = [
    *(datetime(year, 6, 1, 12, tzinfo=UTC) for year in (2019, 2021, 2024, 2026)),
    datetime(2024, 5, 1, tzinfo=UTC),
    datetime(2024, 4, 30, 23, 59, 59, 999000, tzinfo=UTC),
]
DATES = {"issued": "2024-01-01T00:00:00Z", "expires": "2027-01-01T00:00:00Z"}
RECORDS: list[dict[str, Any]] = [
    {"type": "human_review", "count": 2, **DATES},
    {"type": "limited_access_approval", **DATES, "covers": {"use.purpose": "missing_person"}},
    {"type": "limited_access_approval", **DATES, "covers": {"service": "azure_face", "subject.minor": False}},
    {"type": "court_order", **DATES, "covers": {"place.country": ["US", "FR"]}},
    {"type": "warrant", **DATES},
    {"type": "vendor_approval", **DATES, "covers": {"action": "identify"}},
    {"type": "national_law", "issued": "2023-01-01T00:00:00Z", "expires": "2024-01-01T00:00:00Z"},
    {"type": "legal_mandate", **DATES, "covers": {"place.locality": "Portland"}},
]
PLACES: list[dict[str, str]] = [
    {"place.country": "US", "place.subdivision": "US-OR", "place.locality": "Portland"},
    {"place.country": "US", "place.subdivision": "US-ME", "place.locality": "Portland"},
    {"place.country": "US", "place.subdivision": "US-CA", "place.locality": "Oakland"},
    {"place.country": "FR"},
    {"place.country": "EU-X"},
    {"place.country": "GB", "place.subdivision": "GB-ENG"},
    {"place.country": "AU"},
    {"place.country": "BR"},
]
CLOSED = sorted(set(VOCABULARY) - {"use.traits"})
REDUCIBLE = [name for name in ATTRIBUTES if name not in ("use.at", "capture.at", "use.offence.name")]


@st.composite
def known_facts(draw: st.DrawFn) -> Facts:
    """Facts of which every one is known, with some records."""
    facts: dict[str, Any] = {name: draw(st.sampled_from(VOCABULARY[name])) for name in CLOSED}
    facts |= draw(st.sampled_from(PLACES))
    facts["operator.country"] = draw(st.sampled_from(["US", "FR", "NZ", "SG"]))
    facts["use.traits"] = draw(st.frozensets(st.sampled_from(VOCABULARY["use.traits"]), max_size=2))
    facts["use.threshold"] = draw(st.sampled_from([0.5, 0.99, 1.0]))
    facts["use.offence.max_years"] = draw(st.sampled_from([0, 3, 4, 10]))
    if facts["use.purpose"] != "criminal_investigation" and draw(st.booleans()):
        facts = {name: value for name, value in facts.items() if "offence" not in name}
    records = draw(st.lists(st.sampled_from(RECORDS), max_size=3, unique_by=str))
    return Facts().replacing(facts).replacing(evidence=Facts.parse({"evidence": records}).evidence)


calls = st.tuples(st.sampled_from(ACTIONS), st.sampled_from(SERVICES), st.sampled_from(INSTANTS))


def severity(
    engine: Engine, facts: Facts, action: str, service: str | None, at: datetime | None, faces: int | None
) -> int:
    ruling = engine.column(facts, action, service, at).ruling(faces)
    assert ruling.fault is None
    return SEVERITY.index(ruling.verdict)


@BUDGET
@given(facts=known_facts(), call=calls, faces=st.sampled_from([0, 2]), data=st.data())
def test_knowing_less_never_moves_a_verdict_towards_allow(
    everything: Engine, facts: Facts, call: tuple[str, str, datetime], faces: int, data: st.DataObject
) -> None:
    action, service, at = call
    before = severity(everything, facts, action, service, at, faces)
    forgotten = data.draw(st.lists(st.sampled_from(REDUCIBLE), min_size=1, max_size=4, unique=True))
    less = facts
    for name in forgotten:
        if name in CLOSED and data.draw(st.booleans()):
            more = data.draw(st.frozensets(st.sampled_from(VOCABULARY[name]), min_size=1))
            less = less.union(name, more)
        else:
            less = less.replacing({name: None})
    for shorter, s, a, f in [
        (less, service, at, faces),
        (less, None, at, faces),
        (less, service, None, faces),
        (less, service, at, None),
        (less.replacing(evidence=[]), service, at, faces),
    ]:
        assert severity(everything, shorter, action, s, a, f) >= before


SMALL = [name for name in CLOSED if len(VOCABULARY[name]) <= 9 and name not in ("operator.type", "operator.acts_for")]


@BUDGET
@given(facts=known_facts(), call=calls, data=st.data())
def test_partial_facts_are_judged_as_all_their_completions_together(
    everything: Engine, facts: Facts, call: tuple[str, str, datetime], data: st.DataObject
) -> None:
    """Safe: every rule that fires for some completion fires. Exact: what is denied is denied for some completion."""
    action, service, at = call
    names = data.draw(st.lists(st.sampled_from(SMALL), min_size=1, max_size=2, unique=True))
    if data.draw(st.booleans()):
        names = ["use.purpose"]
    partial = facts.replacing(dict.fromkeys(names))
    values = [VOCABULARY[name] for name in names]
    completions = [partial.replacing(dict(zip(names, chosen, strict=True))) for chosen in product(*values)]
    (fired,) = everything.fired([(partial, action, service, at)])
    each = everything.fired([(completion, action, service, at) for completion in completions])
    union = frozenset().union(*each)
    assert union <= fired
    assert bool(union) == bool(fired)


@BUDGET
@given(facts=known_facts(), call=calls, data=st.data())
def test_an_unknown_place_is_judged_as_every_place_together(
    everything: Engine, facts: Facts, call: tuple[str, str, datetime], data: st.DataObject
) -> None:
    action, service, at = call
    parts = ["place.country", "place.subdivision", "place.locality"]
    partial = facts.replacing(dict.fromkeys(parts))
    each = everything.fired([(partial.replacing(place), action, service, at) for place in PLACES])
    (fired,) = everything.fired([(partial, action, service, at)])
    assert frozenset().union(*each) <= fired


@BUDGET
@given(facts=known_facts(), call=calls, data=st.data())
def test_what_lifts_a_denial_lifts_it(
    everything: Engine, facts: Facts, call: tuple[str, str, datetime], data: st.DataObject
) -> None:
    """Every name in `lifted_by` is an unknown fact, consent, or a type of evidence; and meeting the evidence lifts."""
    action, service, at = call
    hidden = data.draw(st.lists(st.sampled_from(REDUCIBLE), max_size=3, unique=True))
    partial = facts.replacing(dict.fromkeys(hidden))
    ruling = everything.column(partial, action, service, at).ruling(1)
    lift = ruling.lifted_by()
    if ruling.verdict is not Verdict.DENY:
        assert lift == []
        return
    names = [item for item in lift if isinstance(item, str)] + [
        n for item in lift if isinstance(item, list) for n in item
    ]
    unknown = {name for name in names if "." in name and name not in ("subject.consent", "use.offence")}
    assert all(partial.known(name) is None for name in unknown)
    if lift and not unknown and "use.offence" not in names:
        obtained = [item if isinstance(item, str) else item[0] for item in lift]
        records = [
            {"type": name, **DATES, "expires": "2030-01-01T00:00:00Z", "issued": "2010-01-01T00:00:00Z", **extra}
            for name in obtained
            if name != "subject.consent"
            for extra in ({"count": 2} if name == "human_review" else {},)
        ]
        met = partial.replacing(evidence=[*partial.evidence, *Facts.parse({"evidence": records}).evidence])
        if "subject.consent" in obtained:
            met = met.replacing({"subject.consent": "written_release"})
        assert everything.column(met, action, service, at).ruling(1).verdict is Verdict.ALLOW


class Reference:
    """The rules once more, evaluated in Python from their JSON form."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def fired(self, facts: Facts, action: str, service: str | None, at: datetime | None) -> frozenset[str]:
        _, attributes = self.engine.request(facts, action, service, at)
        return frozenset(
            policy.id
            for policy in self.engine.policies.values()
            if policy.effect == "forbid"
            and action in policy.actions
            and self.holds(policy.source["conditions"], attributes)
        )

    def holds(self, conditions: list[dict[str, Any]], attributes: dict[str, Any]) -> bool:
        return all(self.value(c["body"], attributes) is (c["kind"] == "when") for c in conditions)

    def value(self, node: Any, attributes: dict[str, Any]) -> Any:
        ((operator, operand),) = node.items()
        if operator == "Value":
            return operand["__entity"]["id"] if isinstance(operand, dict) else operand
        if operator == "Set":
            return {self.value(item, attributes) for item in operand}
        if operator == "datetime":
            return parse_instant(operand[0]["Value"])
        if operator == "Var":
            return attributes
        if operator == ".":
            return plain(self.value(operand["left"], attributes)[operand["attr"]])
        if operator == "!":
            return not self.value(operand["arg"], attributes)
        if operator == "isEmpty":
            return not self.value(operand["arg"], attributes)
        left, right = (self.value(operand[side], attributes) for side in ("left", "right"))
        meaning: dict[str, Callable[[Any, Any], bool]] = {
            "&&": lambda a, b: a and b,
            "||": lambda a, b: a or b,
            "contains": lambda a, b: b in a,
            "containsAny": lambda a, b: bool(a & b),
            "containsAll": lambda a, b: b <= a,
            "<": lambda a, b: a < b,
            "<=": lambda a, b: a <= b,
            ">": lambda a, b: a > b,
            ">=": lambda a, b: a >= b,
        }
        return meaning[operator](left, right)


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return {item["id"] if isinstance(item, dict) else item for item in value}
    return parse_instant(value) if isinstance(value, str) else value


@BUDGET
@given(facts=known_facts(), call=calls, data=st.data())
def test_cedar_and_the_reference_agree(
    everything: Engine, facts: Facts, call: tuple[str, str, datetime], data: st.DataObject
) -> None:
    action, service, at = call
    partial = facts.replacing(dict.fromkeys(data.draw(st.lists(st.sampled_from(REDUCIBLE), max_size=6))))
    when = data.draw(st.sampled_from([at, None]))
    whom = data.draw(st.sampled_from([service, None]))
    (fired,) = everything.fired([(partial, action, whom, when)])
    assert fired == Reference(everything).fired(partial, action, whom, when)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_column_says_until_when_it_holds(everything: Engine, known: Callable[..., Facts], action: str) -> None:
    """Between two ends nothing changes: every column is compared with fresh answers at its ends and inside."""
    facts = known(
        {"operator.type": "us_police", "place.country": "US", "use.timing": None, "subject.consent": "none"},
        [RECORDS[0], RECORDS[4], {"type": "urgency_request", "issued": "2025-06-01T00:00:00Z"}],
    )
    for service in SERVICES:
        at = datetime(2018, 1, 1, tzinfo=UTC)
        while True:
            column = everything.column(facts, action, service, at)
            assert column.covers(at)
            if column.valid_until is None:
                break
            last = column.valid_until - timedelta(milliseconds=1)
            (one, other) = everything.fired([(facts, action, service, at), (facts, action, service, last)])
            assert one == other
            at = column.valid_until
