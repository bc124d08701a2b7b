"""A statement as one HTML page that fetches nothing: for a file, a printer, a court."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from guard.audit.statement import CANNOT, Statement
from guard.audit.statement_text import alerts, figures, gaps, headline, sealed
from guard.policy.pages import code, document

__all__ = ["statement_page"]


def statement_page(found: Statement) -> str:
    """The page. The same statement gives the same text."""
    parts = [
        f"<h1>{escape(headline(found))}</h1>",
        *(f'<p class="alert">{escape(alert)}</p>' for alert in alerts(found)),
        _figures(found),
        _bars(found),
        _section("Gaps", _table(("from", "to", "length", "why"), _escaped(gaps(found)))) if gaps(found) else "",
        _section("Calls", _calls(found)) if found.by_action else "",
        _section("Rules that forbade", _rules(found)) if found.rules else "",
        _section("Policies in force", _policies(found)) if found.policies else "",
        _section("Seal", *(f"<p>{escape(line)}</p>" for line in sealed(found)), _note(found)),
        _section("What this cannot prove", "<ul>" + "".join(f"<li>{escape(s)}</li>" for s in CANNOT) + "</ul>"),
    ]
    return document(headline(found), parts)


def _figures(found: Statement) -> str:
    rows = [(f"<b>{escape(label)}</b>", escape(figure)) for label, figure in figures(found)]
    return _table((), rows)


def _bars(found: Statement) -> str:
    """The window as a bar: what was watched, silent, unwatched."""
    whole_s = (found.until - found.since).total_seconds()
    colour = {"watched": "var(--allow)", "silent": "var(--redact)", "unwatched": "var(--deny)"}
    spans = "".join(
        f'<span style="width:{100 * stretch.seconds / whole_s:.4f}%;background:{colour[stretch.state]}"></span>'
        for stretch in found.coverage.stretches
    )
    return f'<div style="display:flex;height:1rem;margin:.6rem 0" role="img" aria-label="watched and not">{spans}</div>'


def _calls(found: Statement) -> str:
    head = ("call", "attempted", "denied", "redacted", "allowed", "let through")
    rows = [
        (
            f"{code(action)} at {code(service)}",
            *map(str, (calls.attempted, calls.denied, calls.redacted, calls.allowed, calls.let_through)),
        )
        for (action, service), calls in sorted(found.by_action.items())
    ]
    return _table(head, rows)


def _rules(found: Statement) -> str:
    return _table(("rule", "calls"), [(code(rule), str(count)) for rule, count in sorted(found.rules.items())])


def _policies(found: Statement) -> str:
    rows = []
    for digest, said in found.policies.items():
        packs = (
            "not in the record"
            if said is None
            else f"{', '.join(said['packs'])}; base {said['base']}, extra {said['extra']}"
        )
        rows.append((code(digest[:16]), escape(packs)))
    return _table(("digest", "packs and settings"), rows)


def _note(found: Statement) -> str:
    return "" if found.checkpoint is None else f"<pre>{escape(found.checkpoint)}</pre>"


def _section(title: str, *parts: str) -> str:
    return f"<h2>{escape(title)}</h2>\n" + "\n".join(part for part in parts if part)


def _escaped(rows: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    return [tuple(escape(cell) for cell in row) for row in rows]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are HTML; without titles where `head` is empty."""
    titles = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    top = f"<thead><tr>{titles}</tr></thead>" if head else ""
    return f'<div class="wide"><table class="facts">{top}<tbody>\n{body}\n</tbody></table></div>'
