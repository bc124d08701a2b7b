"""Recorded verdicts over time, counted and drawn (matplotlib, the extra `plots`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from guard.charts import figure, look, save
from guard.errors import LedgerError
from guard.ledger.instants import ns_of

__all__ = ["OUTCOMES", "Period", "plot_verdicts", "verdicts_over_time"]

OUTCOMES: Final = ("allow", "redact", "deny", "fault")
"""What a call can come to; ``fault`` is a denial because the guard could not judge."""

_PERIODS: Final = 60
_LOOKS: Final = {
    "allow": ("#1a6e36", ""),
    "redact": ("#d98a2b", "///"),
    "deny": ("#a01e28", "..."),
    "fault": ("#6e2870", "xxx"),
}


@dataclass(slots=True)
class Period:
    """A part of the time, from `begin_ns` since 1970 UTC on, and its calls by what they came to.

    The calls of a record that reaches over several periods are spread evenly, so counts need not be whole.
    """

    begin_ns: int
    calls: dict[str, float] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0.0))


def verdicts_over_time(records: Iterable[Mapping[str, Any]], *, periods: int = _PERIODS) -> list[Period]:
    """Counts records, as `guard.ledger.read` gives them, in so many equal parts of the time that they span."""
    spans = [(ns_of(one["at"]), ns_of(one["until"]), _outcome(one), one["count"]) for one in records]
    if not spans:
        return []
    first = min(begin for begin, *_ in spans)
    length = max(1, -(-(max(end for _, end, *_ in spans) + 1 - first) // periods))
    found = [Period(first + number * length) for number in range(periods)]
    for begin, end, outcome, count in spans:
        covered = found[(begin - first) // length : (end - first) // length + 1]
        for period in covered:
            period.calls[outcome] += count / len(covered)
    return found


def plot_verdicts(records: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Writes stacked bars of the calls over time to `path` (.png or .svg), whole or not at all.

    Raises `LedgerError` where there is no record, `GuardError` without matplotlib and where the file cannot be written.
    """
    periods = verdicts_over_time(records)
    if not periods:
        raise LedgerError("no record is to be drawn", where="--plot", mend="loosen the filters")
    totals = {name: sum(period.calls[name] for period in periods) for name in OUTCOMES}
    with look(**{"axes.grid.axis": "y", "hatch.linewidth": 0.6}):
        chart, axes = figure(7.2, 3.2)
        _draw(axes, periods, [name for name in OUTCOMES if totals[name]])
        said = ", ".join(f"{round(count):,} {name}" for name, count in totals.items() if count)
        title = f"Calls over time: {said}"
        axes.set(title=title, ylabel="calls", xlabel=_axis(periods))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        save(chart, path, words=f"{title}; {_axis(periods)}.")


def _draw(axes: Any, periods: Sequence[Period], names: Sequence[str]) -> None:
    dates: Any = import_module("matplotlib.dates")  # not typed yet
    begins = [dates.date2num(_instant(period.begin_ns)) for period in periods]
    width = (begins[1] - begins[0]) if len(begins) > 1 else 1.0
    below = [0.0] * len(periods)
    for name in names:
        colour, hatch = _LOOKS[name]
        heights = [period.calls[name] for period in periods]
        axes.bar(
            begins, heights, width, below, align="edge", label=name, color=colour, hatch=hatch, edgecolor="white", lw=0
        )
        below = [low + height for low, height in zip(below, heights, strict=True)]
    locator = dates.AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, show_offset=False))
    axes.set_ylim(bottom=0)


def _axis(periods: Sequence[Period]) -> str:
    length_s = (periods[1].begin_ns - periods[0].begin_ns) / 1e9 if len(periods) > 1 else 0.0
    return f"time (UTC) from {_instant(periods[0].begin_ns):%Y-%m-%d %H:%M:%S}, a bar every {length_s:.3g} s"


def _instant(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)


def _outcome(record: Mapping[str, Any]) -> str:
    return "fault" if record["fault"] is not None else str(record["verdict"])
