"""What the facts are called, in which order they are written, and which values each may take.

`ATTRIBUTES` names every fact; `check` turns one value from a file into the value we keep, or says what is
wrong with it and what was probably meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from guard.errors import ConfigError
from guard.facts import places
from guard.facts.instants import parse_instant
from guard.facts.vocabulary import VOCABULARY

__all__ = ["ATTRIBUTES", "INSTANTS", "NUMBERS", "OFFENCE_PARTS", "Value", "check", "suggestion"]

Value = str | bool | float | datetime

OFFENCE_PARTS: Final = ("name", "max_years", "annex_ii", "listed", "serious")
INSTANTS: Final = frozenset({"capture.at", "use.at"})
NUMBERS: Final = frozenset({"use.offence.max_years", "use.threshold"})

ATTRIBUTES: Final[tuple[str, ...]] = (
    "operator.type",
    "operator.acts_for",
    "operator.country",
    "place.country",
    "place.subdivision",
    "place.locality",
    "place.control",
    "place.access",
    "capture.mount",
    "capture.at",
    "use.at",
    "use.timing",
    "use.purpose",
    *(f"use.offence.{part}" for part in OFFENCE_PARTS),
    "use.output",
    "use.threshold",
    "use.traits",
    "use.searched_by",
    "use.unsolicited",
    "use.initial_identification",
    "use.names_stripped",
    "gallery.kind",
    "gallery.provenance",
    "subject.consent",
    "subject.minor",
    "subject.targeted",
    "subject.cooperates",
    "subject.apprehended",
)

_COMMON_MISTAKES: Final = {"UK": "GB", "EL": "GR", "USA": "US", "EU": "EU-Y"}
_NEARLY_THE_SAME: Final = 0.9  # one wrong letter in a name of ten; "South San Francisco" is no misspelling (0.81)
_LONGEST_TERM_YEARS: Final = 1000.0


def check(name: str, raw: Any, where: str) -> Value:
    """One known value of the fact `name` as we keep it.

    Booleans stay booleans, numbers become floats, instants aware datetimes in UTC, everything else text.
    Raises `ConfigError` with `where` and, where there is one, the nearest valid value.
    """
    if name in INSTANTS:
        return parse_instant(raw, where=where)
    if name in NUMBERS:
        return _number(name, raw, where)
    if name in ("operator.country", "place.country"):
        return _country(raw, where)
    if name == "place.subdivision":
        return _subdivision(raw, where)
    if name in ("place.locality", "use.offence.name"):
        return _text(name, raw, where)
    allowed = VOCABULARY[name]
    if any(raw is value for value in allowed if isinstance(value, bool)):
        return bool(raw)
    if isinstance(raw, str) and raw in allowed:
        return raw
    mend = suggestion(raw, allowed) or f"one of {_listed(allowed)}"
    raise ConfigError(f"{raw!r} is no value of {name}", where=where, mend=mend)


def suggestion(raw: Any, allowed: Iterable[str | bool]) -> str | None:
    """``did you mean 'body_worn'?`` where `raw` resembles one of `allowed`, else None."""
    if not isinstance(raw, str | bool):
        return None
    names = {"true" if value is True else "false" if value is False else value: value for value in allowed}
    plain = str(raw).strip().casefold().replace("-", "_").replace(" ", "_")
    folded = {name.casefold().replace("-", "_").replace(" ", "_"): name for name in names}
    close = [plain] if plain in folded else difflib.get_close_matches(plain, folded, n=1)
    if not close:
        return None
    name = folded[close[0]]
    return f"did you mean {name if isinstance(names[name], bool) else repr(name)}?"


def misspelt_locality(locality: str, subdivisions: Iterable[str]) -> str | None:
    """The place of our gazetteer that `locality` nearly names, where it names none exactly.

    A misspelt city would keep the rules of that city silent, so it is refused rather than taken for another
    place.
    """
    key = places.locality_key(locality)
    known = {places.locality_key(name): name for code in subdivisions for name in places.GAZETTEER.get(code, ())}
    if key in known:
        return None
    close = difflib.get_close_matches(key, known, n=1, cutoff=_NEARLY_THE_SAME)
    return known[close[0]] if close else None


def _number(name: str, raw: Any, where: str) -> float:
    top = 1.0 if name == "use.threshold" else _LONGEST_TERM_YEARS
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 <= raw <= top:
        raise ConfigError(f"{raw!r} is no value of {name}", where=where, mend=f"a number from 0 to {top:g}")
    return float(raw)


def _country(raw: Any, where: str) -> str:
    if isinstance(raw, str):
        if raw in places.COUNTRIES:
            return raw
        meant = raw.strip().upper()
        meant = _COMMON_MISTAKES.get(meant, meant)
        if meant in places.COUNTRIES:
            raise ConfigError(f"{raw!r} is no country code", where=where, mend=f"did you mean {meant!r}?")
    raise ConfigError(f"{raw!r} is no country code", where=where, mend="use ISO 3166-1 alpha-2, such as 'FR'")


def _subdivision(raw: Any, where: str) -> str:
    if isinstance(raw, str):
        if places.is_subdivision(raw):
            return raw
        if places.is_subdivision(raw.strip().upper()):
            raise ConfigError(f"{raw!r} is no subdivision", where=where, mend=f"did you mean {raw.strip().upper()!r}?")
        table = places.SUBDIVISIONS.get(places.country_of(raw))
        if table is not None:
            mend = suggestion(raw, table) or f"one of {_listed(sorted(table))}"
            raise ConfigError(f"{raw!r} is no subdivision", where=where, mend=mend)
    raise ConfigError(f"{raw!r} is no subdivision", where=where, mend="use ISO 3166-2, such as 'US-CA'")


def _text(name: str, raw: Any, where: str) -> str:
    if not isinstance(raw, str) or not places.locality_key(raw):
        raise ConfigError(f"{raw!r} is no value of {name}", where=where, mend="a name in quotes")
    return raw.strip()


def _listed(values: Sequence[str | bool]) -> str:
    return ", ".join(str(value).lower() if isinstance(value, bool) else value for value in values)
