"""A statement in words: what stands on top, the figures, the gaps, the calls, what seals it, what it cannot prove."""

from __future__ import annotations

from collections.abc import Iterator

from guard.audit.coverage import Stretch
from guard.audit.statement import CANNOT, Statement
from guard.facts import format_instant
from guard.ledger.instants import text_of

__all__ = ["alerts", "figures", "gaps", "headline", "sealed", "statement_text"]

_SHORTEST_GAP_S = 1.0
"""Spans are counted once a second, so nothing shorter is told apart."""

_STATES = {
    "silent": "a process ran and no frame came",
    "unwatched": "no process that kept this record watched",
}


def headline(found: Statement) -> str:
    """What the statement is on."""
    return f"Source {found.source}, {format_instant(found.since)} to {format_instant(found.until)}"


def alerts(found: Statement) -> Iterator[str]:
    """What whoever reads on has to know first."""
    if not found.verification.verified:
        yield f"THE LEDGER DOES NOT VERIFY: {found.verification.problems[0].what}. Nothing below can be relied on."
    if not found.known:
        known = ", ".join(found.sources) or "none"
        yield f"No record speaks of a source of this name. The ledger knows: {known}."
    if found.until > found.made_at:
        yield f"The time was not over when this was made, {format_instant(found.made_at)}."
    if found.pruned_before is not None:
        yield f"Records from before {found.pruned_before} were removed, so what lies before is not in it."
    if found.calls.unenforced.at_most:
        yield f"{found.calls.unenforced} calls were judged in shadow mode: nothing was enforced, and they were made."
    if found.lost:
        yield f"{found.lost:,} refused calls of this ledger have no record, since it could not be written."
    if found.unplaced or found.coverage.unplaced:
        yield (
            f"{found.unplaced:,} calls and {found.coverage.unplaced:,} frames bear no time that is believed (a day "
            "named by the user, or a clock set back): they are not counted here, and may belong here."
        )


def figures(found: Statement) -> Iterator[tuple[str, str]]:
    """Label and figure, in the order of the questions: was anybody watching, what was tried, what was let through."""
    seen, calls, identity = found.coverage, found.calls, found.identity
    whole_s = (found.until - found.since).total_seconds()
    watched_s = seen.seconds("watched")
    yield "watched", f"{_duration(watched_s)} of {_duration(whole_s)} ({100 * watched_s / whole_s:.2f} %)"
    yield "silent", f"{_duration(seen.seconds('silent'))}: {_STATES['silent']}"
    yield "not watched", f"{_duration(seen.seconds('unwatched'))}: {_STATES['unwatched']}"
    yield "frames seen", f"{seen.frames}"
    yield "frames dropped", f"{seen.dropped}, as far as the frames were numbered"
    yield "frames not judged", f"{seen.unjudged}: the detector failed"
    yield "calls attempted", f"{calls.attempted}"
    yield "denied", f"{calls.denied}, of which {calls.faulted} because the guard could not judge"
    yield "redacted", f"{calls.redacted}"
    yield "allowed", f"{calls.allowed}"
    yield "executed", _executed(found)
    yield (
        "identity calls",
        f"{identity.attempted} attempted, {identity.denied} denied, at most {identity.let_through.at_most:,} executed",
    )


def _executed(found: Statement) -> str:
    seen = found.coverage
    return (
        f"at most {found.calls.let_through.at_most:,}: {seen.returned} came back, {seen.raised} ended in an exception "
        f"of the callee, of {found.unknown_end} the record does not say"
    )


def gaps(found: Statement) -> list[tuple[str, str, str, str]]:
    """From, to, length, and why, of every stretch that was not watched."""
    return [
        (text_of(gap.begin_ns), text_of(gap.end_ns), _duration(gap.seconds), _STATES[gap.state])
        for gap in found.coverage.stretches
        if _is_gap(gap)
    ]


def sealed(found: Statement) -> Iterator[str]:
    """How far the signed tree covers what the statement rests on."""
    checked = found.verification
    if checked.verified:
        pinned = "with the public key that was given" if checked.pinned else "against itself only: no key was given"
        yield f"The ledger {found.ledger} verifies {pinned}."
    if found.checkpoint is None:
        yield "No checkpoint seals it."
    elif found.unsealed:
        yield f"Of what it rests on, {found.unsealed:,} leaves are not sealed yet; this checkpoint covers the others:"
    else:
        yield "This checkpoint seals everything that it rests on:"


def statement_text(found: Statement) -> Iterator[str]:
    """The whole statement, line by line."""
    yield headline(found)
    yield from (f"! {alert}" for alert in alerts(found))
    yield ""
    for label, figure in figures(found):
        yield f"{label:18} {figure}"
    missing = gaps(found)
    if missing:
        yield ""
        yield "Gaps"
        yield from (f"  {begin}  {end}  {length:>12}  {why}" for begin, end, length, why in missing)
    if found.coverage.longest_silence_s >= _SHORTEST_GAP_S:
        yield f"The longest time without a frame inside a watched stretch: {found.coverage.longest_silence_s:g} s"
    if found.by_action:
        yield ""
        yield "Calls"
        for (action, service), calls in sorted(found.by_action.items()):
            yield (
                f"  {action} at {service}: {calls.attempted} attempted, {calls.denied} denied, "
                f"{calls.redacted} redacted, {calls.allowed} allowed"
            )
    if found.rules:
        yield ""
        yield "Rules that forbade"
        yield from (f"  {rule}: {count} calls" for rule, count in sorted(found.rules.items()))
    yield ""
    yield from sealed(found)
    if found.checkpoint is not None:
        yield from (f"  {line}" for line in found.checkpoint.splitlines())
    yield ""
    yield "What this cannot prove"
    yield from (f"  - {sentence}" for sentence in CANNOT)


def _is_gap(stretch: Stretch) -> bool:
    return stretch.state != "watched" and stretch.seconds >= _SHORTEST_GAP_S


def _duration(seconds: float) -> str:
    """``1 h 59 min 12.5 s``; the seconds to a tenth."""
    tenths = round(seconds * 10)
    hours, rest = divmod(tenths, 36_000)
    minutes, rest = divmod(rest, 600)
    parts = [f"{hours} h"] if hours else []
    parts += [f"{minutes} min"] if minutes else []
    return " ".join([*parts, f"{rest / 10:g} s"]) if rest or not parts else " ".join(parts)
