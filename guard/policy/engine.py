"""The engine: packs in, verdicts out. Anything that it cannot decide is a denial that says so."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Any, Final

from guard.errors import ConfigError, PolicyError
from guard.facts import ACTIONS, SERVICES, VLM_SERVICES, Facts, Reason, Verdict, judge
from guard.facts.evidence import boundaries
from guard.policy import lifting, seal
from guard.policy.columns import Column, Ruling
from guard.policy.evaluation import Evaluator, Question, Unanswered
from guard.policy.lint import findings
from guard.policy.own import Settings, default, unpermitted
from guard.policy.packs import BASE, SHELF, Pack, Policy, Rule, find, parse, rules_of
from guard.policy.request import call
from guard.policy.schema import FILE, schema

__all__ = ["Engine", "judged_as"]

_KEPT_COLUMNS: Final = 4096


class Engine:
    """A set of packs, ready to judge. Immutable, and safe to share between threads.

    `digest` names the packs, the base rules, the schema and the settings; `reviewed` is the newest day on which a
    rule in use was reviewed; `rules` are the rules by id; `mode` is whether what they forbid is enforced.
    """

    def __init__(self, packs: Sequence[Pack], base: Pack, settings: Settings | None = None) -> None:
        """Use `Engine.load`. Raises `PolicyError` for packs that together hold no rule, or one id twice, or no permit
        where only theirs permit."""
        settings = settings or Settings()
        self.settings: Final = settings
        self.mode: Final = settings.mode
        policies: dict[str, Policy] = {}
        for pack in (base, *packs):
            for policy in pack.policies:
                if pack is base and policy.effect == "permit" and settings.own:
                    continue
                if policy.id in policies:
                    raise PolicyError(
                        f"rule {policy.id} stands in {policies[policy.id].pack} and in {pack.name}",
                        where=pack.path.name,
                        mend="give it another id",
                    )
                policies[policy.id] = policy
        if not any(pack.policies for pack in packs):
            raise PolicyError("no rule is loaded", where="policy.packs", mend='name packs, or write ["all"]')
        made = _made(packs, base, settings)
        policies |= {policy.id: policy for policy in made}
        self.packs: Final = tuple(packs)
        self.base: Final = base
        self.rules: Final[Mapping[str, Rule]] = MappingProxyType(
            {rule.id: rule for rule in rules_of(tuple(policies.values()))}
        )
        self.digest: Final = hashlib.sha256(
            "\n".join(
                [
                    json.dumps(settings.to_json(), sort_keys=True),
                    FILE.read_text(encoding="utf-8"),
                    *sorted(pack.digest for pack in (base, *packs)),
                ]
            ).encode()
        ).hexdigest()
        self.reviewed: Final[datetime] = max(pack.reviewed for pack in packs)
        self.policies: Final[Mapping[str, Policy]] = MappingProxyType(policies)
        self._evaluator = Evaluator(tuple(policies.values()), schema())
        self._places = frozenset(token for policy in policies.values() for token in policy.asked.places)
        self._excluded = frozenset(token for policy in policies.values() for token in policy.asked.outside)
        self._columns: OrderedDict[tuple[str, str | None, str | None], tuple[Column, ...]] = OrderedDict()
        self._lock = Lock()

    @classmethod
    def load(
        cls, packs: Sequence[str | Path] = ("all",), settings: Settings | None = None, *, shelf: Path = SHELF
    ) -> Engine:
        """Load packs by name, by the path of a ``*.cedar`` file, or ``"all"`` on the shelf of shipped packs.

        `settings` is what the deployment sets about all rules: whose permits permit, and what is denied by default.

        Raises `PolicyError` for a pack that is missing, does not parse, does not validate against the schema,
        breaks the lint or holds no rule, and for a list that names none. There is no partial load.
        """
        seal.check()
        base = parse(BASE, "base")
        read = [parse(path) for path in find(packs, shelf)]
        for pack in read:
            if pack.path.resolve().is_relative_to(SHELF.resolve()):
                continue  # sealed: byte for byte what was validated and linted for the release
            for finding in findings(pack, permits=settings is not None and settings.own):
                if finding.level == "error":
                    where = f"{finding.file}: {finding.rule}" if finding.rule else finding.file
                    raise PolicyError(finding.what, where=where, mend=finding.mend)
        return cls(read, base, settings)

    def statement(self) -> dict[str, Any]:
        """What `digest` stands for, as records state it: the names of the packs, and the settings."""
        return {"packs": [pack.name for pack in self.packs], **self.settings.to_json()}

    def column(self, facts: Facts, action: str | None, service: str | None, at: datetime | None) -> Column:
        """The verdict table's column for one call.

        `service` None = unknown, hence any. `action` None = a call to a vision-language service that does not
        say what it does: judged as `vlm_describe` whose answer is not freed of names. `at` None = the time of
        use is unknown. `use.at` of the facts is not looked at. Raises `ConfigError` for words that are no
        action or service.
        """
        key = (facts.digest, action, service)
        for column in self._columns.get(key, ()):
            if column.covers(at):
                return column
        _check(action, service, at)
        column = self._compile(facts, action, service, at)
        self._keep(key, column)
        return column

    def table(
        self, facts: Facts, calls: Iterable[tuple[str, str]], at: datetime | None
    ) -> dict[tuple[str, str], Column]:
        """The columns of many calls, (action, service), at one instant: those that `column` gives, compiled together,
        which takes a fraction of the time."""
        found: dict[tuple[str, str], Column | None] = {}
        for action, service in calls:
            _check(action, service, at)
            kept = self._columns.get((facts.digest, action, service), ())
            found[action, service] = next((column for column in kept if column.covers(at)), None)
        missing = [call for call, column in found.items() if column is None]
        questions = [(facts, asked, service, at) for action, service in missing for asked in judged_as(action)]
        try:
            answers = iter(self.fired(questions))
        except (Unanswered, ConfigError):
            # One call without an answer says nothing of the others.
            return {(action, service): self.column(facts, action, service, at) for action, service in found}
        for action, service in missing:
            fired = [next(answers) for _ in judged_as(action)]
            found[action, service] = column = self._ruled(facts, action, service, at, fired)
            self._keep((facts.digest, action, service), column)
        return {call: column for call, column in found.items() if column is not None}

    def fired(
        self, cases: Sequence[tuple[Facts, str, str | None, datetime | None]], among: Iterable[str] | None = None
    ) -> list[frozenset[str]]:
        """For each (facts, action, service, at): the ids of the policies that forbid it, `among` these if
        given.

        Raises `Unanswered` where Cedar gives no answer that counts, `ConfigError` for evidence that
        contradicts itself.
        """
        return self.fired_with([self.request(*case) for case in cases], among)

    def request(self, facts: Facts, action: str, service: str | None, at: datetime | None) -> Question:
        """The question that Cedar is asked. `ConfigError` for evidence that contradicts itself."""
        standing = judge(facts, action, service, at)
        return action, call(facts, service, at, standing.held, standing.spent, self._places, self._excluded)

    def fired_with(self, questions: Sequence[Question], among: Iterable[str] | None = None) -> list[frozenset[str]]:
        """As `fired`, for requests already built."""
        return self._evaluator.fired(questions, among)

    def reasons(self, fired: frozenset[str]) -> tuple[Reason, ...]:
        """The rules behind these policies, in the order of their packs, each once."""
        rules = dict.fromkeys(self.policies[id].rule for id in self._evaluator.in_order(fired))
        return tuple(self.rules[rule].reason(fired) for rule in rules)

    def _compile(self, facts: Facts, action: str | None, service: str | None, at: datetime | None) -> Column:
        if action is None:
            facts = facts.replacing({"use.names_stripped": False})
        asked = "vlm_describe" if action is None else action
        try:
            fired = self.fired([(facts, each, service, at) for each in judged_as(asked)])
        except (Unanswered, ConfigError) as error:
            fault = Ruling(Verdict.DENY, fault=str(error))
            return Column(fault, fault, *self._interval(facts, judged_as(asked), service, at), timeless=at is None)
        return self._ruled(facts, asked, service, at, fired)

    def _ruled(
        self, facts: Facts, action: str, service: str | None, at: datetime | None, fired: Sequence[frozenset[str]]
    ) -> Column:
        """The column where these policies forbid the actions of `judged_as`."""
        since, until = self._interval(facts, judged_as(action), service, at)
        timeless = at is None
        if fired[0]:
            ruling = Ruling(
                Verdict.DENY,
                self.reasons(fired[0]),
                explain=lambda: lifting.lifted_by(self, facts, action, service, at, fired[0]),
            )
            return Column(ruling, ruling, since, until, timeless=timeless)
        free = with_faces = Ruling(Verdict.ALLOW)
        if len(fired) > 1 and fired[1] and facts.could_be("use.names_stripped") != frozenset({True}):
            with_faces = Ruling(Verdict.REDACT, self.reasons(fired[1]))
        return Column(free, with_faces, since, until, timeless=timeless)

    def _keep(self, key: tuple[str, str | None, str | None], column: Column) -> None:
        with self._lock:
            self._columns[key] = (*self._columns.get(key, ())[-7:], column)
            self._columns.move_to_end(key)
            if len(self._columns) > _KEPT_COLUMNS:
                self._columns.popitem(last=False)

    def _interval(
        self, facts: Facts, actions: tuple[str, ...], service: str | None, at: datetime | None
    ) -> tuple[datetime | None, datetime | None]:
        """The longest interval around `at` in which neither a rule of this call nor a record begins or
        ends."""
        if at is None:
            return None, None
        concerned = [p for p in self.policies.values() if any(p.concerns(action, service) for action in actions)]
        types = {token.partition(":")[0] for p in concerned for token in p.asked.held | p.asked.spent}
        ends = {instant for policy in concerned for instant in policy.asked.instants}
        ends.update(boundaries(r for r in facts.evidence if r.type in types or r.delay_hours is not None))
        before = max((end for end in ends if end <= at), default=None)
        after = min((end for end in ends if end > at), default=None)
        return before, after


def judged_as(action: str) -> tuple[str, ...]:
    """What Cedar is asked about for a call: a description that names people is judged as an identification too."""
    return ("vlm_describe", "vlm_identify") if action == "vlm_describe" else (action,)


def _made(packs: Sequence[Pack], base: Pack, settings: Settings) -> list[Policy]:
    """The forbids that follow from the settings."""
    own = [policy for pack in packs for policy in pack.policies]
    permits = [policy for policy in own if policy.effect == "permit"]
    like = base.policies[0]
    if settings.own and not permits:
        raise PolicyError(
            'base = "own", and no pack permits anything, so every call would be denied',
            where="policy.base",
            mend="add a pack with a permit, or leave base out",
        )
    found = unpermitted(permits, like) if settings.own else []
    return found + (default(own, like) if settings.denies_by_default else [])


def _check(action: str | None, service: str | None, at: datetime | None) -> None:
    if action is not None and action not in ACTIONS:
        raise ConfigError(f"{action!r} is no action", where="action", mend=f"one of {', '.join(ACTIONS)}")
    if service is not None and service not in SERVICES:
        raise ConfigError(f"{service!r} is no service", where="service", mend=f"one of {', '.join(SERVICES)}")
    if action is None and service is not None and service not in VLM_SERVICES:
        raise ConfigError(f"a call to {service} must say what it does", where="action", mend="name the action")
    if at is not None and at.tzinfo is None:
        raise ConfigError("the time of use has no zone", where="use.at", mend="pass an aware datetime")
