"""`guard ledger`: look into the record, and check it."""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import Annotated, Any

import typer

from guard.cli.ledger_checks import checkpoint, prove, prune, verify
from guard.cli.options import Json, LedgerPath, instant
from guard.cli.output import print_json
from guard.cli.statement import statement
from guard.cli.whatif import whatif
from guard.errors import GuardError
from guard.ledger import read, summary
from guard.ledger.exporting import write_csv, write_jsonl
from guard.ledger.instants import text_of_datetime

__all__ = ["ledger_app"]

ledger_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
ledger_app.command()(verify)
ledger_app.command()(checkpoint)
ledger_app.command()(prove)
ledger_app.command()(prune)
ledger_app.command()(statement)
ledger_app.command()(whatif)

_VERDICTS = ("allow", "redact", "deny")

OnlySource = Annotated[str | None, typer.Option("--source", help="Only this source.")]
OnlyVerdict = Annotated[str | None, typer.Option("--verdict", help="Only allow, redact or deny.")]
OnlyRule = Annotated[str | None, typer.Option("--rule", help="Only calls that this rule forbade.")]
OnlyFault = Annotated[
    bool | None, typer.Option("--fault/--no-fault", help="Only calls that the guard could not judge, or none of them.")
]
Since = Annotated[str | None, typer.Option("--since", metavar="INSTANT", help="Only calls from this instant on.")]
Until = Annotated[str | None, typer.Option("--until", metavar="INSTANT", help="Only calls before this instant.")]


@ledger_app.callback()
def ledger() -> None:
    """Look into the record, and check it."""


@ledger_app.command()
def show(
    ledger: LedgerPath,
    source: OnlySource = None,
    verdict: OnlyVerdict = None,
    rule: OnlyRule = None,
    fault: OnlyFault = None,
    since: Since = None,
    until: Until = None,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest records.")] = 20,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the verdicts over time into this .png or .svg file.")
    ] = None,
    json: Json = False,
) -> None:
    """Counts the calls and shows the newest records, with the rules that decided."""
    filters = _filters(source, verdict, rule, fault, since, until)
    if plot is not None:
        from guard.audit.verdicts import plot_verdicts

        plot_verdicts(read(ledger, **filters), plot)
    counts = summary(ledger)
    newest = list(deque(read(ledger, **filters), maxlen=last))
    if json:
        print_json({"schema": "guard.ledger-show/1", "ledger": str(ledger), "counts": counts, "records": newest})
        return
    print(
        f"{counts['total']} calls: {counts['allow']} allowed, {counts['redact']} redacted, {counts['deny']} denied"
        f" ({counts['fault']} of them because the guard could not judge)"
    )
    if counts["unenforced"]:
        print(f"{counts['unenforced']} of them not enforced: the calls were made whatever the verdict (shadow mode)")
    for record in newest:
        print(_line(record))


@ledger_app.command()
def export(
    ledger: LedgerPath,
    source: OnlySource = None,
    verdict: OnlyVerdict = None,
    rule: OnlyRule = None,
    fault: OnlyFault = None,
    since: Since = None,
    until: Until = None,
    format: Annotated[str, typer.Option(help="jsonl (everything) or csv (what fits into cells).")] = "jsonl",
) -> None:
    """Prints every record, oldest first: as a line of JSON, or as a row of CSV."""
    if format not in ("jsonl", "csv"):
        raise GuardError(f"no format is called {format!r}", where="--format", mend="write jsonl or csv")
    records = read(ledger, **_filters(source, verdict, rule, fault, since, until))
    if format == "csv":
        write_csv(records, sys.stdout)
    else:
        write_jsonl(records, sys.stdout)


def _filters(
    source: str | None,
    verdict: str | None,
    rule: str | None,
    fault: bool | None,
    since: str | None,
    until: str | None,
) -> dict[str, Any]:
    if verdict is not None and verdict not in _VERDICTS:
        raise GuardError(f"no verdict is called {verdict!r}", where="--verdict", mend=f"write {', '.join(_VERDICTS)}")
    first, end = instant(since, "--since"), instant(until, "--until")
    return {
        "source": source,
        "verdict": verdict,
        "rule": rule,
        "fault": fault,
        "since": first and text_of_datetime(first),
        "until": end and text_of_datetime(end),
    }


def _line(record: dict[str, Any]) -> str:
    why = record["fault"] or ", ".join(record["rules"]) or "no rule forbids it"
    many = f" x {record['count']} until {record['until']}" if record["count"] > 1 else ""
    shadow = "" if record["enforced"] else ", not enforced"
    return (
        f"{record['at']}{many}  {record['id']}  {record['source'] or '?'}  "
        f"{record['action'] or 'unnamed'} at {record['service']}  "
        f"{record['verdict']}{shadow}  {why}{_settings(record['policy'])}"
    )


def _settings(policy: dict[str, Any] | None) -> str:
    """What the deployment had set about all rules, where that is not the default."""
    usual = {"base": "shipped", "extra": "none"}
    said = [f'{key} = "{policy[key]}"' for key in usual if policy[key] != usual[key]] if policy else []
    return f"  [policy] {', '.join(said)}" if said else ""
