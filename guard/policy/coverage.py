"""What a set of packs covers, by place and by service, and the next days on which one of its rules begins or ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from guard.facts import SERVICES, format_instant
from guard.facts.places import PLACEHOLDERS
from guard.policy.packs import Pack, Policy

__all__ = ["ANYWHERE", "ANY_SERVICE", "Coming", "Cover", "by_place", "by_service", "coming"]

ANYWHERE: Final = "anywhere"
ANY_SERVICE: Final = "any service"


@dataclass(frozen=True, slots=True)
class Cover:
    """What the packs say of one country (or the Union) or of one service: `rules` by id, `packs` by name, and the parts
    of the country that rules name."""

    of: str
    rules: tuple[str, ...]
    packs: tuple[str, ...]
    parts: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"of": self.of, "rules": list(self.rules), "packs": list(self.packs), "parts": list(self.parts)}


@dataclass(frozen=True, slots=True)
class Coming:
    """A day on which a rule changes: it begins, it ends, or something within it does."""

    at: datetime
    pack: str
    rule: str
    what: str

    def to_json(self) -> dict[str, Any]:
        return {"at": format_instant(self.at), "pack": self.pack, "rule": self.rule, "what": self.what}


def by_place(packs: Sequence[Pack]) -> list[Cover]:
    """The rules by country, the Union as one, in order of the code; last those that hold anywhere."""
    found: dict[str, list[Policy]] = {}
    parts: dict[str, set[str]] = {}
    for policy in _policies(packs):
        tokens = [token for token in policy.asked.places if " " not in token.partition("/")[0]]
        for token in tokens:
            country = "EU" if token in PLACEHOLDERS else token.partition("/")[0].partition("-")[0]
            found.setdefault(country, []).append(policy)
            if token not in (country, *PLACEHOLDERS):
                parts.setdefault(country, set()).add(token)
        if not tokens:
            found.setdefault(ANYWHERE, []).append(policy)
    ordered = sorted(found, key=lambda place: (place == ANYWHERE, place))
    return [_cover(place, found[place], parts) for place in ordered]


def by_service(packs: Sequence[Pack]) -> list[Cover]:
    """The rules by service that they name, in the order of the vocabulary; last those that concern any."""
    found: dict[str, list[Policy]] = {}
    for policy in _policies(packs):
        for service in (ANY_SERVICE,) if policy.asked.services is None else policy.asked.services:
            found.setdefault(service, []).append(policy)
    return [_cover(service, found[service]) for service in (*SERVICES, ANY_SERVICE) if service in found]


def coming(packs: Sequence[Pack], at: datetime) -> list[Coming]:
    """Every change of a rule after `at`, in order of time."""
    found = {
        Coming(instant, policy.pack, policy.rule, _what(policy, instant)): None
        for policy in _policies(packs)
        for instant in policy.asked.instants
        if instant > at
    }
    return sorted(found, key=lambda change: (change.at, change.pack))


def _policies(packs: Iterable[Pack]) -> list[Policy]:
    return [policy for pack in packs for policy in pack.policies]


def _cover(of: str, policies: Iterable[Policy], parts: Mapping[str, set[str]] | None = None) -> Cover:
    listed = list(policies)
    return Cover(
        of,
        tuple(dict.fromkeys(policy.rule for policy in listed)),
        tuple(dict.fromkeys(policy.pack for policy in listed)),
        tuple(sorted((parts or {}).get(of, ()))),
    )


def _what(policy: Policy, instant: datetime) -> str:
    start, end = policy.asked.effective
    if instant == start:
        return "begins"
    return "ends" if instant == end else "changes"
