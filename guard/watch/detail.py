"""One source in detail: each call with its reasons and what would lift it, the facts, declared and seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guard.context.finding import in_words, several_in_words
from guard.facts import format_instant
from guard.replay.checking import found_so_far
from guard.replay.timeline import outcome_of

if TYPE_CHECKING:
    from guard.context import Finding
    from guard.source import Source
    from guard.watch.runs import Run

__all__ = ["detail"]


def detail(source: Source, runs: list[Run | None]) -> dict[str, Any]:
    """``{"id", "calls", "context", "declared"}`` as the page shows it.

    ``calls`` holds one entry for each call that was decided, ``context`` one for each attribute that is looked at, in
    words, ``declared`` the facts of the file.
    """
    return {
        "id": source.id,
        "calls": [_call(run) for run in runs if run is not None],
        "context": [_finding(each) for each in found_so_far(source)],
        "declared": source.facts.to_json(),
    }


def _call(run: Run) -> dict[str, Any]:
    decision = run.decision
    reasons = {reason.rule: reason for reason in decision.reasons}
    return {
        "action": decision.action,
        "service": run.service,
        "judged_as": decision.service,
        "outcome": outcome_of(decision),
        "enforced": decision.enforced,
        "since": format_instant(run.first),
        "count": run.count,
        "fault": decision.fault,
        "reasons": [reason.to_json() for reason in reasons.values()],
        "lifted_by": [item if isinstance(item, list) else [item] for item in decision.lifted_by],
        "valid_until": decision.valid_until and format_instant(decision.valid_until),
        "decision": decision.id,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "declared": in_words(finding.declared),
        "seen": several_in_words(finding.seen) if finding.seen else "",
        "verdict": finding.verdict,
        "consequence": finding.consequence,
        "evidence": finding.evidence,
    }
