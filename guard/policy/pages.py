"""Pages for people who read policy on paper: one self-contained HTML file each.

Nothing in a page comes from elsewhere: no script, no font, no picture. The same packs on the same day give the same
text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Final

from guard.errors import GuardError
from guard.facts import format_instant
from guard.policy.listing import Card, Summary, cards, summary
from guard.policy.packs import Pack
from guard.policy.style import STYLE

__all__ = ["SURE", "code", "day", "document", "pack_page", "write_page"]

SURE: Final = {
    "text": "the operative wording was read",
    "quoted": "read in a second-hand copy",
    "interp": "a reading, the wording is open",
    "memory": "from background, check before relying on it",
}
"""What each mark of sureness means, in words."""

_COLUMNS: Final = ("Who", "What", "Where", "When", "Unless", "Source, and how sure")


def write_page(path: Path, text: str) -> None:
    """Writes the page whole or not at all. Raises `GuardError` where it cannot be written."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise GuardError(
            f"the page cannot be written: {error.strerror}", where=str(path), mend="name a file in a folder of yours"
        ) from None


def document(title: str, parts: Iterable[str]) -> str:
    """An HTML document of these parts, each HTML already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + '\n</main>\n<footer><p class="soft">Engineering, not legal advice. A rule is a reading of a text; the mark '
        "beside its source says how sure that reading is.</p></footer>\n</body>\n</html>\n"
    )


def code(text: str) -> str:
    """An identifier, as HTML."""
    return f"<code>{escape(text)}</code>"


def day(instant: datetime) -> str:
    """``2027-05-02``, with the time of day only where it is not midnight UTC."""
    return format_instant(instant).removesuffix("T00:00:00Z")


def pack_page(pack: Pack, at: datetime) -> str:
    """The pack's rules in words, as of `at`: who, what, where, when, unless, and the source of each branch."""
    shown, head = cards(pack), summary(pack, at)
    parts = [
        f"<h1>{escape(head.title)}</h1>",
        f'<p class="soft">Policy pack {code(pack.name)}: {_count(len(head.rules), "rule")}, '
        f"{_count(len(shown), 'branch')}. Printed from guard on {day(at)[:10]}.</p>",
        _about(pack, head),
        *(f"<p>{_prose(paragraph)}</p>" for paragraph in pack.notes.split("\n\n")[1:]),
        _contents(pack),
        "<h2>The rules</h2>",
        "<p>A rule forbids where everything in the columns who, what, where and when is so, or could be so as far as "
        "is known, and nothing in the column unless holds.</p>",
        _rules(shown),
    ]
    return document(f"{pack.name}: {head.title}", parts)


def _about(pack: Pack, head: Summary) -> str:
    marks = "; ".join(f"{_count(n, 'branch')} {escape(mark)} ({escape(SURE[mark])})" for mark, n in head.sure.items())
    rows = [
        ("Covers", escape(head.covers)),
        ("Layer", escape(head.layer)),
        ("How sure", marks),
        ("Last reviewed", f"{head.reviewed:%Y-%m-%d}"),
        ("Next change", day(head.next_change) if head.next_change else "none known"),
        *([("Review due", ", ".join(map(code, head.due)))] if head.due else []),
        ("SHA-256", code(pack.digest)),
    ]
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows) + "</dl>"


def _prose(paragraph: str) -> str:
    """A paragraph of a pack's head; what stands between backticks is an identifier."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(" ".join(paragraph.split())))


def _contents(pack: Pack) -> str:
    items = "".join(
        f'<li><a href="#{escape(rule.id)}">{code(rule.id)}</a> {escape(rule.branches[0].title)}</li>'
        for rule in pack.rules
    )
    return f"<h2>Contents</h2>\n<ul>{items}</ul>"


def _rules(shown: Sequence[Card]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    met: set[str] = set()
    bodies = []
    for card in shown:
        anchor = "" if card.rule in met else f' id="{escape(card.rule)}"'
        met.add(card.rule)
        bodies.append(_branch(card, anchor))
    return (
        '<div class="wide"><table class="rules">\n<caption>Each rule with its branches, in the order of the file'
        f"</caption>\n<thead><tr>{head}</tr></thead>\n" + "\n".join(bodies) + "\n</table></div>"
    )


def _branch(card: Card, anchor: str) -> str:
    words = card.words
    source = (
        f"<p>{escape(card.cite)}</p><p>{escape(card.sure)}: {escape(SURE[card.sure])}; "
        f"reviewed {card.reviewed:%Y-%m-%d}</p>"
    )
    cells = [
        *(_said(phrases) for phrases in (words.who, words.what, words.where, words.when)),
        _said(words.unless, between="or ") if words.unless else "nothing lifts it",
        source,
    ]
    return (
        f'<tbody{anchor}><tr><th scope="rowgroup" colspan="{len(_COLUMNS)}">{code(card.id)} <b>{escape(card.title)}</b>'
        "</th></tr>\n<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr></tbody>"
    )


def _said(phrases: Sequence[str], between: str = "") -> str:
    return "".join(f"<p>{between if i else ''}{escape(phrase)}</p>" for i, phrase in enumerate(phrases))


def _count(number: int, thing: str) -> str:
    if number == 1:
        return f"1 {thing}"
    return f"{number} {thing}{'es' if thing.endswith('ch') else 's'}"
