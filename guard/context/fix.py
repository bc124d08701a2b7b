"""Positions and speeds of a satellite receiver, as a file's telemetry states them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

__all__ = ["Fix", "metres_between", "possible", "sustained_mps"]

_EARTH_M: Final = 6_371_000.0
_FASTEST_MPS: Final = 400.0
_WINDOW_S: Final = 5.0
_SPAN_S, _FEWEST = 3.0, 4
_OFF_M: Final = 15.0
"""How much two positions of a receiver that stands still may lie apart."""


@dataclass(frozen=True, slots=True)
class Fix:
    """Where a camera was and how fast it went.

    Attributes:
        at_s: of the file's time, in seconds.
        latitude, longitude: in degrees, north and east positive.
        speed_mps: over ground, in metres a second; None where it is not stated.
    """

    at_s: float
    latitude: float
    longitude: float
    speed_mps: float | None = None

    @classmethod
    def of(cls, at_s: float, latitude: float, longitude: float, speed_mps: float | None = None) -> Fix | None:
        """None where there is no such place or nothing that carries a camera goes so fast."""
        if not possible(latitude, longitude) or (speed_mps is not None and not 0 <= speed_mps <= _FASTEST_MPS):
            return None
        return cls(at_s, latitude, longitude, speed_mps)


def possible(latitude: float, longitude: float) -> bool:
    """Whether there is such a place. Zero and zero are what a receiver without a fix writes."""
    return abs(latitude) <= 90 and abs(longitude) <= 180 and not latitude == 0 == longitude


def sustained_mps(fixes: Sequence[Fix]) -> float | None:
    """The highest speed that was held for some seconds, in metres a second; None where too few fixes lie together.

    Within `_WINDOW_S` it is what most fixes reach. Where no speed is stated it is the way from the first to the last,
    less what a receiver may be off.
    """
    held = [_speed(fixes[start:]) for start in range(len(fixes))]
    return max((speed for speed in held if speed is not None), default=None)


def _speed(fixes: Sequence[Fix]) -> float | None:
    window = [fix for fix in fixes if fix.at_s - fixes[0].at_s <= _WINDOW_S]
    span_s = window[-1].at_s - window[0].at_s
    if len(window) < _FEWEST or span_s < _SPAN_S:
        return None
    stated = [fix.speed_mps for fix in window if fix.speed_mps is not None]
    if len(stated) >= _FEWEST:
        return median(stated)
    return max(0.0, metres_between(window[0], window[-1]) - _OFF_M) / span_s


def metres_between(one: Fix, other: Fix) -> float:
    """Along a great circle (haversine)."""
    north, other_north = math.radians(one.latitude), math.radians(other.latitude)
    east = math.radians(other.longitude - one.longitude)
    half = math.sin((other_north - north) / 2) ** 2 + math.cos(north) * math.cos(other_north) * math.sin(east / 2) ** 2
    return 2 * _EARTH_M * math.asin(math.sqrt(min(1.0, half)))
