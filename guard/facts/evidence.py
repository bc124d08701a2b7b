"""Records of evidence: what they are, and when they count.

A record counts only where it is in date at `use.at` and every fact that it covers agrees with the request;
where a covered fact is unknown it does not count. A late or refused record is *spent*: what it serves cannot
be lifted by asking again. `judge` turns the records into the two sets of tokens that rules ask for, `held`
and `spent`.

Dates are half-open: a record counts from `issued` up to, and not at, `expires`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from guard.errors import ConfigError
from guard.facts.attributes import Value
from guard.facts.instants import format_instant
from guard.facts.vocabulary import EVIDENCE_TYPES, GROUNDS

if TYPE_CHECKING:
    from guard.facts.facts import Facts

__all__ = ["EVIDENCE_TOKENS", "IMPLIED", "Evidence", "Standing", "boundaries", "judge"]

URGENCY_REQUEST_HOURS: Final = 24  # EU-5.3: ask within 24 hours of the start of the use
LATE_AUTHORISATION_HOURS: Final = 48  # EU-26.10: beforehand or within 48 hours
UNDERTAKING_HOURS: Final = (24, 48)
NOTICE_AGE: Final = timedelta(days=30)  # UT-23E: 30 days' notice of a new system
_ROUNDING: Final = timedelta(hours=0.01)  # delay_hours is written by hand: 0.33 for twenty minutes

IMPLIED: Final[dict[str, tuple[str, ...]]] = {
    "human_review:2": ("human_review:1",),
    "pia:reviewed": ("pia",),
    "notice_posted:30d": ("notice_posted",),
    "prior_authorisation": ("prior_authorisation:48h",),
    "urgency_undertaking:24h": ("urgency_undertaking:48h",),
    **{f"{kind}:{ground}": (kind,) for kind, grounds in GROUNDS.items() for ground in grounds},
}
"""Tokens that come with a token: whoever holds the first holds the others."""

EVIDENCE_TOKENS: Final = frozenset(
    {t for t in EVIDENCE_TYPES if t not in ("human_review", "urgency_undertaking")}
    | IMPLIED.keys()
    | {token for tokens in IMPLIED.values() for token in tokens}
)
"""Every token that a rule may ask for. The type stands before the colon."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One record. Instants are UTC; None is unknown.

    `covers` pairs a dotted fact (or ``action``, ``service``) with the values that it is limited to.
    `delay_hours` is the time from the start of the use to `issued`, for a record that came after it.
    """

    type: str
    issued: datetime | None = None
    expires: datetime | None = None
    covers: tuple[tuple[str, frozenset[Value]], ...] = ()
    count: int | None = None
    note: str | None = None
    delay_hours: float | None = None
    refused: bool = False
    reviewed: bool | None = None
    ground: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As in a source file; what is unknown or not said is left out."""
        covers = {name: [_plain(v) for v in sorted(values, key=str)] for name, values in self.covers}
        fields: dict[str, Any] = {
            "type": self.type,
            "issued": self.issued and format_instant(self.issued),
            "expires": self.expires and format_instant(self.expires),
            "covers": {name: v[0] if len(v) == 1 else v for name, v in covers.items()},
            "count": self.count,
            "note": self.note,
            "delay_hours": self.delay_hours,
            "refused": self.refused or None,
            "reviewed": self.reviewed,
            "ground": self.ground,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the records amount to for one call: tokens that count, tokens that are spent, and why others do
    not count."""

    held: frozenset[str]
    spent: frozenset[str]
    remarks: tuple[str, ...]


def judge(facts: Facts, action: str | None, service: str | None, at: datetime | None) -> Standing:
    """Judge every record of `facts` for this action and service at this instant (None = unknown).

    Raises `ConfigError` where a record contradicts itself, or might at an unknown time: `delay_hours` follows from
    `issued` and `use.at`.
    """
    held: set[str] = set()
    spent: set[str] = set()
    remarks: list[str] = []
    for index, record in enumerate(facts.evidence):
        agrees = _covers(record, facts, action, service)
        counts, gone, remark = _judge_one(record, at, f"evidence[{index}]")
        if agrees is not False:
            spent |= gone
        if agrees is True:
            held |= counts
        elif counts:
            remark = "is limited to other facts" if agrees is False else "covers a fact that is unknown"
        if remark:
            remarks.append(f"evidence[{index}] ({record.type}) {remark}")
    return Standing(frozenset(held), frozenset(spent), tuple(remarks))


def boundaries(evidence: Iterable[Evidence]) -> tuple[datetime, ...]:
    """Every instant at which the standing of some record may change, in order."""
    found: set[datetime] = set()
    for record in evidence:
        steps: list[timedelta] = [timedelta()]
        if record.type == "urgency_request":
            steps = [timedelta(hours=-URGENCY_REQUEST_HOURS)]
        elif record.type == "prior_authorisation":
            steps.append(timedelta(hours=-LATE_AUTHORISATION_HOURS))
        elif record.type == "urgency_undertaking":
            steps += [timedelta(hours=hours) for hours in UNDERTAKING_HOURS]
        elif record.type == "notice_posted":
            steps.append(NOTICE_AGE)
        if record.delay_hours is not None:
            start = timedelta(hours=-record.delay_hours)
            steps += [start - _ROUNDING, start, start + _ROUNDING]
        if record.issued is not None:
            found |= {moved for step in steps if (moved := _moved(record.issued, step)) is not None}
        if record.expires is not None:
            found.add(record.expires)
    return tuple(sorted(found))


def _covers(record: Evidence, facts: Facts, action: str | None, service: str | None) -> bool | None:
    """True: every covered fact agrees. False: one disagrees. None: one is unknown, so it could be either."""
    sure = True
    for name, allowed in record.covers:
        if name in ("action", "service"):
            named = action if name == "action" else service
            agrees = None if named is None else named in allowed
        else:
            agrees = facts.agrees(name, allowed)
        if agrees is False:
            return False
        sure = sure and agrees is True
    return True if sure else None


def _judge_one(record: Evidence, at: datetime | None, where: str) -> tuple[frozenset[str], frozenset[str], str | None]:
    nothing: frozenset[str] = frozenset()
    delay = _delay(record, at, where)
    if at is not None and record.expires is not None and record.expires <= at:
        return nothing, nothing, "has expired"
    if record.refused:
        return nothing, _spendable(record.type), "was refused"
    if record.type == "urgency_request":
        if delay is None or (at is None and delay <= timedelta(hours=URGENCY_REQUEST_HOURS)):
            return nothing, nothing, "cannot be dated"
        if delay > timedelta(hours=URGENCY_REQUEST_HOURS):
            return (
                nothing,
                _spendable(record.type),
                f"came more than {URGENCY_REQUEST_HOURS} h after the use began",
            )
        return frozenset({"urgency_request"}), nothing, None
    if record.type == "prior_authorisation" and delay is not None and delay > timedelta():
        if delay > timedelta(hours=LATE_AUTHORISATION_HOURS):
            return (
                nothing,
                _spendable(record.type),
                f"came more than {LATE_AUTHORISATION_HOURS} h after the use began",
            )
        after = nothing if at is None or record.expires is None else frozenset({"prior_authorisation:48h"})
        return after, frozenset({"prior_authorisation"}), "came after the use began"
    if at is None or record.issued is None or delay is None:
        return nothing, nothing, "cannot be dated"
    if delay > timedelta():  # by its date or by its stated delay, whichever is longer
        return nothing, nothing, "is not issued yet"
    if record.type == "urgency_undertaking":
        counts = {f"{record.type}:{h}h" for h in UNDERTAKING_HOURS if at < _after(record.issued, timedelta(hours=h))}
        return frozenset(counts), nothing, None if counts else "has run out"
    if record.expires is None:
        return nothing, nothing, "has no `expires`, so it is not known to be in date"
    return _tokens(record, at), nothing, None


def _delay(record: Evidence, at: datetime | None, where: str) -> timedelta | None:
    """How long after the use began the record came; negative where it came before. None = unknown."""
    said = None if record.delay_hours is None else timedelta(hours=record.delay_hours)
    if record.issued is None:
        return said
    if at is None:
        if said is not None:
            # At nearly every time of use the two contradict each other: not knowing the time must not be the way out.
            raise ConfigError(
                f"`delay_hours` = {record.delay_hours:g} beside `issued` may contradict a use.at that is unknown",
                where=where,
                mend="leave `delay_hours` out, it follows from `issued` and use.at",
            )
        return None
    delay = record.issued - at
    if said is None:
        return delay
    # Half-open like every interval of ours, so that the contradiction begins at the very boundary.
    if not -_ROUNDING < delay - said <= _ROUNDING:
        hours = delay.total_seconds() / 3600
        raise ConfigError(
            f"`delay_hours` is {record.delay_hours:g}, but `issued` lies {hours:.2f} h after use.at",
            where=where,
            mend="leave `delay_hours` out, it follows from the two",
        )
    return max(delay, said)


def _tokens(record: Evidence, at: datetime) -> frozenset[str]:
    """The tokens of a record that is in date at `at`."""
    kind = record.type
    if kind == "human_review":
        return frozenset(f"human_review:{n}" for n in (1, 2) if (record.count or 0) >= n)
    found = {kind}
    if kind in GROUNDS and record.ground is not None:
        found.add(f"{kind}:{record.ground}")
    elif kind == "pia" and record.reviewed:
        found.add("pia:reviewed")
    elif kind == "notice_posted" and record.issued is not None and at >= _after(record.issued, NOTICE_AGE):
        found.add("notice_posted:30d")
    return frozenset(found) | {implied for token in found for implied in IMPLIED.get(token, ())}


def _spendable(kind: str) -> frozenset[str]:
    return frozenset(token for token in EVIDENCE_TOKENS if token.partition(":")[0] == kind)


def _moved(instant: datetime, step: timedelta) -> datetime | None:
    try:
        return instant + step
    except OverflowError:
        return None


def _after(instant: datetime, step: timedelta) -> datetime:
    moved = _moved(instant, step)
    return datetime.max.replace(tzinfo=instant.tzinfo) if moved is None else moved


def _plain(value: Value) -> str | bool | float:
    return format_instant(value) if isinstance(value, datetime) else value
