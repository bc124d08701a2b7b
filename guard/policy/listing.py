"""What the packs say of themselves: one summary a pack, one card a branch of a rule.

This is the data behind `guard policy list` and `guard policy show`; nothing here evaluates a rule.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from guard.facts import format_instant
from guard.policy.packs import SHELF, SURENESS, Pack, Policy, find, parse
from guard.policy.phrasing import Phrases, phrases, words_of

__all__ = ["REVIEW_EVERY", "Card", "Summary", "cards", "packs_named", "summary"]

REVIEW_EVERY: Final = timedelta(days=365)
"""A rule that nobody has reviewed for a year is due: contracts and statutes change at least as often."""


@dataclass(frozen=True)
class Summary:
    """One pack in a line.

    `layer` is its folder on the shelf, "own" for a pack from elsewhere. `services` and `places` are what its rules
    name; empty = any. `next_change` is the next instant after `at` on which a rule begins or ends. `due` are the
    rules whose review is older than `REVIEW_EVERY` at `at`.
    """

    name: str
    layer: str
    title: str
    rules: tuple[str, ...]
    branches: int
    services: tuple[str, ...]
    places: tuple[str, ...]
    sure: dict[str, int]
    reviewed: datetime
    next_change: datetime | None
    due: tuple[str, ...]

    @property
    def covers(self) -> str:
        """Places and services in words; "everywhere" where the pack names neither."""
        return "; ".join(
            part for part in (", ".join(self.places), ", ".join(map(words_of, self.services))) if part
        ) or ("everywhere")

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "layer": self.layer,
            "title": self.title,
            "rules": list(self.rules),
            "branches": self.branches,
            "services": list(self.services),
            "places": list(self.places),
            "sure": self.sure,
            "reviewed": f"{self.reviewed:%Y-%m-%d}",
            "next_change": _instant(self.next_change),
            "review_due": list(self.due),
        }


@dataclass(frozen=True)
class Card:
    """One branch of a rule: in words, with its source. `effective` is half-open, None = no such end."""

    id: str
    rule: str
    title: str
    words: Phrases
    cite: str
    sure: str
    reviewed: datetime
    effective: tuple[datetime | None, datetime | None]

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "branch": self.id,
            "title": self.title,
            "who": list(self.words.who),
            "what": list(self.words.what),
            "where": list(self.words.where),
            "when": list(self.words.when),
            "unless": list(self.words.unless),
            "cite": self.cite,
            "sure": self.sure,
            "reviewed": f"{self.reviewed:%Y-%m-%d}",
            "effective": [_instant(end) for end in self.effective],
        }


def packs_named(names: list[str], shelf: Path = SHELF) -> list[Pack]:
    """The packs of these names or paths, "all" included, read but not validated. `PolicyError` where one is missing."""
    return [parse(path) for path in find(names, shelf)]


def summary(pack: Pack, at: datetime) -> Summary:
    """`pack` in a line, as it stands at `at`."""
    changes = {instant for policy in pack.policies for instant in policy.asked.instants}
    marks = Counter(policy.sure for policy in pack.policies)
    return Summary(
        name=pack.name,
        layer=_layer(pack.path),
        title=pack.notes.partition("\n")[0].rstrip("."),
        rules=tuple(rule.id for rule in pack.rules),
        branches=len(pack.policies),
        services=_services(pack.policies),
        places=tuple(sorted({place for policy in pack.policies for place in policy.asked.places})),
        sure={mark: marks[mark] for mark in SURENESS if marks[mark]},
        reviewed=pack.reviewed,
        next_change=min((instant for instant in changes if instant > at), default=None),
        due=tuple(dict.fromkeys(p.rule for p in pack.policies if p.reviewed + REVIEW_EVERY < at)),
    )


def cards(pack: Pack) -> tuple[Card, ...]:
    """Every branch of the pack's rules, in the order of the file."""
    return tuple(_card(policy) for policy in pack.policies)


def _card(policy: Policy) -> Card:
    return Card(
        id=policy.id,
        rule=policy.rule,
        title=policy.title,
        words=phrases(policy.source),
        cite=policy.cite,
        sure=policy.sure,
        reviewed=policy.reviewed,
        effective=policy.asked.effective,
    )


def _services(policies: tuple[Policy, ...]) -> tuple[str, ...]:
    named = [policy.asked.services for policy in policies]
    if None in named:
        return ()
    return tuple(sorted({service for services in named if services is not None for service in services}))


def _layer(path: Path) -> str:
    try:
        return path.resolve().parent.relative_to(SHELF.resolve()).as_posix()
    except ValueError:
        return "own"


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else format_instant(instant)
