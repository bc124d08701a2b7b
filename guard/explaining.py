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
_VERDICTS = {
    Verdict.ALLOW: "ALLOWED",
    Verdict.REDACT: "ALLOWED ONLY REDACTED",
    Verdict.DENY: "DENIED",
}


def explain(decision: Decision) -> str:
    """Several lines: the verdict, the rules with their sources, the facts, what would lift it, until when it stands."""
    return "\n".join(_lines(decision))


def lifted_in_words(lifted_by: list[Any]) -> str:
    """`lifted_by` as a sentence part: all of the list, any member of a nested one."""
    return " and ".join(" or ".join(item) if isinstance(item, list) else item for item in lifted_by)


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
        lifted = decision.lifted_by
        yield (f"Would be lifted by: {lifted_in_words(lifted)}" if lifted else "Nothing that can be supplied lifts it.")
    yield "Facts"
    yield from _facts(decision.facts.to_json())
    until = decision.valid_until
    yield (
        "No rule or evidence in use changes it later." if until is None else f"Stands until {format_instant(until)}."
    )
    yield f"policy {decision.policy_digest[:16]}, decision {decision.id}, {decision.latency_us:.0f} us"
    yield "Engineering, not legal advice."


def _facts(facts: dict[str, Any]) -> Iterator[str]:
    unknown = []
    for group, values in facts.items():
        if isinstance(values, list):
            known = [str(item.get("type", item)) for item in values]
            yield f"  {group}: {', '.join(known) if known else 'none'}"
            continue
        said = []
        for name, value in values.items():
            if value is None:
                unknown.append(f"{group}.{name}")
            elif isinstance(value, dict) and set(value) == {"any_of"}:
                said.append(f"{name} = {' or '.join(map(str, value['any_of']))}")
            else:
                said.append(f"{name} = {value}")
        if said:
            yield f"  {group}: {', '.join(said)}"
    if unknown:
        yield f"  unknown: {', '.join(unknown)}"


def _day(at: datetime | None) -> str:
    return "an unknown day (the clock is not believed)" if at is None else format_instant(at)


def _span(effective: tuple[datetime | None, datetime | None]) -> str:
    first, until = effective
    if first is None and until is None:
        return "no dates given, always"
    start = "always" if first is None else f"from {first.date().isoformat()}"
    return start if until is None else f"{start} until {until.date().isoformat()}"
