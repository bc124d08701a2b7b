"""A statement on one source and one stretch of time: what was watched, which calls were attempted, what became of them,
and the checkpoint that seals it.

Everything in it is read from the ledger; what the record cannot know is not filled in, but named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from guard.audit.coverage import Count, Coverage, coverage
from guard.errors import GuardError, LedgerError
from guard.facts import IDENTITY_ACTIONS, format_instant
from guard.ledger import leaves, notes, read
from guard.ledger.findings import Verification
from guard.ledger.instants import ns_of, text_of, text_of_datetime
from guard.ledger.proving import newest_checkpoint
from guard.ledger.verifying import verify

__all__ = ["CANNOT", "Calls", "Statement", "make_statement"]

CANNOT: Final = (
    "It speaks of the frames and calls that were handed to guard. What other programs, or code that guard does not "
    "wrap, did with the camera is not in it.",
    "What nobody watched may hold anything. Watched means that frames were opened by a process that kept this record, "
    "not that nobody appeared in them: the detector misses faces.",
    "A call that was let through may have failed on its way or in the service. That it came back says that it ran, not "
    "what was answered or what was done with the answer.",
    "What the source is, where it hangs and what it serves was declared by its operator, and believed.",
    "Times are those of the machine's clock.",
    "Whoever holds the signing key could have rewritten everything after the last checkpoint that somebody else keeps: "
    "hold the checkpoint below against that one.",
)
"""What no statement proves, in words that stand in each."""


@dataclass(slots=True)
class Calls:
    """Counts of attempted calls. ``attempted = denied + redacted + allowed``; `faulted` are among the denied.

    Attributes:
        let_through: calls that the callee may have got: allowed and redacted ones, and in shadow mode every one.
        unenforced: calls judged in shadow mode.
    """

    attempted: Count = field(default_factory=Count)
    denied: Count = field(default_factory=Count)
    faulted: Count = field(default_factory=Count)
    redacted: Count = field(default_factory=Count)
    allowed: Count = field(default_factory=Count)
    let_through: Count = field(default_factory=Count)
    unenforced: Count = field(default_factory=Count)

    def add(self, record: Mapping[str, Any], *, whole: bool) -> None:
        """Adds the calls of a record that lies in the window as a whole, or only in part."""
        count = record["count"]
        self.attempted.add(count, whole=whole)
        by_verdict = {"deny": self.denied, "redact": self.redacted, "allow": self.allowed}
        by_verdict[record["verdict"]].add(count, whole=whole)
        if record["fault"] is not None:
            self.faulted.add(count, whole=whole)
        if not record["enforced"]:
            self.unenforced.add(count, whole=whole)
        if record["verdict"] != "deny" or not record["enforced"]:
            self.let_through.add(count, whole=whole)

    def to_json(self) -> dict[str, Any]:
        """Each count by its name; a number, or its bounds."""
        return {name: getattr(self, name).to_json() for name in self.__slots__}


@dataclass(slots=True)
class Statement:
    """What a ledger says of `source` in [`since`, `until`).

    Attributes:
        known: whether any leaf speaks of this source; `sources` are those that the ledger knows.
        calls, identity: all calls in which this source judged; of these the calls of identity actions.
        by_action: the calls by action and service.
        rules: how many calls each rule forbade.
        policies: digests of the policies that decided, with their packs and settings.
        unplaced: calls whose day was given by the user or whose clock was not believed: they may belong here.
        lost: refusals of which the ledger says that they have no record.
        pruned_before: records from before this instant were removed, if that lies after `since`.
        checkpoint: the newest one, as signed; None where there is none. `unsealed`: leaves of this statement that it
            does not cover yet.
        made_at: when the statement was made, by the clock of whoever made it.
    """

    ledger: str
    source: str
    since: datetime
    until: datetime
    verification: Verification
    coverage: Coverage
    known: bool = False
    sources: Sequence[str] = ()
    calls: Calls = field(default_factory=Calls)
    identity: Calls = field(default_factory=Calls)
    by_action: dict[tuple[str, str], Calls] = field(default_factory=dict)
    rules: dict[str, Count] = field(default_factory=dict)
    policies: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    unplaced: int = 0
    lost: int = 0
    pruned_before: str | None = None
    checkpoint: str | None = None
    unsealed: int = 0
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    @property
    def unknown_end(self) -> Count:
        """Calls that were let through and of which no span says how they ended."""
        ended_least = self.coverage.returned.at_least + self.coverage.raised.at_least
        ended_most = self.coverage.returned.at_most + self.coverage.raised.at_most
        through = self.calls.let_through
        return Count(max(0, through.at_least - ended_most), max(0, through.at_most - ended_least))

    def to_json(self) -> dict[str, Any]:
        """The object ``guard.ledger-statement/1``."""
        seen = self.coverage
        return {
            "schema": "guard.ledger-statement/1",
            "ledger": self.ledger,
            "source": self.source,
            "known": self.known,
            "from": format_instant(self.since),
            "to": format_instant(self.until),
            "made_at": format_instant(self.made_at),
            "frames": {
                "seen": seen.frames.to_json(),
                "dropped": seen.dropped.to_json(),
                "unjudged": seen.unjudged.to_json(),
                "unplaced": seen.unplaced,
            },
            "seconds": {state: round(seen.seconds(state), 3) for state in ("watched", "silent", "unwatched")},
            "longest_silence_s": seen.longest_silence_s,
            "stretches": [
                {"state": s.state, "from": text_of(s.begin_ns), "to": text_of(s.end_ns)} for s in seen.stretches
            ],
            "calls": self.calls.to_json(),
            "identity_calls": self.identity.to_json(),
            "executed": {
                "at_most": self.calls.let_through.at_most,
                "returned": seen.returned.to_json(),
                "raised": seen.raised.to_json(),
                "unknown": self.unknown_end.to_json(),
            },
            "by_action": [
                {"action": action, "service": service, **calls.to_json()}
                for (action, service), calls in sorted(self.by_action.items())
            ],
            "rules": [{"rule": rule, "calls": count.to_json()} for rule, count in sorted(self.rules.items())],
            "policies": [{"digest": digest, **(said or {})} for digest, said in self.policies.items()],
            "unplaced_calls": self.unplaced,
            "lost": self.lost,
            "pruned_before": self.pruned_before,
            "verified": self.verification.verified,
            "pinned": self.verification.pinned,
            "problems": [problem.what for problem in self.verification.problems],
            "checkpoint": self.checkpoint,
            "unsealed": self.unsealed,
            "cannot_prove": list(CANNOT),
        }


def make_statement(
    ledger: Path, source: str, since: datetime, until: datetime, *, public_keys: Sequence[bytes] = ()
) -> Statement:
    """States what a ledger says of a source from `since` until before `until`; both have a zone.

    Raises `GuardError` for a time that ends before it begins, `LedgerError` where there is no ledger.
    """
    begin_ns, end_ns = ns_of(text_of_datetime(since)), ns_of(text_of_datetime(until))
    if end_ns <= begin_ns:
        raise GuardError("the time ends before it begins", where="--to", mend="name a later instant")
    found = Statement(
        ledger=ledger.name,
        source=source,
        since=since,
        until=until,
        verification=verify(ledger, public_keys=public_keys),
        coverage=coverage((span for span in leaves(ledger, kind="span") if span["source"] == source), begin_ns, end_ns),
    )
    seqs = list(found.coverage.seqs)
    sources = {span["source"] for span in leaves(ledger, kind="span")}
    for record in read(ledger):
        judges = {record["source"], *record["judged_under"]}
        sources |= judges
        if source in judges and _take(found, record, begin_ns, end_ns):
            seqs.append(-1 if record["seq"] is None else record["seq"])
    found.known = source in sources
    found.sources = sorted(name for name in sources if name is not None)
    found.lost = sum(leaf["calls"] for leaf in leaves(ledger, kind="lost") if ns_of(leaf["at"]) >= begin_ns)
    pruned = [leaf["before"] for leaf in leaves(ledger, kind="prune") if ns_of(leaf["before"]) > begin_ns]
    found.pruned_before = max(pruned, default=None)
    found.checkpoint, size = _checkpoint(ledger)
    found.unsealed = sum(not 0 <= seq < size for seq in seqs)
    return found


def _take(found: Statement, record: Mapping[str, Any], begin_ns: int, end_ns: int) -> bool:
    """Counts a record; says whether it has to do with the window."""
    if record["clock"] != "system":
        found.unplaced += record["count"]
        return False
    at, until = ns_of(record["at"]), ns_of(record["until"])
    if until < begin_ns or at >= end_ns:
        return False
    whole = begin_ns <= at and until < end_ns
    actions = record["judged_actions"] or [record["action"]]
    call = (record["action"] or "unnamed", record["service"] or "unknown")
    counted = [found.calls, found.by_action.setdefault(call, Calls())]
    if IDENTITY_ACTIONS.intersection(actions):
        counted.append(found.identity)
    for calls in counted:
        calls.add(record, whole=whole)
    for rule in dict.fromkeys(record["rules"]):
        found.rules.setdefault(rule, Count()).add(record["count"], whole=whole)
    found.policies.setdefault(record["policy_digest"], record["policy"])
    return True


def _checkpoint(ledger: Path) -> tuple[str | None, int]:
    try:
        note = newest_checkpoint(ledger)
        return note, notes.parse(note).size
    except (LedgerError, ValueError):
        return None, 0
