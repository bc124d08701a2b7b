"""Charts by matplotlib (the extra `plots`): one look for all, legible in colour, in grey and on paper.

Drawn without a window and without state of matplotlib's own, and the same numbers give the same bytes.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from html import escape
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guard.errors import GuardError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["KINDS", "available", "figure", "image_of", "look", "require_matplotlib", "save"]

KINDS: Final = (".png", ".svg")
"""What a chart can be written as, by the end of the file's name."""

_DPI: Final = 110

# Colours that differ in lightness too (Okabe and Ito); each curve also has a dash and a marker of its own.
_COLOURS: Final = ("#0b4f79", "#d55e00", "#009e73", "#7a3f78", "#8a6d00", "#56b4e9", "#1d2430", "#cc79a7")
_DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 2)), (0, (3, 3)))
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def require_matplotlib() -> None:
    """Raises `GuardError` with the install line where matplotlib is absent."""
    if not available():
        raise GuardError("plots need matplotlib", mend="pip install 'frguard[plots]'")


def look(**changes: Any) -> AbstractContextManager[None]:
    """The look of every chart, for as long as the context lasts; `changes` are settings of matplotlib's (rcParams)."""
    require_matplotlib()
    import matplotlib
    from cycler import cycler

    settings: dict[Any, Any] = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#d9dee6",
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 5,
        "axes.prop_cycle": cycler(color=_COLOURS) + cycler(linestyle=_DASHES) + cycler(marker=_MARKERS),
        "svg.hashsalt": "guard",
    }
    return matplotlib.rc_context(settings | changes)


def figure(width_in: float = 7.2, height_in: float = 3.8) -> tuple[Figure, Axes]:
    """An empty chart, in inches; to be made, filled and saved inside `look`."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width_in, height_in), layout="constrained")
    return made, made.add_subplot()


def image_of(chart: Figure, kind: str, *, words: str) -> bytes:
    """The chart as bytes of `kind`, one of `KINDS`; `words` say what it shows to whoever cannot see it."""
    buffer = BytesIO()
    if kind == ".png":
        chart.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None, "Description": words})
        return buffer.getvalue()
    chart.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue().decode("utf-8")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(words)}" ', 1).encode()


def save(chart: Figure, path: Path, *, words: str) -> None:
    """Writes the chart as `image_of` gives it, whole or not at all. Raises `GuardError` where it cannot be written."""
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise GuardError("a chart is a .png or .svg file", where=str(path), mend=f"name it {path.stem or 'plot'}.svg")
    image = image_of(chart, kind, words=words)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(image)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise GuardError(
            f"the chart cannot be written: {error.strerror}", where=str(path), mend="name a file in a folder of yours"
        ) from None
