"""Whether a pack proves its rules: a case for every branch, for each side of every date, and for every exception.

A rule that nobody has seen forbid, or whose exception nobody has seen lift it, is a guess. The cases of a pack lie
beside it as ``NAME.cases.json``; what they expect is checked by `guard.policy.cases`, what they reach is checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from guard.errors import ConfigError, PolicyError
from guard.facts import VOCABULARY, Facts
from guard.policy.cases import Case, read
from guard.policy.engine import Engine
from guard.policy.lint import Finding
from guard.policy.own import Settings
from guard.policy.packs import Policy
from guard.policy.tree import FACTS_OF, literals, path, walk

__all__ = ["cases_beside", "unproved"]

_DAY = timedelta(days=1)


def cases_beside(file: Path) -> Path:
    """Where the cases of a pack lie."""
    return file.with_name(f"{file.stem}.cases.json")


def unproved(files: Iterable[Path], settings: Settings | None = None) -> list[Finding]:
    """One finding for every branch, date or exception that no case beside its pack shows.

    Packs that do not load are passed over: `guard.policy.lint.check` says why. `settings` as for `Engine.load`.
    """
    found: list[Finding] = []
    for file in files:
        try:
            engine = Engine.load([file.absolute()], settings)
        except PolicyError:
            continue
        found += _of_pack(file, engine)
    return found


def _of_pack(file: Path, engine: Engine) -> Iterator[Finding]:
    branches = [policy for policy in engine.packs[0].policies if policy.effect == "forbid"]
    beside = cases_beside(file)
    if not beside.is_file():
        for rule in dict.fromkeys(branch.rule for branch in branches):
            yield Finding(file.name, rule, "the rule has no test", f"write cases beside it, in {beside.name}")
        return
    try:
        calls = list(_calls(read(beside), engine))
    except ConfigError as error:
        yield Finding(error.where or beside.name, "", error.what, error.mend or "mend the case")
        return
    for branch in branches:
        if not any(branch.id in call.fired for call in calls):
            yield Finding(file.name, branch.id, "no case makes it forbid", f"add one to {beside.name}")
            continue
        for what, mend in (*_dates(branch, calls), *_exceptions(branch, calls)):
            yield Finding(file.name, branch.id, what, f"{mend} to {beside.name}")


def _dates(branch: Policy, calls: list[_Call]) -> Iterator[tuple[str, str]]:
    """Each side within a day of the date, by a case on which moving the clock over it turns the branch."""
    for date in branch.asked.instants:
        sides = (("before", date - _DAY, date, date), ("from", date, date + _DAY, date - _DAY))
        for side, first, last, other in sides:
            near = [call for call in calls if call.at is not None and first <= call.at < last]
            if not any((branch.id in call.fired) != (branch.id in call.moved(other)) for call in near):
                yield f"no case on the day {side} {date:%Y-%m-%d} shows its date", "add one"


def _exceptions(branch: Policy, calls: list[_Call]) -> Iterator[tuple[str, str]]:
    for name, taken_away in _liftings(branch):
        lifted = (call for call in calls if branch.id not in call.fired)
        if not any(branch.id in call.with_facts(taken_away(call.facts)) for call in lifted):
            yield f"no case shows {name} lifting it", "add one"


def _liftings(branch: Policy) -> Iterator[tuple[str, Callable[[Facts], Facts]]]:
    """What may silence a branch, each with how to take it away from the facts of a case."""
    if branch.asked.held:
        yield "its evidence", lambda facts: facts.replacing(evidence=())
    if "subject.consent" in branch.asked.paths:
        yield "consent", partial(_with, "subject.consent", "none")
    for condition in branch.source["conditions"]:
        for node in walk(condition["body"]):
            asked = path(node["containsAll"]["right"]) if "containsAll" in node else None
            if asked is not None:
                excepted = {str(value) for value in literals(node["containsAll"]["left"])}
                fact = FACTS_OF[asked][0]
                # The lint refuses a rule that excepts every value, since it could never match.
                ordinary = next(value for value in _values(fact) if str(value) not in excepted)
                yield fact, partial(_with, fact, ordinary)


def _values(fact: str) -> tuple[str | bool, ...]:
    return tuple(VOCABULARY[fact])


def _with(name: str, value: str | bool, facts: Facts) -> Facts:
    return facts.replacing({name: value})


@dataclass(frozen=True, eq=False)
class _Call:
    """A case as the engine is asked, and the branches that forbid it."""

    engine: Engine
    case: Case
    facts: Facts
    action: str
    at: datetime | None
    fired: frozenset[str]

    def moved(self, at: datetime) -> frozenset[str]:
        return _fired(self.engine, self.facts, self.action, self.case.service, at)

    def with_facts(self, facts: Facts) -> frozenset[str]:
        return _fired(self.engine, facts, self.action, self.case.service, self.at)


def _calls(cases: Iterable[Case], engine: Engine) -> Iterator[_Call]:
    for case in cases:
        facts = Facts.parse(case.facts, where=f"case {case.id}")
        known = facts.known("use.at") or frozenset()
        at = next((value for value in known if isinstance(value, datetime)), None) if len(known) == 1 else None
        # A redacted description stands for the identification that it is judged by.
        for action in dict.fromkeys((case.action, "vlm_identify" if case.action == "vlm_describe" else case.action)):
            yield _Call(engine, case, facts, action, at, _fired(engine, facts, action, case.service, at))


def _fired(engine: Engine, facts: Facts, action: str, service: str | None, at: datetime | None) -> frozenset[str]:
    try:
        return engine.fired([(facts, action, service, at)])[0]
    except ConfigError:
        return frozenset()  # a moved clock may contradict the records of a case
