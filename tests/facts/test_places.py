"""Places: what a place could be, never less and never empty."""

from __future__ import annotations

import pytest

from guard.facts.places import (
    COUNTRIES,
    ELSEWHERE,
    EU_MEMBERS,
    GAZETTEER,
    SUBDIVISIONS,
    country_tokens,
    is_subdivision,
    is_token,
    locality_key,
    tokens,
)

MENTIONED = (
    "US",
    "EU",
    "EU-X",
    "EU-Y",
    "GB",
    "US-OR",
    "US-ME",
    "US-PR",
    "US-OR/Portland",
    "US-ME/Portland",
    "US-CA/Oakland",
)


def test_the_tables_have_the_sizes_of_their_standards() -> None:
    assert len(COUNTRIES) == 249 + 2
    assert len(EU_MEMBERS) == 27
    assert EU_MEMBERS < COUNTRIES
    assert {country: len(codes) for country, codes in SUBDIVISIONS.items()} == {"US": 57, "CA": 13, "GB": 4, "AU": 8}
    assert ELSEWHERE not in COUNTRIES


def test_every_place_of_the_gazetteer_lies_in_a_subdivision_and_is_listed_once() -> None:
    for code, names in GAZETTEER.items():
        assert is_subdivision(code)
        assert len({locality_key(name) for name in names}) == len(names)
        assert all(is_token(f"{code}/{name}") for name in names)


@pytest.mark.parametrize(
    ("countries", "subdivisions", "localities", "expected"),
    [
        ({"US"}, {"US-OR"}, {"Portland"}, {"US", "US-OR", "US-OR/Portland"}),
        ({"US"}, {"US-ME"}, {"city of PORTLAND"}, {"US", "US-ME", "US-ME/Portland"}),
        ({"US"}, {"US-OR"}, {"Bend"}, {"US", "US-OR"}),
        ({"US"}, {"US-OR"}, None, {"US", "US-OR", "US-OR/Portland"}),
        ({"US"}, None, {"Portland"}, {"US", "US-OR", "US-ME", "US-PR", "US-OR/Portland", "US-ME/Portland"}),
        (None, {"US-OR"}, {"Portland"}, {"US", "US-OR", "US-OR/Portland"}),
        ({"US"}, {"US-TX"}, None, {"US", "US-TX"}),
        ({"FR"}, None, None, {"FR", "EU", "EU-Y"}),
        ({"RE"}, None, None, {"RE", "FR", "EU", "EU-Y"}),
        ({"AX"}, None, None, {"AX", "FI", "EU", "EU-Y"}),
        ({"EU-X"}, None, None, {"EU-X", "EU"}),
        ({"PR"}, None, None, {"PR", "US", "US-PR"}),
        ({"JP"}, None, None, {"JP"}),
        ({"FR", "US"}, {"US-OR"}, {"Bend"}, {"FR", "EU", "EU-Y", "US", "US-OR"}),
        (None, None, None, {*MENTIONED, ELSEWHERE}),
    ],
)
def test_the_tokens_of_a_place_are_all_that_it_could_have(
    countries: set[str] | None, subdivisions: set[str] | None, localities: set[str] | None, expected: set[str]
) -> None:
    assert tokens(countries, subdivisions, localities, MENTIONED) == expected


def test_an_unknown_locality_leaves_the_other_portland_out() -> None:
    assert "US-ME/Portland" not in tokens({"US"}, {"US-OR"}, None, MENTIONED)


def test_a_place_of_which_nothing_is_known_has_a_token_even_where_no_rule_names_a_place() -> None:
    assert tokens(None, None, None, ()) == {ELSEWHERE}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("St. Paul", "saint paul"),
        ("City of San Francisco", "San Francisco"),
        ("City and County of San Francisco", "SAN  FRANCISCO"),
        ("County of King", "King County"),
        ("Montréal", "Montreal"),
    ],
)
def test_two_spellings_of_one_locality_are_one(one: str, other: str) -> None:
    assert locality_key(one) == locality_key(other)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("US-OR", True),
        ("US-XX", False),
        ("FR-75", True),
        ("FR-7555", False),
        ("ZZ-1", False),
        ("GB-LND", False),
        ("oregon", False),
    ],
)
def test_subdivisions_are_those_of_the_standard(code: str, expected: bool) -> None:
    assert is_subdivision(code) is expected


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("US", True),
        ("EU", True),
        ("EU-Y", True),
        ("US-OR", True),
        ("US-OR/Portland", True),
        ("US-XX", False),
        ("US-OR/Portlnd", False),
        ("FR-75", False),
        ("Europe", False),
        ("ZZ", False),
    ],
)
def test_a_rule_may_ask_for_known_places_only(token: str, expected: bool) -> None:
    assert is_token(token) is expected


def test_a_member_state_counts_as_one_without_an_opt_in_law() -> None:
    assert country_tokens("DE") == {"DE", "EU", "EU-Y"}
    assert country_tokens("NO") == {"NO"}
