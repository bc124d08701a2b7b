"""Charts of measurements, as PNG or SVG files, by matplotlib (the extra `plots`).

`plot_curves` is the one to call for a new benchmark::

    plot_curves(
        {"every frame": [(1, 12.1), (10, 121.0)], "fixed feed": [(1, 1.1), (10, 11.3)]},
        Path("sources.svg"),
        title="CPU time by number of sources",
        x="sources", y="CPU time a second of video, ms",
    )

Where each point is a thing of its own (recall against latency, one detector a point), give each a curve of one point
and ``labelled=True``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from guard.charts import figure, look, require_matplotlib, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_curves", "plot_rows", "plot_sizes", "plot_tails", "require_matplotlib"]

Curve = Sequence[tuple[float, float]]

_LEGEND_INSIDE = 4
"""With more curves than these the legend stands beside the chart."""

_HATCHES = ("", "///", "...", "xxx")
"""What tells groups of bars apart in grey."""


def plot_curves(
    curves: Mapping[str, Curve],
    path: Path,
    *,
    title: str,
    x: str,
    y: str,
    log_x: bool = False,
    log_y: bool = False,
    labelled: bool = False,
    marked: bool = True,
) -> None:
    """Writes a chart of named curves to `path` (.png or .svg), whole or not at all.

    Args:
        curves: name to points (x, y), in the order in which they are joined.
        title: one line, on top.
        x, y: what the axes show, with its unit: ``"latency, ms"``.
        log_x, log_y: logarithmic axes; others begin at 0.
        labelled: writes each name beside the last point of its curve instead of a legend.
        marked: marks every point; False for curves of many.

    Each curve has a colour, a dash and a marker of its own, so that it reads in grey. Raises `GuardError` without
    matplotlib and where the file cannot be written.
    """
    with look():
        chart, axes = figure()
        for name, points in curves.items():
            xs, ys = [point[0] for point in points], [point[1] for point in points]
            (line,) = axes.plot(xs, ys, label=name)
            if not marked:
                line.set_marker("")
            if labelled and points:
                axes.annotate(name, points[-1], xytext=(5, 4), textcoords="offset points", fontsize=8)
        if labelled:
            axes.margins(x=0.18)
        elif len(curves) > _LEGEND_INSIDE:
            chart.legend(loc="outside right upper")
        else:
            axes.legend()
        _scale(axes, log_x=log_x, log_y=log_y)
        axes.set(xlabel=x, ylabel=y, title=title)
        save(chart, path, words=f"{title}. {y} over {x}: {', '.join(curves)}.")


def plot_tails(result: Mapping[str, Any], path: Path) -> None:
    """Writes how the latencies of each row of a `guard.bench/1` result are spread: which part took longer than that.

    Both axes are logarithmic: the right end of a curve is its slowest call.
    """
    curves = {row["name"]: _tail(row["histogram"]) for row in result["rows"]}
    plot_curves(
        curves,
        path,
        title=f"How latencies are spread, {_size(result)}, one thread, {result['machine']['cpu']}",
        x="latency, ms",
        y="part of the calls that took longer",
        log_x=True,
        log_y=True,
        marked=False,
    )


def plot_sizes(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes how the median of each row grows with the frame, over several `guard.bench/1` results."""
    megapixels = [result["size"][0] * result["size"][1] / 1e6 for result in results]
    curves = {
        row["name"]: [
            (size, next(other["p50_us"] for other in result["rows"] if other["name"] == row["name"]) / 1000)
            for size, result in zip(megapixels, results, strict=True)
        ]
        for row in results[0]["rows"]
        if all(row["name"] in {other["name"] for other in result["rows"]} for result in results)
    }
    plot_curves(
        curves,
        path,
        title=f"What a larger frame costs, one thread, {results[0]['machine']['cpu']}",
        x="frame, megapixels",
        y="median, ms",
        log_y=True,
    )


def plot_rows(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes the rows of several `guard.bench/1` results: median with the span to p99, one group of bars a size."""
    names = [row["name"] for row in results[0]["rows"]]
    height = 0.8 / len(results)
    title = f"What the guard costs, one thread, {results[0]['machine']['cpu']}"
    with look(**{"axes.grid.axis": "x"}):
        chart, axes = figure(8, 0.6 + 0.42 * len(names) * max(1, len(results) * 0.6))
        for number, result in enumerate(results):
            rows = {row["name"]: row for row in result["rows"]}
            places = [position + number * height for position in range(len(names))]
            medians = [rows[name]["p50_us"] / 1000 for name in names]
            spans = [
                max(0.0, rows[name]["p99_us"] / 1000 - median) for name, median in zip(names, medians, strict=True)
            ]
            errors = [[0.0] * len(names), spans]
            look_of: dict[str, Any] = {
                "label": _size(result),
                "hatch": _HATCHES[number % len(_HATCHES)],
                "edgecolor": "white",
            }
            bars = axes.barh(places, medians, height, xerr=errors, error_kw={"lw": 1}, linewidth=0, **look_of)
            texts = [f"{median:.2f} ms" if median >= 0.1 else f"{median * 1000:.0f} us" for median in medians]
            axes.bar_label(bars, texts, padding=3, fontsize=7)
        axes.set_yticks([position + 0.4 - height / 2 for position in range(len(names))], names)
        axes.invert_yaxis()
        _logarithmic(axes, "x")
        axes.set(xlabel="milliseconds: median, and the span to p99", title=title)
        axes.margins(x=0.15)
        axes.legend(title="frame size")
        save(chart, path, words=f"{title}. Median and p99 of {', '.join(names)}.")


def _scale(axes: Axes, *, log_x: bool, log_y: bool) -> None:
    """Logarithmic where asked for; else from 0 on, so that twice as high is twice as much."""
    if log_x:
        _logarithmic(axes, "x")
    else:
        axes.set_xlim(left=0)
    if log_y:
        _logarithmic(axes, "y")
    else:
        axes.set_ylim(bottom=0)


def _logarithmic(axes: Axes, name: Literal["x", "y"]) -> None:
    """With 0.01 and 100 on it, not with powers of ten."""
    from matplotlib.ticker import FuncFormatter

    (axes.set_xscale if name == "x" else axes.set_yscale)("log")
    (axes.xaxis if name == "x" else axes.yaxis).set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _tail(histogram: Sequence[tuple[float, float, int]]) -> list[tuple[float, float]]:
    """The part of the calls that took longer than the lower end of each bin, from one bin to the next, in ms."""
    total = left = sum(count for _, _, count in histogram)
    points = []
    for low_us, _, count in histogram:
        points.append((low_us / 1000, left / total))
        left -= count
    return points


def _size(result: Mapping[str, Any]) -> str:
    return "x".join(map(str, result["size"]))
