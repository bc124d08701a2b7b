"""What a clip looked like over its time: faces, verdicts and events, in a bounded number of steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final, Literal

from guard.facts import Decision

__all__ = ["MOST_EVENTS", "MOST_STEPS", "Event", "Kind", "Outcome", "Step", "Timeline", "kind_of_fault", "outcome_of"]

MOST_STEPS: Final = 1200
"""With more steps than these two are joined to one, so that a camera may run for days."""

MOST_EVENTS: Final = 200
"""Events beyond these are counted and not kept."""

Outcome = Literal["allow", "redact", "deny", "fault"]
Kind = Literal["contradicted", "unjudged", "judged"]


@dataclass(slots=True)
class Step:
    """A few frames in a row.

    Attributes:
        at_s: time stamp of the first, in seconds of the clip.
        frames: how many.
        faces: the most that were seen in one of them; None where they are unknown in all.
        unknown: in how many the faces are unknown.
        outcomes: calls by what became of them: ``allow``, ``redact``, ``deny``, or ``fault`` where the guard failed.
        rules: the rules that forbade any of the calls.
    """

    at_s: float
    frames: int = 1
    faces: int | None = None
    unknown: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    rules: tuple[str, ...] = ()

    def joined(self, other: Step | None) -> Step:
        """This step and the one that follows it as one."""
        if other is None:
            return self
        faces = [step.faces for step in (self, other) if step.faces is not None]
        outcomes = dict(self.outcomes)
        for outcome, count in other.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        return Step(
            self.at_s,
            self.frames + other.frames,
            max(faces, default=None),
            self.unknown + other.unknown,
            outcomes,
            tuple(dict.fromkeys((*self.rules, *other.rules))),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that changed at `at_s` seconds of the clip.

    `kind` is ``contradicted`` (something was seen to be otherwise than declared), ``unjudged`` (from here on frames
    cannot be judged) or ``judged`` (from here on they can again).
    """

    at_s: float
    kind: Kind
    what: str


class Timeline:
    """Collects frames and events.

    Attributes:
        events: in the order of the clip.
        more_events: how many there were beyond `MOST_EVENTS`.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.more_events = 0
        self._steps: list[Step] = []
        self._per_step = 1
        self._contradicted: set[str] = set()
        self._fault: str | None = None

    @property
    def steps(self) -> Sequence[Step]:
        """The clip from its beginning, without a gap."""
        return tuple(self._steps)

    def add(self, at_s: float, decision: Decision | None, faces: int | None) -> None:
        """Adds a frame: the call made in it (`decision` None = the guard gave none), and how many faces were seen."""
        rules = () if decision is None else tuple(dict.fromkeys(reason.rule for reason in decision.reasons))
        step = Step(at_s, 1, faces, int(faces is None), {outcome_of(decision): 1}, rules)
        if self._steps and self._steps[-1].frames < self._per_step:
            self._steps[-1] = self._steps[-1].joined(step)
            return
        self._steps.append(step)
        if len(self._steps) > MOST_STEPS:
            self._per_step *= 2
            halves = zip_longest(self._steps[::2], self._steps[1::2])
            self._steps = [first.joined(second) for first, second in halves if first is not None]

    def contradicted(self, at_s: float, lines: Iterable[str]) -> None:
        """Notes what was contradicted by then, each attribute once: lines as in `Decision.contradicted`."""
        for line in lines:
            name = line.partition(":")[0]
            if name not in self._contradicted:
                self._contradicted.add(name)
                self._note(Event(at_s, "contradicted", line))

    def fault(self, at_s: float, why: str | None) -> None:
        """Notes why a frame cannot be judged, None while it can; the same reason in a row is one event."""
        kind = None if why is None else kind_of_fault(why)
        if kind != self._fault:
            self._note(Event(at_s, "judged", "frames can be judged again") if why is None else _unjudged(at_s, why))
        self._fault = kind

    def _note(self, event: Event) -> None:
        if len(self.events) < MOST_EVENTS:
            self.events.append(event)
        else:
            self.more_events += 1


def outcome_of(decision: Decision | None) -> Outcome:
    """What became of a call."""
    if decision is None or decision.fault is not None:
        return "fault"
    outcome: Outcome = decision.verdict.value
    return outcome


def kind_of_fault(fault: str) -> str:
    """The fault without its measure, which differs from frame to frame."""
    return fault.partition(":")[0].partition(", by")[0]


def _unjudged(at_s: float, why: str) -> Event:
    return Event(at_s, "unjudged", " ".join(why.split()))
