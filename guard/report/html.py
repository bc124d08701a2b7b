"""Pieces of HTML that every part of the report is made of. What is called text is escaped here; the rest is HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

__all__ = ["alert", "clock", "day", "microseconds", "plural", "section", "table"]


def section(id: str, title: str, *parts: str) -> str:
    """A part of the page under a heading that can be linked to; empty where there is nothing in it."""
    body = "\n".join(part for part in parts if part)
    if not body:
        return ""
    return f'<section id="{id}" aria-labelledby="{id}-title">\n<h2 id="{id}-title">{title}</h2>\n{body}\n</section>'


def alert(kind: str, title: str, text: str) -> str:
    """A banner: `kind` is ``bad`` or ``note``, `title` text, `text` HTML."""
    return f'<p class="alert {kind}" role="note"><b>{escape(title)}.</b> {text}</p>'


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: int = 0,
    attributes: Sequence[str] = (),
) -> str:
    """A table with a scope for every heading; on a narrow screen the rows of a wide one become cards.

    Args:
        caption: text.
        head: text of the column headings.
        rows: cells of HTML; the first of each row is its heading.
        numbers: the last so many columns hold numbers.
        attributes: HTML attributes of each row, where rows have some.
    """
    first_number = len(head) - numbers
    titles = "".join(
        f'<th scope="col"{_number(at >= first_number)}>{escape(name)}</th>' for at, name in enumerate(head)
    )
    lines = []
    for index, row in enumerate(rows):
        cells = "".join(
            f'<td data-label="{escape(name)}"{_number(at >= first_number)}><div>{cell}</div></td>'
            for at, (name, cell) in enumerate(zip(head, row, strict=True))
            if at
        )
        extra = f" {attributes[index]}" if attributes else ""
        lines.append(f'<tr{extra}><th scope="row">{row[0]}</th>{cells}</tr>')
    body = "\n".join(lines)
    cards = ' class="cards"' if len(head) > 2 and not numbers else ""
    return (
        f"<table{cards}>\n<caption>{escape(caption)}</caption>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}\n"
        "</tbody>\n</table>"
    )


def plural(number: int, thing: str, things: str | None = None) -> str:
    """``1 call``, ``2 calls``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {things or thing + 's'}"


def clock(seconds: float) -> str:
    """A place in the clip: ``0:03.2``, ``1:02:03.4``."""
    tenths = int(seconds * 10 + 1e-6)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    said = f"{rest // 10:02}.{rest % 10}"
    return f"{hours}:{minutes:02}:{said}" if hours else f"{minutes}:{said}"


def day(instant: str | datetime) -> str:
    """``2026-11-27``, as HTML: a record read from a file may hold any text in the place of an instant."""
    text = instant if isinstance(instant, str) else instant.isoformat()
    return escape(text[:10])


def microseconds(us: float | None) -> str:
    """A duration with the unit that suits it, on one line with it; a dash where nothing was measured."""
    if us is None:
        return "-"
    if us >= 1e6:
        return f"{us / 1e6:,.3g}\N{NO-BREAK SPACE}s"
    return f"{us / 1000:,.3g}\N{NO-BREAK SPACE}ms" if us >= 1000 else f"{us:,.3g}\N{NO-BREAK SPACE}µs"


def _number(is_number: bool) -> str:
    return ' class="number"' if is_number else ""
