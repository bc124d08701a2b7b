"""What would turn a denial: a counterfactual, computed and not written.

Narrowing a fact or adding a record never makes a new rule fire (`monotone` proves it of every pack), so only
the rules that fired matter.

1. Facts: every unknown fact of which some value silences a rule that forbade; of country, subdivision and
locality only
   the coarsest that is unknown. If knowing facts gains nothing, none is named.
2. Evidence: for every rule that still forbids with those facts at their best, the levers are the records that
it asks
   for, and consent. A clause is a minimal set of levers without which it still forbids; a rule without levers
   is one that nothing lifts.
3. The union of the clauses less supersets is the conjunctive normal form of a monotone function, hence
unique: the
   list with its nested lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, product
from math import prod
from typing import TYPE_CHECKING, Any, Final

from guard.facts import Facts, Lift, judge
from guard.facts.evidence import IMPLIED
from guard.policy.candidates import candidates, open_facts
from guard.policy.evaluation import Question

if TYPE_CHECKING:
    from guard.policy.engine import Engine

__all__ = ["lifted_by"]

CONSENT: Final = "subject.consent"
_HIGHEST_CONSENT: Final = [{"type": "Consent", "id": "written_release"}]
# It bridges the hours of a live use until what it promises is there; what is missing is the thing promised.
_NEVER_NAMED: Final = frozenset({"urgency_undertaking"})
_MOST_ASSIGNMENTS: Final = 256
_BATCH: Final = 32

Clauses = frozenset[frozenset[str]]


@dataclass(frozen=True, slots=True)
class Situation:
    """A request as far as an explanation changes it. None = unknown."""

    facts: Facts
    action: str
    service: str | None
    at: datetime | None

    def knowing(self, name: str, value: Any) -> Situation:
        """The same with one fact known. A whole offence is a mapping of its parts."""
        if name == "service":
            return Situation(self.facts, self.action, value, self.at)
        if name == "use.at":
            return Situation(self.facts, self.action, self.service, value)
        changes = value if isinstance(value, dict) else {name: value}
        return Situation(self.facts.replacing(changes), self.action, self.service, self.at)


def lifted_by(
    engine: Engine, facts: Facts, action: str, service: str | None, at: datetime | None, fired: frozenset[str]
) -> Lift:
    """The list of contract ``lifted_by`` for a call that the policies `fired` forbade; empty where nothing
    lifts it."""
    here = Situation(facts, action, service, at)
    search = _Search(engine, fired)
    named, best, left = search.best_facts(here)
    clauses = search.clauses(best, left)
    if clauses is None:
        return []
    if named and search.clauses(here, fired) == clauses:
        named = []  # the same records lift it whether or not the facts are known
    ordered = sorted((sorted(clause) for clause in clauses), key=lambda clause: (len(clause) > 1, clause))
    consent_first = sorted(ordered, key=lambda clause: clause != [CONSENT])
    return [*named, *(clause[0] if len(clause) == 1 else clause for clause in consent_first)]


class _Search:
    """The two steps, over one set of policies that fired."""

    def __init__(self, engine: Engine, fired: frozenset[str]) -> None:
        self.engine = engine
        self.fired = fired
        self.policies = [engine.policies[id] for id in sorted(fired)]

    def best_facts(self, here: Situation) -> tuple[list[str], Situation, frozenset[str]]:
        """The unknown facts worth knowing, the situation with them at their best, and what still forbids
        then."""
        useful: dict[str, list[tuple[Any, frozenset[str]]]] = {}
        for name in open_facts(here, self.policies):
            values = candidates(here, name, self.policies)
            silenced = zip(values, self._silenced([here.knowing(name, v) for v in values]), strict=True)
            best = _maximal([(value, gone) for value, gone in silenced if gone])
            if best:
                useful[name] = best
        if not useful:
            return [], here, self.fired
        names = list(useful)
        situations = list(self._assignments(here, useful))
        left = [self.fired - gone for gone in self._silenced(situations)]
        ranked = min(range(len(situations)), key=lambda i: self._cost(situations[i], left[i]))
        return names, situations[ranked], left[ranked]

    def clauses(self, here: Situation, fired: Iterable[str]) -> Clauses | None:
        """The conjunction that lifts these policies; None where one of them cannot be lifted."""
        found: set[frozenset[str]] = set()
        for id in sorted(fired):
            clauses = self._clauses_of(here, id)
            if clauses is None:
                return None
            found |= clauses
        return frozenset(c for c in found if not any(other < c for other in found))

    def _cost(self, here: Situation, left: frozenset[str]) -> tuple[bool, int, int]:
        clauses = self.clauses(here, left)
        return clauses is None, len(clauses or ()), len(left)

    def _assignments(self, here: Situation, useful: dict[str, list[tuple[Any, frozenset[str]]]]) -> Iterator[Situation]:
        """Every combination of the best values; where they are too many, each fact's single best one."""
        if prod(len(values) for values in useful.values()) > _MOST_ASSIGNMENTS:
            useful = {name: [max(values, key=lambda v: len(v[1]))] for name, values in useful.items()}
        for values in product(*useful.values()):
            situation = here
            for name, (value, _) in zip(useful, values, strict=True):
                situation = situation.knowing(name, value)
            yield situation

    def _clauses_of(self, here: Situation, id: str) -> Clauses | None:
        """The clauses of one policy, in types of evidence; None where no lever lifts it."""
        standing = judge(here.facts, here.action, here.service, here.at)
        asked = self.engine.policies[id].asked
        levers = sorted(
            token
            for token in asked.held - standing.held - standing.spent
            if token.partition(":")[0] not in _NEVER_NAMED
        )
        if CONSENT in asked.facts:
            levers.append(CONSENT)
        base = self.engine.request(here.facts, here.action, here.service, here.at)
        found: list[frozenset[str]] = []
        for size in range(len(levers) + 1):
            absent = [c for c in map(frozenset, combinations(levers, size)) if not any(clause <= c for clause in found)]
            questions = [_with(base, frozenset(levers) - levels) for levels in absent]
            for missing, still in zip(absent, self.engine.fired_with(questions, {id}), strict=True):
                if still:
                    found.append(missing)
            if frozenset() in found:
                return None
        return frozenset(frozenset(lever.partition(":")[0] for lever in clause) for clause in found)

    def _silenced(self, situations: Sequence[Situation]) -> list[frozenset[str]]:
        """For each situation, which of the policies no longer fire.

        No situation contradicts itself: at a known time the call was judged already, and at an unknown one a record
        that could is a fault before anything is to be lifted."""
        found: list[frozenset[str]] = []
        for start in range(0, len(situations), _BATCH):
            batch = situations[start : start + _BATCH]
            questions = [self.engine.request(s.facts, s.action, s.service, s.at) for s in batch]
            found += [self.fired - still for still in self.engine.fired_with(questions, self.fired)]
        return found


def _with(question: Question, levers: frozenset[str]) -> Question:
    """The request with these records on file and this consent given."""
    action, attributes = question
    tokens = {token["id"] for token in attributes["held"]} | (levers - {CONSENT})
    tokens |= {implied for token in tokens for implied in IMPLIED.get(token, ())}
    changed = {**attributes, "held": [{"type": "Evidence", "id": token} for token in sorted(tokens)]}
    if CONSENT in levers:
        changed["subject"] = {**attributes["subject"], "consent": _HIGHEST_CONSENT}
    return action, changed


def _maximal(values: list[tuple[Any, frozenset[str]]]) -> list[tuple[Any, frozenset[str]]]:
    """The values that silence most: none that another surpasses, one of those that silence the same."""
    found: list[tuple[Any, frozenset[str]]] = []
    for value, gone in sorted(values, key=lambda v: -len(v[1])):
        if not any(gone <= other for _, other in found):
            found.append((value, gone))
    return found
