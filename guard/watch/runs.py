"""Decisions of late: equal ones in a row are one run, so that a call denied on every frame is one line, counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from guard.facts import format_instant
from guard.replay.timeline import outcome_of

if TYPE_CHECKING:
    from guard.facts import Decision

__all__ = ["Attempt", "Run"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call that is tried on every frame: `action` of the vocabulary, `service` as it was named."""

    action: str
    service: str


class Run:
    """Decisions on one call of one source, one after the other, that say the same.

    Attributes:
        number: counts runs from 1.
        decision: the first of them, whose explanation is computed once.
        count: how many there are.
        version: of the board, when it last grew.
    """

    __slots__ = ("count", "decision", "faces", "first", "key", "last", "number", "service", "source", "version")

    def __init__(self, number: int, source: str, service: str, decision: Decision) -> None:
        self.number = number
        self.source = source
        self.service = service
        self.decision = decision
        self.key = _key(decision)
        self.count = 0
        self.version = 0
        self.first = self.last = datetime.now(UTC)
        self.faces: int | None = None

    def takes(self, decision: Decision) -> bool:
        """Whether the decision says what those of this run say, the time and the number of faces aside."""
        return _key(decision) == self.key

    def add(self, decision: Decision, version: int) -> None:
        """Counts one more."""
        self.count += 1
        self.last = datetime.now(UTC)
        self.faces = decision.faces
        self.version = version

    def brief(self) -> dict[str, Any]:
        """What a tile says of it: the same for as long as the run goes on."""
        rules = list(dict.fromkeys(reason.rule for reason in self.decision.reasons))
        return {
            "run": self.number,
            "outcome": outcome_of(self.decision),
            "enforced": self.decision.enforced,
            "fault": self.decision.fault,
            "rules": rules,
        }

    def to_json(self) -> dict[str, Any]:
        """One line of the page's stream."""
        decision = self.decision
        reasons = {reason.rule: reason for reason in decision.reasons}
        first = next(iter(reasons.values()), None)
        return {
            **self.brief(),
            "source": self.source,
            "action": decision.action,
            "service": self.service,
            "title": None if first is None else first.title,
            "cite": None if first is None else first.cite,
            "faces": self.faces,
            "first": format_instant(self.first),
            "last": format_instant(self.last),
            "count": self.count,
        }


def _key(decision: Decision) -> tuple[Any, ...]:
    # A fault's measure ("3.1 s old") differs from frame to frame; what it says up to there does not.
    fault = None if decision.fault is None else "".join(c for c in decision.fault if not c.isdigit())
    rules = tuple(reason.rule for reason in decision.reasons)
    return (decision.verdict, decision.enforced, fault, rules, decision.contradicted, decision.policy_digest)
