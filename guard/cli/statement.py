"""`guard ledger statement`: what a ledger says of one source and one stretch of time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guard.cli.options import Json, LedgerPath, instant
from guard.cli.output import print_json
from guard.errors import GuardError

__all__ = ["statement"]

_FAILED = 2


def statement(
    ledger: LedgerPath,
    source: Annotated[str, typer.Option(help="The source's id.", show_default=False)],
    since: Annotated[str, typer.Option("--from", metavar="INSTANT", help="From this instant on.", show_default=False)],
    until: Annotated[str, typer.Option("--to", metavar="INSTANT", help="Until before this one.", show_default=False)],
    public_key: Annotated[
        list[Path] | None,
        typer.Option(help="The public key (PEM) of whoever signs the checkpoints, kept elsewhere; repeatable."),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as one HTML page too.")] = None,
    json: Json = False,
) -> None:
    """States which time was watched, which frames were seen and which calls attempted, and what became of them.

    Ends with 2 where the ledger does not verify.
    """
    from guard.audit.statement import make_statement
    from guard.audit.statement_page import statement_page
    from guard.audit.statement_text import statement_text
    from guard.ledger.keys import public_key as read_key
    from guard.policy.pages import write_page

    first, end = instant(since, "--from"), instant(until, "--to")
    if first is None or end is None:
        raise GuardError("an instant is needed", where="--from, --to")
    found = make_statement(ledger, source, first, end, public_keys=[read_key(file) for file in public_key or []])
    if html is not None:
        write_page(html, statement_page(found))
    if json:
        print_json(found.to_json())
    else:
        print("\n".join(statement_text(found)))
        if html is not None:
            print(f"\nwritten: {html}")
    if not found.verification.verified:
        raise typer.Exit(_FAILED)
