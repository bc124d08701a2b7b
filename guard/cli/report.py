"""`guard report`: the report of a replay, made again from its record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guard.replay.result import REPORT
from guard.report import film_of, read_record, write_page

__all__ = ["report"]


def report(
    record: Annotated[Path, typer.Argument(help="The folder of a replay's outputs, or its replay.json.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write; default report.html beside the record.")
    ] = None,
    film: Annotated[bool, typer.Option(help="Whether the redacted film goes into the page.")] = True,
) -> None:
    """Writes the report that `guard replay` wrote; the same record and film give the same file."""
    found = read_record(record)
    folder = record if record.is_dir() else record.parent
    target = out if out is not None else folder / REPORT
    write_page(found, film_of(found, folder) if film else None, target)
    print(f"written: {target}")
