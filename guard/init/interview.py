"""Which unknown facts still matter to the calls that somebody plans, and what each value of them would change.

Knowing a fact never makes a rule fire, so only the rules that forbid now have to be asked again. A call that some rule
forbids whatever else is known and whatever is put on file is lost: nothing is asked on its account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final, NamedTuple

from guard.facts import Facts, Verdict
from guard.facts.attributes import Value
from guard.policy import Engine, Policy
from guard.policy.candidates import candidates, open_facts
from guard.policy.engine import judged_as
from guard.policy.lifting import Situation

__all__ = ["Call", "Change", "Interview", "Option", "Question", "Turned"]

_NAMES: Final = "use.names_stripped"
_OFFENCE: Final = tuple(f"use.offence.{part}" for part in ("max_years", "annex_ii", "listed", "serious"))
_NEVER_ASKED: Final = frozenset({"use.at", "service"})
_HIGHEST_CONSENT: Final = [{"type": "Consent", "id": "written_release"}]

Fired = tuple[frozenset[str], ...]
"""For each action that a call is judged as, the ids of the policies that forbid it."""

Ground = tuple[str | None, str]
"""A policy that forbids, by its id; with the service, where it asks which one is called."""


class Call(NamedTuple):
    """A call that is planned."""

    action: str
    service: str


class Turned(NamedTuple):
    """A call whose verdict an answer turns."""

    call: Call
    before: Verdict
    after: Verdict


@dataclass(frozen=True, slots=True)
class Change:
    """What an answer changes: the verdicts it turns, the rules that cease to forbid any of the calls, those that still
    do but on fewer grounds or for fewer of the calls, and all that are left."""

    turned: tuple[Turned, ...]
    silenced: tuple[str, ...]
    eased: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Option:
    """A value that a fact could have. `others`: it stands for every value that no rule names."""

    value: Value | frozenset[Value]
    others: bool
    change: Change


@dataclass(frozen=True, slots=True)
class Question:
    """An unknown fact that matters to `calls`: the rules that hinge on it, and what each of its values changes."""

    name: str
    calls: tuple[Call, ...]
    rules: tuple[str, ...]
    options: tuple[Option, ...]

    @property
    def influence(self) -> tuple[int, int]:
        """How many verdicts its best value turns, and how many rules hinge on it."""
        return max(len(option.change.turned) for option in self.options), len(self.rules)


class Interview:
    """What is known so far, and what it is worth to know more. Immutable: an answer gives another interview."""

    def __init__(self, engine: Engine, facts: Facts, calls: Iterable[Call], at: datetime | None) -> None:
        """`at` None = the time of use is unknown."""
        self.engine = engine
        self.facts = facts
        self.calls = tuple(dict.fromkeys(calls))
        self.at = at

    def knowing(self, facts: Facts) -> Interview:
        """The same calls under other facts."""
        return Interview(self.engine, facts, self.calls, self.at)

    @cached_property
    def verdicts(self) -> Mapping[Call, Verdict]:
        """The verdict on each call for a picture with faces, as things stand."""
        return {call: _verdict(call, self._fired[call], self.facts) for call in self.calls}

    def change_to(self, later: Interview) -> Change:
        """What has changed from here to `later`, an interview about the same calls."""
        return self._change({call: later._fired[call] for call in self.calls}, later.facts)

    def questions(self, skipped: Iterable[str] = ()) -> list[Question]:
        """The facts that matter, the most influential first; `skipped` are not asked again."""
        skipped = frozenset(skipped)
        found = [self._question(name, options) for name, options in self._options.items() if name not in skipped]
        return sorted((q for q in found if q is not None), key=lambda q: q.influence, reverse=True)

    @cached_property
    def lost(self) -> frozenset[Call]:
        """The calls that some rule forbids whatever else is known and put on file."""
        return frozenset(call for call in self.calls if self._fixed[call][0])

    # ---- the search

    @cached_property
    def _fired(self) -> dict[Call, Fired]:
        attributes = {service: self._attributes(self.facts, service) for service in {c.service for c in self.calls}}
        asked = [(action, attributes[call.service]) for call in self.calls for action in judged_as(call.action)]
        answers = iter(self.engine.fired_with(asked))
        return {call: tuple(next(answers) for _ in judged_as(call.action)) for call in self.calls}

    def _attributes(self, facts: Facts, service: str) -> dict[str, Any]:
        # Without evidence a request says the same whatever the action.
        return self.engine.request(facts, self.calls[0].action, service, self.at)[1]

    @cached_property
    def _policies(self) -> list[Policy]:
        ids = frozenset().union(*(ids for sets in self._fired.values() for ids in sets))
        return [policy for id, policy in self.engine.policies.items() if id in ids]

    def _ground(self, service: str, id: str) -> Ground:
        return (service if "service" in self.engine.policies[id].asked.facts else None, id)

    @cached_property
    def _options(self) -> dict[str, list[tuple[Any, Facts, frozenset[Ground]]]]:
        """For every unknown fact that a rule asks for: its values, the facts with each, and the grounds that fall away.

        Only what asks for the fact is asked again, and once for all calls for which it asks the same.
        """
        if not self._policies:
            return {}
        here = Situation(self.facts, self.calls[0].action, self.calls[0].service, self.at)
        found: dict[str, list[tuple[Any, Facts, frozenset[Ground]]]] = {}
        for name in self._names(here):
            values = candidates(here, name, self._policies)
            situations = [self.facts.replacing({name: value}) for value in values]
            found[name] = list(zip(values, situations, self._gone(name, situations), strict=True))
        return found

    def _names(self, here: Situation) -> list[str]:
        names = [name for name in open_facts(here, self._policies) if name not in _NEVER_ASKED]
        if "use.offence" in names:
            asked = {fact for policy in self._policies for fact in policy.asked.facts}
            place = names.index("use.offence")
            names[place : place + 1] = [part for part in _OFFENCE if part in asked]
        if any(len(fired) > 1 and fired[1] for fired in self._fired.values()) and self.facts.known(_NAMES) is None:
            names.append(_NAMES)
        return names

    def _gone(self, name: str, situations: Sequence[Facts]) -> list[frozenset[Ground]]:
        """Under each of these facts, which differ in `name` alone, the grounds that fall away."""
        asking = {policy.id for policy in self._policies if name in policy.asked.facts}
        asked: dict[tuple[str, str], frozenset[Ground]] = {}
        open_grounds: set[Ground] = set()
        for call, sets in self._fired.items():
            for action, ids in zip(judged_as(call.action), sets, strict=True):
                asked[action, call.service] = frozenset(self._ground(call.service, id) for id in ids & asking)
                open_grounds |= asked[action, call.service]
        chosen: list[tuple[tuple[str, str], frozenset[Ground]]] = []
        while open_grounds:
            best = max(asked, key=lambda pair: len(asked[pair] & open_grounds))
            chosen.append((best, asked[best] & open_grounds))
            open_grounds -= asked[best]
        services = {service for (_, service), _ in chosen}
        attributes = [{service: self._attributes(facts, service) for service in services} for facts in situations]
        questions = [(action, known[service]) for known in attributes for (action, service), _ in chosen]
        answers = iter(self.engine.fired_with(questions, asking))
        gone: list[frozenset[Ground]] = []
        for _ in situations:
            left = [(grounds, next(answers)) for _, grounds in chosen]
            gone.append(frozenset(ground for grounds, fired in left for ground in grounds if ground[1] not in fired))
        return gone

    def _without(self, gone: frozenset[Ground]) -> dict[Call, Fired]:
        """What forbids each call once these grounds have fallen away."""
        if not gone:
            return self._fired
        return {
            call: tuple(frozenset(id for id in ids if self._ground(call.service, id) not in gone) for ids in sets)
            for call, sets in self._fired.items()
        }

    @cached_property
    def _fixed(self) -> dict[Call, Fired]:
        """Of what forbids each call, what no unknown fact, no record and no consent silences."""
        left = self._without(frozenset().union(*(gone for o in self._options.values() for _, _, gone in o)))
        return {
            call: tuple(
                frozenset(id for id in ids if self._stays(call, action, id))
                for action, ids in zip(judged_as(call.action), left[call], strict=True)
            )
            for call in self.calls
        }

    def _stays(self, call: Call, action: str, id: str) -> bool:
        """Whether the policy forbids the call although everything that it asks for is on file and consented to."""
        asked = self.engine.policies[id].asked
        if not asked.held and "subject.consent" not in asked.facts:
            return True
        action, attributes = self.engine.request(self.facts, action, call.service, self.at)
        held = [{"type": "Evidence", "id": token} for token in sorted(asked.held)]
        best = {**attributes, "held": held, "subject": {**attributes["subject"], "consent": _HIGHEST_CONSENT}}
        return bool(self.engine.fired_with([(action, best)], {id})[0])

    def _worth(self, call: Call) -> frozenset[str]:
        """What it is worth to silence: nothing of a lost call, and no ban on naming people that stays anyway."""
        fired, fixed = self._fired[call], self._fixed[call]
        if fixed[0]:
            return frozenset()
        return frozenset().union(*(ids for ids, stays in zip(fired, fixed, strict=True) if not stays))

    def _question(self, name: str, options: list[tuple[Any, Facts, frozenset[Ground]]]) -> Question | None:
        silenced = frozenset().union(*(gone for _, _, gone in options))
        hinging: dict[Call, frozenset[str]] = {}
        for call in self.calls:
            worth = frozenset(id for id in self._worth(call) if self._ground(call.service, id) in silenced)
            if worth or (name == _NAMES and self.verdicts[call] is Verdict.REDACT):
                hinging[call] = worth
        if not hinging:
            return None
        return Question(
            name,
            tuple(hinging),
            self._rules(frozenset().union(*hinging.values())),
            tuple(Option(v, self._is_other(name, v), self._change(self._without(gone), k)) for v, k, gone in options),
        )

    def _change(self, fired: Mapping[Call, Fired], facts: Facts) -> Change:
        now = {call: _verdict(call, fired[call], facts) for call in self.calls}
        turned = tuple(Turned(c, self.verdicts[c], now[c]) for c in self.calls if now[c] is not self.verdicts[c])
        before, after = _flat(self._fired), _flat(fired)
        left, gone = self._rules(id for _, _, id in after), self._rules(id for _, _, id in before - after)
        silenced = tuple(rule for rule in gone if rule not in left)
        return Change(turned, silenced, tuple(rule for rule in gone if rule in left), left)

    def _rules(self, ids: Iterable[str]) -> tuple[str, ...]:
        rules = {self.engine.policies[id].rule for id in ids}
        return tuple(rule for rule in self.engine.rules if rule in rules)

    def _is_other(self, name: str, value: Any) -> bool:
        """Whether the value stands for all that no rule names: of places only, the other vocabularies are closed."""
        if not name.startswith("place.") and name != "operator.country":
            return False
        tokens = {token for policy in self._policies for token in policy.asked.places}
        named = {part for token in tokens for part in (token, *token.split("/"), token.partition("-")[0])}
        return name not in ("place.control", "place.access") and value not in named | {"EU-X", "EU-Y"}


def _verdict(call: Call, fired: Fired, facts: Facts) -> Verdict:
    if fired[0]:
        return Verdict.DENY
    if len(fired) > 1 and fired[1] and facts.could_be(_NAMES) != frozenset({True}):
        return Verdict.REDACT
    return Verdict.ALLOW


def _flat(fired: Mapping[Call, Fired]) -> frozenset[tuple[Call, int, str]]:
    return frozenset((call, i, id) for call, sets in fired.items() for i, ids in enumerate(sets) for id in ids)
