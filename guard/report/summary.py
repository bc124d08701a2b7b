"""What stands on top of a report: what was replayed, what became of the calls and why, and what to know first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from guard.policy.pages import code
from guard.replay.result import Calls
from guard.replay.timeline import Outcome
from guard.report.html import alert, day, plural
from guard.report.record import Record
from guard.report.stretches import words

__all__ = ["banners", "counts", "summary"]


def summary(record: Record) -> str:
    """The heading and the run in a few sentences."""
    date = f"judged as of {day(record.judged_at)}" if record.judged_at else "judged without a clock that is believed"
    lines = [
        f"<h1>{escape(record.clip).replace('/', '/<wbr>')}</h1>",
        f'<p class="soft">Replayed as source {code(record.source)}, {date}. {plural(record.frames, "frame")}, '
        f"{record.seconds:.2f} s, faces seen in {record.frames_with_faces:,} of them.</p>",
        *(f'<p class="lead">{" ".join(_sentences(calls, record))}</p>' for calls in record.calls),
        _why(record),
    ]
    return "\n".join(line for line in lines if line)


def banners(record: Record) -> str:
    """What has to be known first: a run that ended early, shadow mode, faults, contradictions, the seal."""
    return "\n".join(_banners(record))


def counts(record: Record) -> str:
    """The numbers, large, and the verdicts as one bar for each kind of call."""
    return "\n".join(_counts(calls, words(record)) for calls in record.calls)


def _sentences(calls: Calls, record: Record) -> Iterator[str]:
    call = f"{code(calls.action or 'a call without a named action')} at {code(calls.service)}"
    if calls.attempted == 0:
        yield f"No call was attempted ({call})."
        return
    yield f"On every frame the pipeline tried {call}, {calls.attempted:,} times in all."
    was, were = ("would have been",) * 2 if calls.unenforced == calls.attempted else ("was", "were")
    if calls.denied == calls.attempted:
        yield f"Every call {was} denied."
    elif calls.allowed == calls.attempted:
        yield f"Every call {was} allowed."
    else:
        yield f"{calls.allowed:,} {were} allowed, {calls.redacted:,} redacted, {calls.denied:,} denied."
    yield _reached(calls, record.matcher)
    if calls.matched:
        yield f"In {calls.matched:,} of them the matcher recognised somebody."


def _reached(calls: Calls, matcher: str) -> str:
    who = "a stand-in that only counts" if matcher == "counting" else f"the matcher {code(matcher)}"
    if calls.reached_service == 0:
        return f"Nothing reached the service, as counted by the service itself ({who})."
    return f"{plural(calls.reached_service, 'call')} reached the service, as counted by the service itself ({who})."


def _why(record: Record) -> str:
    """One sentence: the rule that forbade most."""
    if record.reasons:
        first, more = record.reasons[0].reason, len(record.reasons) - 1
        others = f", and {plural(more, 'other rule')}" if more else ""
        return f'<p>Why: {escape(first.title)} (<a href="#rule-1">{code(first.rule)}</a>{others}).</p>'
    if record.faults:
        return "<p>Why: the guard could not judge; what it cannot judge it denies.</p>"
    return "<p>Why: no rule of the packs in use forbids it.</p>" if any(c.allowed for c in record.calls) else ""


def _banners(record: Record) -> Iterator[str]:
    if record.broke_off is not None:
        yield alert("bad", "It ended early", escape(record.broke_off))
    unenforced = sum(calls.unenforced for calls in record.calls)
    if unenforced:
        attempted = sum(calls.attempted for calls in record.calls)
        yield alert(
            "bad",
            "Shadow mode",
            f"The verdicts on {unenforced:,} of {attempted:,} calls were recorded and not enforced: these calls were "
            "made as they were, whatever the verdict.",
        )
    faulted = sum(calls.faulted for calls in record.calls)
    if faulted:
        yield alert(
            "bad",
            "Faults",
            f"{faulted:,} of the denied were refused because the guard itself could not judge: "
            '<a href="#faults">why</a>.',
        )
    contradicted = [each.name for each in record.seen if each.verdict == "contradicted"]
    if contradicted:
        names = ", ".join(map(code, contradicted))
        yield alert("bad", "Contradicted", f'{names}: not as declared. <a href="#seen">What was seen</a>.')
    if record.sealed is not None and record.sealed.verified is False:
        yield alert("bad", "The ledger does not verify", '<a href="#ledger">What is wrong</a>.')
    for each in record.seen:
        if each.name == "seal" and each.verdict != "contradicted":
            title = "Sealed clip" if each.verdict == "agrees" else "Unsealed clip"
            yield alert("note", title, escape(f"{each.evidence[:1].upper()}{each.evidence[1:]}."))


def _counts(calls: Calls, said: Mapping[Outcome, str]) -> str:
    boxes = (
        ("", "attempted", calls.attempted),
        ("allow", said["allow"], calls.allowed),
        ("redact", said["redact"], calls.redacted),
        ("deny", said["deny"], calls.denied),
        ("", "reached the service", calls.reached_service),
    )
    items = "".join(f'<li class="{kind}"><b>{count:,}</b>{label}</li>' for kind, label, count in boxes)
    bars, begin = "", 0.0
    for kind, _, count in boxes:
        if kind and count:
            width = 1000 * count / calls.attempted
            bars += f'<rect class="{kind}" x="{begin:.2f}" width="{width:.2f}" height="8"/>'
            begin += width
    bar = f'<svg class="bar" viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true">{bars}</svg>'
    return f'<ul class="counts">{items}</ul>\n{bar}'
