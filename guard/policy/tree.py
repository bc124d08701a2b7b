"""Reading a parsed policy: what its conditions ask, without running it.

Cedar's JSON form of a policy is a tree of one-key objects. Results of an evaluation carry only policy ids, so
what an explanation or a lint needs (facts asked for, levers, dates, places) is read from the tree once, at
load.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from guard.facts import ATTRIBUTES, parse_instant

__all__ = ["FACTS_OF", "OUTSIDE", "Asked", "conjuncts", "dates", "literals", "path", "reach", "read", "walk"]

Node = Any  # a Cedar expression in JSON form

OUTSIDE: Final = "outside "
"""Before a place token: the place, or the operator's country, could be another than this one."""

_PLACE: Final = ("place.country", "place.subdivision", "place.locality")
_OFFENCE: Final = tuple(name for name in ATTRIBUTES if name.startswith("use.offence.") and not name.endswith("name"))

FACTS_OF: Final[dict[str, tuple[str, ...]]] = {
    "operator.type": ("operator.type",),
    "operator.acts_for": ("operator.acts_for", "operator.type"),
    "operator.by_or_for": ("operator.type", "operator.acts_for"),
    "operator.within": ("operator.country",),
    "place.within": _PLACE,
    "place.control": ("place.control",),
    "place.access": ("place.access",),
    "mount": ("capture.mount",),
    "at.from": ("use.at",),
    "at.to": ("use.at",),
    "timing": ("use.timing",),
    "purpose": ("use.purpose",),
    "output": ("use.output",),
    "traits": ("use.traits",),
    "searched_by": ("use.searched_by",),
    "unsolicited": ("use.unsolicited",),
    "initial_identification": ("use.initial_identification",),
    "names_stripped": ("use.names_stripped",),
    # Whether an absent offence is none hangs on the purpose.
    **{f"offence.{part}": (f"use.offence.{part}", "use.purpose") for part in ("annex_ii", "listed", "serious")},
    **{f"offence.max_years.{end}": ("use.offence.max_years", "use.purpose") for end in ("min", "max")},
    **{f"threshold_ppm.{end}": ("use.threshold",) for end in ("min", "max")},
    "gallery.kind": ("gallery.kind",),
    "gallery.provenance": ("gallery.provenance",),
    "subject.consent": ("subject.consent",),
    "subject.minor": ("subject.minor",),
    "subject.targeted": ("subject.targeted",),
    "subject.cooperates": ("subject.cooperates",),
    "subject.apprehended": ("subject.apprehended",),
    "service": ("service",),
    # A record counts by its date; which other facts it covers, only the record knows.
    "held": ("use.at",),
    "spent": ("use.at",),
}
"""Which facts stand behind each attribute of the request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one policy asks. `services` None = any. `effective` is half-open, None = no such end.

    `places` are place tokens however they are asked for; `outside` those of them asked for as "could be outside".
    """

    paths: frozenset[str]
    facts: frozenset[str]
    held: frozenset[str]
    spent: frozenset[str]
    places: frozenset[str]
    outside: frozenset[str]
    instants: tuple[datetime, ...]
    years: frozenset[int]
    threshold_ppm: frozenset[int]
    services: frozenset[str] | None
    effective: tuple[datetime | None, datetime | None]


def read(conditions: list[dict[str, Any]]) -> Asked:
    """What the `when` and `unless` blocks of a policy ask."""
    by_path: dict[str, set[Any]] = {}
    instants: set[datetime] = set()
    for condition in conditions:
        for node in walk(condition["body"]):
            for one, other in _operands(node):
                asked = path(one)
                if asked is not None:
                    by_path.setdefault(asked, set()).update(literals(other))
            instants.update(dates(node))
    body = [c["body"] for c in conditions if c["kind"] == "when"]
    services: frozenset[str] | None = None
    start: datetime | None = None
    end: datetime | None = None
    for part in body:
        services = _both(services, reach(part, "service"))
        first, last = _in_force(part)
        start, end = _latest(start, first), _earliest(end, last)

    def values(*names: str) -> frozenset[Any]:
        return frozenset(value for name in names for value in by_path.get(name, ()))

    named = values("place.within", "operator.within")
    return Asked(
        paths=frozenset(by_path),
        facts=frozenset(fact for name in by_path for fact in FACTS_OF.get(name, ())),
        held=values("held"),
        spent=values("spent"),
        places=frozenset(token.removeprefix(OUTSIDE) for token in map(str, named)),
        outside=frozenset(str(token).removeprefix(OUTSIDE) for token in named if str(token).startswith(OUTSIDE)),
        instants=tuple(sorted(instants)),
        years=values("offence.max_years.min", "offence.max_years.max"),
        threshold_ppm=values("threshold_ppm.min", "threshold_ppm.max"),
        services=services,
        effective=(start, end),
    )


def walk(node: Node) -> Iterator[Node]:
    """The node and every node below it, from above."""
    yield node
    for operands in node.values() if isinstance(node, dict) else ():
        below = operands.values() if isinstance(operands, dict) else operands if isinstance(operands, list) else ()
        for inner in below:
            if isinstance(inner, dict):
                yield from walk(inner)


def path(node: Node) -> str | None:
    """``place.within`` for ``resource.place.within``; None for what is no attribute of the resource."""
    steps: list[str] = []
    while isinstance(node, dict) and "." in node:
        steps.append(node["."]["attr"])
        node = node["."]["left"]
    return ".".join(reversed(steps)) if steps and node == {"Var": "resource"} else None


def literals(node: Node) -> list[Any]:
    """The values of a literal or of a set of literals: ids of entities, texts, booleans, numbers. Else
    nothing."""
    if not isinstance(node, dict):
        return []
    if "Set" in node:
        return [value for item in node["Set"] for value in literals(item)]
    if "Value" not in node:
        return []
    value = node["Value"]
    return [value["__entity"]["id"] if isinstance(value, dict) else value]


def dates(node: Node) -> list[datetime]:
    """The instant of a ``datetime("...")`` literal; nothing for any other node, or for one that is no
    instant."""
    if not isinstance(node, dict) or "datetime" not in node:
        return []
    (text,) = literals(node["datetime"][0]) or ("",)
    return [parse_instant(text if "T" in text else f"{text}T00:00:00Z")]


def conjuncts(node: Node) -> list[Node]:
    """The parts of ``a && b && c``; one part for anything else."""
    if isinstance(node, dict) and "&&" in node:
        return conjuncts(node["&&"]["left"]) + conjuncts(node["&&"]["right"])
    return [node]


def reach(node: Node, name: str) -> frozenset[Any] | None:
    """The values of the attribute `name` with which the condition could hold; None = any."""
    if not isinstance(node, dict):
        return None
    if "&&" in node:
        return _both(reach(node["&&"]["left"], name), reach(node["&&"]["right"], name))
    if "||" in node:
        left, right = reach(node["||"]["left"], name), reach(node["||"]["right"], name)
        return None if left is None or right is None else left | right
    for operator in ("contains", "containsAny"):
        if operator in node and path(node[operator]["left"]) == name:
            return frozenset(literals(node[operator]["right"]))
    return None


def _in_force(node: Node) -> tuple[datetime | None, datetime | None]:
    """The interval of ``at`` in which the condition could hold; None = no such end."""
    if not isinstance(node, dict):
        return None, None
    if "&&" in node:
        (a, b), (c, d) = _in_force(node["&&"]["left"]), _in_force(node["&&"]["right"])
        return _latest(a, c), _earliest(b, d)
    if "||" in node:
        (a, b), (c, d) = _in_force(node["||"]["left"]), _in_force(node["||"]["right"])
        return (None if a is None or c is None else min(a, c)), (None if b is None or d is None else max(b, d))
    # A forbid asks whether its time could have come (`at.to >= start`), a permit whether it certainly has.
    if ">=" in node and path(node[">="]["left"]) in ("at.to", "at.from"):
        return next(iter(dates(node[">="]["right"])), None), None
    if "<" in node and path(node["<"]["left"]) in ("at.from", "at.to"):
        return None, next(iter(dates(node["<"]["right"])), None)
    return None, None


def _operands(node: Node) -> Iterator[tuple[Node, Node]]:
    """Both ways round the two sides of every operator; the argument of ``isEmpty`` with nothing."""
    for operands in node.values() if isinstance(node, dict) else ():
        if not isinstance(operands, dict):
            continue
        if "left" in operands and "right" in operands:
            yield operands["left"], operands["right"]
            yield operands["right"], operands["left"]
        elif "arg" in operands:
            yield operands["arg"], None


def _both(one: frozenset[Any] | None, other: frozenset[Any] | None) -> frozenset[Any] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((d for d in (one, other) if d is not None), default=None)


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((d for d in (one, other) if d is not None), default=None)
