"""`guard bench`: what the guard costs per frame here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from guard.bench import run
from guard.cli.options import Json
from guard.cli.output import print_json
from guard.errors import GuardError

__all__ = ["bench"]


def bench(
    size: Annotated[
        list[str] | None, typer.Option(help="Width x height of the frames; repeatable. Default 1920x1080.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to measure, each size.")] = 10.0,
    peers: Annotated[bool, typer.Option("--peers", help="Also the other detectors that are installed.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Write a bar chart to this .png or .svg file, or every chart into this folder."),
    ] = None,
    json: Json = False,
) -> None:
    """Measures per-frame latency on this machine, all rows of a size in one interleaved run."""
    sizes = [_size(text) for text in size or ("1920x1080",)]
    if plot is not None:
        _check_plot(plot)
    results = [run(size=one, seconds=seconds, peers=peers) for one in sizes]
    written = [] if plot is None else _plot(results, plot)
    if json:
        print_json(results[0] if len(results) == 1 else {"schema": "guard.bench-sizes/1", "sizes": results})
        return
    for result in results:
        _show(result)
    for path in written:
        print(f"written: {path}")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", text)
    if match is None:
        raise GuardError(f"{text!r} is no size", where="--size", mend="write it as 1920x1080")
    return int(match[1]), int(match[2])


def _check_plot(plot: Path) -> None:
    """Refuses before anything is measured for it."""
    from guard.charts import KINDS, require_matplotlib

    require_matplotlib()
    if plot.suffix and not plot.is_dir() and plot.suffix.lower() not in KINDS:
        raise GuardError(f"a chart is no {plot.suffix} file", where="--plot", mend="name a .png or .svg, or a folder")


def _plot(results: Sequence[dict[str, Any]], plot: Path) -> list[Path]:
    """Writes the bar chart to the file `plot`, or all charts into the folder `plot`; says what was written."""
    from guard.bench.plotting import plot_rows, plot_sizes, plot_tails

    if plot.suffix and not plot.is_dir():
        plot_rows(results, plot)
        return [plot]
    try:
        plot.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GuardError(f"the folder cannot be made: {error.strerror}", where=str(plot), mend="name another") from None
    written = [plot / "cost.svg"]
    plot_rows(results, written[0])
    for result in results:
        written.append(plot / f"latency-{'x'.join(map(str, result['size']))}.svg")
        plot_tails(result, written[-1])
    if len(results) > 1:
        written.append(plot / "size.svg")
        plot_sizes(results, written[-1])
    return written


def _show(result: dict[str, Any]) -> None:
    size = "x".join(map(str, result["size"]))
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
