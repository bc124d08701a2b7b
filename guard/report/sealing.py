"""What the ledger states of a run, and how whoever gets the report checks it: the statement of `guard.audit`."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from guard.errors import LedgerError
from guard.facts import format_instant, parse_instant
from guard.ledger import leaves, notes
from guard.ledger.schema import connect

if TYPE_CHECKING:
    from guard.audit.statement import Statement
    from guard.replay.result import Replay

__all__ = ["Sealed", "sealed"]

_MOST_BYTES: Final = 64_000_000
"""A larger ledger, which many runs share, is not read through for every report."""


class Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The statement of a ledger on one run.

    Attributes:
        ledger: name of the file.
        verified: whether the ledger verified when this was made; None where nobody looked.
        alerts, figures, seal: as the statement says them: what to know first, label and figure, how it is sealed.
        checkpoint: the signed note, None where there is none; it names `leaves` under `root`, in hexadecimal.
        key: SHA-256 of the public key that signed, in hexadecimal.
        records: how many records the ledger holds.
        commands: what to run to check it.
    """

    ledger: str
    verified: bool | None
    alerts: tuple[str, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()
    seal: tuple[str, ...] = ()
    checkpoint: str | None = None
    leaves: int = 0
    root: str = ""
    key: str = ""
    records: int = 0
    commands: tuple[str, ...] = ()


def sealed(result: Replay) -> Sealed | None:
    """The statement on a run whose guard is closed; None where no ledger was kept in a file.

    Raises `LedgerError` where the ledger cannot be read.
    """
    ledger = result.outputs.ledger
    if ledger is None or result.began is None or result.ended is None:
        return None
    try:
        size = ledger.stat().st_size
    except OSError as error:
        raise LedgerError(f"the ledger cannot be read: {error.strerror}", where=str(ledger)) from None
    if size > _MOST_BYTES:
        commands = _commands(ledger.name, result.source, result.began, result.ended)
        return Sealed(ledger=ledger.name, verified=None, commands=commands)
    try:
        # The last to close a ledger takes SQLite's -wal and -shm with it, but not if it may only read.
        with closing(connect(ledger)):
            return _stated(ledger, result.source, result.began, result.ended)
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger cannot be read: {error}", where=str(ledger)) from None


def _stated(ledger: Path, source: str, began: datetime, ended: datetime) -> Sealed:
    from guard.audit.statement import make_statement
    from guard.audit.statement_text import alerts, figures, sealed

    end = _end(ledger, source, began, ended)
    found = make_statement(ledger, source, began, end)
    found.made_at = max(found.made_at, end)  # to the second; the run had ended
    size, root = _checkpoint(found)
    return Sealed(
        ledger=ledger.name,
        verified=found.verification.verified,
        alerts=tuple(alerts(found)),
        figures=tuple(figures(found)),
        seal=tuple(sealed(found)),
        checkpoint=found.checkpoint,
        leaves=size,
        root=root,
        key=_fingerprint(found),
        records=found.verification.records,
        commands=_commands(ledger.name, source, began, end),
    )


def _end(ledger: Path, source: str, began: datetime, ended: datetime) -> datetime:
    """Where the window ends: a source is looked after once a second, so its last span may be over a little later."""
    spans = leaves(ledger, kind="span")
    untils = [parse_instant(span["until"]) for span in spans if span["source"] == source]
    return max([ended, *(until for until in untils if until >= began)])


def _commands(ledger: str, source: str, first: datetime, end: datetime) -> tuple[str, ...]:
    name, public = shlex.quote(ledger), shlex.quote(f"{ledger}.pub")
    window = f"--from {format_instant(first)} --to {format_instant(end)}"
    return (
        f"guard ledger verify {name} --public-key {public} --checkpoint checkpoint.txt",
        f"guard ledger statement {name} --source {shlex.quote(source)} {window} --public-key {public}",
    )


def _checkpoint(found: Statement) -> tuple[int, str]:
    if found.checkpoint is None:
        return 0, ""
    stated = notes.parse(found.checkpoint)
    return stated.size, stated.root.hex()


def _fingerprint(found: Statement) -> str:
    """Of the key that signed the checkpoint, among those that the ledger names."""
    for verifier in found.verification.keys:
        public = notes.public_of(verifier)
        if found.checkpoint is not None and notes.signed_by(found.checkpoint, public):
            return sha256(public).hexdigest()
    return ""
