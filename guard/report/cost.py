"""What the run cost per frame: a chart of how the durations are spread, and the same numbers as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from guard.charts import available, figure, look, markup_of
from guard.policy.pages import code
from guard.report.html import microseconds, section, table
from guard.report.record import Record

__all__ = ["cost"]

Bins = Sequence[tuple[float, float, int]]

_STAGES = {
    "hook": "all that the guard added to a frame",
    "detect": "the face detector",
    "decide": "the verdict on one call",
}
_PERCENTILES = ("p50", "p95", "p99", "max")


def cost(record: Record) -> str:
    """The section."""
    rows = [
        (
            f"{code(stage)} {_STAGES.get(stage, '')}",
            *(microseconds(values.get(name)) for name in _PERCENTILES),
        )
        for stage, values in record.latency_us.items()
    ]
    return section(
        "cost",
        "What it cost",
        table("Latency per frame", ("stage", *_PERCENTILES), rows, numbers=len(_PERCENTILES)),
        _chart(record.spread_us),
        _distribution(record.spread_us),
    )


def _chart(spread_us: Mapping[str, Bins]) -> str:
    measured = {stage: bins for stage, bins in spread_us.items() if bins}
    if not measured:
        return ""
    if not available():
        return (
            '<p class="soft">No chart: it is drawn by matplotlib, which is not installed here '
            "(<code>pip install 'frguard[plots]'</code>). The table has the same numbers.</p>"
        )
    drawn = _drawn(tuple((stage, tuple(map(tuple, bins))) for stage, bins in measured.items()))
    words = "How often each latency occurred; the table has the numbers."
    return f'<figure tabindex="0">{drawn}<figcaption>{words}</figcaption></figure>'


@lru_cache(maxsize=4)
def _drawn(measured: tuple[tuple[str, Bins], ...]) -> str:
    """The chart as SVG; kept, since a report is written before and after its ledger is sealed."""
    from matplotlib import rcParams
    from matplotlib.ticker import FuncFormatter

    names = ", ".join(stage for stage, _ in measured)
    with look(**{"svg.fonttype": "none", "xtick.major.size": 0, "xtick.minor.size": 0, "ytick.major.size": 0}):
        chart, axes = figure(7.2, 3.0)
        for (stage, bins), style in zip(measured, rcParams["axes.prop_cycle"], strict=False):
            total = sum(count for _, _, count in bins)
            shares = [100 * count / total for _, _, count in bins]
            # The first bin may begin at 0, which no logarithmic axis has.
            edges = [max(low, bins[0][1] / 2) / 1000 for low, _, _ in bins] + [bins[-1][1] / 1000]
            axes.stairs(shares, edges, label=stage, clip_on=False, color=style["color"], linestyle=style["linestyle"])
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set(xlabel="latency, ms", ylabel="% of the frames")
        axes.legend()
        return markup_of(chart, words=f"How the latency of {names} is spread over the frames")


def _distribution(spread_us: Mapping[str, Bins]) -> str:
    """A row for each bin that any stage has, a column for each stage."""
    counts: dict[tuple[float, float], dict[str, int]] = {}
    for stage, bins in spread_us.items():
        for low, high, count in bins:
            if count:
                counts.setdefault((low, high), {})[stage] = count
    if not counts:
        return ""
    rows = [
        (f"{microseconds(low)} to {microseconds(high)}", *(f"{found.get(stage, 0):,}" for stage in spread_us))
        for (low, high), found in sorted(counts.items())
    ]
    title = "How often each latency occurred, in frames"
    return (
        f'<div class="long" tabindex="0" role="region" aria-label="{title}">'
        + table(title, ("latency", *spread_us), rows, numbers=len(spread_us))
        + "</div>"
    )
