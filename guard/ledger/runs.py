"""Runs of equal denials: one statement for as many frames as were refused alike.

Equal are two refusals that agree in source, action, service, rules, fault, policy, facts, judging sources, trust in the
clock, enforcement, and in whether faces were looked for, unknown, none or some. Whatever differs ends the run.
"""

from __future__ import annotations

import operator

from guard.ledger.entry import Entry
from guard.ledger.instants import text_of
from guard.ledger.leaves import Calls

__all__ = ["RUN_SECONDS", "Kind", "Run", "kind_of"]

RUN_SECONDS = 60.0
"""The longest time for which a run stays open."""

_MAX_FAULT = 300

Kind = tuple[str | None, str | None, str | None]
"""Source, action and service: of each there is one open run at most."""


def kind_of(entry: Entry) -> Kind:
    """What an entry is about."""
    decision = entry.decision
    return (decision.source, decision.action, decision.service)


class Run:
    """One call, or several denials that are equal.

    Attributes:
        name: the name under which it is pending while it is open.
        began: `time.monotonic` of its first call.
        count: how many calls.
        stored: the run as it is pending on disk, None where it is not.
    """

    __slots__ = (
        "_first", "_last", "_latency_us", "_latency_us_max", "_least", "_most", "_since", "began", "count", "name",
        "stored",
    )  # fmt: skip

    def __init__(self, entry: Entry, name: str = "", began: float = 0.0) -> None:
        self.name = name
        self.began = began
        self.stored: Calls | None = None
        self.count = 1
        self._first = self._last = entry
        self._since: str | None = None
        self._least = self._most = entry.decision.faces
        self._latency_us = self._latency_us_max = entry.decision.latency_us

    def takes(self, entry: Entry) -> bool:
        """Adds an equal denial; says False, and stays as it is, where the entry differs."""
        last, now = self._last, entry.decision
        was = last.decision
        if not (
            (was.reasons is now.reasons or _rules(last) == _rules(entry))
            and (was.facts is now.facts or was.facts.digest == now.facts.digest)
            and was.policy_digest == now.policy_digest
            and last.judged_under == entry.judged_under
            and last.clock == entry.clock
            and was.enforced == now.enforced
            and last.redactable == entry.redactable
            and last.judged_facts == entry.judged_facts
            and last.judged_actions == entry.judged_actions
            and was.contradicted == now.contradicted
            and last.fault == entry.fault
            and _sees(was.faces) == _sees(now.faces)
        ):
            return False
        self._last = entry
        self.count += 1
        if now.faces is not None and self._least is not None and self._most is not None:
            self._least = min(self._least, now.faces)
            self._most = max(self._most, now.faces)
        self._latency_us += now.latency_us
        self._latency_us_max = max(self._latency_us_max, now.latency_us)
        return True

    def split(self) -> None:
        """Forgets what is in the tree already: another process took the pending run for that of a dead one."""
        stored, self.stored = self.stored, None
        if stored is None:
            return
        self.count -= stored.count
        self._latency_us -= stored.latency_us
        self._since = stored.until
        self._first = self._last

    def leaf(self, session: str) -> Calls:
        """The run as a statement, as far as it has come."""
        first, last = self._first, self._last
        decision, end, fault = first.decision, last.decision, first.fault
        at = self._since or text_of(first.at_ns)
        frame, captured = _whole(decision.frame), _captured(first)
        alone = last is first and self._since is None
        return Calls(
            session=session,
            id=decision.id,
            last_id=end.id,
            count=self.count,
            at=at,
            until=at if alone else text_of(last.at_ns),
            clock=first.clock,
            source=decision.source,
            frame=frame,
            last_frame=frame if alone else _whole(end.frame),
            captured_at=captured,
            last_captured_at=captured if alone else _captured(last),
            action=decision.action,
            service=decision.service,
            verdict=first.verdict,
            fault=None if fault is None else _clean(fault),
            faces=self._least,
            faces_most=self._most,
            rules=_rules(first),
            judged_under=list(first.judged_under),
            policy_digest=decision.policy_digest,
            facts_digest=decision.facts.digest,
            enforced=first.enforced,
            redactable=first.redactable,
            judged_facts=[facts.digest for facts in first.judged_facts],
            judged_actions=list(first.judged_actions),
            contradicted=[_clean(line) for line in decision.contradicted],
            latency_us=round(self._latency_us, 1),
            latency_us_max=round(self._latency_us_max, 1),
        )

    @property
    def cited(self) -> Entry:
        """An entry that has the facts and the policy of all."""
        return self._first


def _rules(entry: Entry) -> list[str]:
    return [reason.rule for reason in entry.decision.reasons]


def _sees(faces: int | None) -> bool | None:
    return None if faces is None else faces > 0


def _whole(frame: object) -> int | None:
    """A frame number of the caller's as the record can hold it: a record that cannot be written refuses all calls."""
    try:
        number = operator.index(frame)  # type: ignore[arg-type]  # whatever it is
    except TypeError:
        return None
    return number if -(2**53) < number < 2**53 else None


def _clean(text: str) -> str:
    return text[:_MAX_FAULT].encode("utf-8", "replace").decode("utf-8")


def _captured(entry: Entry) -> str | None:
    return None if entry.captured_ns is None else text_of(entry.captured_ns)
