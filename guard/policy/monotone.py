"""A proof that ignorance cannot silence a rule, read from its form.

The less is known, the larger are the sets of what could be, the wider the intervals, and the fewer the
records that count. A condition is *monotone* if all that can only turn it from false to true. `complaints`
walks a condition with the sign of its place (a `!` and an `unless` turn it) and names every expression that
breaks this, or that the engine does not read at all. A pack without complaints keeps the second promise by
construction: ignorance forbids. A permit is held to the opposite: ignorance can only turn its condition from true to
false, so it demands what must be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from guard.policy.tree import FACTS_OF, Node, dates, literals, path

__all__ = ["complaints"]

_SHRINKS: Final = frozenset({"held", "at.from", "offence.max_years.min", "threshold_ppm.min"})
_ENDS: Final = frozenset(name for name in FACTS_OF if name.endswith((".from", ".to", ".min", ".max")))
_SETS: Final = frozenset(FACTS_OF) - _ENDS
_PLACES: Final = frozenset({"place.within", "operator.within"})
_COMPARISONS: Final = {"<": -1, "<=": -1, ">": 1, ">=": 1}
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}

_DATED: Final = "write at.to >= start and at.from < end"
_COULD_BE: Final = "forbid what could be; demand evidence or a must-be under `unless`"
_FOR_PERMITS: Final = {
    _DATED: "write at.from >= start and at.to < end",
    _COULD_BE: "demand what must be, `[...].containsAll(resource.fact)`, or write what it could be under `unless`",
}

Complaint = tuple[str, str]


def complaints(conditions: list[dict[str, Any]], effect: str = "forbid") -> Iterator[Complaint]:
    """What is wrong and how to mend it, for the `when` and `unless` blocks of one policy."""
    for condition in conditions:
        sign = 1 if condition["kind"] == "when" else -1
        for what, mend in _walk(condition["body"], sign if effect == "forbid" else -sign):
            if effect == "forbid":
                yield what, mend
            else:
                yield what.replace("silence it", "make it permit"), _FOR_PERMITS.get(mend, mend)


def _walk(node: Node, sign: int) -> Iterator[Complaint]:
    (operator, operands), *_ = node.items()
    if operator in ("&&", "||"):
        yield from _walk(operands["left"], sign)
        yield from _walk(operands["right"], sign)
    elif operator == "!":
        yield from _walk(operands["arg"], -sign)
    elif operator == "Value" and isinstance(operands, bool):
        return
    elif operator in ("contains", "containsAny", "containsAll"):
        yield from _membership(operator, operands["left"], operands["right"], sign)
    elif operator == "isEmpty" and path(operands["arg"]) in _SETS:
        yield from _direction(str(path(operands["arg"])), -1, sign)
    elif operator in _COMPARISONS:
        yield from _comparison(operator, operands["left"], operands["right"], sign)
    else:
        yield (
            f"the engine does not read `{operator}` here",
            "use && || ! and comparisons or set methods of one fact with literals",
        )


def _membership(operator: str, left: Node, right: Node, sign: int) -> Iterator[Complaint]:
    fact, other, effect = path(left), right, 1
    if fact is None:
        # A literal set that contains all that a fact could be: the fact must be one of these.
        fact, other, effect = path(right), left, -1
    if fact not in _SETS or (effect < 0 and operator == "contains") or path(other) is not None:
        yield f"`{operator}` must hold one fact against literals", "write resource.fact.contains(...)"
        return
    if not literals(other):
        yield f"{fact} is held against an empty set", "name the values"
        return
    if effect < 0 and operator == "containsAny":
        effect = 1
    if effect < 0 and fact in _PLACES:
        # The tokens of a place depend on which of them some rule names, so no list of them holds a place for certain.
        yield f"{fact} is held against a list of all it could be", f'write resource.{fact}.contains("outside US")'
        return
    if effect > 0 and operator == "containsAll" and len(literals(other)) > 1:
        yield f"{fact} must be several things at once", "write containsAny for one of them"
        return
    yield from _direction(str(fact), effect, sign)


def _comparison(operator: str, left: Node, right: Node, sign: int) -> Iterator[Complaint]:
    fact, other = path(left), right
    if fact is None:
        fact, other, operator = path(right), left, _MIRRORED[operator]
    if fact not in _ENDS or not (literals(other) or dates(other)):
        yield (
            f"`{operator}` must compare one end of an interval with a literal",
            "write resource.at.to >= datetime(...)",
        )
        return
    if str(fact).startswith("at.") and operator in ("<=", ">"):
        yield "a rule starts at an instant and ends before one", _DATED
        return
    yield from _direction(str(fact), _COMPARISONS[operator], sign)


def _direction(fact: str, effect: int, sign: int) -> Iterator[Complaint]:
    """`effect` is +1 where the test turns true as the attribute grows."""
    grows = -1 if fact in _SHRINKS else 1
    if effect * grows * sign < 0:
        yield f"not knowing {fact} could silence it", _COULD_BE
