"""From facts to the request that Cedar sees: one `Call` entity, every attribute a set of what could be.

Only place tokens that some rule mentions can matter, so a request carries those (and its own country's): the
sets stay small, and never empty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from guard.facts import SERVICES, VOCABULARY, Facts
from guard.facts.places import outside, tokens
from guard.facts.vocabulary import OPERATORS
from guard.policy.tree import OUTSIDE

__all__ = ["EARLIEST", "LATEST", "call", "document"]

EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
_LONGEST_TERM_YEARS: Final = 1000.0
_ENTITY: Final = '{"uid":{"type":"Call","id":"%d"},"attrs":%s,"parents":[]}'

_Entity = dict[str, str]
_Place = tuple[list[str] | None, list[str] | None, list[str] | None]


def call(
    facts: Facts,
    service: str | None,
    at: datetime | None,
    held: Iterable[str],
    spent: Iterable[str],
    mentioned: frozenset[str],
    excluded: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """The attributes of a `Call`. `service` and `at` None = unknown; `mentioned` are the place tokens of the
    rules, `excluded` those of them that a rule asks for as "could be outside"."""
    kinds, acting = facts.could_be("operator.type"), facts.could_be("operator.acts_for")
    acts_for = (acting - {"self"}) | (kinds if "self" in acting else frozenset())
    years = facts.interval("use.offence.max_years", 0.0, _LONGEST_TERM_YEARS)
    threshold = facts.interval("use.threshold", 0.0, 1.0)
    moment = (EARLIEST, LATEST) if at is None else (at, at)

    def values(name: str, entity: str) -> list[_Entity]:
        return _entities(entity, (v for v in VOCABULARY[name] if v in facts.could_be(name)))

    def flags(name: str) -> list[Any]:
        return sorted(facts.could_be(name))

    return {
        "operator": {
            "type": _entities("Operator", sorted(map(str, kinds))),
            "acts_for": _entities("Operator", sorted(map(str, acts_for))),
            "by_or_for": _entities("Operator", (o for o in OPERATORS if o in kinds | acts_for)),
            "within": _within((_texts(facts, "operator.country"), None, None), mentioned, excluded),
        },
        "place": {
            "within": _within(
                (
                    _texts(facts, "place.country"),
                    _texts(facts, "place.subdivision"),
                    _texts(facts, "place.locality"),
                ),
                mentioned,
                excluded,
            ),
            "control": values("place.control", "Control"),
            "access": values("place.access", "Access"),
        },
        "mount": values("capture.mount", "Mount"),
        "at": {"from": _instant(moment[0]), "to": _instant(moment[1])},
        "timing": values("use.timing", "Timing"),
        "purpose": values("use.purpose", "Purpose"),
        "output": values("use.output", "Output"),
        "traits": values("use.traits", "Trait"),
        "searched_by": values("use.searched_by", "SearchedBy"),
        "unsolicited": flags("use.unsolicited"),
        "initial_identification": flags("use.initial_identification"),
        "names_stripped": flags("use.names_stripped"),
        "offence": {
            "max_years": _ends(years, 1),
            "annex_ii": flags("use.offence.annex_ii"),
            "listed": flags("use.offence.listed"),
            "serious": flags("use.offence.serious"),
        },
        "threshold_ppm": _ends(threshold, 1_000_000),
        "gallery": {
            "kind": values("gallery.kind", "GalleryKind"),
            "provenance": values("gallery.provenance", "Provenance"),
        },
        "subject": {
            "consent": values("subject.consent", "Consent"),
            "minor": flags("subject.minor"),
            "targeted": flags("subject.targeted"),
            "cooperates": flags("subject.cooperates"),
            "apprehended": flags("subject.apprehended"),
        },
        "service": _entities("Service", SERVICES if service is None else (service,)),
        "held": _entities("Evidence", sorted(held)),
        "spent": _entities("Evidence", sorted(spent)),
    }


def document(calls: Iterable[str]) -> str:
    """The entities of several requests as Cedar JSON: ``Call::"0"``, ``Call::"1"``, ... Each comes as the JSON of its
    attributes."""
    return f"[{','.join(_ENTITY % (number, attributes) for number, attributes in enumerate(calls))}]"


def _within(place: _Place, mentioned: frozenset[str], excluded: frozenset[str]) -> list[str]:
    return sorted(tokens(*place, mentioned) | {OUTSIDE + token for token in outside(*place, excluded)})


def _entities(kind: str, ids: Iterable[Any]) -> list[_Entity]:
    return [{"type": kind, "id": id} for id in ids]


def _texts(facts: Facts, name: str) -> list[str] | None:
    found = facts.known(name)
    return None if found is None else [str(value) for value in found]


def _ends(interval: tuple[float, float], unit: int) -> dict[str, int]:
    """Whole numbers that hold the interval: rounding must not make it narrower."""
    return {"min": _rounded(interval[0] * unit, math.floor), "max": _rounded(interval[1] * unit, math.ceil)}


def _rounded(value: float, outwards: Callable[[float], int]) -> int:
    # 0.99 is 990000 millionths, although 0.99 * 1e6 in binary is a hair less.
    nearest = round(value)
    return nearest if abs(value - nearest) < 1e-6 else outwards(value)


def _instant(instant: datetime) -> str:
    """Cedar's own form: UTC and milliseconds. Cut off downwards, which a rule's whole-millisecond ends cannot
    see."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
