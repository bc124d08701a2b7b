"""Which values of an unknown fact an explanation has to try.

A closed vocabulary is tried whole. Of what cannot be listed (places, instants, numbers) only the values
matter that some rule or some record tells apart, and one beyond all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from guard.facts import SERVICES, VOCABULARY, Facts
from guard.facts.evidence import boundaries
from guard.facts.places import COUNTRIES, SUBDIVISIONS, country_of, country_tokens, locality_key
from guard.policy.packs import Policy
from guard.policy.request import EARLIEST, LATEST

if TYPE_CHECKING:
    from guard.policy.lifting import Situation

__all__ = ["candidates", "open_facts"]

_PLACES: Final = ("place.country", "place.subdivision", "place.locality")
_OFFENCE: Final = tuple(f"use.offence.{part}" for part in ("max_years", "annex_ii", "listed", "serious"))
_NOWHERE_NAMED: Final = "somewhere that no rule names"
_MILLISECOND: Final = timedelta(milliseconds=1)


def open_facts(here: Situation, policies: Sequence[Policy]) -> list[str]:
    """The unknown facts on which these policies turn, in the order of the vocabulary.

    Of a place only the coarsest unknown part. An offence of which nothing is known is one fact,
    ``use.offence``.
    """
    asked = {name for policy in policies for name in policy.asked.facts}
    if any(policy.asked.held or policy.asked.spent for policy in policies):
        asked |= {name for record in here.facts.evidence for name, _ in record.covers} - {"action"}
    found: list[str] = []
    for name in _ORDER:
        if name not in asked or _known(here, name):
            continue
        if name in _PLACES and any(part in found for part in _PLACES):
            continue
        if name in _OFFENCE and all(here.facts.known(part) is None for part in _OFFENCE):
            name = "use.offence"
            if name in found:
                continue
        found.append(name)
    return found


def candidates(here: Situation, name: str, policies: Sequence[Policy]) -> list[Any]:
    """The values of the fact to try: for ``use.offence`` mappings of its parts, else plain values."""
    facts = here.facts
    if name == "service":
        return list(SERVICES)
    if name == "use.at":
        return _instants(facts, policies)
    if name == "use.offence":
        parts = [candidates(here, part, policies) for part in _OFFENCE]
        return [dict(zip(_OFFENCE, values, strict=True)) for values in product(*parts)]
    if name == "use.traits":
        return [frozenset(), *(frozenset({trait}) for trait in VOCABULARY[name])]
    covered = {value for record in facts.evidence for fact, values in record.covers if fact == name for value in values}
    if name in VOCABULARY:
        return list(VOCABULARY[name])
    if name in ("use.offence.max_years", "use.threshold"):
        return _numbers(name, policies, covered)
    tokens = {token for policy in policies for token in policy.asked.places}
    if name == "operator.country":
        return _countries(tokens, covered)
    if name == "place.country":
        return [*_countries(tokens, covered), *_wholes(name, policies)]
    if name == "place.subdivision":
        return [*_subdivisions(facts, tokens, covered), *_wholes(name, policies)]
    return _localities(tokens, covered)


_ORDER: Final = (
    "operator.type",
    "operator.acts_for",
    "operator.country",
    *_PLACES,
    "place.control",
    "place.access",
    "capture.mount",
    "use.at",
    "use.timing",
    "use.purpose",
    "use.offence.name",
    *_OFFENCE,
    "use.output",
    "use.threshold",
    "use.traits",
    "use.searched_by",
    "use.unsolicited",
    "use.initial_identification",
    "use.names_stripped",
    "gallery.kind",
    "gallery.provenance",
    "subject.consent",
    "subject.minor",
    "subject.targeted",
    "subject.cooperates",
    "subject.apprehended",
    "service",
)


def _known(here: Situation, name: str) -> bool:
    if name == "service":
        return here.service is not None
    if name == "use.at":
        return here.at is not None
    if name == "place.country" and here.facts.known("place.subdivision") is not None:
        return True
    return here.facts.known(name) is not None


def _wholes(name: str, policies: Sequence[Policy]) -> list[dict[str, Any]]:
    """Places known in all their parts: to lie certainly within Portland takes more than to know the country."""
    found = []
    for token in sorted({token for policy in policies for token in policy.asked.outside} - COUNTRIES - {"EU"}):
        subdivision, _, locality = token.partition("/")
        whole = (country_of(token), subdivision, locality or _NOWHERE_NAMED)
        start = _PLACES.index(name)
        found.append(dict(zip(_PLACES[start:], whole[start:], strict=True)))
    return found


def _instants(facts: Facts, policies: Iterable[Policy]) -> list[datetime]:
    ends = {instant for policy in policies for instant in policy.asked.instants} | set(boundaries(facts.evidence))
    return sorted({EARLIEST, LATEST} | ends | {end - _MILLISECOND for end in ends if end - EARLIEST > _MILLISECOND})


def _numbers(name: str, policies: Iterable[Policy], covered: set[Any]) -> list[float]:
    unit, top = (1, 1000.0) if name == "use.offence.max_years" else (1_000_000, 1.0)
    ends = {value for policy in policies for value in (policy.asked.years if unit == 1 else policy.asked.threshold_ppm)}
    near = {(end + step) / unit for end in ends for step in (-1, 0, 1)}
    return sorted({0.0, top} | {value for value in near if 0 <= value <= top} | covered)


def _countries(tokens: set[str], covered: set[Any]) -> list[str]:
    """The countries that a rule or a record names, alone or by one of their parts, and one that none
    names."""
    named = {token for token in tokens if token in COUNTRIES}
    named |= {country_of(token) for token in tokens if "-" in token and token not in COUNTRIES} | covered
    members = [country for country in sorted(COUNTRIES) if "EU" in country_tokens(country)]
    if "EU" in tokens:
        named |= {"EU-X", "EU-Y"}
    elsewhere = [c for c in sorted(COUNTRIES) if c not in members and not country_tokens(c) & (named | {"US"})]
    return [*elsewhere[:1], *sorted(named)]


def _subdivisions(facts: Facts, tokens: set[str], covered: set[Any]) -> list[str]:
    countries = facts.known("place.country") or frozenset()
    parts = {token.partition("/")[0] for token in tokens} | covered
    named = {part for part in parts if "-" in part and part not in COUNTRIES and country_of(part) in countries}
    others = [part for c in countries for part in sorted(SUBDIVISIONS.get(str(c), ())) if part not in named]
    return [*others[:1], *sorted(named)]


def _localities(tokens: set[str], covered: set[Any]) -> list[str]:
    named = {locality_key(token.partition("/")[2]): token.partition("/")[2] for token in tokens if "/" in token}
    named |= {locality_key(str(name)): str(name) for name in covered}
    return [_NOWHERE_NAMED, *sorted(named.values())]
