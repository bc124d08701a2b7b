"""Decides every recorded call again, from its recorded facts, under other packs or for another day.

Nothing is guessed: a record that does not hold what the new verdict hinges on is counted apart, with the reason. A call
whose verdict would be laxer than it was is a change that somebody has to accept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any, Final

from guard.audit.acceptance import UNRULED, Acceptance
from guard.errors import ConfigError
from guard.facts import Facts, Verdict, format_instant, parse_instant
from guard.policy import Column, Engine, Ruling, Settings

__all__ = ["UNDECIDED", "Flip", "WhatIf", "what_if"]

UNDECIDED: Final[Mapping[str, str]] = {
    "fault": "the guard had failed, which no rule changes",
    "facts": "the facts are not in the record, or not as they were judged",
    "settings": "the record does not say under which settings it was decided",
    "faces": "the new verdict hinges on the faces in the call's pictures, and nobody looked at them then",
    "day": "the run of calls crosses a day on which the new verdict changes",
    "refused": "under the new packs the guard could not judge it",
}
"""Why a call was not decided again, by the word that stands for it in JSON."""

_STRICTNESS: Final = {Verdict.ALLOW: 0, Verdict.REDACT: 1, Verdict.DENY: 2}


@dataclass(slots=True)
class Flip:
    """Calls whose verdict changes alike.

    Attributes:
        before, after: the verdict recorded, and the new one.
        rules: where it becomes laxer, the rules that had forbidden; where stricter, those that now do.
        calls: how many, in `records` records; `first` and `last` are their instants, `example` the id of one.
        accepted: whether a laxer verdict is listed as accepted, rule by rule.
    """

    source: str | None
    action: str | None
    service: str | None
    before: Verdict
    after: Verdict
    rules: tuple[str, ...]
    calls: int = 0
    records: int = 0
    first: str = ""
    last: str = ""
    example: str = ""
    accepted: bool = False

    @property
    def laxer(self) -> bool:
        """Whether more would go out than did."""
        return _STRICTNESS[self.after] < _STRICTNESS[self.before]

    def to_json(self) -> dict[str, Any]:
        """One entry of ``flips``."""
        return {
            "from": self.before.value,
            "to": self.after.value,
            "source": self.source,
            "action": self.action,
            "service": self.service,
            "rules": list(self.rules),
            "calls": self.calls,
            "records": self.records,
            "first": self.first,
            "last": self.last,
            "example": self.example,
            "accepted": self.accepted if self.laxer else None,
        }


@dataclass(slots=True)
class WhatIf:
    """What became of all records. ``calls = unchanged + sum of flips + sum of undecided``.

    Attributes:
        policies: what the new verdicts rest on: digest, packs and settings, one entry for each settings met.
        at: the day that was judged; None = each call's own.
        undecided: how many calls were not decided again, by a word of `UNDECIDED`.
        unused: acceptances that cover no change.
    """

    policies: Sequence[Mapping[str, Any]] = ()
    at: datetime | None = None
    records: int = 0
    calls: int = 0
    unchanged: int = 0
    flips: Sequence[Flip] = ()
    undecided: Counter[str] = field(default_factory=Counter)
    unused: Sequence[Acceptance] = ()

    @property
    def unaccepted(self) -> int:
        """Calls that would be treated more laxly, and that nobody has accepted."""
        return sum(flip.calls for flip in self.flips if flip.laxer and not flip.accepted)

    def to_json(self) -> dict[str, Any]:
        """The object ``guard.ledger-whatif/1``, without the ledger's name."""
        return {
            "schema": "guard.ledger-whatif/1",
            "policies": list(self.policies),
            "at": self.at and format_instant(self.at),
            "records": self.records,
            "calls": self.calls,
            "unchanged": self.unchanged,
            "flips": [flip.to_json() for flip in self.flips],
            "undecided": dict(self.undecided),
            "unaccepted": self.unaccepted,
            "unused_acceptances": [acceptance.to_json() for acceptance in self.unused],
        }


def what_if(
    records: Iterable[Mapping[str, Any]],
    packs: Sequence[str | Any],
    *,
    base: str | None = None,
    extra: str | None = None,
    at: datetime | None = None,
    accepted: Sequence[Acceptance] = (),
) -> WhatIf:
    """Decides `records`, as `guard.ledger.read` gives them, again.

    Args:
        packs: as for `Engine.load`.
        base, extra: `[policy]` settings; None = those under which each record was decided.
        at: the day to judge instead of each call's own.
        accepted: changes to a laxer verdict that need no refusal.

    Raises `PolicyError` for packs that do not load, `ConfigError` for a word that is no setting, and what `records`
    raises.
    """
    Settings(base or "shipped", extra or "none")
    run = _Run(packs, base, extra, at)
    for record in records:
        run.take(record)
    return run.result(accepted)


class _Undecided(Exception):
    """This record cannot be decided again; the argument is a key of `UNDECIDED`."""


class _Run:
    def __init__(self, packs: Sequence[str | Any], base: str | None, extra: str | None, at: datetime | None) -> None:
        self._packs, self._base, self._extra, self._at = packs, base, extra, at
        self._engines: dict[tuple[str, str], Engine] = {}
        self._facts: dict[str, Facts | None] = {}
        self._flips: dict[tuple[Any, ...], Flip] = {}
        self._result = WhatIf(at=at)

    def take(self, record: Mapping[str, Any]) -> None:
        """Decides one record and counts what came of it."""
        result, count = self._result, record["count"]
        result.records += 1
        result.calls += count
        try:
            after, rules = self._decide(record)
        except _Undecided as why:
            result.undecided[str(why)] += count
            return
        before = Verdict(record["verdict"])
        if after is before:
            result.unchanged += count
            return
        if _STRICTNESS[after] < _STRICTNESS[before]:
            rules = tuple(dict.fromkeys(record["rules"])) or (UNRULED,)
        call = (record["source"], record["action"], record["service"])
        key = (*call, before, after, rules)
        flip = self._flips.get(key)
        if flip is None:
            flip = self._flips[key] = Flip(*key, first=record["at"], example=record["id"])
        flip.calls += count
        flip.records += 1
        flip.first = min(flip.first, record["at"])
        flip.last = max(flip.last, record["until"])

    def result(self, accepted: Sequence[Acceptance]) -> WhatIf:
        """Everything counted, the laxer changes first, then the most frequent ones."""
        used: set[Acceptance] = set()
        for flip in self._flips.values():
            if flip.laxer:
                by_rule = [
                    [a for a in accepted if a.covers(flip.source, rule, flip.action, flip.service)]
                    for rule in flip.rules
                ]
                flip.accepted = all(by_rule)
                used.update(acceptance for covering in by_rule for acceptance in covering)
        if not self._engines:
            self._engine_of(self._base or "shipped", self._extra or "none")  # a broken pack is said in any case
        result = self._result
        result.flips = sorted(
            self._flips.values(), key=lambda flip: (not flip.laxer, flip.accepted, -flip.calls, str(flip.source))
        )
        result.unused = [acceptance for acceptance in accepted if acceptance not in used]
        result.policies = [{"digest": engine.digest, **engine.statement()} for engine in self._engines.values()]
        return result

    # ---- one record

    def _decide(self, record: Mapping[str, Any]) -> tuple[Verdict, tuple[str, ...]]:
        if record["fault"] is not None:
            raise _Undecided("fault")
        engine = self._engine(record["policy"])
        judged = {record["facts_digest"]: record["facts"], **record["judged_facts"]}
        actions = record["judged_actions"] or [record["action"]]
        rulings: list[Ruling] = []
        missing: _Undecided | None = None
        for (digest, groups), action in product(judged.items(), actions):
            try:
                rulings.append(self._ruling(engine, self._facts_of(digest, groups), action, record))
            except _Undecided as why:
                missing = why
        if missing is not None and Verdict.DENY not in [ruling.verdict for ruling in rulings]:
            raise missing  # a denial would stand, whatever the rest is
        strictest = max(rulings, key=lambda ruling: _STRICTNESS[ruling.verdict])
        return strictest.verdict, tuple(dict.fromkeys(reason.rule for reason in strictest.reasons))

    def _ruling(self, engine: Engine, facts: Facts, action: str | None, record: Mapping[str, Any]) -> Ruling:
        column = self._column(engine, facts, action, record)
        faces = record["faces"]
        if not column.hinges_on_faces:
            ruling = column.no_face
        elif record["redactable"] is None:
            raise _Undecided("faces")
        else:
            ruling = column.ruling(faces)
            if ruling.verdict is Verdict.REDACT and not record["redactable"]:
                ruling = Ruling(Verdict.DENY, ruling.reasons)
        if ruling.fault is not None:
            raise _Undecided("refused")
        return ruling

    def _column(self, engine: Engine, facts: Facts, action: str | None, record: Mapping[str, Any]) -> Column:
        at = self._at
        if at is None and record["clock"] != "disbelieved":
            at = parse_instant(record["at"])
        try:
            column = engine.column(facts, action, record["service"], at)
        except ConfigError:
            raise _Undecided("facts") from None
        if self._at is None and at is not None and not column.covers(parse_instant(record["until"])):
            raise _Undecided("day")
        return column

    def _engine(self, policy: Mapping[str, Any] | None) -> Engine:
        if policy is None and (self._base is None or self._extra is None):
            raise _Undecided("settings")
        said = policy or {}
        return self._engine_of(self._base or said["base"], self._extra or said["extra"])

    def _engine_of(self, base: str, extra: str) -> Engine:
        engine = self._engines.get((base, extra))
        if engine is None:
            engine = self._engines[base, extra] = Engine.load(self._packs, Settings(base, extra))
        return engine

    def _facts_of(self, digest: str, groups: Mapping[str, Any] | None) -> Facts:
        if digest not in self._facts:
            self._facts[digest] = _parsed(digest, groups)
        facts = self._facts[digest]
        if facts is None:
            raise _Undecided("facts")
        return facts


def _parsed(digest: str, groups: Mapping[str, Any] | None) -> Facts | None:
    """The facts, if they still say what was judged."""
    if groups is None:
        return None
    try:
        facts = Facts.parse(groups)
    except ConfigError:
        return None
    return facts if facts.digest == digest else None
