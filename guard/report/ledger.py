"""The sealed statement of the ledger on the run, and how to check it."""

from __future__ import annotations

from html import escape

from guard.policy.pages import code
from guard.report.html import alert, section, table
from guard.report.record import Record
from guard.report.sealing import Sealed

__all__ = ["ledger"]

_TITLE = "What the ledger states"


def ledger(record: Record) -> str:
    """The section; empty where no ledger was kept in a file."""
    if record.sealed is not None:
        return section("ledger", _TITLE, *_stated(record.sealed))
    if record.ledger is None:
        return ""
    return section(
        "ledger",
        _TITLE,
        f"<p>{code(record.ledger)} was still open when this page was made, so that nothing seals it yet. "
        "Once it is closed, <code>guard ledger verify</code> checks it.</p>",
    )


def _stated(sealed: Sealed) -> list[str]:
    if sealed.verified is None:
        return [
            f"<p>{code(sealed.ledger)} is shared by many runs and too long to be read for this page.</p>",
            _how(sealed),
        ]
    kind = "note" if sealed.verified else "bad"
    return [
        *(alert(kind, "Note", escape(text)) for text in sealed.alerts),
        *(f"<p>{escape(line)}</p>" for line in sealed.seal),
        "" if sealed.checkpoint is None else _checkpoint(sealed),
        table("The statement", ("of this run", "in the record"), [(escape(a), escape(b)) for a, b in sealed.figures]),
        _how(sealed),
    ]


def _checkpoint(sealed: Sealed) -> str:
    return (
        f"<dl><dt>Records</dt><dd>{sealed.records:,}, among {sealed.leaves:,} leaves</dd>"
        f"<dt>Root</dt><dd>{code(sealed.root)}</dd><dt>Key, SHA-256</dt><dd>{code(sealed.key)}</dd></dl>\n"
        f'<pre tabindex="0" aria-label="The checkpoint">{escape(sealed.checkpoint or "")}</pre>'
    )


def _how(sealed: Sealed) -> str:
    commands = "\n".join(map(escape, sealed.commands))
    return (
        "<p>To check it, save the checkpoint as <code>checkpoint.txt</code> beside the ledger and its public key, and "
        f'run:</p>\n<pre tabindex="0" aria-label="Commands that check the ledger">{commands}</pre>\n'
        '<p class="soft">A checkpoint or a public key that came another way than the ledger did proves more than this '
        "page can.</p>"
    )
