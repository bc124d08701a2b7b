"""A decision in plain words. Computed from the decision alone, so that what is read is what was decided."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from guard.facts import Decision, Verdict, format_instant

__all__ = ["explain", "lifted_in_words"]

_SURE = {
    "text": "the operative wording was read",
    "quoted": "read in a second-hand copy",
    "interp": "a reading, the wording is open",
    "memory": "from background, check before relying on it",
}
_RECORDS = {
    "warrant": "one for this use, in date",
    "court_order": "one for this use, in date",
    "prior_authorisation": "an authorisation by a court or an independent authority",
    "urgency_request": "a request for that authorisation, made in urgency and in time",
    "exigency_record": "a written record of the emergency and its ground",
    "national_law": "a national law that provides for this use",
    "fria": "a fundamental-rights impact assessment",
    "eu_registration": "the registration of the system in the EU database",
    "authority_notice": "the notice of this use to the authorities",
    "limited_access_approval": "the vendor's approval of this use case",
    "vendor_approval": "the vendor's approval",
    "published_policy": "a published policy",
    "pia": "a privacy impact assessment, reviewed where the rule says so",
    "dpia_and_equality": "a data-protection and equality assessment",
    "notice_posted": "a clear notice to people, old enough where the rule asks for an age",
    "human_review": "a review by as many people as the rule asks for",
    "case_approval": "an approval of this case",
    "legal_mandate": "a law that demands this use",
    "annual_report": "the entry in the annual report",
    "enabling_statute": "a statute that expressly authorises this use",
    "verifier_waiver": "a law that waives the second verifier",
    "grounds_record": "a written record of the ground of the search",
    "system_approval": "the State's approval of the system",
    "urgency_undertaking": "an undertaking to ask for the authorisation in time",
}
"""What each record of evidence is, for people who have never seen the vocabulary."""
_VERDICTS = {
    Verdict.ALLOW: "ALLOWED",
    Verdict.REDACT: "ALLOWED ONLY REDACTED",
    Verdict.DENY: "DENIED",
}


def explain(decision: Decision) -> str:
    """Several lines: the verdict, the rules with their sources, the facts, what would lift it, until when it stands."""
    return "\n".join(_lines(decision))


def lifted_in_words(lifted_by: list[Any]) -> str:
    """`lifted_by` as a sentence part: all of the list, any member of a nested one, in brackets beside others."""
    parts = [" or ".join(item) if isinstance(item, list) else item for item in lifted_by]
    several = len(parts) > 1
    return " and ".join(f"({part})" if several and " or " in part else part for part in parts)


def _lines(decision: Decision) -> Iterator[str]:
    faces = "an unknown number of faces" if decision.faces is None else f"{decision.faces} face(s)"
    yield f"{_VERDICTS[decision.verdict]}: {decision.action or 'an unnamed call'} at {decision.service}"
    yield f"  for source {decision.source}, a picture with {faces}, on {_day(decision.at)}"
    if not decision.enforced:
        yield "  Shadow mode: the verdict is recorded and not enforced, the call is made all the same."
    if decision.fault is not None:
        yield f"  The guard could not judge this: {decision.fault}"
    if decision.reasons:
        yield "Forbidden by"
        for reason in decision.reasons:
            yield f"  {reason.rule}  {reason.title}"
            yield f"      source: {reason.cite} ({_SURE.get(reason.sure, reason.sure)})"
            yield f"      in force: {_span(reason.effective)}; pack {reason.pack}"
    elif decision.verdict is Verdict.ALLOW:
        yield "No rule of the packs in use forbids it."
    if decision.verdict is Verdict.DENY and decision.fault is None:
        yield from _lifted(decision.lifted_by)
    yield "Facts"
    yield from _facts(decision.facts.to_json(), timed=decision.at is not None)
    until = decision.valid_until
    yield (
        "No rule or evidence in use changes it later." if until is None else f"Stands until {format_instant(until)}."
    )
    yield f"policy {decision.policy_digest[:16]}, decision {decision.id}, {decision.latency_us:.0f} us"
    yield "Engineering, not legal advice."


def _lifted(lifted_by: list[Any]) -> Iterator[str]:
    if not lifted_by:
        yield "Nothing that can be supplied lifts it."
        return
    ways = [" or ".join(map(_lever, item if isinstance(item, list) else [item])) for item in lifted_by]
    if len(ways) == 1:
        yield f"Would be lifted by: {ways[0]}"
        return
    yield "Would be lifted by all of these together"
    yield from (f"  - {way}" for way in ways)


def _lever(name: str) -> str:
    if name == "subject.consent":
        return f"{name} (of everybody compared or enrolled, at the level that the rules ask for)"
    if name in _RECORDS:
        return f"{name} ({_RECORDS[name]})"
    return f"{name} (not stated; some of its values are forbidden, others are not)"


def _facts(facts: dict[str, Any], timed: bool) -> Iterator[str]:
    """The facts as they were stated. `timed`: the day is that of the first lines, so `use.at` is not unknown."""
    unknown = []
    for group, values in facts.items():
        if isinstance(values, list):
            known = [str(item.get("type", item)) for item in values]
            yield f"  {group}: {', '.join(known) if known else 'none'}"
            continue
        said = []
        for name, value in values.items():
            if value is not None:
                said.append(f"{name} = {_value(value)}")
            elif not (timed and (group, name) == ("use", "at")):
                unknown.append(f"{group}.{name}")
        if said:
            yield f"  {group}: {', '.join(said)}"
    if unknown:
        yield f"  unknown: {', '.join(unknown)}"


def _value(value: Any) -> str:
    """A value as a configuration would state it; `or` between several possible ones, ``?`` for an unknown part."""
    if isinstance(value, dict) and set(value) == {"any_of"}:
        return " or ".join(map(_value, value["any_of"]))
    if isinstance(value, dict):
        return f"({', '.join(f'{name} {_value(part)}' for name, part in value.items())})"
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    if value is None:
        return "?"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _day(at: datetime | None) -> str:
    return "an unknown day (the clock is not believed)" if at is None else format_instant(at)


def _span(effective: tuple[datetime | None, datetime | None]) -> str:
    first, until = effective
    if first is None and until is None:
        return "no dates given, always"
    start = "always" if first is None else f"from {first.date().isoformat()}"
    return start if until is None else f"{start} until {until.date().isoformat()}"
