"""The facts by which a source is judged: declared ones, widened by what contradicts them.

The one place that `Source.column` and the gate read. Declared facts never change; the effective ones are another object
whenever something new was seen, so a decision made on the former can be told to be overtaken.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from guard.context.finding import Finding, merged, possible
from guard.facts import Facts, places
from guard.facts.attributes import ATTRIBUTES, Value

if TYPE_CHECKING:
    from guard.clock import Reading

__all__ = ["NEAR_REAL_TIME_S", "Context"]

log = logging.getLogger("guard")

NEAR_REAL_TIME_S = 600.0
"""Default of `[policy] near_real_time_s`: the law gives no number of seconds."""

_NOTHING = Facts()
_LIVE: tuple[Value, ...] = ("real_time", "near_real_time")
_ANY_TIME = 2**63 - 1
"""Of a picture that may have been taken at any time: yet to come, it counts as taken now."""


class Context:
    """What is believed of one source. Safe for threads; reading takes no lock.

    Args:
        source: its id, for the log.
        declared: the facts of its file.
        near_real_time_s: how old a picture may be and still make its use real-time or nearly so.

    Attributes:
        declared: as given; never changes.
        findings: what was found, by name; the latest of each, a contradiction once found stays.
        unattested: why nothing that is declared counts, or why it will not some day; None where nobody need answer.
        live: whether the frames come from a camera or a stream, as they are taken.
    """

    __slots__ = (
        "_answered",
        "_attested",
        "_captured",
        "_contradictions",
        "_effective",
        "_lock",
        "_timely",
        "declared",
        "findings",
        "live",
        "near_real_time_ns",
        "source",
        "unattested",
    )

    def __init__(
        self,
        source: str | None,
        declared: Facts,
        near_real_time_s: float = NEAR_REAL_TIME_S,
        *,
        live: bool = False,
    ) -> None:
        self.source = source
        self.declared = declared
        self.near_real_time_ns = int(near_real_time_s * 1e9)
        self.findings: Mapping[str, Finding] = {}
        self.live = live
        self._lock = threading.Lock()
        self._effective = declared
        self._attested: tuple[int, int] | None = None
        self._answered: tuple[str, ...] = ()
        self.unattested: str | None = None
        self._contradictions: tuple[str, ...] = ()
        self._timely: tuple[Facts, Facts] | None = None
        self._captured = _latest(declared, declared)

    @property
    def effective(self) -> Facts:
        """What was declared and what was seen, the hour of capture left aside."""
        return self._effective

    @property
    def contradictions(self) -> tuple[str, ...]:
        """One line for each contradicted fact: declared, seen, evidence; before them, where nobody answers for the
        source, why."""
        return self._answered + self._contradictions

    def facts(self, captured_ns: int | None, now: Reading) -> Facts:
        """The facts by which a call is judged now: the same object for as long as nothing changes.

        Args:
            captured_ns: when the picture was taken, in nanoseconds since 1970 UTC; None where only the file may say.
            now: the time of use.

        A live feed, and a picture no older than the limit, are used in real time or nearly so, whatever is declared.
        Where the clock is not believed a stated time of capture excludes nothing.
        """
        if self._attested is not None and not self.is_answered_for(now):
            return _NOTHING
        effective = self._effective
        captured = self._captured if captured_ns is None else captured_ns
        if not self.live and (
            captured is None or (now[1] != "disbelieved" and now[0] - captured > self.near_real_time_ns)
        ):
            return effective
        timely = self._timely
        if timely is None or timely[0] is not effective:
            self._timely = timely = (effective, _used_at_once(effective))
        return timely[1]

    @property
    def attested(self) -> tuple[int, int] | None:
        """When somebody answers for it, in nanoseconds since 1970 UTC; None where nobody need."""
        return self._attested

    def is_answered_for(self, now: Reading) -> bool:
        """Whether what is declared counts: nobody need answer for it, or somebody does `now`."""
        valid = self._attested
        return valid is None or (now[1] != "disbelieved" and valid[0] <= now[0] < valid[1])

    def attest(self, valid_ns: tuple[int, int], why: str | None) -> None:
        """From now on the facts count only within `valid_ns`, in nanoseconds since 1970 UTC; elsewhere nothing is
        known, for the reason `why`. Where the clock is not believed it is not known either whether a passport is valid.
        """
        self._attested, self.unattested = valid_ns, why
        if why is not None and valid_ns[0] >= valid_ns[1]:
            self._answered = (f"nothing that it declares counts: {why}",)
            log.warning("source %s: nothing that it declares counts: %s", self.source, why)

    def goes_live(self) -> None:
        """From now on its pictures count as taken when they are handed in: a camera or a stream was recognised."""
        self.live = True
        self.saw(Finding.compared(self.declared, "use.timing", _LIVE, 1.0, "its pictures are taken now"))

    def saw(self, *findings: Finding) -> bool:
        """Takes findings that belong together; True where they changed the facts.

        A contradiction stays, whatever is seen later.
        """
        with self._lock:
            news = [each for each in findings if self._is_news(each)]
            self.findings = {**self.findings, **{each.name: self._with_earlier(each) for each in news}}
            self._contradictions = tuple(e.line for e in self.findings.values() if e.widens)
            contradicted = {each.name: each for each in news if each.widens}
            before = self._effective
            for finding in contradicted.values():
                self._effective = _widened(self._effective, finding, findings)
            changed = self._effective != before
            self._captured = _latest(self._effective, self.declared)
        for finding in contradicted.values():
            log.warning("source %s: what was declared is contradicted: %s", self.source, finding.line)
        return changed

    def _is_news(self, finding: Finding) -> bool:
        before = self.findings.get(finding.name)
        if before is None:
            return True
        if before.widens:
            return finding.widens and (finding.verdict != before.verdict or not set(finding.seen) <= set(before.seen))
        return before.verdict == "cannot-tell" or finding.verdict != "cannot-tell" or finding.widens

    def _with_earlier(self, finding: Finding) -> Finding:
        before = self.findings.get(finding.name)
        return finding if before is None or not before.widens else merged([before, finding])[0]

    def bind(self, facts: Facts, names: Iterable[str]) -> None:
        """These facts could be what they are and what they are in `facts`; unknown in either, they are unknown."""
        with self._lock:
            both: dict[str, frozenset[Value] | None] = {}
            for name in names:
                one, other = possible(self._effective, name), possible(facts, name)
                both[name] = None if one is None or other is None else one | other
            bound = self._effective.replacing(both)
            if bound != self._effective:
                self._effective = bound
                self._captured = _latest(bound, self.declared)

    def doubt(self, names: Iterable[str], why: str) -> None:
        """These facts are unknown from now on."""
        with self._lock:
            doubted = self._effective.replacing(dict.fromkeys(names))
            if doubted == self._effective:
                return
            self._effective = doubted
            self._captured = _latest(doubted, self.declared)
        log.warning("source %s: %s", self.source, why)


def _widened(facts: Facts, finding: Finding, among: Iterable[Finding]) -> Facts:
    if finding.name not in ATTRIBUTES:
        return facts  # a setting of the source, which no rule reads
    if finding.name == "place.country":
        return _in_both_countries(facts, finding, among)
    widened = facts.union(finding.name, finding.seen)
    if finding.name == "place.subdivision":
        widened = widened.replacing({"place.locality": None})
    return widened


def _in_both_countries(facts: Facts, finding: Finding, among: Iterable[Finding]) -> Facts:
    """The declared place and the one that was seen; of the latter's parts those that were seen, otherwise all."""
    declared = facts.could_be("place.country")
    parts = facts.known("place.subdivision")
    new = {str(country) for country in finding.seen} - {str(country) for country in declared}
    if parts is not None:
        seen = {str(part) for each in among if each.name == "place.subdivision" for part in each.seen}
        for country in new:
            within = {part for part in seen if places.country_of(part) == country}
            parts |= within or places.SUBDIVISIONS.get(country, frozenset())
    return facts.replacing(
        {"place.country": declared | new, "place.subdivision": parts, "place.locality": None},
    )


def _used_at_once(facts: Facts) -> Facts:
    known = facts.known("use.timing")
    return facts if known is None or known.issuperset(_LIVE) else facts.union("use.timing", _LIVE)


def _latest(facts: Facts, declared: Facts) -> int | None:
    """The latest that the pictures can have been taken; None where nobody ever said."""
    found = facts.known("capture.at")
    if found is None:
        return None if declared.known("capture.at") is None else _ANY_TIME
    return max(int(each.timestamp() * 1_000_000) * 1000 for each in found if isinstance(each, datetime))
