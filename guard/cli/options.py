"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from guard.errors import ConfigError, GuardError
from guard.facts import parse_instant

__all__ = ["At", "ConfigPath", "Json", "LedgerPath", "SourceId", "instant", "wrong_option"]

ConfigPath = Annotated[Path, typer.Option("--config", help="The guard.toml.", show_default=False)]
SourceId = Annotated[str | None, typer.Option("--source", help="The source's id; needed where the file has several.")]
At = Annotated[str | None, typer.Option("--at", metavar="INSTANT", help="Judge this day, e.g. 2026-12-01T12:00:00Z.")]
LedgerPath = Annotated[Path, typer.Argument(metavar="LEDGER", show_default=False, help="The ledger's file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def instant(text: str | None, option: str = "--at") -> datetime | None:
    """The instant that an option names. Raises `GuardError`: a wrong command line, not a wrong configuration."""
    if text is None:
        return None
    try:
        return parse_instant(text)
    except (GuardError, ValueError) as error:
        what = error.what if isinstance(error, GuardError) else str(error)
        raise GuardError(what, where=option, mend="write an instant with a zone, e.g. 2026-12-01T12:00:00Z") from None


@contextmanager
def wrong_option(name: str) -> Iterator[None]:
    """Inside, a `ConfigError` speaks of the command line and not of a file: it ends with status 1."""
    try:
        yield
    except ConfigError as error:
        raise GuardError(error.what, where=name, mend=error.mend) from None
