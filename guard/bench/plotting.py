"""The plot of a measurement: one group of bars a size, median with the span to p99."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from guard.errors import GuardError

__all__ = ["plot_rows", "require_matplotlib"]


def require_matplotlib() -> None:
    """Raises `GuardError` with the install line where matplotlib is absent."""
    if find_spec("matplotlib") is None:
        raise GuardError("plots need matplotlib", mend="pip install 'frguard[plots]'")


def plot_rows(results: list[dict[str, Any]], path: Path) -> None:
    """Writes the rows of several `guard.bench/1` results, one colour a size, on a logarithmic axis."""
    require_matplotlib()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [row["name"] for row in results[0]["rows"]]
    figure, axes = pyplot.subplots(
        figsize=(8, 0.6 + 0.42 * len(names) * max(1, len(results) * 0.6)), layout="constrained"
    )
    height = 0.8 / len(results)
    for number, result in enumerate(results):
        rows = {row["name"]: row for row in result["rows"]}
        places = [position + number * height for position in range(len(names))]
        medians = [rows[name]["p50_us"] / 1000 for name in names]
        spans = [max(0.0, rows[name]["p99_us"] / 1000 - median) for name, median in zip(names, medians, strict=True)]
        label = "x".join(map(str, result["size"]))
        bars = axes.barh(places, medians, height, xerr=[[0.0] * len(names), spans], label=label, error_kw={"lw": 1})
        texts = [f"{median:.2f} ms" if median >= 0.1 else f"{median * 1000:.0f} us" for median in medians]
        axes.bar_label(bars, texts, padding=3, fontsize=7)
    axes.set_yticks([position + 0.4 - height / 2 for position in range(len(names))], names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds: median, and the span to p99")
    axes.set_title(f"What the guard costs, one thread, {results[0]['machine']['cpu']}", fontsize=9)
    axes.margins(x=0.15)
    axes.legend(title="frame size")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
