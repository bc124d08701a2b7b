"""The verdict of every action towards every service for one set of facts, and the days on which a verdict flips.

Narrowing a fact never makes a rule fire (`monotone` proves it of every pack), so a rule that is silent while the time
of use is unknown is silent at every time: only the dates of the others can change a cell. That keeps two years of
every cell within the cost of a few tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import product
from typing import Any, Final

from guard.facts import ACTIONS, SERVICES, Facts, Reason, Verdict, format_instant
from guard.facts.evidence import boundaries
from guard.policy.columns import Column, Ruling
from guard.policy.engine import Engine, judged_as
from guard.policy.packs import Policy

__all__ = ["YEARS", "Cell", "Flip", "Matrix", "Turn", "matrix"]

YEARS: Final = 2
"""How far ahead flips are looked for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One action towards one service. `verdict` is that of a picture with faces, or with an unknown count of them."""

    action: str
    service: str
    column: Column

    @property
    def ruling(self) -> Ruling:
        return self.column.with_faces

    @property
    def verdict(self) -> Verdict:
        return self.column.with_faces.verdict

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of the rules that forbid."""
        return tuple(reason.rule for reason in self.column.with_faces.reasons)

    def to_json(self) -> dict[str, Any]:
        """`lifted_by` is not computed here: ask `guard decide`. `fault` stands only where the guard could not judge."""
        fault = self.column.with_faces.fault
        return {
            "action": self.action,
            "service": self.service,
            "verdict": self.verdict.value,
            "verdict_without_faces": self.column.no_face.verdict.value,
            "rules": list(self.rules),
            "lifted_by": None,
            **({} if fault is None else {"fault": fault}),
        }


@dataclass(frozen=True, slots=True)
class Flip:
    """A cell whose verdict changes at `at`: which rules begin to forbid then, and which cease.

    `by_record` says that no rule begins or ends on that day, but a record of evidence does.
    """

    at: datetime
    action: str
    service: str
    before: Verdict
    after: Verdict
    begins: tuple[str, ...]
    ends: tuple[str, ...]
    by_record: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "at": format_instant(self.at),
            "action": self.action,
            "service": self.service,
            "from": self.before.value,
            "to": self.after.value,
            "begins": list(self.begins),
            "ends": list(self.ends),
            "by_record": self.by_record,
        }


@dataclass(frozen=True, slots=True)
class Turn:
    """Flips that belong together: one instant, one change, the same rules. `cells` pairs actions with services, each
    pair standing for all combinations of the two."""

    flip: Flip
    cells: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]

    @property
    def why(self) -> str:
        """Which rules begin and which cease to forbid, in words."""
        begins, ends = ", ".join(self.flip.begins), ", ".join(self.flip.ends)
        said = [f"{begins} {'forbids' if len(self.flip.begins) == 1 else 'forbid'} from then on"] if begins else []
        said += [f"{ends} no longer {'forbids' if len(self.flip.ends) == 1 else 'forbid'}"] if ends else []
        if self.flip.by_record:
            said.append("a record of evidence begins or ends")
        return ", ".join(said)


@dataclass(frozen=True)
class Matrix:
    """Every cell at `at`, actions outermost, and the flips in (`at`, `until`].

    `at` None = the time of use is unknown: rules of every date count, and there is no day to look ahead from.
    """

    source: str | None
    facts: Facts
    at: datetime | None
    until: datetime | None
    cells: tuple[Cell, ...]
    flips: tuple[Flip, ...]
    reasons: dict[str, Reason]
    policy_digest: str

    @cached_property
    def by_call(self) -> dict[tuple[str, str], Cell]:
        """The cells by (action, service)."""
        return {(cell.action, cell.service): cell for cell in self.cells}

    @cached_property
    def flipping(self) -> frozenset[tuple[str, str]]:
        """The (action, service) of cells that flip."""
        return frozenset((flip.action, flip.service) for flip in self.flips)

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        """The flips in order of time, those that belong together as one."""
        together: dict[tuple[Any, ...], list[Flip]] = {}
        for flip in self.flips:
            key = (flip.at, flip.before, flip.after, flip.begins, flip.ends, flip.by_record)
            together.setdefault(key, []).append(flip)
        return tuple(Turn(flips[0], _as_products(flips)) for flips in together.values())

    def to_json(self) -> dict[str, Any]:
        """The object ``guard.matrix/1``."""
        return {
            "schema": "guard.matrix/1",
            "source": self.source,
            "at": self.at and format_instant(self.at),
            "until": self.until and format_instant(self.until),
            "actions": list(ACTIONS),
            "services": list(SERVICES),
            "cells": [cell.to_json() for cell in self.cells],
            "flips": [flip.to_json() for flip in self.flips],
        }


def matrix(engine: Engine, facts: Facts, at: datetime | None, *, source: str | None = None) -> Matrix:
    """Judge every action towards every service at `at` (None = unknown), and look `YEARS` ahead for flips.

    Raises `GuardFault` where the policy engine gives no answer that counts.
    """
    table = engine.table(facts, product(ACTIONS, SERVICES), at)
    cells = tuple(Cell(action, service, column) for (action, service), column in table.items())
    rules = {reason.rule: reason for cell in cells for reason in cell.ruling.reasons}
    until = None if at is None else _years_after(at)
    flips: list[Flip] = []
    if at is not None and until is not None:
        latest = {(cell.action, cell.service): cell.ruling for cell in cells}
        for end, calls in _ends(engine, facts, cells, at, until):
            for call, column in engine.table(facts, calls, end).items():
                before, after = latest[call], column.with_faces
                latest[call] = after
                if after.verdict is not before.verdict:
                    flips.append(_flip(engine, end, call, before, after))
                    rules.update({reason.rule: reason for reason in (*before.reasons, *after.reasons)} | rules)
    order = {id: number for number, id in enumerate(engine.rules)}
    listed = dict(sorted(rules.items(), key=lambda item: order[item[0]]))
    return Matrix(source, facts, at, until, cells, tuple(flips), listed, engine.digest)


def _ends(
    engine: Engine, facts: Facts, cells: Sequence[Cell], at: datetime, until: datetime
) -> list[tuple[datetime, list[tuple[str, str]]]]:
    """In order of time, the instants in (`at`, `until`] at which verdicts could change, with the calls concerned."""
    calls = [(cell.action, cell.service) for cell in cells]
    # At an unknown time no record is held, and one that states its delay as well as its date is a fault.
    undated = facts.replacing(evidence=[r for r in facts.evidence if r.issued is None or r.delay_hours is None])
    speaking = dict(zip(calls, engine.fired([(undated, a, s, None) for a, s in calls]), strict=True))
    # A record is spent only at a known time, so what asks for spent records is never ruled out.
    spent = frozenset(id for id, policy in engine.policies.items() if policy.asked.spent)
    ends = {id: _ends_of(policy, facts, at, until) for id, policy in engine.policies.items()}
    # Where `delay_hours` contradicts the time, no call can be judged, whatever the rules ask.
    faults = _within(boundaries(r for r in facts.evidence if r.delay_hours is not None), at, until)
    due: dict[datetime, list[tuple[str, str]]] = {}
    for cell in cells:
        could_speak = spent.union(*(speaking[asked, cell.service] for asked in judged_as(cell.action)))
        moving = {id for id in could_speak if ends[id]}
        if cell.verdict is Verdict.DENY and not set(cell.rules) <= {engine.policies[id].rule for id in moving}:
            continue  # one of the rules that forbid does so all the time
        for end in faults.union(*(ends[id] for id in moving)):
            due.setdefault(end, []).append((cell.action, cell.service))
    return sorted(due.items())


def _ends_of(policy: Policy, facts: Facts, at: datetime, until: datetime) -> frozenset[datetime]:
    """When in (`at`, `until`] the policy, or a record that it asks for, begins or ends."""
    types = {token.partition(":")[0] for token in policy.asked.held | policy.asked.spent}
    records = boundaries(record for record in facts.evidence if record.type in types)
    return _within((*policy.asked.instants, *records), at, until)


def _within(ends: Iterable[datetime], at: datetime, until: datetime) -> frozenset[datetime]:
    return frozenset(end for end in ends if at < end <= until)


def _flip(engine: Engine, end: datetime, call: tuple[str, str], before: Ruling, after: Ruling) -> Flip:
    old, new = ([reason.rule for reason in ruling.reasons] for ruling in (before, after))
    begins = tuple(rule for rule in new if rule not in old)
    ends = tuple(rule for rule in old if rule not in new)
    dated = any(end in branch.asked.instants for rule in begins + ends for branch in engine.rules[rule].branches)
    return Flip(end, *call, before.verdict, after.verdict, begins, ends, by_record=not dated)


def _as_products(flips: Iterable[Flip]) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Cells as few pairs of (actions, services): actions that share their services stand together."""
    services: dict[str, list[str]] = {}
    for flip in flips:
        services.setdefault(flip.action, []).append(flip.service)
    actions: dict[tuple[str, ...], list[str]] = {}
    for action, named in services.items():
        actions.setdefault(tuple(named), []).append(action)
    return tuple((tuple(sharing), named) for named, sharing in actions.items())


def _years_after(at: datetime) -> datetime:
    """The same day `YEARS` later, 28 February for a leap day; the last instant there is where that is too far."""
    try:
        return at.replace(year=at.year + YEARS)
    except ValueError:
        if at.year + YEARS > datetime.max.year:
            return datetime.max.replace(tzinfo=at.tzinfo)
        return at.replace(year=at.year + YEARS, day=28)
