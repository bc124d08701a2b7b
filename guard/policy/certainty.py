"""Whether a rule certainly speaks of a call: its condition, turned from "could it be?" into "must it be?".

A rule of a pack asks what could be, so the less is known the more rules match. "No rule speaks of this call" must not
be silenced by ignorance in turn, so it counts only the rules that match whatever the unknown facts turn out to be. And
a rule that is met speaks all the same: what lifts it is left out, that is its `unless` blocks, and every test of
evidence or consent in its `when`.
"""

from __future__ import annotations

from typing import Any, Final

from guard.policy.tree import OUTSIDE, Node, literals, path

__all__ = ["all_of", "any_of", "certainly", "speaks"]

_SUPPLIED: Final = frozenset({"held", "subject.consent"})
# The traits of a request are the most that is inferred, and what is spent grows with what is unknown.
_NEVER_CERTAIN: Final = frozenset({"traits", "spent"})
_PLACES: Final = frozenset({"place.within", "operator.within"})
_OTHER_END: Final = {"from": "to", "to": "from", "min": "max", "max": "min"}
TRUE: Final[Node] = {"Value": True}
FALSE: Final[Node] = {"Value": False}


def speaks(conditions: list[dict[str, Any]]) -> Node:
    """The condition under which a rule with these blocks certainly speaks of a call."""
    return all_of([certainly(c["body"]) for c in conditions if c["kind"] == "when"])


def certainly(node: Node, sign: int = 1) -> Node:
    """A condition that holds only where `node` holds for all that the facts could be.

    `node` is one that `monotone` has no complaint about; `sign` is -1 inside a negation. Sound, not complete: of
    ``a || b`` one side has to be certain.
    """
    (operator, operands), *_ = node.items()
    if operator in ("&&", "||"):
        return {operator: {side: certainly(operands[side], sign) for side in ("left", "right")}}
    if operator == "!":
        return {"!": {"arg": certainly(operands["arg"], -sign)}}
    if operator == "Value":
        return node
    if operator == "isEmpty":
        # "Nothing may be held" is left out; under a negation, "something may be spent" is never certain.
        return TRUE if path(operands["arg"]) in _NEVER_CERTAIN | _SUPPLIED else node
    if operator in ("contains", "containsAny", "containsAll"):
        left, right = operands["left"], operands["right"]
        fact, listed = (left, right) if path(left) is not None else (right, left)
        return _must_be(fact, listed) if sign > 0 else _could_be(fact, listed)
    return {operator: {side: _other_end(operands[side]) for side in ("left", "right")}}


def all_of(nodes: list[Node]) -> Node:
    """All of these, as a tree as flat as can be: Cedar's evaluator is recursive."""
    return _joined("&&", nodes, TRUE)


def any_of(nodes: list[Node]) -> Node:
    """Any of these, as `all_of`."""
    return _joined("||", nodes, FALSE)


def _joined(operator: str, nodes: list[Node], empty: Node) -> Node:
    if not nodes:
        return empty
    if len(nodes) == 1:
        return nodes[0]
    half = len(nodes) // 2
    left, right = _joined(operator, nodes[:half], empty), _joined(operator, nodes[half:], empty)
    return {operator: {"left": left, "right": right}}


def _must_be(fact: Node, listed: Node) -> Node:
    """For "could be one of these": it is certainly one of these."""
    name, values = path(fact), literals(listed)
    if name in _SUPPLIED:
        return TRUE
    if name in _NEVER_CERTAIN:
        return FALSE
    if name in _PLACES:
        return any_of([_not_outside(fact, str(value)) for value in values])
    if name == "operator.by_or_for":
        return any_of([_among(part, listed) for part in _parts(fact)])
    return _among(fact, listed)


def _could_be(fact: Node, listed: Node) -> Node:
    """For a negated "is certainly one of these": it could be one of these, so that its negation excludes it."""
    name = path(fact)
    if name in _SUPPLIED:
        return FALSE
    if name in _NEVER_CERTAIN:
        return TRUE
    if name == "operator.by_or_for":
        return all_of([_touching(part, listed) for part in _parts(fact)])
    return _touching(fact, listed)


def _not_outside(fact: Node, token: str) -> Node:
    if token.startswith(OUTSIDE):
        return {"!": {"arg": {"contains": {"left": fact, "right": {"Value": token.removeprefix(OUTSIDE)}}}}}
    return {"!": {"arg": {"contains": {"left": fact, "right": {"Value": OUTSIDE + token}}}}}


def _among(fact: Node, listed: Node) -> Node:
    return {"containsAll": {"left": _set(listed), "right": fact}}


def _touching(fact: Node, listed: Node) -> Node:
    return {"containsAny": {"left": fact, "right": _set(listed)}}


def _set(listed: Node) -> Node:
    return listed if "Set" in listed else {"Set": [listed]}


def _parts(by_or_for: Node) -> list[Node]:
    return [{".": {"left": by_or_for["."]["left"], "attr": name}} for name in ("type", "acts_for")]


def _other_end(node: Node) -> Node:
    if path(node) is None:
        return node
    return {".": {"left": node["."]["left"], "attr": _OTHER_END[node["."]["attr"]]}}
