"""What somebody has looked at and accepted: the changes of verdict that `guard ledger whatif` need not refuse.

::

    [[accept]]
    source = "bodycam-117"
    rule = "MS-AOAI.us-police"
    action = "identify"            # left out: any
    service = "azure_openai"       # left out: any
    why = "the contract ended"     # for whoever reads the file
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from guard.errors import ConfigError
from guard.facts import ACTIONS, SERVICES

__all__ = ["UNNAMED", "UNRULED", "Acceptance", "load_acceptances"]

UNRULED: Final = "none"
"""Stands for the rule of a denial that names none."""

UNNAMED: Final = "unnamed"
"""Stands for the action of a call that names none."""

_KEYS: Final = ("source", "rule", "action", "service", "why")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One `[[accept]]`: this rule may cease to forbid calls of this source; `action`, `service` None = any."""

    source: str
    rule: str
    action: str | None = None
    service: str | None = None
    why: str | None = None

    def covers(self, source: str | None, rule: str, action: str | None, service: str | None) -> bool:
        """Whether it speaks of this rule and call."""
        return (
            (self.source, self.rule) == (source, rule)
            and self.action in (None, action or UNNAMED)
            and self.service in (None, service)
        )

    def to_json(self) -> dict[str, str]:
        """As in the file; what is left out there is left out here."""
        said = {"source": self.source, "rule": self.rule, "action": self.action, "service": self.service}
        return {key: value for key, value in {**said, "why": self.why}.items() if value is not None}


def load_acceptances(path: Path) -> tuple[Acceptance, ...]:
    """Reads a file of `[[accept]]` tables.

    Raises `ConfigError` for a file that cannot be read, a key or word that is not known, and an entry without source
    or rule: what accepts everything has been looked at by nobody.
    """
    name = path.name
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file cannot be read: {error}", where=str(path), mend="check the path") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the file is not TOML: {error}", where=str(path), mend="mend that line") from None
    _known(table, ("accept",), name)
    entries = table.get("accept", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError("accept must be a list of tables", where=f"{name}: accept", mend="write [[accept]]")
    return tuple(_acceptance(entry, f"{name}: accept[{number}]") for number, entry in enumerate(entries))


def _acceptance(entry: Mapping[str, Any], where: str) -> Acceptance:
    _known(entry, _KEYS, where)
    for key, value in entry.items():
        if not isinstance(value, str) or not value:
            raise ConfigError("a text is needed here", where=f"{where}.{key}", mend="write it between quotation marks")
    for key in ("source", "rule"):
        if key not in entry:
            raise ConfigError(f"it names no {key}", where=where, mend=f"say which {key} was looked at")
    for key, words in (("action", (*ACTIONS, UNNAMED)), ("service", SERVICES)):
        if key in entry and entry[key] not in words:
            raise ConfigError(
                f"no {key} is called {entry[key]!r}", where=f"{where}.{key}", mend=_guess(entry[key], words)
            )
    return Acceptance(**entry)


def _known(table: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            raise ConfigError(f"no key is called {key!r} here", where=f"{where}.{key}", mend=_guess(key, keys))


def _guess(value: str, known: Any) -> str:
    near = difflib.get_close_matches(value, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
