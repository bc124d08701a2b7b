"""Evidence counts only in date and in scope; what is late or refused is spent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from guard.errors import ConfigError
from guard.facts import EVIDENCE_TOKENS, Evidence, Facts, Standing, judge
from guard.facts.evidence import boundaries
from guard.facts.vocabulary import EVIDENCE_TYPES

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
YEAR = {"issued": "2026-05-02T12:00:00Z", "expires": "2027-05-02T12:00:00Z"}
KNOWN = {
    "place": {"country": "US", "subdivision": "US-WA", "locality": "Spokane"},
    "capture": {"mount": "drone"},
    "use": {"purpose": "missing_person"},
}


def standing(record: dict[str, Any], at: datetime | None = AT, **groups: Any) -> Standing:
    facts = Facts.parse({**KNOWN, **groups, "evidence": [record]})
    return judge(facts, "identify", "azure_face", at)


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        (datetime(2026, 5, 2, 11, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 5, 2, 12, tzinfo=UTC), True),
        (datetime(2027, 5, 2, 11, 59, 59, tzinfo=UTC), True),
        (datetime(2027, 5, 2, 12, tzinfo=UTC), False),
        (None, False),
    ],
)
def test_a_record_counts_from_its_issue_up_to_and_not_at_its_end(at: datetime | None, counts: bool) -> None:
    assert standing({"type": "warrant", **YEAR}, at).held == ({"warrant"} if counts else set())


def test_instants_are_compared_and_not_texts() -> None:
    record = {"type": "warrant", "issued": "2026-05-01T08:00:00-07:00", "expires": "2026-06-01T04:59:59-07:00"}
    assert standing(record).held == set()


@pytest.mark.parametrize("record", [{"issued": YEAR["issued"]}, {"expires": YEAR["expires"]}, {}])
def test_a_record_whose_dates_are_not_known_does_not_count(record: dict[str, str]) -> None:
    found = standing({"type": "warrant", **record})
    assert found == Standing(frozenset(), frozenset(), found.remarks)
    assert found.remarks


@pytest.mark.parametrize(
    ("covers", "counts"),
    [
        ({"use.purpose": "missing_person"}, True),
        ({"use": {"purpose": "missing_person"}}, True),
        ({"use.purpose": ["missing_person", "victim"]}, True),
        ({"use.purpose": "victim"}, False),
        ({"place.locality": "city of spokane"}, True),
        ({"place.locality": "Seattle"}, False),
        ({"action": "identify", "service": "azure_face"}, True),
        ({"action": "verify"}, False),
        ({"service": "openai"}, False),
        ({"use.timing": "real_time"}, False),
        ({"subject.minor": False}, False),
        ({"capture.mount": "drone", "use.timing": "real_time"}, False),
    ],
)
def test_a_record_counts_only_where_every_covered_fact_agrees(covers: dict[str, Any], counts: bool) -> None:
    assert bool(standing({"type": "warrant", **YEAR, "covers": covers}).held) is counts


def test_a_record_limited_to_an_action_or_a_service_that_is_unknown_does_not_count() -> None:
    facts = Facts.parse({"evidence": [{"type": "warrant", **YEAR, "covers": {"service": "azure_face"}}]})
    assert judge(facts, "identify", None, AT).held == set()
    assert judge(facts, "identify", "azure_face", AT).held == {"warrant"}
    facts = Facts.parse({"evidence": [{"type": "warrant", **YEAR, "covers": {"action": "identify"}}]})
    assert judge(facts, None, "azure_face", AT).held == set()


def test_a_covered_fact_that_could_be_several_things_does_not_count() -> None:
    record = {"type": "warrant", **YEAR, "covers": {"use.purpose": "victim"}}
    use = {"purpose": {"any_of": ["victim", "other"]}}
    assert standing(record, use=use).held == set()
    assert "unknown" in standing(record, use=use).remarks[0]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"type": "human_review"}, set()),
        ({"type": "human_review", "count": 0}, set()),
        ({"type": "human_review", "count": 1}, {"human_review:1"}),
        ({"type": "human_review", "count": 3}, {"human_review:1", "human_review:2"}),
        ({"type": "pia"}, {"pia"}),
        ({"type": "pia", "reviewed": False}, {"pia"}),
        ({"type": "pia", "reviewed": True}, {"pia", "pia:reviewed"}),
        ({"type": "exigency_record"}, {"exigency_record"}),
        ({"type": "exigency_record", "ground": "terror_risk"}, {"exigency_record", "exigency_record:terror_risk"}),
        ({"type": "grounds_record", "ground": "leads"}, {"grounds_record", "grounds_record:leads"}),
        ({"type": "notice_posted"}, {"notice_posted", "notice_posted:30d"}),
        ({"type": "notice_posted", "issued": "2026-05-22T12:00:00Z"}, {"notice_posted"}),
        ({"type": "prior_authorisation"}, {"prior_authorisation", "prior_authorisation:48h"}),
    ],
)
def test_the_tokens_say_what_the_record_says(record: dict[str, Any], expected: set[str]) -> None:
    found = standing({**YEAR, **record}).held
    assert found == expected
    assert found <= EVIDENCE_TOKENS


@pytest.mark.parametrize(
    ("issued", "extra", "held", "spent"),
    [
        ("2026-06-01T11:00:00Z", {}, True, False),
        ("2026-06-01T22:00:00Z", {}, True, False),
        ("2026-06-01T22:00:00Z", {"delay_hours": 10}, True, False),
        ("2026-06-02T12:00:00Z", {}, True, False),
        ("2026-06-02T12:00:01Z", {}, False, True),
        ("2026-06-02T18:00:00Z", {"delay_hours": 30}, False, True),
        ("2026-06-01T11:00:00Z", {"expires": "2026-06-01T11:30:00Z"}, False, False),
        ("2026-06-01T11:00:00Z", {"refused": True}, False, True),
        (None, {"delay_hours": 10}, True, False),
        (None, {}, False, False),
    ],
)
def test_an_urgency_request_is_good_for_a_day_after_the_start(
    issued: str | None, extra: dict[str, Any], held: bool, spent: bool
) -> None:
    found = standing({"type": "urgency_request", "issued": issued, **extra})
    assert (found.held == {"urgency_request"}, found.spent == {"urgency_request"}) == (held, spent)


@pytest.mark.parametrize(
    ("issued", "extra", "held", "spent"),
    [
        ("2026-05-31T12:00:00Z", {}, {"prior_authorisation", "prior_authorisation:48h"}, set()),
        ("2026-06-03T04:00:00Z", {"delay_hours": 40}, {"prior_authorisation:48h"}, {"prior_authorisation"}),
        ("2026-06-03T12:00:00Z", {}, {"prior_authorisation:48h"}, {"prior_authorisation"}),
        ("2026-06-04T00:00:00Z", {"delay_hours": 60}, set(), {"prior_authorisation", "prior_authorisation:48h"}),
        ("2026-05-31T12:00:00Z", {"refused": True}, set(), {"prior_authorisation", "prior_authorisation:48h"}),
        ("2026-06-03T04:00:00Z", {"expires": None}, set(), {"prior_authorisation"}),
    ],
)
def test_an_authorisation_comes_before_the_use_or_within_two_days(
    issued: str, extra: dict[str, Any], held: set[str], spent: set[str]
) -> None:
    found = standing({"type": "prior_authorisation", "expires": "2027-01-01T00:00:00Z", "issued": issued, **extra})
    assert (found.held, found.spent) == (held, spent)


@pytest.mark.parametrize(
    ("hours", "held"),
    [
        (-1, set()),
        (0, {"urgency_undertaking:24h", "urgency_undertaking:48h"}),
        (23.9, {"urgency_undertaking:24h", "urgency_undertaking:48h"}),
        (24, {"urgency_undertaking:48h"}),
        (48, set()),
    ],
)
def test_an_undertaking_is_good_for_its_hours_only(hours: float, held: set[str]) -> None:
    issued = datetime(2026, 6, 1, 12, tzinfo=UTC)
    found = judge(
        Facts(evidence=[Evidence("urgency_undertaking", issued)]), "identify", None, issued + timedelta(hours=hours)
    )
    assert (found.held, found.spent) == (held, set())


def test_a_refused_record_is_spent_wherever_it_could_apply() -> None:
    record = {"type": "court_order", **YEAR, "refused": True, "covers": {"subject.minor": False}}
    assert standing(record).spent == {"court_order"}
    assert standing(record, subject={"minor": True}).spent == set()
    assert standing(record, at=None).spent == {"court_order"}
    assert standing(record, at=datetime(2028, 1, 1, tzinfo=UTC)).spent == set()


def test_at_an_unknown_time_no_record_counts_and_what_was_late_is_spent() -> None:
    assert standing({"type": "urgency_request", "delay_hours": 30}, at=None).spent == {"urgency_request"}
    assert standing({"type": "urgency_request", "delay_hours": 3}, at=None).held == set()
    assert standing({"type": "prior_authorisation", "delay_hours": 60}, at=None).spent >= {"prior_authorisation:48h"}
    assert standing({"type": "prior_authorisation", "delay_hours": 6}, at=None).held == set()


@pytest.mark.parametrize(("issued", "delay"), [("2026-06-01T22:00:00Z", 11), ("2026-06-01T11:00:00Z", 10)])
def test_a_delay_that_contradicts_its_dates_is_a_fault(issued: str, delay: int) -> None:
    with pytest.raises(ConfigError, match="delay_hours") as caught:
        standing({"type": "urgency_request", "issued": issued, "delay_hours": delay})
    assert caught.value.where == "evidence[0]"


def test_a_delay_beside_its_date_is_a_fault_at_an_unknown_time_too() -> None:
    """Else a clock that is not believed would allow what every clock that is believed refuses."""
    with pytest.raises(ConfigError, match="that is unknown") as caught:
        standing({"type": "urgency_request", "issued": "2026-06-01T22:00:00Z", "delay_hours": 10}, at=None)
    assert caught.value.where == "evidence[0]"
    assert standing({"type": "urgency_request", "issued": "2026-06-01T22:00:00Z"}, at=None).held == set()


def test_a_delay_written_by_hand_may_be_rounded_and_the_longer_one_counts() -> None:
    assert standing({"type": "urgency_request", "issued": "2026-06-01T12:20:00Z", "delay_hours": 0.33}).held
    assert standing({"type": "urgency_request", "issued": "2026-06-02T12:00:00Z", "delay_hours": 24.005}).spent


def test_a_record_that_states_a_delay_came_after_the_use_began_whatever_its_rounded_date_says() -> None:
    late = {"type": "case_approval", **YEAR, "issued": "2026-06-01T12:00:00Z"}
    assert standing(late).held == {"case_approval"}
    assert standing({**late, "delay_hours": 0}).held == {"case_approval"}
    assert standing({**late, "delay_hours": 0.001}).held == set()


def test_the_boundaries_are_all_the_instants_at_which_a_standing_changes() -> None:
    record = {
        "use": {"at": None},
        "evidence": [
            {"type": "warrant", **YEAR},
            {"type": "notice_posted", "issued": "2026-05-22T12:00:00Z", "expires": "2026-09-01T00:00:00Z"},
            {"type": "urgency_request", "issued": "2026-06-02T12:00:00Z"},
            {"type": "prior_authorisation", "issued": "2026-06-03T04:00:00Z", "expires": "2026-12-01T00:00:00Z"},
            {"type": "urgency_undertaking", "issued": "2026-06-01T00:00:00Z"},
            {"type": "pia"},
        ],
    }
    facts = Facts.parse(record)
    ends = boundaries(facts.evidence)
    assert list(ends) == sorted(ends)
    for before, after in pairwise(ends):
        middle = before + (after - before) / 2
        assert judge(facts, "identify", None, before) == judge(facts, "identify", None, middle)
    for end in ends:
        assert judge(facts, "identify", None, end) != judge(facts, "identify", None, end - timedelta(seconds=1))


def test_a_stated_delay_has_boundaries_where_it_begins_and_ceases_to_contradict() -> None:
    facts = Facts.parse({"evidence": [{"type": "urgency_request", "issued": "2026-06-02T12:00:00Z", "delay_hours": 2}]})
    ends = boundaries(facts.evidence)
    sound = datetime(2026, 6, 2, 10, tzinfo=UTC)
    assert {sound, sound - timedelta(seconds=36), sound + timedelta(seconds=36)} <= set(ends)


def test_a_record_at_the_end_of_time_breaks_nothing() -> None:
    last = datetime(9999, 12, 31, tzinfo=UTC)
    facts = Facts(
        evidence=[Evidence("notice_posted", last - timedelta(days=1), last), Evidence("urgency_undertaking", last)]
    )
    assert last in boundaries(facts.evidence)
    assert judge(facts, "identify", None, last).held == {"urgency_undertaking:24h", "urgency_undertaking:48h"}
    assert judge(facts, "identify", None, last - timedelta(hours=1)).held == {"notice_posted"}


def test_every_type_has_its_token() -> None:
    assert {token.partition(":")[0] for token in EVIDENCE_TOKENS} == set(EVIDENCE_TYPES)


def test_a_record_is_written_as_it_was_read() -> None:
    record = {
        "type": "exigency_record",
        **YEAR,
        "covers": {"use.purpose": "victim", "place.country": ["FR", "US"]},
        "count": 2,
        "note": "by phone",
        "delay_hours": 1.5,
        "refused": True,
        "reviewed": False,
        "ground": "terror_risk",
    }
    facts = Facts.parse({"evidence": [record]})
    assert facts.evidence[0].to_json() == record
    assert Facts.parse(facts.to_json()) == facts
