"""The steps of a timeline as the stretches that people read: the same outcome for the same reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from guard.replay.timeline import Outcome, Step

if TYPE_CHECKING:
    from guard.report.record import Record

__all__ = ["OUTCOMES", "Stretch", "outcome", "stretches", "words"]

OUTCOMES: Final[dict[Outcome, str]] = {
    "fault": "could not be judged",
    "deny": "denied",
    "redact": "redacted",
    "allow": "allowed",
}
"""Each outcome in words, the gravest first."""

_IN_SHADOW: Final[dict[Outcome, str]] = OUTCOMES | {"deny": "would be denied", "redact": "would be redacted"}


def words(record: Record) -> Mapping[Outcome, str]:
    """`OUTCOMES`, for a run of which nothing was enforced as what would have been."""
    wholly = record.shadow and all(calls.unenforced == calls.attempted for calls in record.calls)
    return _IN_SHADOW if wholly else OUTCOMES


@dataclass(slots=True)
class Stretch:
    """Steps in a row with the same gravest outcome and the same rules.

    Attributes:
        begin_s, end_s: where it lies in the clip.
        outcome: the gravest of its calls.
        outcomes: its calls by what became of them.
        rules: the rules that forbade.
        fewest, most: how many faces were seen in a frame, as far as they are known.
        unknown: in how many frames they are not.
    """

    begin_s: float
    end_s: float
    outcome: Outcome
    outcomes: dict[Outcome, int]
    rules: tuple[str, ...]
    fewest: int | None = None
    most: int | None = None
    unknown: int = 0

    def take(self, step: Step) -> None:
        """Counts a step in."""
        self.unknown += step.unknown
        if step.faces is not None:
            self.fewest = step.faces if self.fewest is None else min(self.fewest, step.faces)
            self.most = step.faces if self.most is None else max(self.most, step.faces)
        for name, count in step.outcomes.items():
            self.outcomes[name] = self.outcomes.get(name, 0) + count


def outcome(step: Step) -> Outcome:
    """The gravest outcome of a step."""
    return next((name for name in OUTCOMES if step.outcomes.get(name)), "fault")


def stretches(steps: Sequence[Step], seconds: float) -> list[Stretch]:
    """The clip from its beginning to `seconds`, without a gap."""
    found: list[Stretch] = []
    for step in steps:
        gravest = outcome(step)
        if not found or (found[-1].outcome, set(found[-1].rules)) != (gravest, set(step.rules)):
            if found:
                found[-1].end_s = step.at_s
            found.append(Stretch(step.at_s, seconds, gravest, {}, step.rules))
        found[-1].take(step)
    return found
