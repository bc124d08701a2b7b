"""A mistake in a file names the file, the key and the remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from guard.errors import ConfigError
from guard.facts import Facts, parse_evidence

DATES = {"issued": "2026-05-02T12:00:00Z", "expires": "2027-05-02T12:00:00Z"}


@pytest.mark.parametrize(
    ("groups", "where", "mend"),
    [
        ({"plase": {}}, "plase", "did you mean 'place'?"),
        ({"weather": {}}, "weather", "the keys are"),
        ({"place": {"zip": "02108"}}, "place.zip", "the keys are"),
        ({"capture": {"mounted": "fixed"}}, "capture.mounted", "did you mean 'mount'?"),
        ({"capture": "fixed"}, "capture", "its keys are mount, at"),
        ({"capture": {"mount": "bodyworn"}}, "capture.mount", "did you mean 'body_worn'?"),
        ({"capture": {"mount": "Body-Worn"}}, "capture.mount", "did you mean 'body_worn'?"),
        ({"capture": {"mount": "xyzzy"}}, "capture.mount", "one of body_worn, vehicle"),
        ({"capture": {"mount": ["fixed"]}}, "capture.mount", "one of"),
        ({"capture": {"mount": {"any": ["fixed"]}}}, "capture.mount.any", "did you mean 'any_of'?"),
        ({"capture": {"at": "noon"}}, "capture.at", "RFC 3339"),
        ({"subject": {"minor": "true"}}, "subject.minor", "did you mean true?"),
        ({"subject": {"minor": 1}}, "subject.minor", "one of true, false"),
        ({"subject": {"minor": "perhaps"}}, "subject.minor", "one of true, false"),
        ({"place": {"country": "fr"}}, "place.country", "did you mean 'FR'?"),
        ({"place": {"country": "UK"}}, "place.country", "did you mean 'GB'?"),
        ({"place": {"country": "XQ"}}, "place.country", "ISO 3166-1"),
        ({"operator": {"country": False}}, "operator.country", "ISO 3166-1"),
        ({"place": {"subdivision": "us-ca"}}, "place.subdivision", "did you mean 'US-CA'?"),
        ({"place": {"subdivision": "GB-EN"}}, "place.subdivision", "did you mean 'GB-ENG'?"),
        ({"place": {"subdivision": "GB-12345"}}, "place.subdivision", "one of GB-ENG"),
        ({"place": {"subdivision": "California"}}, "place.subdivision", "ISO 3166-2"),
        ({"place": {"subdivision": 5}}, "place.subdivision", "ISO 3166-2"),
        ({"place": {"country": "FR", "subdivision": "US-CA"}}, "place.subdivision", "correct the country"),
        ({"place": {"locality": ""}}, "place.locality", "a name in quotes"),
        ({"place": {"locality": "San Fransisco"}}, "place.locality", "did you mean 'San Francisco'?"),
        ({"place": {"country": "US", "locality": "Minneapolls"}}, "place.locality", "did you mean 'Minneapolis'?"),
        ({"use": {"threshold": 99}}, "use.threshold", "a number from 0 to 1"),
        ({"use": {"threshold": True}}, "use.threshold", "a number from 0 to 1"),
        ({"use": {"threshold": "0.9"}}, "use.threshold", "a number from 0 to 1"),
        ({"use": {"traits": "race"}}, "use.traits", "write traits = [...]"),
        ({"use": {"traits": ["rase"]}}, "use.traits", "did you mean 'race'?"),
        ({"use": {"offence": {"max_years": -1}}}, "use.offence.max_years", "a number from 0 to 1000"),
        ({"use": {"offence": {"years": 1}}}, "use.offence.years", "did you mean 'max_years'?"),
        ({"use": {"offence": "theft"}}, "use.offence", "its keys are name, max_years"),
        ({"use": {"offence": {"name": 5}}}, "use.offence.name", "a name in quotes"),
        ({"evidence": {"type": "warrant"}}, "evidence", "write evidence = [...]"),
        ({"evidence": ["warrant"]}, "evidence[0]", "write {"),
        ({"evidence": [{"type": "warant"}]}, "evidence[0].type", "did you mean 'warrant'?"),
        ({"evidence": [{"type": None}]}, "evidence[0].type", "one of warrant"),
        ({"evidence": [{"type": "fria", "date": 1}]}, "evidence[0].date", "the keys are type"),
        ({"evidence": [{"type": "fria", "issued": "2026-01-01"}]}, "evidence[0].issued", "RFC 3339"),
        (
            {"evidence": [{"type": "fria", "issued": DATES["expires"], "expires": DATES["issued"]}]},
            "evidence[0].expires",
            "check the dates",
        ),
        ({"evidence": [{"type": "fria", "count": -1}]}, "evidence[0].count", "a whole number"),
        ({"evidence": [{"type": "fria", "count": True}]}, "evidence[0].count", "a whole number"),
        ({"evidence": [{"type": "fria", "note": 1}]}, "evidence[0].note", "in quotes"),
        ({"evidence": [{"type": "fria", "refused": "no"}]}, "evidence[0].refused", "true or false"),
        ({"evidence": [{"type": "fria", "delay_hours": -1}]}, "evidence[0].delay_hours", "0 or more"),
        ({"evidence": [{"type": "fria", "delay_hours": "1"}]}, "evidence[0].delay_hours", "0 or more"),
        ({"evidence": [{"type": "fria", "ground": "leads"}]}, "evidence[0].ground", "leave `ground` out"),
        ({"evidence": [{"type": "grounds_record", "ground": "lead"}]}, "evidence[0].ground", "did you mean 'leads'?"),
        ({"evidence": [{"type": "grounds_record", "ground": "xyz"}]}, "evidence[0].ground", "one of"),
        ({"evidence": [{"type": "fria", "covers": []}]}, "evidence[0].covers", "write covers"),
        (
            {"evidence": [{"type": "fria", "covers": {"mount": "fixed"}}]},
            "evidence[0].covers.mount",
            "did you mean 'capture.mount'?",
        ),
        ({"evidence": [{"type": "fria", "covers": {"zz": 1}}]}, "evidence[0].covers.zz", "a record is limited to"),
        (
            {"evidence": [{"type": "fria", "covers": {"use.at": DATES["issued"]}}]},
            "evidence[0].covers.use.at",
            "use `issued`",
        ),
        (
            {"evidence": [{"type": "fria", "covers": {"action": "identity"}}]},
            "evidence[0].covers.action",
            "did you mean 'identify'?",
        ),
        ({"evidence": [{"type": "fria", "covers": {"service": "zz"}}]}, "evidence[0].covers.service", "one of"),
        (
            {"evidence": [{"type": "fria", "covers": {"use.timing": []}}]},
            "evidence[0].covers.use.timing",
            "leave it out",
        ),
    ],
)
def test_a_mistake_names_its_place_and_its_remedy(groups: dict[str, Any], where: str, mend: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Facts.parse(groups, where="guard.toml: source[0]")
    assert caught.value.where == f"guard.toml: source[0].{where}"
    assert mend in str(caught.value.mend)
    assert "\n" not in str(caught.value)


def test_a_place_of_ones_own_spelling_is_no_mistake() -> None:
    for locality in ("South San Francisco", "Davis", "Middle of Nowhere"):
        Facts.parse({"place": {"country": "US", "subdivision": "US-CA", "locality": locality}})
    Facts.parse({"place": {"country": "US", "subdivision": "US-TX", "locality": "San Fransisco"}})


def test_the_place_of_a_mistake_without_a_file_is_the_key() -> None:
    with pytest.raises(ConfigError) as caught:
        Facts.parse({"capture": {"mount": "x"}})
    assert caught.value.where == "capture.mount"
    with pytest.raises(ConfigError) as caught:
        Facts.parse({"capture": {"mount": "x"}}, where="cases.json: ")
    assert caught.value.where == "cases.json: capture.mount"


def test_toml_dates_and_nested_covers_are_read() -> None:
    record = parse_evidence(
        {
            "type": "court_order",
            "issued": datetime(2026, 5, 2, 12, tzinfo=UTC),
            "expires": "2027-05-02T12:00:00Z",
            "covers": {"place": {"country": "US"}, "use.offence.max_years": 5, "subject.minor": False},
            "delay_hours": "unknown",
        }
    )
    assert record.issued == datetime(2026, 5, 2, 12, tzinfo=UTC)
    assert dict(record.covers) == {
        "place.country": frozenset({"US"}),
        "subject.minor": frozenset({False}),
        "use.offence.max_years": frozenset({5.0}),
    }
    assert record.delay_hours is None
