"""Facts are sets of what could be: unknown is everything, and nothing is never said."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.facts import ATTRIBUTES, VOCABULARY, Facts
from guard.facts.places import COUNTRIES

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
FULL: dict[str, Any] = {
    "operator": {"type": "private", "acts_for": "self", "country": "FR"},
    "place": {
        "country": "US",
        "subdivision": "US-CA",
        "locality": "San Francisco",
        "control": "wild",
        "access": "public",
    },
    "capture": {"mount": "body_worn", "at": "2026-06-01T12:00:00Z"},
    "use": {
        "at": "2026-06-01T12:00:00Z",
        "timing": "real_time",
        "purpose": "criminal_investigation",
        "offence": {"name": "burglary", "max_years": 10, "annex_ii": False, "listed": True, "serious": True},
        "output": "lead_only",
        "threshold": 0.99,
        "traits": ["race", "age_range"],
        "searched_by": "operator",
        "unsolicited": False,
        "initial_identification": True,
        "names_stripped": False,
    },
    "gallery": {"kind": "suspects", "provenance": "scraped"},
    "subject": {"consent": "none", "minor": False, "targeted": True, "cooperates": False, "apprehended": False},
    "evidence": [],
}


def test_what_is_declared_is_known_and_comes_back_as_it_was() -> None:
    facts = Facts.parse(FULL)
    assert facts.to_json() == FULL
    assert all(facts.known(name) is not None for name in ATTRIBUTES)


@pytest.mark.parametrize("groups", [{}, {"use": {}}, {"use": None}, {"use": "unknown"}, {"evidence": None}])
def test_what_is_left_out_is_unknown(groups: dict[str, Any]) -> None:
    facts = Facts.parse(groups)
    assert facts == Facts()
    assert facts.to_json()["use"]["offence"] is None
    assert facts.to_json()["evidence"] == []
    for name in VOCABULARY:
        assert facts.could_be(name) == frozenset(VOCABULARY[name])
    assert facts.could_be("place.country") == facts.could_be("operator.country") == COUNTRIES


@pytest.mark.parametrize("value", [None, "unknown"])
def test_null_and_the_word_unknown_are_unknown(value: object) -> None:
    assert Facts.parse({"capture": {"mount": value}, "subject": {"minor": value}}) == Facts()


def test_several_possibilities_are_kept_and_written_as_any_of() -> None:
    facts = Facts.parse({"capture": {"mount": {"any_of": ["vehicle", "body_worn"]}}})
    assert facts.could_be("capture.mount") == {"vehicle", "body_worn"}
    assert facts.to_json()["capture"]["mount"] == {"any_of": ["body_worn", "vehicle"]}


def test_no_trait_is_a_fact_and_not_an_unknown() -> None:
    facts = Facts.parse({"use": {"traits": []}})
    assert facts.could_be("use.traits") == frozenset()
    assert facts.to_json()["use"]["traits"] == []


def test_an_absent_offence_is_none_only_where_the_purpose_is_known_to_be_another() -> None:
    for use, none in [
        ({"purpose": "missing_person"}, True),
        ({"purpose": {"any_of": ["victim", "other"]}}, True),
        ({"purpose": "criminal_investigation"}, False),
        ({"purpose": {"any_of": ["victim", "criminal_investigation"]}}, False),
        ({}, False),
        ({"purpose": "victim", "offence": {"serious": True}}, False),
    ]:
        facts = Facts.parse({"use": use})
        assert facts.has_no_offence is none
        assert (facts.known("use.offence.max_years") == {0.0}) is none
        assert (facts.could_be("use.offence.listed") == {False}) is none
    assert Facts.parse({"use": {"purpose": "victim"}}).to_json()["use"]["offence"] is None


def test_a_subdivision_tells_its_country() -> None:
    assert Facts.parse({"place": {"subdivision": "US-CA"}}).could_be("place.country") == {"US"}


def test_what_cannot_be_listed_is_not_listed() -> None:
    for name in ("place.locality", "use.at", "use.threshold"):
        with pytest.raises(ValueError, match="cannot be listed"):
            Facts().could_be(name)
        assert Facts().known(name) is None
    with pytest.raises(KeyError):
        Facts().known("place.planet")


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="empty set"):
        Facts({"capture.mount": frozenset()})
    with pytest.raises(ConfigError, match="empty set"):
        Facts().replacing({"capture.mount": ()})
    with pytest.raises(ConfigError, match="any_of"):
        Facts.parse({"capture": {"mount": {"any_of": []}}})


@pytest.mark.parametrize("name", ["place.planet", "mount", ""])
def test_a_name_that_is_no_fact_is_refused(name: str) -> None:
    for make in (lambda: Facts({name: frozenset({"x"})}), lambda: Facts().replacing({name: None})):
        with pytest.raises(ConfigError, match="no fact"):
            make()


def test_replacing_leaves_the_original_as_it_was() -> None:
    facts = Facts.parse(FULL)
    changed = facts.replacing({"capture.mount": "fixed", "use.at": None, "use.timing": {"post_event", "real_time"}})
    assert changed.could_be("capture.mount") == {"fixed"}
    assert changed.known("use.at") is None
    assert changed.could_be("use.timing") == {"post_event", "real_time"}
    assert facts == Facts.parse(FULL)
    assert changed.replacing(evidence=[]).evidence == ()
    with pytest.raises(ConfigError):
        facts.replacing({"capture.mount": "tripod"})


def test_a_contradicted_fact_is_what_was_declared_and_what_was_seen() -> None:
    facts = Facts.parse({"capture": {"mount": "fixed"}})
    assert facts.union("capture.mount", {"body_worn"}).could_be("capture.mount") == {"fixed", "body_worn"}
    assert facts.union("use.timing", {"real_time"}) == facts


def test_agreement_is_certain_or_it_is_not_known() -> None:
    facts = Facts.parse({"capture": {"mount": {"any_of": ["fixed", "drone"]}}})
    assert facts.agrees("capture.mount", frozenset({"fixed", "drone", "file"})) is True
    assert facts.agrees("capture.mount", frozenset({"fixed"})) is None
    assert facts.agrees("capture.mount", frozenset({"file"})) is False
    assert facts.agrees("use.timing", frozenset({"real_time"})) is None


def test_an_interval_holds_all_that_a_number_could_be() -> None:
    facts = Facts.parse({"use": {"threshold": {"any_of": [0.9, 0.5]}}})
    assert facts.interval("use.threshold", 0.0, 1.0) == (0.5, 0.9)
    assert Facts().interval("use.threshold", 0.0, 1.0) == (0.0, 1.0)


def test_the_digest_names_the_facts_and_not_their_instants() -> None:
    facts = Facts.parse(FULL)
    later = facts.replacing({"use.at": AT.replace(hour=13), "capture.at": None})
    assert later != facts
    assert later.digest == facts.digest
    assert hash(later) == hash(facts)
    assert facts.replacing({"subject.minor": True}).digest != facts.digest
    assert facts.replacing(evidence=Facts.parse({"evidence": [{"type": "fria"}]}).evidence).digest != facts.digest
    assert (facts == "facts") is False


def test_facts_cannot_be_changed() -> None:
    facts = Facts.parse(FULL)
    for change in (
        lambda: setattr(facts, "evidence", ()),
        lambda: setattr(facts, "anything", 1),
        lambda: delattr(facts, "evidence"),
        lambda: facts._known.update({}),  # type: ignore[attr-defined]
    ):
        with pytest.raises(AttributeError):
            change()


def test_facts_survive_a_pickle_and_show_what_is_known() -> None:
    facts = Facts.parse(FULL)
    assert pickle.loads(pickle.dumps(facts)) == facts
    assert "capture.mount='body_worn'" in repr(facts)


@given(st.data())
def test_any_facts_survive_json(data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from(sorted(VOCABULARY)), max_size=8))
    known = {
        name: data.draw(st.frozensets(st.sampled_from(VOCABULARY[name]), min_size=1), label=name) for name in names
    }
    facts = Facts(known)  # type: ignore[arg-type]
    again = Facts.parse(facts.to_json())
    assert again == facts
    assert again.digest == facts.digest
