"""What would turn a denial is computed: unknown facts first, then evidence, whole lists and alternatives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from guard.facts import Facts, Verdict
from guard.policy import Engine, lifting
from guard.policy.candidates import candidates

Known = Callable[..., Facts]
PATROL = {
    "operator.type": "us_police",
    "capture.mount": "body_worn",
    "place.control": "wild",
    "use.timing": "real_time",
}


def lifted(engine: Engine, facts: Facts, action: str, at: datetime | None, service: str | None = "other") -> Any:
    ruling = engine.column(facts, action, service, at).ruling(1)
    assert ruling.verdict is Verdict.DENY
    found = ruling.lifted_by()
    assert ruling.lifted_by() == found
    return [sorted(item) if isinstance(item, list) else item for item in found]


def test_what_nothing_lifts_has_an_empty_list(toy: Engine, known: Known, at: datetime) -> None:
    assert lifted(toy, known(PATROL), "identify", at) == []


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [
        (["capture.mount"], ["capture.mount"]),
        (["place.control", "use.timing"], ["place.control", "use.timing"]),
        (["operator.type"], ["operator.type"]),
        (["gallery.kind", "subject.minor"], []),
        (["gallery.kind", "capture.mount"], ["capture.mount"]),
    ],
)
def test_an_unknown_fact_is_named_where_a_value_of_it_silences_a_rule(
    unknown: list[str], expected: list[str], toy: Engine, known: Known, at: datetime
) -> None:
    assert lifted(toy, known({**PATROL, **dict.fromkeys(unknown)}), "identify", at) == expected


def test_for_whom_one_acts_is_named_only_where_it_can_turn_the_verdict(toy: Engine, known: Known, at: datetime) -> None:
    assert lifted(toy, known({**PATROL, "operator.acts_for": None}), "identify", at) == []
    private = known({**PATROL, "operator.type": "private", "operator.acts_for": None})
    assert lifted(toy, private, "identify", at) == ["operator.acts_for"]
    neither = known({**PATROL, "operator.type": None, "operator.acts_for": None})
    assert lifted(toy, neither, "identify", at) == []


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({"place.country": "US", "place.subdivision": "US-OR", "place.locality": None}, ["place.locality"]),
        ({"place.country": "US", "place.subdivision": None, "place.locality": None}, ["place.subdivision"]),
        ({"place.country": "US", "place.subdivision": None, "place.locality": "Portland"}, ["place.subdivision"]),
        ({"place.country": None, "place.subdivision": "US-OR", "place.locality": None}, ["place.locality"]),
        ({"place.country": "US", "place.subdivision": "US-OR", "place.locality": "Portland"}, ["legal_mandate"]),
    ],
)
def test_of_an_unknown_place_only_the_coarsest_part_is_named(
    place: dict[str, Any], expected: list[str], toy: Engine, known: Known, at: datetime
) -> None:
    assert lifted(toy, known(place), "identify", at) == expected


def test_an_unknown_country_is_named_before_the_evidence_of_each(toy: Engine, known: Known, at: datetime) -> None:
    facts = known({"place.country": None})
    assert lifted(toy, facts, "identify", at) == ["place.country"]


def test_alternatives_are_nested_and_what_is_needed_whole_is_not(toy: Engine, known: Known, at: datetime) -> None:
    facts = known({"place.country": "DE"})
    assert lifted(toy, facts, "identify", at) == ["notice_posted", ["court_order", "warrant"]]


def test_what_is_on_file_is_not_asked_for_again(toy: Engine, known: Known, at: datetime) -> None:
    dates = {"issued": "2026-05-01T00:00:00Z", "expires": "2027-05-01T00:00:00Z"}
    facts = known({"place.country": "DE"}, [{"type": "warrant", **dates}])
    assert lifted(toy, facts, "identify", at) == ["notice_posted"]
    elsewhere = known({"place.country": "DE"}, [{"type": "warrant", **dates, "covers": {"place.country": "FR"}}])
    assert lifted(toy, elsewhere, "identify", at) == ["notice_posted", ["court_order", "warrant"]]


def test_consent_may_be_named_although_it_is_known(toy: Engine, known: Known, at: datetime) -> None:
    for consent in ("none", "informed"):
        facts = known({"subject.consent": consent})
        assert lifted(toy, facts, "enrol", at) == [["national_law", "subject.consent"]]
    assert lifted(toy, known({"subject.consent": None}), "enrol", at) == ["subject.consent"]


def test_a_count_is_named_by_its_type(toy: Engine, known: Known, at: datetime) -> None:
    one = {"type": "human_review", "count": 1, "issued": "2026-05-01T00:00:00Z", "expires": "2027-05-01T00:00:00Z"}
    assert lifted(toy, known({"place.country": "JP"}, [one]), "verify", at) == ["human_review"]


def test_an_undertaking_is_never_named(toy: Engine, known: Known, at: datetime) -> None:
    assert lifted(toy, known({"place.country": "GB"}), "identify", at) == [["prior_authorisation", "urgency_request"]]


@pytest.mark.parametrize(
    "record",
    [
        {"type": "urgency_request", "issued": "2026-06-02T18:00:00Z", "delay_hours": 30},
        {"type": "prior_authorisation", "issued": "2026-05-01T00:00:00Z", "refused": True},
    ],
)
def test_what_was_late_or_refused_is_not_lifted(
    record: dict[str, Any], toy: Engine, known: Known, at: datetime
) -> None:
    assert lifted(toy, known({"place.country": "GB"}, [record]), "identify", at) == []


def test_an_unknown_service_is_named(toy: Engine, known: Known, at: datetime) -> None:
    facts = known({"subject.minor": True})
    assert lifted(toy, facts, "track", at, None) == ["service"]
    assert lifted(toy, facts.replacing({"subject.minor": None}), "track", at, None) == ["subject.minor", "service"]


def test_an_unknown_time_is_named_where_another_day_would_do(toy: Engine, known: Known, at: datetime) -> None:
    facts = known({"place.country": "US", "place.subdivision": "US-CA", "capture.mount": "body_worn"})
    assert lifted(toy, facts, "detect", None) == ["use.at"]
    dates = {"issued": "2026-05-01T00:00:00Z", "expires": "2027-05-01T00:00:00Z"}
    reviewed = known({"place.country": "JP"}, [{"type": "human_review", "count": 2, **dates}])
    assert lifted(toy, reviewed, "verify", None) == ["use.at"]
    contradictory = known({"place.country": "JP"}, [{"type": "human_review", "count": 2, **dates, "delay_hours": 5}])
    assert toy.column(contradictory, "verify", None, None).with_faces.fault
    assert lifted(toy, contradictory, "verify", None) == []


def test_a_fact_that_only_a_record_turns_on_is_named(toy: Engine, known: Known, at: datetime) -> None:
    record = {
        "type": "human_review",
        "count": 2,
        "issued": "2026-05-01T00:00:00Z",
        "expires": "2027-05-01T00:00:00Z",
        "covers": {"use.purpose": "victim", "action": "verify"},
    }
    facts = known({"place.country": "JP", "use.purpose": None}, [record])
    assert lifted(toy, facts, "verify", at) == ["use.purpose"]


def test_an_offence_of_which_nothing_is_known_is_one_fact(toy: Engine, known: Known, at: datetime) -> None:
    facts = known({"place.country": "AU", "use.purpose": "criminal_investigation"})
    assert lifted(toy, facts, "identify", at) == ["use.offence"]
    heavy = facts.replacing({"use.offence.max_years": 10})
    assert lifted(toy, heavy, "identify", at) == ["use.offence.listed"]
    light = facts.replacing({"use.offence.max_years": 2})
    assert lifted(toy, light, "identify", at) == []
    assert lifted(toy, facts.replacing({"use.purpose": None}), "identify", at) == ["use.purpose", "use.offence"]


@pytest.mark.parametrize(
    ("changes", "action", "expected"),
    [
        ({"operator.type": "us_federal_le", "use.threshold": None}, "verify", ["use.threshold"]),
        ({"use.traits": None}, "categorise", ["use.traits"]),
        ({"use.traits": frozenset({"race"})}, "categorise", []),
        ({"operator.country": None, "operator.type": "nonus_police"}, "identify", ["operator.country"]),
        ({"operator.country": "NZ", "operator.type": "nonus_police", "use.purpose": None}, "identify", ["use.purpose"]),
    ],
)
def test_numbers_traits_and_countries_are_named_too(
    changes: dict[str, Any], action: str, expected: list[str], toy: Engine, known: Known, at: datetime
) -> None:
    assert lifted(toy, known(changes), action, at) == expected


def test_no_fact_is_named_where_knowing_it_gains_nothing(
    write_pack: Callable[..., Path], known: Known, at: datetime
) -> None:
    both = Engine.load(
        [
            write_pack('unless { resource.held.contains(Evidence::"fria") }', id="A.always", name="one"),
            write_pack(
                'when { resource.mount.contains(Mount::"drone") } unless { resource.held.contains(Evidence::"fria") }',
                id="A.drone",
                name="two",
            ),
        ]
    )
    assert lifted(both, known({"capture.mount": None}), "detect", at) == ["fria"]


def test_values_that_silence_different_rules_are_weighed_against_each_other(
    write_pack: Callable[..., Path], known: Known, at: datetime
) -> None:
    rules = [
        write_pack('when { resource.mount.contains(Mount::"drone") }', id="A.a", name="a"),
        write_pack(
            'when { resource.mount.containsAny([Mount::"fixed", Mount::"file", Mount::"handheld"]) }'
            'unless { resource.held.contains(Evidence::"fria") }',
            id="A.b",
            name="b",
        ),
        write_pack('when { resource.mount.containsAny([Mount::"body_worn", Mount::"vehicle"]) }', id="A.c", name="c"),
    ]
    assert lifted(Engine.load(rules), known({"capture.mount": None}), "detect", at) == ["capture.mount", "fria"]


def test_too_many_combinations_fall_back_on_the_best_value_of_each(
    monkeypatch: pytest.MonkeyPatch, toy: Engine, known: Known, at: datetime
) -> None:
    monkeypatch.setattr(lifting, "_MOST_ASSIGNMENTS", 0)
    toy._columns.clear()
    facts = known({**PATROL, "capture.mount": None, "use.timing": None})
    assert lifted(toy, facts, "identify", at) == ["capture.mount", "use.timing"]
    toy._columns.clear()


def test_the_candidates_of_a_place_are_those_that_a_rule_or_a_record_tells_apart(toy: Engine, known: Known) -> None:
    dates = {"issued": "2026-05-01T00:00:00Z", "expires": "2027-05-01T00:00:00Z"}
    record = {"type": "warrant", **dates, "covers": {"place.locality": "Salem", "place.subdivision": "US-WA"}}
    facts = known({"place.country": "US"}, [record])
    here = lifting.Situation(facts, "identify", "other", None)
    policies = list(toy.policies.values())
    countries = candidates(here, "place.country", policies)
    assert {"AU", "GB", "JP", "US", "EU-X", "EU-Y", "NZ"} < set(countries)
    assert len(countries) < 12
    assert set(candidates(here, "place.subdivision", policies)) == {"US-AK", "US-CA", "US-OR", "US-WA"}
    assert set(candidates(here, "place.locality", policies)) >= {"Portland", "Salem"}
    assert 0.99 in candidates(here, "use.threshold", policies)
