"""The rules that forbade, what would lift a denial, what failed, who was recognised, what the source says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from guard.facts import ATTRIBUTES, Reason
from guard.policy.pages import SURE, code
from guard.report.html import day, plural, section, table
from guard.report.record import Record

__all__ = ["facts", "failures", "files", "lifted", "people", "rules", "seen"]

_OF_THE_FRAME: Final = frozenset({"capture.at", "use.at"})
"""Never declared: the container and the clock say them, frame by frame."""


def rules(record: Record) -> str:
    """Every distinct rule once, with its source, its dates, its mark and how many calls it forbade."""
    if not record.reasons:
        return ""
    cards = "\n".join(_rule(number, each.reason, each.count) for number, each in enumerate(record.reasons, start=1))
    return section("rules", "Rules that forbade", f'<ol class="rules">\n{cards}\n</ol>')


def lifted(record: Record) -> str:
    """What would turn the denials."""
    if not record.reasons or not any(calls.denied > calls.faulted for calls in record.calls):
        return ""
    title = "What would lift the denial"
    if not record.lifted_by:
        return section("lifted", title, "<p>Nothing that could be declared or put on file.</p>")
    items = "".join(
        f"<li>{' or '.join(map(_lever, (item,) if isinstance(item, str) else item))}</li>" for item in record.lifted_by
    )
    return section("lifted", title, f"<p>All of these together:</p>\n<ul>{items}</ul>")


def failures(record: Record) -> str:
    """Why the guard could not judge."""
    return _counted("faults", "Where the guard itself failed", "Faults by frequency", ("what", "calls"), record.faults)


def people(record: Record) -> str:
    """Whom the matcher recognised."""
    return _counted("people", "Recognised", "People of the gallery", ("person of the gallery", "frames"), record.people)


def seen(record: Record) -> str:
    """Declared against seen, as `guard source check` shows it."""
    if not record.seen:
        return ""
    rows = [
        (
            code(each.name),
            escape(each.declared),
            escape(each.seen) or "nothing",
            f'<span class="mark {each.verdict}">{escape(each.verdict)}</span>',
            f"{each.confidence:.0%}" if each.confidence else "-",
            escape(each.consequence),
            escape(each.evidence),
        )
        for each in record.seen
    ]
    head = ("attribute", "declared", "seen", "verdict", "how sure", "consequence", "evidence")
    return section(
        "seen", "Declared against seen", table("What the source says of itself, and what was seen", head, rows)
    )


def facts(record: Record) -> str:
    """What was declared, and what is unknown."""
    rows = [(code(name), escape(text)) for name, text in _flat(record.facts)]
    if not rows:
        return ""
    return section(
        "facts",
        "What was declared of the source",
        table("Declared facts", ("fact", "value"), rows),
        _unknown(record.facts),
    )


def files(record: Record) -> str:
    """What lies beside the report, the notes of the run, and the policy that decided."""
    rows = []
    if record.video is not None:
        rows.append((code(record.video), "the clip with faces boxed where allowed, hidden elsewhere"))
    if record.film is not None:
        rows.append((code(record.film.name), "the film shown above: every detected face hidden, no sound"))
    rows.append(
        (code("replay.json"), "the record of this run: <code>guard report</code> makes this page from it again")
    )
    if record.ledger is not None:
        rows.append((code(record.ledger), "the record of every attempted call (SQLite)"))
    notes = "".join(f"<li>{escape(note)}</li>" for note in record.notes)
    packs = f"<p>Packs in use: {escape(', '.join(record.packs))}.</p>" if record.packs else ""
    digest = f'<p class="soft">Policy {code(record.policy_digest)}</p>' if record.policy_digest else ""
    return section(
        "files",
        "Beside this report",
        table("Files of this run", ("file", "content"), rows),
        f"<ul>{notes}</ul>" if notes else "",
    ) + section("policy", "Policy", packs, digest)


def _counted(id: str, title: str, caption: str, head: tuple[str, str], counts: Mapping[str, int]) -> str:
    """A section with one table of texts and how often each was met; empty where there are none."""
    rows = [(escape(text), f"{count:,}") for text, count in counts.items()]
    return section(id, title, table(caption, head, rows, numbers=1)) if rows else ""


def _rule(number: int, reason: Reason, count: int) -> str:
    return (
        f'<li id="rule-{number}"><h3>{code(reason.rule)} <span class="soft">{plural(count, "call")}</span></h3>\n'
        f"<p>{escape(reason.title)}</p>\n<dl><dt>Source</dt><dd>{escape(reason.cite)}</dd>"
        f"<dt>In force</dt><dd>{_in_force(reason)}</dd>"
        f"<dt>Wording</dt><dd>{escape(SURE.get(reason.sure, 'unknown'))} (marked {code(reason.sure)})</dd>"
        f"<dt>Pack</dt><dd>{code(reason.pack)}</dd></dl></li>"
    )


def _in_force(reason: Reason) -> str:
    start, end = (None if instant is None else day(instant) for instant in reason.effective)
    if start and end:
        return f"{start} to {end}"
    if start:
        return f"since {start}"
    return f"until {end}" if end else "no dates"


def _lever(name: str) -> str:
    """A fact that has to be known, or a record of evidence that has to be on file."""
    said = "known, and of a value that no rule forbids" if name in ATTRIBUTES else "as evidence on file"
    return f"{code(name)} {said}"


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """The known facts, one by one, under their dotted names."""
    for name, value in values.items():
        dotted = f"{above}{name}"
        if isinstance(value, Mapping) and "any_of" not in value:
            yield from _flat(value, f"{dotted}.")
        elif value is not None:
            yield dotted, _said(value)


def _unknown(values: Mapping[str, Any]) -> str:
    names = [
        f"{group}.{name}"
        for group, members in values.items()
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
