"""Asking Cedar: which policies forbid a call, or why that cannot be said.

Cedar skips a `forbid` that errors, answers `Allow` where the resource is missing, and gives `NoDecision`
without raising for a request that does not fit the schema. So an answer counts only if it is one of two: an
allow whose only reasons are permits in use (that of the base rules, or the deployment's own), or a deny with at least
one rule that forbade; and neither with any error.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence, Set
from threading import Lock
from typing import Any, Final

import cedarpy

from guard.errors import GuardFault
from guard.facts import ACTIONS
from guard.policy.packs import Policy
from guard.policy.request import document

__all__ = ["Evaluator", "Unanswered"]

_PROBE: Final = "GUARD.probe"
_PROBES: Final[dict[str, dict[str, Any]]] = {
    _PROBE: {
        "effect": "permit",
        "principal": {"op": "All"},
        "action": {"op": "All"},
        "resource": {"op": "All"},
        "conditions": [],
    }
}
"""Permits all, where only some of the forbids are asked: an answer about them is no verdict."""
_PRINCIPAL: Final = {"type": "Guard", "id": "guard"}
_KEPT_SUBSETS: Final = 256

Question = tuple[str, dict[str, Any]]
"""An action, and the attributes of the call."""


class Unanswered(GuardFault):
    """Cedar gave no answer that counts. The engine makes a ruling with a fault of it."""


class Evaluator:
    """The policies in use, parsed once, and the question of which of them fire."""

    def __init__(self, policies: Sequence[Policy], schema: cedarpy.Schema) -> None:
        self._sources = {policy.id: policy.source for policy in policies}
        self._permits = frozenset(policy.id for policy in policies if policy.effect == "permit")
        self._order = {id: number for number, id in enumerate(self._sources)}
        self._schema = schema
        self._all = self._parsed(self._sources)
        self._subsets: OrderedDict[frozenset[str], cedarpy.PolicySet] = OrderedDict()
        self._lock = Lock()

    def fired(self, questions: Sequence[Question], among: Iterable[str] | None = None) -> list[frozenset[str]]:
        """The ids of the policies that forbid each call; none = allowed. `among` asks only these policies.

        Raises `Unanswered` where one of the answers does not count.
        """
        if not questions:
            return []
        unknown = {action for action, _ in questions} - set(ACTIONS)
        if unknown:
            raise Unanswered(f"{min(unknown)!r} is no action")
        policies = self._all if among is None else self._subset(frozenset(among))
        distinct: dict[str, int] = {}
        try:
            # Reading an entity costs more than asking about it, and the actions towards one service often share theirs.
            calls = [distinct.setdefault(json.dumps(attributes), len(distinct)) for _, attributes in questions]
            entities = cedarpy.Entities.from_json_str(document(distinct), self._schema)
            answers = cedarpy.is_authorized_batch(
                [
                    {
                        "principal": _PRINCIPAL,
                        "action": {"type": "Action", "id": action},
                        "resource": {"type": "Call", "id": str(call)},
                    }
                    for (action, _), call in zip(questions, calls, strict=True)
                ],
                policies,
                entities,
                self._schema,
            )
        except (ValueError, TypeError, KeyError) as error:
            raise Unanswered(f"the request does not fit the schema: {' '.join(str(error).split())}") from None
        if len(answers) != len(questions):
            raise Unanswered(f"{len(questions)} questions, {len(answers)} answers")
        permits = self._permits if among is None else _PROBES.keys()
        return [self._answer(answer, permits) for answer in answers]

    def in_order(self, ids: Iterable[str]) -> list[str]:
        """Ids of policies in the order of their packs and files."""
        return sorted(ids, key=self._order.__getitem__)

    def _answer(self, answer: cedarpy.AuthzResult, permits: Set[str]) -> frozenset[str]:
        errors, reasons = answer.diagnostics.errors, frozenset(answer.diagnostics.reasons)
        if errors:
            raise Unanswered(f"a rule could not be evaluated: {' '.join(errors[0].split())}")
        if answer.decision is cedarpy.Decision.Allow and reasons and reasons <= permits:
            return frozenset()
        if answer.decision is cedarpy.Decision.Deny and reasons and reasons <= self._sources.keys() - self._permits:
            return reasons
        raise Unanswered(f"the engine answered {answer.decision.value} for {sorted(reasons)}")

    def _subset(self, ids: frozenset[str]) -> cedarpy.PolicySet:
        with self._lock:
            found = self._subsets.get(ids)
            if found is None:
                found = self._parsed({id: self._sources[id] for id in ids} | _PROBES)
                self._subsets[ids] = found
                if len(self._subsets) > _KEPT_SUBSETS:
                    self._subsets.popitem(last=False)
            return found

    @staticmethod
    def _parsed(sources: dict[str, dict[str, Any]]) -> cedarpy.PolicySet:
        return cedarpy.PolicySet.from_json_str(
            json.dumps({"templates": {}, "staticPolicies": sources, "templateLinks": []})
        )
