"""Reasons and decisions: which rules spoke, what was decided, and what would turn it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from guard.facts.facts import Facts
from guard.facts.instants import format_instant
from guard.facts.vocabulary import Verdict

__all__ = ["Decision", "Lift", "Reason"]

Lift: TypeAlias = list[str | list[str]]
"""What would turn a denial: a list that must be met whole; a nested list is met by any one of its members."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A rule that forbade. `effective` is the time from which and until which it holds; None = open.

    `sure` marks how far the wording was read: text, quoted, interp or memory.
    """

    rule: str
    pack: str
    title: str
    cite: str
    sure: str
    effective: tuple[datetime | None, datetime | None] = (None, None)

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "pack": self.pack,
            "title": self.title,
            "cite": self.cite,
            "effective": [instant and format_instant(instant) for instant in self.effective],
        }


class Decision(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One decision about one call: the verdict, the rules that forbade, and what would turn it.

    `at` is the instant on which it rests, None where the clock is not believed. `service` None = unknown.
    `explain` computes `lifted_by`. `faces` is the count that the detector saw in the very picture of the
    call, None = unknown. `fault` says why the guard could not decide, and then the verdict is deny. The
    verdict stays true until `valid_until`, other facts being equal. `latency_us` is in microseconds.
    `enforced` is False in shadow mode: the verdict was recorded, and the call made whatever it was.
    `contradicted` says what of the source was seen to be otherwise than declared, with the evidence, a line each.
    """

    id: str
    at: datetime | None
    source: str | None
    action: str | None
    service: str | None
    verdict: Verdict
    faces: int | None
    reasons: tuple[Reason, ...]
    facts: Facts
    valid_until: datetime | None
    fault: str | None
    latency_us: float
    policy_digest: str
    frame: int | None = None
    enforced: bool = True
    explain: Callable[[], Lift] | None = None
    contradicted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.verdict, Verdict):
            raise TypeError(f"{self.verdict!r} is no verdict")
        if self.fault is not None and self.verdict is not Verdict.DENY:
            raise ValueError("a decision with a fault is a denial")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decision):
            return NotImplemented
        return self._said() == other._said()

    def __hash__(self) -> int:
        return hash(self.id)

    def _said(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__struct_fields__ if name != "explain")

    @property
    def lifted_by(self) -> Lift:
        """What would turn a denial; empty where nothing listed would, and for every other verdict.

        Computed at the first use (milliseconds, more where little is known), so never on the way of a frame.
        """
        if self.explain is None or self.verdict is not Verdict.DENY or self.fault is not None:
            return []
        if not isinstance(self.explain, _Found):
            msgspec.structs.force_setattr(self, "explain", _Found(self.explain()))
        return self.explain()

    def to_json(self) -> dict[str, Any]:
        """The object ``guard.decision/1``.

        ``enforced`` stands in it only where the verdict was not, ``contradicted`` only where something is.
        """
        shadow = {} if self.enforced else {"enforced": False}
        contradicted = {"contradicted": list(self.contradicted)} if self.contradicted else {}
        return {
            "schema": "guard.decision/1",
            "id": self.id,
            "at": self.at and format_instant(self.at),
            "source": self.source,
            "action": self.action,
            "service": self.service,
            "verdict": self.verdict.value,
            **shadow,
            "faces": self.faces,
            "lifted_by": self.lifted_by,
            "reasons": [reason.to_json() for reason in self.reasons],
            "facts": self.facts.to_json(),
            "valid_until": self.valid_until and format_instant(self.valid_until),
            "fault": self.fault,
            "latency_us": self.latency_us,
            **contradicted,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        values["explain"] = _Found(self.lifted_by)
        return (_decision, (values,))


class _Found:
    """The answer to `lifted_by`, kept; each reader gets a list of their own."""

    __slots__ = ("answer",)

    def __init__(self, answer: Lift) -> None:
        self.answer = answer

    def __call__(self) -> Lift:
        return [list(item) if isinstance(item, list) else item for item in self.answer]


def _decision(values: dict[str, Any]) -> Decision:
    return Decision(**values)
