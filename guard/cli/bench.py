"""`guard bench`: what the guard costs per frame here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from guard.bench import run
from guard.cli.options import Json
from guard.cli.output import print_json
from guard.errors import GuardError

__all__ = ["bench"]


def bench(
    size: Annotated[str, typer.Option(help="Width x height of the frames.")] = "1920x1080",
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to measure.")] = 10.0,
    peers: Annotated[bool, typer.Option("--peers", help="Also the other detectors that are installed.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write a bar chart to this PNG or SVG file.")] = None,
    json: Json = False,
) -> None:
    """Measures per-frame latency on this machine, all rows in one interleaved run."""
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", size)
    if match is None:
        raise GuardError(f"{size!r} is no size", where="--size", mend="write it as 1920x1080")
    if plot is not None:
        from guard.bench.plotting import require_matplotlib

        require_matplotlib()
    result = run(size=(int(match[1]), int(match[2])), seconds=seconds, peers=peers)
    if plot is not None:
        from guard.bench.plotting import plot_rows

        plot_rows([result], plot)
    if json:
        print_json(result)
        return
    table = Table(title=f"{size}, one thread, {result['machine']['cpu']}")
    for heading in ("row", "p50", "p95", "p99", "p99.9", "per second"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for row in result["rows"]:
        table.add_row(
            row["name"],
            *(_microseconds(row[key]) for key in ("p50_us", "p95_us", "p99_us", "p999_us")),
            f"{row['fps']:,.0f}",
        )
    console = Console()
    console.print(table)
    for name, ratio in result["ratios"].items():
        console.print(f"{name}: {ratio:.3f}", highlight=False)


def _microseconds(value: float) -> str:
    return f"{value / 1000:.2f} ms" if value >= 1000 else f"{value:.1f} us"
