"""The page itself. Nothing in it comes from elsewhere: no script, no font, no picture, no clock."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.context.finding import in_words, several_in_words
from guard.errors import SourceError
from guard.report.style import STYLE

if TYPE_CHECKING:
    from guard.facts import Reason
    from guard.replay.result import Calls, Replay

__all__ = ["page", "write_report"]

_SURE = {
    "text": "the source's own text",
    "quoted": "quoted by others",
    "interp": "our reading of the text",
    "memory": "from memory, not checked against the text",
}

_OF_THE_FRAME = frozenset({"capture.at", "use.at"})
"""Never declared: the container and the clock say them, frame by frame."""


def write_report(result: Replay, path: Path) -> None:
    """Writes `page(result)` to `path`, whole or not at all. Raises `SourceError`."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(page(result), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise SourceError(f"the report cannot be written: {error.strerror}", where=str(path)) from None


def page(result: Replay) -> str:
    """The report as HTML. The same result gives the same text."""
    sections = [
        _head(result),
        *(_counts(calls) for calls in result.calls),
        _reasons(result),
        _lifted(result),
        _faults(result),
        _people(result),
        _latency(result),
        _seen(result),
        _facts(result),
        _outputs(result),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>guard replay: {escape(result.clip)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body>\n</html>\n"
    )


def _head(result: Replay) -> str:
    parts = [f"<h1>{escape(result.clip)}</h1>"]
    day = f"judged as of {_date(result.judged_at)}" if result.judged_at else "judged without a clock that is believed"
    parts.append(
        f'<p class="soft">Replayed as source <code>{escape(result.source)}</code>, {day}. '
        f"{result.frames:,} frames, {result.seconds:.2f} s, faces seen in {result.frames_with_faces:,}.</p>"
    )
    if result.broke_off is not None:
        parts.append(f'<p class="alert"><b>It ended early.</b> {escape(result.broke_off)}</p>')
    if result.shadow:
        parts.append(f'<p class="alert"><b>Shadow mode.</b> {_shadow(result)}</p>')
    parts += [f"<p>{sentence}</p>" for calls in result.calls for sentence in _in_words(calls, result)]
    return "\n".join(parts)


def _in_words(calls: Calls, result: Replay) -> Iterable[str]:
    action = calls.action or "a call without a named action"
    call = f"<code>{escape(action)}</code> at <code>{escape(calls.service)}</code>"
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
    yield _reached(calls, result.matcher)
    if calls.faulted:
        yield f"{calls.faulted:,} of the denied {were} refused because the guard itself could not judge; see below."
    if calls.matched:
        yield f"In {calls.matched:,} of them the matcher recognised somebody."


def _shadow(result: Replay) -> str:
    unenforced = sum(calls.unenforced for calls in result.calls)
    attempted = sum(calls.attempted for calls in result.calls)
    return (
        f"The verdicts on {unenforced:,} of {attempted:,} calls were recorded and not enforced: these calls were made "
        "as they were, whatever the verdict."
    )


def _reached(calls: Calls, matcher: str) -> str:
    who = "a stand-in that only counts" if matcher == "counting" else f"the matcher <code>{escape(matcher)}</code>"
    if calls.reached_service == 0:
        return f"Nothing reached the service, as counted by the service itself ({who})."
    return f"{calls.reached_service:,} calls reached the service, as counted by the service itself ({who})."


def _counts(calls: Calls) -> str:
    boxes = (
        ("", "attempted", calls.attempted),
        ("allow", "allowed", calls.allowed),
        ("redact", "redacted", calls.redacted),
        ("deny", "denied", calls.denied),
        ("", "reached the service", calls.reached_service),
    )
    shares = "".join(
        f'<span class="{kind}" style="width:{100 * count / calls.attempted:.3f}%"></span>'
        for kind, _, count in boxes
        if kind and count
    )
    items = "".join(f'<li class="{kind}"><b>{count:,}</b>{label}</li>' for kind, label, count in boxes)
    return f'<ul class="counts">{items}</ul>\n<div class="bar">{shares}</div>'


def _reasons(result: Replay) -> str:
    if not result.reasons:
        return ""
    rows = [
        (
            f"<code>{escape(ruled.reason.rule)}</code><br><span class='soft'>{escape(ruled.reason.pack)}</span>",
            f"{escape(ruled.reason.title)}<br><span class='soft'>{escape(ruled.reason.cite)}</span>",
            f"{_in_force(ruled.reason)}<br><span class='soft'>{escape(_read(ruled.reason))}</span>",
            f"{ruled.count:,}",
        )
        for ruled in result.reasons
    ]
    return "<h2>Rules that forbade</h2>\n" + _table(
        ("rule and pack", "what it says, and where", "in force; wording", "calls"), rows
    )


def _read(reason: Reason) -> str:
    return _SURE.get(reason.sure, reason.sure)


def _in_force(reason: Reason) -> str:
    start, end = (None if instant is None else _date(instant) for instant in reason.effective)
    if start and end:
        return f"{start} to {end}"
    if start:
        return f"since {start}"
    return f"until {end}" if end else "no dates"


def _lifted(result: Replay) -> str:
    if not result.reasons or not any(calls.denied > calls.faulted for calls in result.calls):
        return ""
    if not result.lifted_by:
        return "<h2>What would lift the denial</h2>\n<p>Nothing that could be declared or put on file.</p>"
    items = [
        f"<li>{escape(' or '.join(item)) if isinstance(item, list) else escape(item)}</li>" for item in result.lifted_by
    ]
    return "<h2>What would lift the denial</h2>\n<p>All of these together:</p>\n<ul>" + "".join(items) + "</ul>"


def _faults(result: Replay) -> str:
    if not result.faults:
        return ""
    rows = [(escape(text), f"{count:,}") for text, count in result.faults.items()]
    return "<h2>Where the guard itself failed</h2>\n" + _table(("what", "calls"), rows)


def _people(result: Replay) -> str:
    if not result.people:
        return ""
    rows = [(escape(name), f"{count:,}") for name, count in result.people.items()]
    return "<h2>Recognised</h2>\n" + _table(("person of the gallery", "frames"), rows)


def _latency(result: Replay) -> str:
    labels = {
        "hook": "hook: all that the guard added to a frame",
        "detect": "detect: the face detector",
        "decide": "decide: the verdict on one call",
    }
    names = ("p50", "p95", "p99", "max")
    rows = [
        (labels.get(stage, escape(stage)), *(_us(values[name]) for name in names))
        for stage, values in result.latency_us.items()
    ]
    return "<h2>What it cost, in microseconds</h2>\n" + _table(("stage", *names), rows, numbers=len(names))


def _facts(result: Replay) -> str:
    rows = [(f"<code>{escape(name)}</code>", escape(text)) for name, text in _flat(result.facts)]
    if not rows:
        return ""
    return (
        "<h2>What was declared of the source</h2>\n"
        + _table(("fact", "value"), rows, numbers=0)
        + _unknown(result.facts)
    )


def _seen(result: Replay) -> str:
    """Declared against seen, as `guard source check` shows it."""
    rows = [
        (
            f"<code>{escape(each.name)}</code>",
            escape(in_words(each.declared)),
            escape(several_in_words(each.seen) if each.seen else ""),
            escape(each.verdict),
            f"{each.confidence:.0%}" if each.seen else "",
            escape(each.consequence),
            escape(each.evidence),
        )
        for each in result.seen
    ]
    if not rows:
        return ""
    names = ("attribute", "declared", "seen", "verdict", "how sure", "consequence", "evidence")
    return "<h2>Declared against seen</h2>\n" + _table(names, rows, numbers=0)


def _flat(facts: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """The known facts, one by one, under their dotted names."""
    for name, value in facts.items():
        dotted = f"{above}{name}"
        if isinstance(value, Mapping) and "any_of" not in value:
            yield from _flat(value, f"{dotted}.")
        elif value is not None:
            yield dotted, _said(value)


def _unknown(facts: Mapping[str, Any]) -> str:
    names = [
        f"{group}.{name}"
        for group, members in facts.items()
        if isinstance(members, Mapping)
        for name, value in members.items()
        if value is None and f"{group}.{name}" not in _OF_THE_FRAME
    ]
    if not names:
        return ""
    return f'<p class="soft">Unknown, and so never read as permission: {escape(", ".join(names))}.</p>'


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        if "any_of" in value:
            return " or ".join(_said(item) for item in value["any_of"])
        return ", ".join(f"{name}: {_said(item)}" for name, item in value.items() if item is not None)
    if isinstance(value, (list, tuple)):
        return "; ".join(_said(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _outputs(result: Replay) -> str:
    video, ledger = result.outputs.video, result.outputs.ledger
    rows = []
    if video is not None:
        rows.append((f"<code>{escape(video.name)}</code>", "the clip with faces boxed where allowed, hidden elsewhere"))
    if ledger is not None:
        rows.append((f"<code>{escape(ledger.name)}</code>", "the record of every attempted call (SQLite)"))
    packs = ", ".join(result.packs)
    policy = f"<p>Packs in use: {escape(packs)}.</p>\n" if packs else ""
    digest = f'<p class="soft">Policy <code>{escape(result.policy_digest)}</code></p>' if result.policy_digest else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
    return (
        "<h2>Beside this report</h2>\n"
        + (_table(("file", "content"), rows, numbers=0) if rows else "<p>Nothing.</p>")
        + (f"\n<ul>{notes}</ul>" if notes else "")
        + f"\n<h2>Policy</h2>\n{policy}{digest}"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 1) -> str:
    """A table whose cells are HTML; the last `numbers` columns hold numbers."""
    first_number = len(head) - numbers

    def cell(tag: str, column: int, text: str) -> str:
        return f'<{tag} class="number">{text}</{tag}>' if column >= first_number else f"<{tag}>{text}</{tag}>"

    def row(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(cell(tag, column, text) for column, text in enumerate(cells)) + "</tr>"

    body = "\n".join(row("td", cells) for cells in rows)
    return f'<div class="wide"><table>\n<thead>{row("th", head)}</thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _us(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _date(instant: str | datetime) -> str:
    text = instant if isinstance(instant, str) else instant.isoformat()
    return text[:10]
