"""`guard ledger whatif`: the recorded calls, decided again under other packs or for another day."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.bundle import settings_of
from guard.cli.options import At, Json, LedgerPath, instant, wrong_option
from guard.cli.output import print_json
from guard.facts import format_instant
from guard.ledger import read

if TYPE_CHECKING:
    from guard.audit import Flip, WhatIf

__all__ = ["whatif"]

_FAILED = 2


def whatif(
    ledger: LedgerPath,
    policy: Annotated[
        list[str],
        typer.Option(
            "--policy", metavar="PACKS", show_default=False, help='Packs by commas, as [policy] packs; or "all".'
        ),
    ],
    at: At = None,
    accept: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of the changes to a laxer verdict that are accepted.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="As [policy] base; left out: as it was for each call.")] = None,
    extra: Annotated[str | None, typer.Option(help="As [policy] extra; left out: as it was for each call.")] = None,
    json: Json = False,
) -> None:
    """Decides every recorded call again from its recorded facts, and lists what flips.

    Ends with 2 where a call would be treated more laxly and that is not listed in --accept.
    """
    from guard.audit import load_acceptances, what_if

    day = instant(at)
    settings_of(base or "shipped", extra or "none")
    with wrong_option("--accept"):
        accepted = () if accept is None else load_acceptances(accept)
    packs = [name for text in policy for name in text.split(",") if name]
    found = what_if(read(ledger), packs, base=base, extra=extra, at=day, accepted=accepted)
    if json:
        print_json({**found.to_json(), "ledger": str(ledger)})
    else:
        print("\n".join(_lines(found)))
    if found.unaccepted:
        raise typer.Exit(_FAILED)


def _lines(found: WhatIf) -> Iterator[str]:
    from guard.audit.whatif import UNDECIDED

    day = "each on its own day" if found.at is None else f"as of {format_instant(found.at)}"
    yield f"{found.calls:,} calls in {found.records:,} records, decided again {day}"
    for policy in found.policies:
        said = f'base = "{policy["base"]}", extra = "{policy["extra"]}"'
        yield f"  under policy {policy['digest'][:16]}: {len(policy['packs'])} packs, {said}"
    yield f"{found.unchanged:,} as they were"
    for flip in found.flips:
        yield _flip(flip)
    for word, calls in found.undecided.most_common():
        yield f"{calls:,} not decided again: {UNDECIDED[word]}"
    for acceptance in found.unused:
        yield f"accepted and not met: {acceptance.rule} for {acceptance.source}"
    if found.unaccepted:
        yield f"{found.unaccepted:,} calls would be treated more laxly, and nobody has accepted that"


def _flip(flip: Flip) -> str:
    accepted = ("accepted" if flip.accepted else "NOT ACCEPTED") if flip.laxer else ""
    call = f"{flip.source or '?'}: {flip.action or 'unnamed'} at {flip.service or '?'}"
    span = flip.first if flip.first == flip.last else f"{flip.first} to {flip.last}"
    said = f"{flip.before.value} -> {flip.after.value}  {flip.calls:,} calls  {call}  {', '.join(flip.rules)}  {span}"
    return f"{said}  {accepted}".rstrip()
