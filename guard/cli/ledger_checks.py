"""`guard ledger verify | checkpoint | prove | prune`: what an auditor and retention ask of it."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.cli.options import Json, LedgerPath, instant
from guard.cli.output import print_json
from guard.errors import GuardError, LedgerError

if TYPE_CHECKING:
    from guard.ledger.findings import Verification

__all__ = ["checkpoint", "prove", "prune", "verify"]

_FAILED = 2


def verify(
    ledger: LedgerPath,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(help="The public key (PEM) of whoever signs the checkpoints, kept elsewhere; repeatable."),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint that was kept elsewhere; repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Checks that nothing was changed, removed, added or reordered; names the first bad record."""
    from guard.ledger.keys import public_key as read_key
    from guard.ledger.verifying import verify as check

    keys = [read_key(file) for file in public_key or []]
    notes = {f"the checkpoint in {file.name}": _text(file) for file in checkpoint or []}
    found = check(ledger, public_keys=keys, checkpoints=notes)
    if json:
        print_json({"schema": "guard.ledger-verify/1", "ledger": str(ledger), **found.to_json()})
    else:
        print("\n".join(_said(found)))
    if not found.verified:
        raise typer.Exit(_FAILED)


def checkpoint(ledger: LedgerPath) -> None:
    """Prints the newest checkpoint, to be kept elsewhere: whoever has it sees a tail that was cut or rewritten."""
    from guard.ledger.proving import newest_checkpoint

    print(newest_checkpoint(ledger), end="")


def prove(
    ledger: LedgerPath,
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of a call, or the number of a leaf.", show_default=False)],
    checkpoint: Annotated[
        Path | None, typer.Option(help="Prove against this checkpoint, kept elsewhere; else the newest in the file.")
    ] = None,
) -> None:
    """Prints a proof, as JSON, that a record is among those that a checkpoint was signed over."""
    from guard.ledger.proving import prove as made

    print(
        jsonlib.dumps(
            made(ledger, id, checkpoint=None if checkpoint is None else _text(checkpoint)), indent=2, ensure_ascii=False
        )
    )


def prune(
    ledger: LedgerPath,
    before: Annotated[
        str, typer.Option(metavar="INSTANT", help="Remove what ended before this instant.", show_default=False)
    ],
    key: Annotated[
        Path | None,
        typer.Option(help="The ledger's private key; else the environment's, else the one beside the ledger."),
    ] = None,
    shrink: Annotated[bool, typer.Option("--shrink", help="Make the file smaller too, with no guard at work.")] = False,
    json: Json = False,
) -> None:
    """Removes old records and keeps their hashes, so that the rest still verifies."""
    from guard.ledger.pruning import prune as remove

    moment = instant(before, "--before")
    if moment is None:
        raise GuardError("an instant is needed", where="--before")
    done = remove(ledger, before=moment, key=key, shrink=shrink)
    if json:
        print_json({"schema": "guard.ledger-prune/1", "ledger": str(ledger), **done.to_json()})
        return
    print(f"removed {done.leaves} leaves with {done.calls} calls from before {done.before}; their hashes stay")
    if not done.cleared:
        print("somebody is reading the ledger: traces stay in its -wal file until the next checkpoint of SQLite")


def _said(found: Verification) -> list[str]:
    counted = f"{found.calls} calls in {found.records} records, {found.leaves} leaves, {found.checkpoints} checkpoints"
    if found.verified:
        lines = [f"verified: {counted}"]
    else:
        lines = [f"NOT VERIFIED: {counted}"]
        first = found.first_bad
        if first is not None:
            lines.append(f"first bad: leaf {first.seq}" + (f", call {first.id}" if first.id else ""))
        lines += [f"  {problem.what}" for problem in found.problems]
    if found.sealed_at is not None:
        lines.append(f"sealed: the first {found.sealed} leaves, last at {found.sealed_at}")
    if found.unsealed or found.unsealed_calls:
        lines.append(f"not sealed yet: {found.unsealed} leaves; {found.unsealed_calls} calls, open runs included")
    if found.open_sessions:
        lines.append(f"{found.open_sessions} of {found.sessions} processes have not closed it: at work, or killed")
    if found.pruned:
        lines.append(f"pruned: {found.pruned} leaves, of which the hashes are left")
    if found.lost:
        lines.append(f"lost: {found.lost} refusals have no record, since the file could not be written")
    lines += [f"holds the checkpoint over {size} leaves that was kept elsewhere" for size in found.held]
    if not found.pinned:
        lines.append(
            "no --public-key was given: this proves inner consistency only; whoever made the key can have made it all"
        )
    return lines


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(f"the checkpoint cannot be read: {error}", where=str(file), mend="check the path") from None
