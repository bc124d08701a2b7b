"""`[watch]` of `guard.toml`: which feeds `guard watch` shows, and which calls it tries on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from guard.config.values import guess, known, text
from guard.errors import ConfigError
from guard.facts import ACTIONS, SERVICES

__all__ = ["WatchConfig", "read_watch"]

_KEYS = ("feeds", "actions", "services")


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """`[watch]`.

    Attributes:
        feeds: what each source shows, by its id: a file, a folder of pictures, a camera or an address. Paths are
            relative to the file.
        actions, services: every action is tried at every service, on every frame that is analysed.
    """

    feeds: Mapping[str, str] = field(default_factory=dict)
    actions: tuple[str, ...] = ("identify",)
    services: tuple[str, ...] = ("self_hosted",)


def read_watch(
    table: Mapping[str, Any], sources: Iterable[str], services: Mapping[str, str], where: str
) -> WatchConfig:
    """Reads and checks the table. Raises `ConfigError` with the key of the first mistake."""
    known(table, _KEYS, where)
    said: dict[str, Any] = {}
    if "feeds" in table:
        said["feeds"] = _feeds(table["feeds"], tuple(sources), f"{where}.feeds")
    if "actions" in table:
        said["actions"] = _words(table["actions"], ACTIONS, f"{where}.actions")
    if "services" in table:
        said["services"] = _words(table["services"], (*SERVICES, *services), f"{where}.services")
    return WatchConfig(**said)


def _feeds(table: Any, sources: tuple[str, ...], where: str) -> Mapping[str, str]:
    if not isinstance(table, dict):
        raise ConfigError("feeds must be a table", where=where, mend='write feeds = { "source id" = "clip.mp4" }')
    for id, feed in table.items():
        if id not in sources:
            raise ConfigError(f"no source is called {id!r}", where=f"{where}.{id}", mend=guess(id, sources))
        text(feed, f"{where}.{id}")
    return dict(table)


def _words(value: Any, words: Iterable[str], where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigError("a list of words is needed here", where=where, mend='write ["identify"], or leave it out')
    for each in value:
        if each not in words:
            raise ConfigError(f"{each!r} is not known here", where=where, mend=guess(each, words))
    return tuple(dict.fromkeys(value))
