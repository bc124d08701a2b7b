"""`guard policy`: the packs, their rules in words, and their checks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from guard.cli.bundle import Base, Extra, keygen, settings_of, sign, verify
from guard.cli.matrix import matrix
from guard.cli.options import Json
from guard.cli.output import print_json
from guard.errors import GuardError, PolicyError
from guard.policy import Engine, cases
from guard.policy.coverage import by_place, by_service, coming
from guard.policy.lint import check as lint
from guard.policy.listing import Card, cards, packs_named, summary
from guard.policy.packs import find
from guard.policy.pages import pack_page, write_page
from guard.policy.proofs import unproved

__all__ = ["policy_app"]

policy_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

_COLUMNS = 100
_FAILED = 2
_FEW = 5


@policy_app.callback()
def policy() -> None:
    """List, show, check and test policy packs."""


policy_app.command("matrix")(matrix)
for _command in (keygen, sign, verify):
    policy_app.command()(_command)


@policy_app.command("list")
def list_(json: Json = False) -> None:
    """Lists the packs on the shelf: what they cover, how sure, when something changes next, what is due for review."""
    now = datetime.now(UTC)
    packs = packs_named(["all"])
    found = [summary(pack, now) for pack in packs]
    places, services, changes = by_place(packs), by_service(packs), coming(packs, now)
    due = [rule for one in found for rule in one.due]
    if json:
        print_json(
            {
                "schema": "guard.policy-list/1",
                "packs": [one.to_json() for one in found],
                "coverage": {
                    "places": [cover.to_json() for cover in places],
                    "services": [cover.to_json() for cover in services],
                },
                "changes": [change.to_json() for change in changes],
                "review_due": due,
            }
        )
        return
    console = _console()
    rows = [
        (
            one.name,
            one.layer,
            str(len(one.rules)),
            one.covers,
            ", ".join(f"{count} {mark}" for mark, count in one.sure.items()),
            f"{one.next_change:%Y-%m-%d}" if one.next_change else "none known",
        )
        for one in found
    ]
    console.print(_table(("pack", "layer", "rules", "covers", "sure", "next change"), rows))
    covered = [(cover.of, str(len(cover.rules)), ", ".join(cover.parts)) for cover in places]
    console.print("", _table(("place", "rules", "parts of it that rules name"), covered), sep="\n")
    covered = [(cover.of, str(len(cover.rules)), _few(cover.packs)) for cover in services]
    console.print("", _table(("service", "rules", "in packs"), covered), sep="\n")
    if changes:
        days = [(f"{change.at:%Y-%m-%d}", change.rule, change.what, change.pack) for change in changes]
        console.print("", _table(("day", "rule", "what", "pack"), days), sep="\n")
    else:
        print("\nNo rule has a date that lies ahead.")
    print(
        f"\n{len(found)} packs, {sum(len(one.rules) for one in found)} rules. `guard policy show PACK` prints a pack."
    )
    print(f"Not reviewed for a year: {', '.join(due)}." if due else "Every rule was reviewed within the year.")


def _few(packs: Sequence[str]) -> str:
    return ", ".join(packs) if len(packs) <= _FEW else f"{len(packs)} packs"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    whole = ("pack", "next change", "place", "service", "day", "rule")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column == "rules" else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column in whole)
    for row in rows:
        table.add_row(*row)
    return table


@policy_app.command()
def show(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="A pack's name, or the path of a *.cedar file.")],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one HTML page to print instead.")
    ] = None,
    json: Json = False,
) -> None:
    """Shows a pack's rules in words: who, what, where, when, unless, and the source."""
    if pack == "all":
        raise GuardError("`show` prints one pack", mend="see `guard policy list` for their names")
    _must_exist([pack], "PACK")
    (found,) = packs_named([pack])
    if html is not None:
        write_page(html, pack_page(found, datetime.now(UTC)))
        if not json:
            print(f"written: {html}")
            return
    shown = cards(found)
    if json:
        head = summary(found, datetime.now(UTC)).to_json()
        rules = [card.to_json() for card in shown]
        print_json({"schema": "guard.policy-show/1", **head, "notes": found.notes, "cards": rules})
        return
    console = _console()
    console.print(Text(f"{found.name}: {len(found.rules)} rules", style="bold"))
    for paragraph in found.notes.split("\n\n"):
        console.print(Text(" ".join(paragraph.split())), "", sep="\n")
    for card in shown:
        _print_card(console, card)


@policy_app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy packs, *.cedar.")],
    base: Base = "shipped",
    json: Json = False,
) -> None:
    """Checks packs: schema, ids, sources, places, and that the cases beside each pack show every rule at work.

    A rule needs a case that it forbids, one on each side of each of its dates, and one that each exception lifts.
    """
    for file in files:
        _must_be_a_file(file)
    settings = settings_of(base, "none")
    found = [*lint(files, permits=settings.own), *unproved(files, settings)]
    errors = sum(finding.level == "error" for finding in found)
    if json:
        listed = [
            {"file": f.file, "rule": f.rule or None, "level": f.level, "what": f.what, "mend": f.mend} for f in found
        ]
        print_json({"schema": "guard.policy-check/1", "files": len(files), "errors": errors, "findings": listed})
    else:
        for finding in found:
            print(f"{finding.level}: {finding}")
        print(f"{len(files)} {'file' if len(files) == 1 else 'files'}, {errors} errors, {len(found) - errors} warnings")
    if errors:
        raise typer.Exit(_FAILED)


@policy_app.command("test")
def run_cases(
    file: Annotated[Path, typer.Argument(metavar="CASES.json", help="A case file.")],
    packs: Annotated[
        list[str] | None, typer.Option(help="Packs to judge by, names or paths; repeat or separate by commas.")
    ] = None,
    base: Base = "shipped",
    extra: Extra = "none",
    json: Json = False,
) -> None:
    """Runs the cases of a file: verdict, what would lift it, and one of the rules behind it."""
    named = [name for text in packs or ["all"] for name in text.split(",") if name]
    _must_be_a_file(file)
    _must_exist(named, "--packs")
    result = cases.run(file, named, engine=Engine.load(named, settings_of(base, extra)))
    if json:
        print_json(result)
    else:
        _print_result(result)
    if result["failed"]:
        raise typer.Exit(_FAILED)


def _must_exist(names: list[str], where: str) -> None:
    """A pack that is named on the command line and is not there is a wrong command line, not an invalid policy."""
    try:
        files = find(names)
    except PolicyError as error:
        raise GuardError(error.what, where=where, mend=error.mend) from None
    for file in files:
        _must_be_a_file(file)


def _must_be_a_file(file: Path) -> None:
    if not file.is_file():
        raise GuardError("there is no such file", where=str(file), mend="check the path")


def _print_card(console: Console, card: Card) -> None:
    console.print(Text.assemble((card.id, "bold"), "  ", card.title))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for label in ("who", "what", "where", "when"):
        table.add_row(label, Text("; ".join(getattr(card.words, label))))
    table.add_row("unless", Text("; or ".join(card.words.unless) or "nothing lifts it"))
    table.add_row("source", Text(f"{card.cite} ({card.sure}, reviewed {card.reviewed:%Y-%m-%d})"))
    console.print(table)
    console.print()


def _print_result(result: dict[str, Any]) -> None:
    for failed in result["failed"]:
        print(f"{failed['id']}: expected {failed['expected']}, got {failed['got']}")
        if failed["lifted_by_expected"] != failed["lifted_by_got"]:
            print(f"    lifted by: expected {failed['lifted_by_expected']}, got {failed['lifted_by_got']}")
        print(f"    because: {', '.join(failed['because_got']) or failed.get('fault') or 'no rule forbids it'}")
    for fault in result.get("faults", ()):
        print(f"{fault['id']}: denied because the guard could not judge: {fault['fault']}")
    print(f"{result['passed']} of {result['total']} cases passed")


def _console() -> Console:
    """A console of at most 100 columns, so that a pack reads the same in a terminal, a pipe and a printout."""
    width = min(_COLUMNS, Console().width) if sys.stdout.isatty() else _COLUMNS
    return Console(width=width, highlight=False, soft_wrap=False)
