"""What a replay found out: an immutable record, its JSON, and the counting behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from guard.context import Finding
from guard.facts import Decision, Reason, Verdict, format_instant
from guard.replay.film import Film
from guard.replay.timeline import Event, Step

__all__ = ["REPORT", "Calls", "Outputs", "Reasons", "Replay", "Ruled", "day_judged"]

REPORT: Final = "report.html"
"""How the report is called in the folder of the outputs."""


@dataclass(slots=True)
class Calls:
    """Counts of one kind of call. ``attempted = allowed + redacted + denied``.

    Attributes:
        faulted: how many of the denied were refused because the guard itself failed.
        unenforced: how many were judged in shadow mode, so that they were made whatever the verdict.
        reached_service: counted by the service, not by the guard.
        matched: calls in which the matcher recognised somebody.
    """

    action: str | None
    service: str
    attempted: int = 0
    allowed: int = 0
    redacted: int = 0
    denied: int = 0
    faulted: int = 0
    unenforced: int = 0
    reached_service: int = 0
    matched: int = 0

    def count(self, verdict: Verdict, *, fault: bool, enforced: bool = True) -> None:
        """Counts one attempted call."""
        self.attempted += 1
        self.unenforced += not enforced
        if verdict is Verdict.ALLOW:
            self.allowed += 1
        elif verdict is Verdict.REDACT:
            self.redacted += 1
        else:
            self.denied += 1
            self.faulted += fault

    def to_json(self) -> dict[str, Any]:
        """Its counts; ``unenforced`` stands among them only where there was shadow mode."""
        shadow = {"unenforced": self.unenforced} if self.unenforced else {}
        return {
            "action": self.action,
            "service": self.service,
            "attempted": self.attempted,
            "allowed": self.allowed,
            "redacted": self.redacted,
            "denied": self.denied,
            "faulted": self.faulted,
            **shadow,
            "reached_service": self.reached_service,
            "matched": self.matched,
        }


@dataclass(frozen=True, slots=True)
class Ruled:
    """A rule that forbade, and in how many calls."""

    reason: Reason
    count: int

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.reason.rule, "pack": self.reason.pack, "cite": self.reason.cite, "count": self.count}


class Reasons:
    """Counts rules and faults over many decisions, and keeps the first decision of each kind to explain it."""

    def __init__(self) -> None:
        self._rules: Counter[tuple[str, str]] = Counter()
        self._reasons: dict[tuple[str, str], Reason] = {}
        self.faults: Counter[str] = Counter()
        self.examples: dict[tuple[str, ...], Decision] = {}
        self.first: Decision | None = None

    def add(self, decision: Decision) -> None:
        """Takes the decision of one call."""
        if self.first is None:
            self.first = decision
        rules: dict[str, None] = {}
        for reason in decision.reasons:
            key = (reason.pack, reason.rule)
            if reason.rule not in rules:
                self._rules[key] += 1
                self._reasons.setdefault(key, reason)
            rules[reason.rule] = None
        if decision.fault is not None:
            self.faults[decision.fault] += 1
        elif decision.verdict is not Verdict.ALLOW:
            self.examples.setdefault((decision.verdict.value, *rules), decision)

    def ruled(self) -> tuple[Ruled, ...]:
        """The rules, the most frequent first."""
        rows = [Ruled(self._reasons[key], count) for key, count in self._rules.items()]
        return tuple(sorted(rows, key=lambda row: (-row.count, row.reason.pack, row.reason.rule)))

    def lifted_by(self) -> list[str | list[str]]:
        """What would turn the denials, of the first denial met."""
        for (verdict, *_), decision in self.examples.items():
            if verdict == Verdict.DENY.value:
                return decision.lifted_by
        return []


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the files lie, the report once it is written (`guard.report.write_report`); None for one that is not."""

    report: Path | None
    video: Path | None
    ledger: Path | None

    def to_json(self) -> dict[str, str | None]:
        return {
            "report": None if self.report is None else str(self.report),
            "video": None if self.video is None else str(self.video),
            "ledger": None if self.ledger is None else str(self.ledger),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The result of `guard.replay.run.replay`.

    Attributes:
        clip: its name, without a password.
        source: id of the source as which it was judged.
        matcher: what stood at the far end.
        frames: frames that were decoded and on which the call was tried.
        frames_with_faces: those in which the detector saw a face.
        seconds: length of the clip as far as it was read.
        calls: one entry for each kind of call.
        reasons: the rules that forbade.
        faults: why the guard failed, and how often.
        latency_us: ``hook`` (all that the guard added to a frame, under the source's ``detect``), ``detect`` and
            ``decide``.
        facts: what was declared of the source, as `Facts.to_json` gives it.
        seen: what was seen of it, against what is declared.
        packs, policy_digest: the policy that decided.
        judged_at: the day judged, of the first decision; None where the clock is not believed.
        lifted_by: what would have turned the denials.
        people: whom the matcher recognised, and in how many frames.
        broke_off: why the clip or the run ended before its end; None where it did not.
        notes: what else the user should know.
        began, ended: when its first frame was awaited, and when it was done with the last, by the machine's clock.
        steps, events, more_events: the clip over its time, as `Timeline` collects it.
        spread_us: how the durations behind `latency_us` are spread: lower edge, upper edge and count of each bin.
        film: the small copy without faces that the report shows, None where there is none.
    """

    clip: str
    source: str
    matcher: str
    frames: int
    frames_with_faces: int
    seconds: float
    calls: Sequence[Calls]
    reasons: Sequence[Ruled]
    latency_us: Mapping[str, Mapping[str, float | None]]
    outputs: Outputs
    facts: Mapping[str, Any] = field(default_factory=dict)
    seen: Sequence[Finding] = ()
    faults: Mapping[str, int] = field(default_factory=dict)
    packs: Sequence[str] = ()
    policy_digest: str = ""
    judged_at: str | None = None
    lifted_by: Sequence[str | list[str]] = ()
    people: Mapping[str, int] = field(default_factory=dict)
    broke_off: str | None = None
    notes: Sequence[str] = ()
    began: datetime | None = None
    ended: datetime | None = None
    steps: Sequence[Step] = ()
    events: Sequence[Event] = ()
    more_events: int = 0
    spread_us: Mapping[str, Sequence[tuple[float, float, int]]] = field(default_factory=dict)
    film: Film | None = None

    @property
    def shadow(self) -> bool:
        """Whether any call was judged in shadow mode."""
        return any(calls.unenforced for calls in self.calls)

    def to_json(self) -> dict[str, Any]:
        """The object ``guard.replay/1``; ``broke_off`` stands in it only where the clip did, ``mode`` only where it
        was ``shadow``."""
        value: dict[str, Any] = {
            "schema": "guard.replay/1",
            "clip": self.clip,
            "source": self.source,
            "frames": self.frames,
            "frames_with_faces": self.frames_with_faces,
            "seconds": round(self.seconds, 6),
            "calls": [call.to_json() for call in self.calls],
            "reasons": [ruled.to_json() for ruled in self.reasons],
            "latency_us": {name: dict(values) for name, values in self.latency_us.items()},
            "outputs": self.outputs.to_json(),
        }
        if self.shadow:
            value["mode"] = "shadow"
        if self.broke_off is not None:
            value["broke_off"] = self.broke_off
        return value


def day_judged(decision: Decision | None) -> str | None:
    """The instant on which a decision rests, as text."""
    return None if decision is None or decision.at is None else format_instant(decision.at)
