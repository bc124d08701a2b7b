"""Own rules: what a deployment may set about the rules as a whole, and the forbids that follow from it.

``base = "own"``: the deployment's own permits permit, not the base's. Cedar denies what none of them covers; so that
such a denial names a rule, and says what would lift it, the gap between the permits is written out as forbids:
`GUARD.unpermitted`. ``extra = "deny-by-default"``: identity actions and readings of a person are forbidden where no
rule speaks of the call: `GUARD.default`. Both are ordinary Cedar policies, made here from the packs in use.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Final

from guard.errors import ConfigError
from guard.facts import ACTIONS, IDENTITY_ACTIONS
from guard.policy.certainty import all_of, any_of, speaks
from guard.policy.packs import Policy
from guard.policy.tree import Node, conjuncts, read

__all__ = ["BASES", "DEFAULT", "EXTRAS", "MODES", "UNPERMITTED", "Settings", "default", "unpermitted"]

BASES: Final = ("shipped", "own")
EXTRAS: Final = ("none", "deny-by-default")
MODES: Final = ("enforce", "shadow")
UNPERMITTED: Final = "GUARD.unpermitted"
DEFAULT: Final = "GUARD.default"
BY_DEFAULT_DENIED: Final = IDENTITY_ACTIONS | {"attributes", "emotion", "categorise"}
_MOST_BRANCHES: Final = 64
_MOST_BLOCKS: Final = 400


@dataclass(frozen=True, slots=True)
class Settings:
    """`[policy] base`, `extra` and `mode`. Raises `ConfigError` for a word outside `BASES`, `EXTRAS`, `MODES`."""

    base: str = "shipped"
    extra: str = "none"
    mode: str = "enforce"

    def __post_init__(self) -> None:
        for key, value, known in (
            ("base", self.base, BASES),
            ("extra", self.extra, EXTRAS),
            ("mode", self.mode, MODES),
        ):
            if value not in known:
                near = difflib.get_close_matches(str(value), known, n=1)
                raise ConfigError(
                    f"{key} cannot be {value!r}",
                    where=f"policy.{key}",
                    mend=f"did you mean {near[0]!r}?" if near else f"known are {', '.join(map(repr, known))}",
                )

    @property
    def own(self) -> bool:
        """Whether the deployment's own permits permit."""
        return self.base == "own"

    @property
    def denies_by_default(self) -> bool:
        """Whether a call of which no rule speaks is denied."""
        return self.extra == "deny-by-default"

    @property
    def shadow(self) -> bool:
        """Whether verdicts are recorded and not enforced."""
        return self.mode == "shadow"

    def to_json(self) -> dict[str, str]:
        """``{"base": ..., "extra": ...}``: what verdicts rest on, so without `mode`, which changes none."""
        return {"base": self.base, "extra": self.extra}


def unpermitted(permits: Sequence[Policy], like: Policy) -> list[Policy]:
    """Forbids of everything that none of `permits` covers.

    A call is uncovered where of every permit some demand is not met. One branch stands for one such choice of demands,
    so that each can be lifted by itself; where an action has more than 64 choices, one branch stands for all.
    """
    found: list[Policy] = []
    for action in ACTIONS:
        demands = [_demands(permit) for permit in permits if action in permit.actions]
        if not all(demands):
            continue  # a permit that demands nothing covers every call
        if prod(map(len, demands)) <= _MOST_BRANCHES:
            branches = [[{"kind": "unless", "body": node} for node in nodes] for nodes in _choices(demands)]
        else:
            branches = [[{"kind": "unless", "body": any_of([all_of(nodes) for nodes in demands])}]]
        found += [
            _forbid(f"{UNPERMITTED}/{_slug(action)}-{number}", action, branch, "own", like)
            for number, branch in enumerate(branches, 1)
        ]
    return found


def default(rules: Iterable[Policy], like: Policy) -> list[Policy]:
    """Forbids, for each action that is denied by default, of every call of which none of `rules` certainly speaks."""
    spoken = [
        (rule.actions, speaks(rule.source["conditions"]) if rule.effect == "forbid" else all_of(_demands(rule)))
        for rule in rules
    ]
    found: list[Policy] = []
    for action in sorted(BY_DEFAULT_DENIED):
        # Branches of a rule often differ in their exceptions alone.
        distinct = list(
            {json.dumps(node, sort_keys=True): node for actions, node in spoken if action in actions}.values()
        )
        # Blocks of their own are read faster than one tree; but Cedar's evaluator recurses over them.
        size = len(distinct) // _MOST_BLOCKS + 1
        blocks = [any_of(distinct[start : start + size]) for start in range(0, len(distinct), size)]
        conditions = [{"kind": "unless", "body": block} for block in blocks]
        found.append(_forbid(f"{DEFAULT}/{_slug(action)}", action, conditions, "deny-by-default", like))
    return found


_SAYS: Final = {
    "own": (
        "No permit of this deployment covers the call",
        'guard.toml, [policy] base = "own": what none permits is denied',
    ),
    "deny-by-default": (
        "No rule in use speaks of this call, and this deployment denies by default",
        'guard.toml, [policy] extra = "deny-by-default"',
    ),
}


def _demands(permit: Policy) -> list[Node]:
    """The parts of a permit's condition, all of which must hold."""
    found: list[Node] = []
    for condition in permit.source["conditions"]:
        if condition["kind"] == "when":
            found += conjuncts(condition["body"])
        else:
            found.append({"!": {"arg": condition["body"]}})
    return found


def _choices(demands: Sequence[Sequence[Node]]) -> list[list[Node]]:
    """Every choice of one demand of each permit, less those that another one implies."""
    nodes = {json.dumps(node, sort_keys=True): node for some in demands for node in some}
    keyed = [[json.dumps(node, sort_keys=True) for node in some] for some in demands]
    chosen = dict.fromkeys(frozenset(choice) for choice in product(*keyed))
    return [[nodes[key] for key in sorted(c)] for c in chosen if not any(other < c for other in chosen)]


def _forbid(id: str, action: str, conditions: list[dict[str, Any]], because: str, like: Policy) -> Policy:
    title, cite = _SAYS[because]
    source = {
        "effect": "forbid",
        "principal": {"op": "All"},
        "action": {"op": "==", "entity": {"type": "Action", "id": action}},
        "resource": {"op": "is", "entity_type": "Call"},
        "conditions": conditions,
        "annotations": {"id": id, "title": title, "cite": cite, "sure": "text"},
    }
    return Policy(
        id=id,
        rule=id.partition("/")[0],
        pack=like.pack,
        effect="forbid",
        title=title,
        cite=cite,
        sure="text",
        reviewed=like.reviewed,
        actions=frozenset({action}),
        asked=read(conditions),
        source=source,
    )


def _slug(action: str) -> str:
    return action.replace("_", "-")
