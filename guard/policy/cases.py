"""Running cases: what a set of packs should decide, against what it does.

A case is a set of facts, a call, and the verdict that is expected; see the file format ``guard.cases/1``.
Nothing is filled in: what is absent or null is unknown. Facts that disagree never stop a run: such a case
faults, and a fault is a denial.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from guard.errors import ConfigError
from guard.facts import ACTIONS, SERVICES, Facts, Lift, Verdict
from guard.facts.attributes import suggestion
from guard.policy.engine import Engine

__all__ = ["Case", "Outcome", "read", "run", "summary"]

_FACTS: Final = ("operator", "place", "capture", "use", "gallery", "subject", "evidence")
_REQUIRED: Final = ("id", "action", "service", "faces", "expect")
_OPTIONAL: Final = ("title", "group", "sure", "note", "lifted_by", "because")


@dataclass(frozen=True, slots=True)
class Case:
    """One case as its file states it. `lifted_by` None = not checked; `because` empty = not checked."""

    id: str
    action: str
    service: str | None
    faces: int | None
    expect: Verdict
    facts: Mapping[str, Any]
    lifted_by: Lift | None
    because: tuple[str, ...]

    def judge(self, engine: Engine) -> Outcome:
        """What the packs of `engine` decide of this case."""
        try:
            facts = Facts.parse(self.facts, where=f"case {self.id}")
            known = facts.known("use.at")
            at = next(iter(known)) if known is not None and len(known) == 1 else None
            ruling = engine.column(facts, self.action, self.service, _instant(at)).ruling(self.faces)
        except ConfigError as error:
            return Outcome(self, Verdict.DENY, [], (), str(error))
        return Outcome(
            self, ruling.verdict, ruling.lifted_by(), tuple(reason.rule for reason in ruling.reasons), ruling.fault
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided of a case. `because` are the rules that forbade; `fault` says why nothing could be
    decided."""

    case: Case
    verdict: Verdict
    lifted_by: Lift
    because: tuple[str, ...]
    fault: str | None

    @property
    def passed(self) -> bool:
        case = self.case
        if self.verdict is not case.expect:
            return False
        if case.lifted_by is not None and _normal(case.lifted_by) != _normal(self.lifted_by):
            return False
        return case.expect is Verdict.ALLOW or not case.because or not set(case.because).isdisjoint(self.because)

    def to_json(self) -> dict[str, Any]:
        """An entry of ``failed``; ``fault`` only where there is one."""
        entry: dict[str, Any] = {
            "id": self.case.id,
            "expected": self.case.expect.value,
            "got": self.verdict.value,
            "lifted_by_expected": self.case.lifted_by,
            "lifted_by_got": self.lifted_by,
            "because_got": list(self.because),
        }
        return entry if self.fault is None else {**entry, "fault": self.fault}


def read(path: Path | str) -> list[Case]:
    """The cases of a file. `ConfigError` where it is no case file: unreadable, of another schema, or with a
    key, a verdict, an action or a service that does not exist."""
    where = str(path)
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the cases cannot be read: {error}", where=where, mend="check the file") from None
    if not isinstance(document, dict) or document.get("schema") != "guard.cases/1":
        raise ConfigError("this is no case file", where=where, mend='its "schema" is "guard.cases/1"')
    cases = document.get("cases")
    if not isinstance(cases, list) or not cases:
        raise ConfigError("the file holds no case", where=where, mend='list them under "cases"')
    found = [_case(raw, f"{where}: cases[{number}]") for number, raw in enumerate(cases)]
    seen: set[str] = set()
    for case in found:
        if case.id in seen:
            raise ConfigError(f"two cases are called {case.id!r}", where=where, mend="rename one")
        seen.add(case.id)
    return found


def run(path: Path | str, packs: Sequence[str | Path] = ("all",), *, engine: Engine | None = None) -> dict[str, Any]:
    """Run every case of a file: the object ``guard.cases-result/1``. `engine` spares loading the packs again.

    Raises `ConfigError` for a file that is no case file and `PolicyError` for packs that do not load.
    """
    cases = read(path)
    judging = Engine.load(packs) if engine is None else engine
    return summary(case.judge(judging) for case in cases)


def summary(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """``guard.cases-result/1`` of these outcomes. Faults of cases that passed stand under ``faults``, where
    there are any."""
    done = list(outcomes)
    failed = [outcome.to_json() for outcome in done if not outcome.passed]
    faults = [{"id": o.case.id, "fault": o.fault} for o in done if o.passed and o.fault is not None]
    result = {
        "schema": "guard.cases-result/1",
        "total": len(done),
        "passed": len(done) - len(failed),
        "failed": failed,
    }
    return {**result, "faults": faults} if faults else result


def _case(raw: Any, where: str) -> Case:
    if not isinstance(raw, dict):
        raise ConfigError("a case is an object", where=where, mend="write {...}")
    where = f"{where} ({raw['id']})" if isinstance(raw.get("id"), str) else where
    keys = (*_REQUIRED, *_OPTIONAL, *_FACTS)
    for key in raw:
        if key not in keys:
            mend = suggestion(key, keys) or f"the keys are {', '.join(keys)}"
            raise ConfigError(f"unknown key {key!r}", where=where, mend=mend)
    for key in _REQUIRED:
        if key not in raw:
            raise ConfigError(f"the case has no {key!r}", where=where, mend=f'add "{key}"')
    if not isinstance(raw["id"], str) or not raw["id"]:
        raise ConfigError(f"{raw['id']!r} is no id", where=where, mend="write a text")
    service = None if raw["service"] in (None, "unknown") else _word(raw["service"], "service", SERVICES, where)
    because = raw.get("because") or []
    if not isinstance(because, list) or not all(isinstance(rule, str) for rule in because):
        raise ConfigError("`because` is no list of rule ids", where=where, mend='write ["MS-FACE.limited"]')
    return Case(
        id=raw["id"],
        action=_word(raw["action"], "action", ACTIONS, where),
        service=service,
        faces=_faces(raw["faces"], where),
        expect=Verdict(_word(raw["expect"], "expect", [verdict.value for verdict in Verdict], where)),
        facts={group: raw[group] for group in _FACTS if group in raw},
        lifted_by=_lift(raw.get("lifted_by"), where),
        because=tuple(because),
    )


def _word(raw: Any, key: str, allowed: Sequence[str], where: str) -> str:
    if not isinstance(raw, str) or raw not in allowed:
        mend = suggestion(raw, allowed) or f"one of {', '.join(allowed)}"
        raise ConfigError(f"{raw!r} is no value of {key}", where=where, mend=mend)
    return raw


def _faces(raw: Any, where: str) -> int | None:
    if raw is None or raw == "unknown":
        return None
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 0:
        raise ConfigError(f"{raw!r} is no count of faces", where=where, mend='a whole number, or "unknown"')
    return raw


def _lift(raw: Any, where: str) -> Lift | None:
    if raw is None:
        return None
    sound = isinstance(raw, list) and all(
        isinstance(item, str) or (isinstance(item, list) and item and all(isinstance(one, str) for one in item))
        for item in raw
    )
    if not sound:
        raise ConfigError("`lifted_by` is no list of names", where=where, mend='write ["a", ["b", "c"]]')
    return list(raw)


def _normal(lift: Lift) -> frozenset[frozenset[str]]:
    """Order aside, and a nested list of one is its member."""
    return frozenset(frozenset([item] if isinstance(item, str) else item) for item in lift)


def _instant(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None
