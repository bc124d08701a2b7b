"""Single values of `guard.toml`, each checked, with a suggestion where it is misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from guard.errors import ConfigError

__all__ = ["guess", "known", "number", "text"]


def known(table: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    """Raises `ConfigError` for a key of the table that is not one of `keys`."""
    for key in table:
        if key not in keys:
            raise ConfigError(f"no key is called {key!r} here", where=f"{where}.{key}", mend=guess(key, keys))


def guess(value: object, known: Iterable[str]) -> str:
    """How to mend a word that is not known: the nearest one, or all."""
    known = list(known)
    near = difflib.get_close_matches(str(value), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"


def text(value: Any, where: str) -> str:
    """The value, which must be text that says something. Raises `ConfigError`."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(
            "a text is needed here", where=where, mend='write it between quotation marks, e.g. "bodycam-1"'
        )
    return value


def number(value: Any, where: str, *, low: float, high: float, whole: bool = False) -> float:
    """The value, which must be a number from `low` to `high`. Raises `ConfigError`."""
    fits = isinstance(value, int) or (isinstance(value, float) and not whole)
    if isinstance(value, bool) or not fits or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise ConfigError(f"{value!r} cannot be used here", where=where, mend=f"write {kind} from {low:g} to {high:g}")
    return float(value)
