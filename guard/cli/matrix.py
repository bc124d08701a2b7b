"""`guard policy matrix`: the verdict of every action towards every service, and the days on which one flips."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from guard.cli.options import At, ConfigPath, Json, SourceId, instant, wrong_option
from guard.cli.output import print_json
from guard.facts import ACTIONS, SERVICES, Verdict, format_instant
from guard.guard import load_for_questions
from guard.policy.matrix import YEARS, Matrix, Turn
from guard.policy.matrix import matrix as judge_all
from guard.policy.matrix_page import matrix_page
from guard.policy.pages import write_page

__all__ = ["matrix"]

_COLUMNS: Final = 110
_SHORT: Final = dict(
    zip(
        SERVICES,
        ("AOAI", "MS-AI", "Face", "RekCmp", "RekOth", "OpenAI", "Axon", "IBM", "Google", "Anthr.", "self", "other"),
        strict=True,
    )
)
_MARKS: Final = {
    Verdict.ALLOW: ("allow", "green"),
    Verdict.REDACT: ("redact", "yellow"),
    Verdict.DENY: ("DENY", "bold red"),
}


def matrix(
    config: ConfigPath,
    source: SourceId = None,
    at: At = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as one HTML page too.")] = None,
    json: Json = False,
) -> None:
    """Shows the verdict of every action towards every service for a source, and the days on which a cell flips."""
    day = instant(at)
    with load_for_questions(config) as guard:
        with wrong_option("--source"):
            cam = guard.source(source)
        if day is None:
            now_ns, trust = guard.clock.now()
            day = None if trust == "disbelieved" else datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
        found = judge_all(guard.engine, cam.facts, day, source=cam.id)
    if html is not None:
        write_page(html, matrix_page(found))
    if json:
        print_json(found.to_json())
        return
    _print(found)
    if html is not None:
        print(f"\nwritten: {html}")


def _print(found: Matrix) -> None:
    width = min(_COLUMNS, Console().width) if sys.stdout.isatty() else _COLUMNS
    console = Console(width=width, highlight=False)
    day = f"on {format_instant(found.at)}" if found.at else "on an unknown day (the clock is not believed)"
    console.print(Text(f"Source {found.source}, {day}: a picture with faces, or with an unknown number of them"))
    console.print()
    console.print(_table(found))
    console.print()
    for line in _legend(found):
        console.print(Text(line))
    _print_rules(console, found)
    _print_flips(console, found)
    console.print(Text("\nEngineering, not legal advice. `guard decide` says what would lift a denial."))


def _table(found: Matrix) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for service in SERVICES:
        table.add_column(_SHORT[service], no_wrap=True, min_width=7)
    for action in ACTIONS:
        marks = [Text(action)]
        for service in SERVICES:
            mark, style = _MARKS[found.by_call[action, service].verdict]
            star = "*" if (action, service) in found.flipping else ""
            marks.append(Text.assemble((mark, style), star))
        table.add_row(*marks)
    return table


def _legend(found: Matrix) -> list[str]:
    named = ", ".join(f"{short} = {name}" for name, short in _SHORT.items() if short.lower() != name)
    lines = [named, "redact = allowed once every face is unrecognisable; without a face in the picture it is allowed"]
    if found.flips:
        lines.append(f"* = flips within {YEARS} years, see below")
    if any(cell.ruling.fault for cell in found.cells):
        faults = sorted({cell.ruling.fault for cell in found.cells if cell.ruling.fault})
        lines += [f"The guard could not judge some calls, so they are denied: {fault}" for fault in faults]
    return lines


def _print_rules(console: Console, found: Matrix) -> None:
    now = [rule for rule in found.reasons if any(rule in cell.rules for cell in found.cells)]
    if not now:
        console.print(Text("\nNo rule of the packs in use forbids anything here."))
        return
    console.print(Text("\nRules that forbid", style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for rule in now:
        cells = sum(rule in cell.rules for cell in found.cells)
        table.add_row(rule, f"{cells} {'cell' if cells == 1 else 'cells'}", Text(found.reasons[rule].title))
    console.print(table)


def _print_flips(console: Console, found: Matrix) -> None:
    if found.until is None:
        console.print(Text("\nThe time of use is unknown, so rules of every date count and no flip can be dated."))
        return
    if not found.turns:
        console.print(Text(f"\nNo verdict flips until {found.until:%Y-%m-%d}, other facts being equal."))
        return
    console.print(Text(f"\nFlips until {found.until:%Y-%m-%d}", style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for turn in found.turns:
        change = f"{turn.flip.before.value} -> {turn.flip.after.value}"
        table.add_row(_day(turn.flip.at), change, Text(f"{_cells(turn)}; {turn.why}"))
    console.print(table)


def _cells(turn: Turn) -> str:
    return "; ".join(f"{', '.join(actions)} on {_services(services)}" for actions, services in turn.cells)


def _services(services: tuple[str, ...]) -> str:
    return "every service" if len(services) == len(SERVICES) else ", ".join(services)


def _day(instant: datetime) -> str:
    return format_instant(instant).removesuffix("T00:00:00Z")
