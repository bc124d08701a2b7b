"""What a sweep came to: counts over all its units, and what could not be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from guard.sweep.index import INDEX, SIGNED
from guard.sweep.order import Order
from guard.sweep.state import State
from guard.sweep.task import shown

__all__ = ["Summary", "summed"]

_LISTED = 1000
_COUNTED = ("attempted", "allowed", "redacted", "denied", "faulted", "unenforced", "reached_service")


@dataclass(slots=True)
class Summary:
    """The result of a sweep.

    Attributes:
        out: its folder.
        source: as what every clip was judged.
        files: ``found`` paths, of which ``broken`` could not be read; the rest are ``units`` of distinct content, of
            which ``made`` are of this run.
        frames, frames_with_faces, seconds, calls, reasons: sums over all of these units, whichever run made them.
        broke_off: how many of the units end before their clip does.
        broken: the first 1,000 files that could not be read, with the reason.
        interrupted: whether it was asked to stop before its end.
    """

    out: Path
    source: str
    files: dict[str, int]
    frames: int = 0
    frames_with_faces: int = 0
    seconds: float = 0.0
    calls: dict[tuple[str | None, str], Counter[str]] = field(default_factory=dict)
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    broke_off: int = 0
    broken: list[tuple[Path, str]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether every clip that was found was decided to its end."""
        return not (self.interrupted or self.files["broken"] or self.broke_off)

    @property
    def index(self) -> Path:
        """The list of all units."""
        return self.out / INDEX

    def add(self, unit: dict[str, Any]) -> None:
        """Takes what came of one unit."""
        self.frames += unit["frames"]
        self.frames_with_faces += unit["frames_with_faces"]
        self.seconds += unit["seconds"]
        self.broke_off += unit["broke_off"] is not None
        for calls in unit["calls"]:
            kind = calls["action"], calls["service"]
            counts = {name: calls[name] for name in _COUNTED if name in calls}
            self.calls.setdefault(kind, Counter()).update(counts)
        self.reasons.update({(row["rule"], row["pack"], row["cite"]): row["count"] for row in unit["reasons"]})

    def to_json(self) -> dict[str, Any]:
        """The object ``guard.sweep/1``."""
        return {
            "schema": "guard.sweep/1",
            "source": self.source,
            "files": self.files,
            "frames": self.frames,
            "frames_with_faces": self.frames_with_faces,
            "seconds": round(self.seconds, 6),
            "calls": [
                {"action": action, "service": service, **counts} for (action, service), counts in self.calls.items()
            ],
            "reasons": [
                {"rule": rule, "pack": pack, "cite": cite, "count": count}
                for (rule, pack, cite), count in self.reasons.most_common()
            ],
            "broke_off": self.broke_off,
            "broken": [{"path": shown(path), "reason": reason} for path, reason in self.broken],
            "interrupted": self.interrupted,
            "outputs": {"folder": str(self.out), "index": str(self.index), "signed": str(self.out / SIGNED)},
        }


def summed(order: Order, state: State, *, interrupted: bool) -> Summary:
    """Sums up a run."""
    summary = Summary(order.out, order.source, state.counts(), interrupted=interrupted)
    for unit in state.units():
        summary.add(unit)
    summary.broken = list(islice(state.broken(), _LISTED))
    return summary
