"""What a calibration found, and its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.calibration.estimating import Counts, interval

__all__ = ["Calibration", "Setting"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the detector that was tried.

    Attributes:
        min_face_px, face_score: as in `guard.toml`.
        stretches: what was counted under it, for each stretch of footage.
        detect_ms: milliseconds that it took a frame on this machine, the median.
    """

    min_face_px: int
    face_score: float
    stretches: Sequence[Counts]
    detect_ms: float

    @property
    def counts(self) -> Counts:
        """What was counted in all of the footage."""
        return sum(self.stretches, Counts())

    def to_json(self) -> dict[str, Any]:
        counts = self.counts
        return {
            "min_face_px": self.min_face_px,
            "face_score": self.face_score,
            "recall": _rounded(counts.recall),
            "recall_interval": _bounds(interval(self.stretches, lambda each: each.recall)),
            "both": counts.both,
            "only_first": counts.first,
            "only_second": counts.second,
            "missed_face_seconds_per_hour": _rounded(counts.missed_s_per_hour, 1),
            "missed_interval": _bounds(interval(self.stretches, lambda each: each.missed_s_per_hour), 1),
            "detect_ms": _rounded(self.detect_ms, 2),
        }


@dataclass(frozen=True, slots=True)
class Calibration:
    """The result of `guard.calibration.calibrate`.

    Attributes:
        clips: how many were looked at.
        frames: how many frames of them; every `every_s` seconds one.
        second: what the detector was held against.
        smallest_px: width in pixels from which on a face counts.
        target: the recall that was asked for.
        current: the setting in use.
        tried: all settings, the cheapest first.
        proposed: the cheapest that reaches the target; None where none does, or there was nothing to see.
        broken: clips that could not be read, each with its reason.
        sheet: the contact sheet, None where the two never disagreed or none was asked for.
    """

    clips: int
    frames: int
    every_s: float
    second: str
    smallest_px: float
    target: float
    current: Setting
    tried: Sequence[Setting]
    proposed: Setting | None
    broken: Sequence[str] = ()
    sheet: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """The object ``guard.calibration/1``."""
        return {
            "schema": "guard.calibration/1",
            "clips": self.clips,
            "frames": self.frames,
            "every_s": self.every_s,
            "second": self.second,
            "smallest_px": self.smallest_px,
            "target": self.target,
            "current": self.current.to_json(),
            "proposed": None if self.proposed is None else self.proposed.to_json(),
            "tried": [setting.to_json() for setting in self.tried],
            "broken": list(self.broken),
            "sheet": None if self.sheet is None else str(self.sheet),
        }


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def _bounds(bounds: tuple[float, float] | None, digits: int = 4) -> list[float] | None:
    return None if bounds is None else [round(bound, digits) for bound in bounds]
