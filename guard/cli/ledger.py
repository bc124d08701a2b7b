"""`guard ledger`: look into the record."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from guard.cli.options import Json
from guard.cli.output import print_json
from guard.cli.whatif import whatif
from guard.ledger import read, summary

__all__ = ["ledger_app"]

ledger_app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

LedgerPath = Annotated[Path, typer.Argument(metavar="LEDGER", show_default=False, help="The ledger's file.")]


@ledger_app.callback()
def ledger() -> None:
    """Look into the record."""


@ledger_app.command()
def show(
    ledger: LedgerPath,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    verdict: Annotated[str | None, typer.Option(help="Only allow, redact or deny.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest records.")] = 20,
    json: Json = False,
) -> None:
    """Counts the records and shows the newest, with the rules that decided."""
    counts = summary(ledger)
    newest = list(read(ledger, source=source, verdict=verdict))[-last:]
    if json:
        print_json({"schema": "guard.ledger-show/1", "ledger": str(ledger), "counts": counts, "records": newest})
        return
    print(
        f"{counts['total']} records: {counts['allow']} allowed, {counts['redact']} redacted, {counts['deny']} denied"
        f" ({counts['fault']} of them because the guard could not judge)"
    )
    if counts["unenforced"]:
        print(f"{counts['unenforced']} of them not enforced: the calls were made whatever the verdict (shadow mode)")
    for record in newest:
        why = record["fault"] or ", ".join(record["rules"]) or "no rule forbids it"
        print(
            f"{record['at']}  {record['source'] or '?'}  {record['action'] or 'unnamed'} at {record['service']}  "
            f"{record['verdict']}{'' if record['enforced'] else ', not enforced'}  {why}{_settings(record['policy'])}"
        )


def _settings(policy: dict[str, Any] | None) -> str:
    """What the deployment had set about all rules, where that is not the default."""
    usual = {"base": "shipped", "extra": "none"}
    said = [f'{key} = "{policy[key]}"' for key in usual if policy[key] != usual[key]] if policy else []
    return f"  [policy] {', '.join(said)}" if said else ""


ledger_app.command()(whatif)


@ledger_app.command()
def export(ledger: LedgerPath) -> None:
    """Prints every record as one line of JSON, oldest first."""
    for record in read(ledger):
        print(jsonlib.dumps(record, ensure_ascii=False))
